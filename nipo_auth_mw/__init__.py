"""Drop-in WSGI authentication middleware: sign-in, sessions, lockout, accounts and an audit log."""

from nipo_auth_mw._flows.account import LastSignIn
from nipo_auth_mw._web.host_api import (
    account_menu,
    auth_url,
    current_session,
    current_user,
    end_session,
    flash_message,
    last_sign_in,
    require_fresh,
    require_role,
    require_second,
    require_user,
    sign_out_form,
    still_signed_in,
)
from nipo_auth_mw.config import AuthConfig, LockoutPolicy, PasswordPolicy, SessionPolicy, TwoStepPolicy
from nipo_auth_mw.environment import from_environ
from nipo_auth_mw.errors import (
    AccountError,
    AuthError,
    ConfigError,
    EmailRejected,
    EmailTaken,
    HashingFailed,
    MailerError,
    NoSuchAccount,
    NotSupported,
    PasswordRejected,
    StoreUnavailable,
)
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import Session, User

__version__ = "0.1.0"

__all__ = [
    "AccountError",
    "AuthConfig",
    "AuthError",
    "AuthMiddleware",
    "ConfigError",
    "EmailRejected",
    "EmailTaken",
    "HashingFailed",
    "LastSignIn",
    "LockoutPolicy",
    "MailerError",
    "NoSuchAccount",
    "NotSupported",
    "PasswordPolicy",
    "PasswordRejected",
    "Session",
    "SessionPolicy",
    "StoreUnavailable",
    "TwoStepPolicy",
    "User",
    "account_menu",
    "auth_url",
    "current_session",
    "current_user",
    "end_session",
    "flash_message",
    "from_environ",
    "last_sign_in",
    "require_fresh",
    "require_role",
    "require_second",
    "require_user",
    "sign_out_form",
    "still_signed_in",
]

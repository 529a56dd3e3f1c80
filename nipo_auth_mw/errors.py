"""What can go wrong, and for whom.

`ConfigError` speaks to the developer at start, the account errors to a script that calls `auth.accounts`,
`StoreUnavailable` and `MailerError` report an outage. Expected outcomes of a sign-in are values, never exceptions.
"""

from __future__ import annotations


class AuthError(Exception):
    """The root of every exception this package raises on purpose."""


class ConfigError(AuthError):
    """A set-up that cannot work or would not be safe; the message names the field, the problem and the mend."""

    def __init__(self, field: str, problem: str, mend: str) -> None:
        super().__init__(f"{field}: {problem}. {mend}")
        self.field = field
        self.problem = problem
        self.mend = mend


class StoreUnavailable(AuthError):
    """A store or the counters cannot be reached. Whoever meets it fails closed: 503, no password check, no identity."""


class MailerError(AuthError):
    """A mail could not be handed over: worth another try later, unless `permanent`. The text holds nothing of it."""

    def __init__(self, problem: str, *, permanent: bool = False) -> None:
        super().__init__(problem)
        self.permanent = permanent


class AccountError(AuthError):
    """What `auth.accounts` refuses. `code` is stable and is what JSON answers carry."""

    code = "account_error"


class NoSuchAccount(AccountError):
    """No account has this id."""

    code = "no_such_account"


class EmailTaken(AccountError):
    """Another account already signs in with this address."""

    code = "email_taken"


class EmailRejected(AccountError):
    """The text is not an address an account may have. `reason` is a stable word, such as `too_long`."""

    code = "email_rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not an acceptable e-mail address ({reason})")
        self.reason = reason


class PasswordRejected(AccountError):
    """The password may not be set.

    `reason` is `too_short`, `too_long`, `guessable` or `not_text`; `advice` says how to choose a better one.
    """

    code = "password_rejected"

    def __init__(self, reason: str, advice: tuple[str, ...] = ()) -> None:
        super().__init__(f"not an acceptable password ({reason})")
        self.reason = reason
        self.advice = advice


class UnknownRole(AccountError):
    """The configuration names no such role."""

    code = "unknown_role"


class NotOneself(AccountError):
    """An administrator would do this to their own account."""

    code = "not_oneself"


class LastAdmin(AccountError):
    """After this nobody could administrate any more."""

    code = "last_admin"


class NotSupported(AccountError):
    """The user store behind `auth.accounts` lacks the capability that this call needs."""

    code = "not_supported"

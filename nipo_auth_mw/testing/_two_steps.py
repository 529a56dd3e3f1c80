"""Two steps in the suite of a host app: an authenticator app without a phone."""

from __future__ import annotations

import base64
import time
from typing import Any

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.revocation import end_everything
from nipo_auth_mw._flows.second_check import APP, PASSWORD, kinds_of
from nipo_auth_mw._flows.two_step import SECOND_STEP
from nipo_auth_mw._services import Services
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.protocols import Account
from nipo_auth_mw.testing._browsers import HasMiddleware, given_middleware

_WHY = "second_step_changed"


def code_of(secret: str, steps: int = 0) -> str:
    """The six digits that an authenticator app shows now, or so many steps of 30 seconds from now.

    `secret` is what `enrol_app` returned, or the key on the page that sets an app up. Each code is accepted once: a
    test that needs a second one within 30 seconds takes `steps=1`, or moves the time.
    """
    return totp.code_at(base64.b32decode(secret.replace(" ", "")), totp.step_at(time.time()) + steps)


def enrol_app(auth: AuthMiddleware | HasMiddleware, user: Any) -> str:
    """Give an account an authenticator app, in place of one that it has, and switch its two steps on.

    Returns the key of the app, for `code_of`. As after the page that does it, the sessions of the account are over.
    `user` is a `User`, an account or an id. Raises `LookupError` if no account has the id, and if the middleware
    offers no two steps: they need the extra `nipo_auth_mw[two-step]`.
    """
    auth = given_middleware(auth)
    services = auth._services
    account, factors = account_of(auth, user), services.factors
    if factors is None:
        raise LookupError("this middleware offers no two steps: pip install 'nipo_auth_mw[two-step]'")
    secret = totp.new_secret()
    with services.log.transaction() as record:
        factors.add_app(account.id, secret, totp.step_at(time.time()) - 2, replace=True)
        end_everything(services, account, why=_WHY, record=record)
        change_account_state(services, account.id, two_step=time.time())
    return totp.key_text(secret)


def account_of(auth: AuthMiddleware, user: Any) -> Account:
    """The account of a `User`, an account, a row of the app's own table or an id, which a table may hold as a number.

    Raises `LookupError` for none, and for another account.
    """
    account = auth._services.users.get(str(getattr(user, "id", user)))
    if account is None:
        hint = "; sign_in_as takes an address" if isinstance(user, str) and "@" in user else ""
        raise LookupError(f"no account has this id{hint}")
    if account.email != getattr(user, "email", account.email):
        raise LookupError("the account with this id has another address; is it a user of another middleware?")
    return account


def all_steps(auth: AuthMiddleware, account: Account) -> tuple[str, ...]:
    """What the account proves at a whole sign-in. If its role requires two steps, it gets an app first."""
    services: Services = auth._services
    state = services.account_states.account_state(account.id)
    if SECOND_STEP.is_pending(account, state, auth.config):
        enrol_app(auth, account)
    elif state.two_step is None:
        return (PASSWORD,)
    return (PASSWORD, next(iter(kinds_of(services, account.id)), APP))

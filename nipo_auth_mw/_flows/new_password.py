"""The check of a password that an account is to get."""

from __future__ import annotations

from nipo_auth_mw._services import Services
from nipo_auth_mw.models import AccountState
from nipo_auth_mw.stores._folding import READING


def check_new_password(services: Services, password: str, email: str, name: str | None, reading: str) -> None:
    """Raise `PasswordRejected` unless the account may get this password.

    What others know of the owner is guessable: address, name and its reading, which has in kana what a password has in
    letters (NIST SP 800-63B-4 3.1.1.2).
    """
    services.password_rules.check(password, about=(email, name or "", reading))


def reading_of(state: AccountState) -> str:
    """The reading of the account's name (furigana), by which the staff list is sorted; "" for none."""
    return str(state.attributes.get(READING, ""))

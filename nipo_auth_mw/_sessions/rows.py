"""From the row of a session and of its account to what others see."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from nipo_auth_mw.models import User
from nipo_auth_mw.protocols import Account


@lru_cache(maxsize=4096)
def user_of(
    user_id: str, email: str, name: str | None, role: str, language: str | None, notify_email: str | None
) -> User:
    """The user with these values. Equal values give the same immutable object, which saves time on each request."""
    return User(user_id, email, True, name or "", role, language, notify_email)


def key_of(secret: str) -> str:
    """The key under which the store keeps a session. The secret has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def why_over(account: Account | None) -> str:
    """The reason in the audit log for a session whose account has changed."""
    if account is None:
        return "account_deleted"
    return "account_changed" if account.active else "account_disabled"

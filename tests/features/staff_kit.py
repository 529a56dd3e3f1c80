"""A host's own table that can do no more than a sign-in needs."""

from __future__ import annotations

from nipo_auth_mw.models import Account
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import PASSWORD


class Users:
    def __init__(self) -> None:
        self.one = Account("1", "kanri@example.com", fast_hasher().hash(PASSWORD), True, "管理", "admin")

    def get(self, user_id: str) -> Account | None:
        return self.one if user_id == "1" else None

    def find_by_email(self, email: str) -> Account | None:
        return self.one if email == self.one.email else None

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        return False


class Directory:
    """A host's own table that can create, change, delete and search accounts, and no more."""

    def __init__(self, store: MemoryStore) -> None:
        for name in ("get", "find_by_email", "set_password_hash", "create", "update", "delete", "search"):
            setattr(self, name, getattr(store, name))

"""The user store of the host app, as the rest of the package sees it."""

from __future__ import annotations

from typing import Any

from nipo_auth_mw import protocols
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import Account

_TEXT, _MAYBE = (str,), (str, type(None))
_KINDS = {"id": _TEXT, "email": _MAYBE, "password_hash": _MAYBE, "active": (object,), "name": _MAYBE, "role": _MAYBE}


class OwnUsers:
    """A user store whose accounts are copied as they are read. Every other method is that of the store.

    A store of the host app may give the live row of an ORM, which changes with the next write. A flow that holds the
    account of before would then see that of after: the notice of a changed address would go to the new mailbox alone,
    and a sign-in that renews a hash would end its own session.

    Raises `ConfigError` for an account that lacks an attribute, or has one of another type.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """What the store has; AttributeError for a method that it lacks, so that it can be asked what it offers."""
        found = getattr(self._store, name)
        if found is not None and name == "create":
            return lambda **named: _copied(found(**named), name)
        if found is not None and name == "search":
            return lambda *given, **named: [_copied(one, name) for one in found(*given, **named)]
        return found

    def get(self, user_id: str) -> protocols.Account | None:
        """See `UserStore.get`."""
        found = self._store.get(user_id)
        return None if found is None else _copied(found, "get")

    def find_by_email(self, email: str) -> protocols.Account | None:
        """See `UserStore.find_by_email`."""
        found = self._store.find_by_email(email)
        return None if found is None else _copied(found, "find_by_email")


def _copied(found: Any, method: str) -> Account:
    """The account as it is now. Raises `ConfigError`, whose message names types and quotes no value."""
    values: list[Any] = []
    for name, kinds in _KINDS.items():
        hint = "nipo_auth_mw.protocols.Account lists the attributes and their types"
        if not hasattr(found, name):
            raise ConfigError("users", f"{method} gives a {type(found).__name__} without the attribute {name}", hint)
        value = getattr(found, name)
        if not isinstance(value, kinds):
            kind = type(value).__name__
            raise ConfigError("users", f"{method} gives an account whose {name} is of type {kind}, not str", hint)
        values.append(value)
    id, email, password_hash, active, name, role = values
    return Account(id, email or "", password_hash, bool(active), name or "", role or "")

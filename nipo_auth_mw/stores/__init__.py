"""The stores of accounts, sessions, audit log and counters: `MemoryStore` for tests, `SQLStore` for production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nipo_auth_mw.stores._memory import MemoryStore

if TYPE_CHECKING:
    from nipo_auth_mw.stores._sql import SQLStore

__all__ = ["MemoryStore", "SQLStore"]


def __getattr__(name: str) -> Any:
    """Import SQLAlchemy at the first use of `SQLStore`: it takes a tenth of a second and 15 MiB."""
    if name != "SQLStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nipo_auth_mw.stores._sql import SQLStore

    return SQLStore

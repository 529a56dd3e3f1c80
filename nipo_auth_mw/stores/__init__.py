"""Where accounts, sessions, the history and the counters are kept: `MemoryStore` for tests, `SQLStore` for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nipo_auth_mw.stores.memory import MemoryStore

if TYPE_CHECKING:
    from nipo_auth_mw.stores.sql import SQLStore

__all__ = ["MemoryStore", "SQLStore"]


def __getattr__(name: str) -> Any:
    """Import SQLAlchemy only where `SQLStore` is asked for: it costs a tenth of a second and 15 MiB."""
    if name != "SQLStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nipo_auth_mw.stores.sql import SQLStore

    return SQLStore

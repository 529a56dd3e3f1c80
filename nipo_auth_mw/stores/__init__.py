"""The stores: `MemoryStore` for tests, `SQLStore` for production, and the accounts in a table of the host app's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nipo_auth_mw.stores._memory import MemoryStore

if TYPE_CHECKING:
    from nipo_auth_mw.stores._django_users import DjangoUsers
    from nipo_auth_mw.stores._sql import SQLStore
    from nipo_auth_mw.stores._table_users import TableUsers

__all__ = ["DjangoUsers", "MemoryStore", "SQLStore", "TableUsers"]


def __getattr__(name: str) -> Any:
    """Import SQLAlchemy, or Django, at the first use of a store: SQLAlchemy takes a tenth of a second and 15 MiB."""
    if name == "SQLStore":
        from nipo_auth_mw.stores._sql import SQLStore

        return SQLStore
    if name == "TableUsers":
        from nipo_auth_mw.stores._table_users import TableUsers

        return TableUsers
    if name == "DjangoUsers":
        from nipo_auth_mw.stores._django_users import DjangoUsers

        return DjangoUsers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

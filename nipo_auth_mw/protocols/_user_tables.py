"""What the table of a user store is like."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class ReusedIds(Protocol):
    """Optional: the user store knows its table. `nipo-auth check` warns where a new user can get the id of a deleted
    one, and with it what `auth.accounts.delete` did not remove: sessions, passkeys, the app."""

    def gives_ids_again(self) -> bool:
        """Whether the database may give the id of a deleted user to the next one, as SQLite does without
        AUTOINCREMENT."""


@runtime_checkable
class HashWidth(Protocol):
    """Optional: the user store knows how long a hash its column takes."""

    def hash_width(self) -> int | None:
        """How many characters a new hash may have; None for no limit. `check` compares it with a hash of today."""

"""The protocol of the proofs of the second step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class Factor(NamedTuple):
    """One proof of the second step that an account has: its authenticator app, or one of its passkeys.

    `key` is unique over all accounts: `app:<account id>`, or `passkey:` and the SHA-256 of the credential's id. `data`
    is the sealed secret of an app, or the public key of a passkey as packed JSON. `counter` is the last step number
    that an app's code was accepted for, or a passkey's signature counter. `digest` is a keyed digest over all other
    values of the row: it shows a planted or exchanged row, and it is the token of compare-and-set. Times are seconds
    since 1970 (UTC); `used_at` is 0 until the first use.
    """

    key: str
    user_id: str
    kind: str
    name: str
    data: str
    counter: int
    created_at: float
    used_at: float
    digest: str

    def __repr__(self) -> str:
        return f"Factor(kind={self.kind!r}, user_id={self.user_id!r})"


@runtime_checkable
class AccountFactorStore(Protocol):
    """Optional: the session store keeps the factors and the backup codes of accounts. Without it there are no two
    steps and no passkeys.

    The store need not know the account. Every method compares texts exactly.
    """

    def add_factor(self, factor: Factor) -> bool:
        """Add a factor, in one atomic step. False if a factor with this key exists, of whatever account.

        A store adds nothing, and returns False, for a text that it cannot keep exactly: the digest covers each.
        """

    def find_factor(self, key: str) -> Factor | None:
        """The factor with this key; None for any other text."""

    def factors_of(self, user_id: str) -> Sequence[Factor]:
        """All factors of an account, the oldest `created_at` first, then by key."""

    def update_factor(self, new: Factor, *, expected: str) -> bool:
        """Replace the factor with `new.key` if its stored digest equals `expected`, in one atomic step; else False.

        `new` has the stored `user_id`, `kind` and `created_at`. Of several callers with one `expected` exactly one
        succeeds, so a code is accepted once. False for a text that the store cannot keep exactly.
        """

    def remove_factor(self, key: str, user_id: str) -> Factor | None:
        """Remove the factor if it is of this account, and return it. Of several callers at once exactly one gets it."""

    def backup_codes(self, user_id: str) -> Sequence[str]:
        """The stored digests of the account's unused backup codes, in any order."""

    def replace_backup_codes(self, user_id: str, digests: Sequence[str]) -> None:
        """Remove all backup codes of the account and add these, in one atomic step."""

    def spend_backup_code(self, user_id: str, digest: str) -> bool:
        """Remove this code of the account, in one atomic step. Of several callers at once exactly one gets True."""

    def remove_factors(self, user_id: str) -> None:
        """Remove all factors and all backup codes of the account."""


@runtime_checkable
class SecondStepSessions(Protocol):
    """Optional: the session store writes what a session has proved after its sign-in (`StoredSession.means` and
    `second_at`). Without it there are no two steps and no passkeys."""

    def confirm_second(self, key: str, *, means: str, confirmed_at: float, second_at: float) -> bool:
        """Set the three values, in one atomic step. False if the session has ended."""

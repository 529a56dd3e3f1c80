"""Security stamps: they tie a session, a known device or a mailed link to the state of its account.

A stamp is a keyed digest of the account's id, password hash, address and active flag, and of its revocation counter.
Every use compares it. So any change of the account ends what was stamped before, even a change that the host app made
with its own SQL. This package raises the revocation counter with each of its own changes, so that an account which
returns to an earlier state does not revive earlier sessions.

A rehash of the same password must not end anything, since the package cannot renew the cookies of known devices. So the
account state lists equivalent hashes: the tag of the hash that the stamps are made from, then the tags of all hashes of
the same password. A tag is a digest, so no hash is stored twice.
"""

from __future__ import annotations

import hashlib

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.models import AccountState
from nipo_auth_mw.protocols import Account

_LENGTH = 64
_MAX_EQUIVALENT = 4
"""Hashes that may stand for the same password."""


class SecurityStamps:
    """Makes and compares the stamps of one purpose. `keyed` has a key for this purpose alone."""

    def __init__(self, keyed: KeyedDigests) -> None:
        self._keyed = keyed

    def of(self, account: Account, state: AccountState, *also: str) -> str:
        """The stamp of the account as it is now. The texts in `also` are bound into it."""
        password = _password_tag(account.password_hash, state.equivalent_hashes)
        return self._keyed.digest(
            account.id, account.email, bool(account.active), password, state.revocation_counter, *also
        )

    def fits(self, stamp: str, account: Account, state: AccountState, *also: str) -> bool:
        """Whether the account is still as it was when `stamp` was made, under any of the secret keys."""
        return self.key_of(stamp, account, state, *also) is not None

    def key_of(self, stamp: str, account: Account, state: AccountState, *also: str) -> int | None:
        """The number of the secret key that the stamp was made with, 0 for the newest; None if it does not fit."""
        if len(stamp) != _LENGTH:
            return None
        password = _password_tag(account.password_hash, state.equivalent_hashes)
        return self._keyed.key_of(
            stamp, account.id, account.email, bool(account.active), password, state.revocation_counter, *also
        )


def _password_tag(password_hash: str | None, equivalent_hashes: str) -> str:
    """The tag that stands for the password: the first equivalent hash's if this hash is listed, else this hash's."""
    tag = _tag(password_hash or "")
    first, *others = equivalent_hashes.split() or [""]
    return first if tag in others else tag


def equivalent_hashes_with(old_hash: str, new_hash: str, equivalent_hashes: str) -> str:
    """The equivalent hashes that make `new_hash` count as the same password as `old_hash`."""
    first = _password_tag(old_hash, equivalent_hashes)
    tags = equivalent_hashes.split()[1:] if first != _tag(old_hash) else [_tag(old_hash)]
    return " ".join([first, *[*tags, _tag(new_hash)][-_MAX_EQUIVALENT:]])


def _tag(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode("utf-8", "replace")).hexdigest()[:32]

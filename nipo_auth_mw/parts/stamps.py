"""What ties a session, a known device or a mailed link to the state its account had.

A stamp is a keyed digest of the account's password hash, address and state, and of our own counter beside the
account (`epoch`). It is compared at each use, so a change ends what was stamped before even when the host's own SQL
made it; the counter, raised by each change of ours, keeps an earlier state from coming back to life.

A rehash of the same password must end nothing, not even on devices whose cookie we cannot reach. So the notes may
name a *lineage*: the tag of its first hash, then the tags of all hashes that are of the
same password (a tag is a digest: no hash is kept twice).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from nipo_auth_mw.models import AccountNotes
from nipo_auth_mw.parts.signing import Keyed
from nipo_auth_mw.protocols import Account

_REMEMBERED_HASHES = 4


class Stamps:
    def __init__(self, keyed: Keyed) -> None:
        self._keyed = keyed
        # A pure function of values already at hand: remembering its answers is no cache of what the store says.
        self._fits = lru_cache(maxsize=4096)(self._matches)

    def of(self, account: Account, notes: AccountNotes, *also: str) -> str:
        """The stamp of the account as it is now; `also` is bound into it."""
        password = _password(account.password_hash, notes.lineage)
        return self._keyed.digest(account.id, account.email, bool(account.active), password, notes.epoch, *also)

    def fits(self, stamp: str, account: Account, notes: AccountNotes, *also: str) -> bool:
        """Whether the account still is as it was when `stamp` was made, under any of the secret keys."""
        epoch, lineage = notes.epoch, notes.lineage
        active, password_hash = bool(account.active), account.password_hash
        return self._fits(stamp, account.id, account.email, password_hash, active, epoch, lineage, *also)

    def _matches(
        self,
        stamp: str,
        user_id: str,
        email: str,
        password_hash: str | None,
        active: bool,
        epoch: int,
        lineage: str,
        *also: str,
    ) -> bool:
        return self._keyed.matches(stamp, user_id, email, active, _password(password_hash, lineage), epoch, *also)


def _password(password_hash: str | None, lineage: str) -> str:
    tag = _tag(password_hash or "")
    first, *others = lineage.split() or [""]
    return first if tag in others else tag


def lineage_with(old_hash: str, new_hash: str, lineage: str) -> str:
    """The lineage under which `new_hash` counts as the same password as `old_hash`."""
    first = _password(old_hash, lineage)
    tags = lineage.split()[1:] if first != _tag(old_hash) else [_tag(old_hash)]
    return " ".join([first, *[*tags, _tag(new_hash)][-_REMEMBERED_HASHES:]])


def _tag(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode("utf-8", "replace")).hexdigest()[:32]

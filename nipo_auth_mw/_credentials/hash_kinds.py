"""The kinds of password hashes in a store, so that a check costs the same whatever kind an account has.

A store holds hashes of several kinds after a change of the parameters, or after the import of accounts. A check that
cost as much as the hash of its account would tell an attacker which addresses have an account. So each wrong password
is compared once with a hash of every kind: with the account's own where the kind is its own, and with a specimen that
no password fits where it is not (CVE-2024-39329, CVE-2025-13473).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw.protocols import AccountSearch, HashSamples

ARGON2 = "$argon2"
_ENCODED = re.compile(
    r"(\$argon2(?:id|i|d)(?:\$v=[0-9]{1,4})?\$m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,8})\$)"
    r"([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_LEAST_SALT, _LEAST_HASH = 8, 4
_MOST_MEMORY_KIB, _MOST_WORK, _MOST_LANES = 2**21, 2**23, 255
"""RFC 9106's first recommendation is 2 GiB. A stored text that asks for more would stop the process."""
_MOST_KINDS, _MOST_LEGACY = 8, 32
_AT_ONCE, _MOST_PAGES = 500, 20


class Kind(NamedTuple):
    """The hashes that cost the same: `settings` is the text before the salt, `work` is memory times passes."""

    settings: str
    work: int

    @property
    def specimen(self) -> str:
        """A hash of this kind that no password fits: it is all zeros."""
        return f"{self.settings}{'A' * 22}${'A' * 43}"


def kind_of(stored: str) -> Kind | None:
    """The kind of an argon2 hash. None for one that is broken or costs more than a process can bear, and for any other
    text."""
    found = _ENCODED.fullmatch(stored)
    if found is None or not _is_base64(found[5], _LEAST_SALT) or not _is_base64(found[6], _LEAST_HASH):
        return None
    memory, passes, lanes = int(found[2]), int(found[3]), int(found[4])
    bearable = memory <= _MOST_MEMORY_KIB and memory * passes <= _MOST_WORK and lanes <= _MOST_LANES
    sound = passes >= 1 and lanes >= 1 and memory >= 8 * lanes
    return Kind(found[1], memory * passes) if bearable and sound else None


class HashKinds:
    """The argon2 kinds that this process has met, beginning with `today`'s. Threads may call all methods at once."""

    def __init__(self, today: Kind) -> None:
        self.today: Kind = today
        self._kinds: tuple[Kind, ...] = (today,)

    def meet(self, kind: Kind) -> None:
        """Remember a kind. Of more than eight kinds the dearest are kept."""
        if kind not in self._kinds:
            dearest = sorted({*self._kinds, kind} - {self.today}, key=lambda one: one.work)[1 - _MOST_KINDS :]
            self._kinds = (self.today, *dearest)

    def specimens(self, without: Kind) -> list[str]:
        """A hash of each argon2 kind except this one."""
        return [kind.specimen for kind in self._kinds if kind != without]


def samples(users: object, beginning_of: Callable[[str], str]) -> Iterator[str]:
    """Stored hashes, at least one of each kind: asked for, or else found in the first 10,000 accounts.

    `beginning_of` gives the text that hashes of the same kind begin with.
    """
    if offers(users, HashSamples):
        for start, known, most in ((ARGON2, [], _MOST_KINDS), ("", [ARGON2], _MOST_LEGACY)):
            known = list(known)
            while len(known) < most and (found := users.hash_unlike(known, start=start)):
                known.append(beginning_of(found) or found)
                yield found
    elif offers(users, AccountSearch):
        after = None
        for _ in range(_MOST_PAGES):
            page = users.search("", after=after, limit=_AT_ONCE)
            yield from (account.password_hash for account in page if account.password_hash)
            if len(page) < _AT_ONCE:
                return
            after = page[-1].email


def _is_base64(text: str, least: int) -> bool:
    """Whether argon2 can decode the text, to so many bytes or more: it refuses unused bits that are not zero."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return False
    return len(decoded) >= least and base64.b64encode(decoded).decode().rstrip("=") == text

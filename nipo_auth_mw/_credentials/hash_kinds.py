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
from collections.abc import Iterator
from typing import NamedTuple

from nipo_auth_mw._validation import offers
from nipo_auth_mw.protocols import HashSamples, StaffDirectory

ARGON2 = "$argon2"
_ENCODED = re.compile(
    r"(\$argon2(?:id|i|d)(?:\$v=[0-9]{1,4})?\$m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,8})\$)"
    r"([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_LEAST_SALT, _LEAST_HASH = 8, 4
_MOST_MEMORY_KIB, _MOST_WORK, _MOST_LANES = 2**21, 2**23, 255
"""RFC 9106's first recommendation is 2 GiB. A stored text that asks for more would stop the process."""
_MOST_KINDS = 8
_MOST_FOREIGN, _LOOKS = 4, 4
"""Foreign texts, and the characters at which they are told apart: an account that may not sign in often has `!`."""
_AT_ONCE, _MOST_PAGES = 500, 20


class Kind(NamedTuple):
    """The hashes that cost the same: `settings` is the text before the salt, `work` is memory times passes."""

    settings: str
    work: int

    @property
    def specimen(self) -> str:
        """A hash of this kind that no password fits: it is all zeros."""
        return f"{self.settings}{'A' * 22}${'A' * 43}"


FOREIGN = Kind("", 0)
"""All texts that are no argon2 hash and that the hasher can read."""


def kind_of(stored: str) -> Kind | None:
    """The kind of a stored text. None for an argon2 hash that is broken, or costs more than a process can bear."""
    if not stored.startswith(ARGON2):
        return FOREIGN
    found = _ENCODED.fullmatch(stored)
    if found is None or not _is_base64(found[5], _LEAST_SALT) or not _is_base64(found[6], _LEAST_HASH):
        return None
    memory, passes, lanes = int(found[2]), int(found[3]), int(found[4])
    bearable = memory <= _MOST_MEMORY_KIB and memory * passes <= _MOST_WORK and lanes <= _MOST_LANES
    sound = passes >= 1 and lanes >= 1 and memory >= 8 * lanes
    return Kind(found[1], memory * passes) if bearable and sound else None


class HashKinds:
    """The kinds that this process has met, beginning with `today`'s. Threads may call all methods at once.

    `foreign` are stored texts of another package, of which one that the hasher can read stands for all.
    """

    def __init__(self, today: Kind) -> None:
        self.today: Kind = today
        self.foreign: tuple[str, ...] = ()
        self._kinds: tuple[Kind, ...] = (today,)

    def meet(self, kind: Kind, stored: str) -> None:
        """Remember the kind of a stored hash. Of more than eight argon2 kinds the dearest are kept."""
        if kind == FOREIGN:
            self.foreign = self.foreign or (stored,)
        elif kind not in self._kinds:
            dearest = sorted({*self._kinds, kind} - {self.today}, key=lambda one: one.work)[1 - _MOST_KINDS :]
            self._kinds = (self.today, *dearest)

    def forget(self, stored: str) -> None:
        """Forget a foreign text that the hasher cannot read."""
        self.foreign = tuple(one for one in self.foreign if one != stored)

    def specimens(self, but: Kind) -> list[str]:
        """A hash of each argon2 kind except this one."""
        return [kind.specimen for kind in self._kinds if kind != but]

    def learn(self, users: object) -> None:
        """Look for the kinds of a store's hashes."""
        foreign: dict[str, str] = {}
        for stored in _samples(users):
            kind = kind_of(stored)
            if kind == FOREIGN:
                foreign.setdefault(stored[:_LOOKS], stored)
            elif kind is not None:
                self.meet(kind, stored)
        self.foreign = tuple(foreign.values())[:_MOST_FOREIGN]


def _samples(users: object) -> Iterator[str]:
    """Stored hashes, at least one of each kind: asked for, or else found in the first 10,000 accounts."""
    if offers(users, HashSamples):
        known: list[str] = []
        while len(known) < _MOST_KINDS and (found := users.hash_unlike(known, start=ARGON2)):
            kind = kind_of(found)
            known.append(kind.settings if kind else found)
            yield found
        known = [ARGON2]
        while len(known) <= _MOST_FOREIGN and (found := users.hash_unlike(known, start="")):
            known.append(found[:_LOOKS])
            yield found
    elif offers(users, StaffDirectory):
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

"""The password hashes of other systems, while some are left in the store.

Each costs another time than a hash of today. So the process remembers the dearest of each family that it has met, and a
wrong password for any address, known or not, does the work of all of them: what the account's own hash did not take is
made up for. How hashes are read and compared is up to the `LegacyHasher`s that the host app gives.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence

from nipo_auth_mw.errors import HashRejected
from nipo_auth_mw.models import LegacyHash
from nipo_auth_mw.protocols import LegacyHasher

_log = logging.getLogger("nipo_auth_mw")
_MOST_FAMILIES = 8
_NO_PASSWORD = ("!", "*")
"""Django begins the hash of an account without a password with `!`; crypt(3) uses both."""
_GIVE = "give AuthMiddleware legacy_hashers=[{}]"
_KINDS = (
    (r"pbkdf2_sha(256|1)\$|bcrypt(_sha256)?\$|scrypt\$|argon2\$", "Django", _GIVE.format("django()")),
    (r"(pbkdf2|scrypt):", "Werkzeug", _GIVE.format("werkzeug()")),
    (r"\$2[abxy]\$", "bcrypt", _GIVE.format("bcrypt()")),
    (r"\$firebase\$", "Firebase", _GIVE.format("firebase(...)")),
    (r"\$pbkdf2-sha(256|512)\$", "passlib's PBKDF2", _GIVE.format("flask_security(...)")),
    (r"\$argon2", "argon2", ""),
    (r"\$[156]\$", "crypt(3)", ""),
    (r"\$[PH]\$", "phpass", ""),
    (r"\{S?(SHA|MD5)[0-9]*\}", "LDAP", ""),
    (r"sha1\$|md5\$|unsalted_", "Django before 1.4", ""),
    (r"[0-9a-fA-F]+\Z", "hexadecimal digits", ""),
)
_MAIL_THEM = "Their users sign in after a reset by mail, or with a `LegacyHasher` of your own"


class LegacyHashes:
    """Reads legacy hashes with the first hasher that knows them. Threads may call all methods at once."""

    def __init__(self, hashers: Sequence[LegacyHasher] = ()) -> None:
        self._hashers = tuple(hashers)
        self._dearest: dict[str, LegacyHash] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def read(self, stored: str) -> LegacyHash:
        """The legacy hash. Raises `HashRejected` for a text that no hasher knows, or that one refuses."""
        for hasher in self._hashers:
            if (found := hasher.read(stored)) is not None:
                return found
        kind, hint = _described(stored)
        raise HashRejected(kind, "unknown_kind", hint or _MAIL_THEM)

    def name_of(self, stored: str) -> str:
        """The name of the hasher that knows the text. Raises `HashRejected`."""
        self.read(stored)
        return next(hasher.name for hasher in self._hashers if hasher.read(stored) is not None)

    def meet(self, one: LegacyHash) -> None:
        """Remember a hash if it is the dearest of its family. Of more than eight families the first are kept."""
        with self._lock:
            known = self._dearest.get(one.family)
            if (known is None and len(self._dearest) < _MOST_FAMILIES) or (known is not None and known.work < one.work):
                self._dearest[one.family] = one

    def make_up(self, own: LegacyHash | None, password: str) -> None:
        """Do the work that a comparison with the dearest hash of each family takes, less that of `own`."""
        for family, dearest in list(self._dearest.items()):
            done = own.work if own is not None and own.family == family else 0
            if dearest.work > done:
                dearest.spend(password, dearest.work - done)

    def tell(self, problem: HashRejected) -> None:
        """Log once a process that accounts have such a hash: their users could not know why no password is right."""
        with self._lock:
            if (text := str(problem)) in self._told:
                return
            self._told.add(text)
        _log.error(
            "accounts have password hashes that cannot be checked, so no password is right for them: %s (%s). %s",
            *(problem.kind, problem.reason, problem.hint),
        )


def is_no_password(stored: str | None) -> bool:
    """Whether the text says that an account has no password, in the way of Django and of crypt(3)."""
    return not stored or stored.startswith(_NO_PASSWORD)


def _described(stored: str) -> tuple[str, str]:
    """The name of the system, and what to do about it. Never a part of the text, which may be a password."""
    found = ((kind, hint) for pattern, kind, hint in _KINDS if re.match(pattern, stored))
    return next(found, ("an unknown system", ""))

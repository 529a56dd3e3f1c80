"""Verifiers of the password hashes that other systems made, for `AuthMiddleware(legacy_hashers=[...])`.

A user signs in with the old password, and the account gets an argon2id hash at this sign-in. A verifier compares a
password as the other system did, with its weaknesses: what was cut or normalised there is cut or normalised here. A
hash that asks for more work than a sign-in may take is refused when it is read. `bcrypt` and `firebase` need the extra
`nipo_auth_mw[legacy]`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import importlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nipo_auth_mw._credentials.hash_kinds import kind_of
from nipo_auth_mw._credentials.hashing import matches_argon2
from nipo_auth_mw.errors import ConfigError, HashRejected
from nipo_auth_mw.models import LegacyHash
from nipo_auth_mw.protocols import LegacyHasher

__all__ = ["bcrypt", "django", "firebase", "flask_security", "werkzeug"]

_MOST_ROUNDS = 10_000_000
_MOST_SCRYPT_BYTES, _MOST_SCRYPT_WORK = 256 * 2**20, 2**22
_LEAST_COST, _MOST_COST = 4, 15
"""Limits of the work: each stands for about two seconds of a processor, which is as long as a sign-in waits."""
_LONGEST = 1024
"""Characters of a stored text."""
_BCRYPT = re.compile(r"\$2([aby])\$([0-9]{2})\$([./A-Za-z0-9]{21})([./A-Za-z0-9])([./A-Za-z0-9]{31})")
_BCRYPT_DIGITS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BCRYPT_BYTES = 72
_SALT = b"\x00" * 16

Prepare = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class _Hasher:
    """A `LegacyHasher` of a name and a function. The function may hold a pepper, so no `repr` shows it."""

    name: str
    reader: Callable[[str], LegacyHash | None] = field(repr=False)

    def read(self, stored: str) -> LegacyHash | None:
        """See `LegacyHasher.read`."""
        try:
            return self.reader(stored) if len(stored) <= _LONGEST and stored.isascii() else None
        except (ValueError, binascii.Error):
            raise HashRejected(self.name, "broken", "Import it again, or let its user reset the password") from None


def werkzeug() -> LegacyHasher:
    """Hashes of `werkzeug.security.generate_password_hash`, as most Flask-Login apps store: `scrypt:…`, `pbkdf2:…`."""

    def read(stored: str) -> LegacyHash | None:
        method, _, rest = stored.partition("$")
        name, *numbers = method.split(":")
        if name not in {"scrypt", "pbkdf2"}:
            return None
        salt, wanted = rest.split("$")
        if name == "scrypt":
            n, r, p = map(_number, numbers)
            return _scrypt("Werkzeug", f"{method}$", (n, r, p), salt.encode(), bytes.fromhex(wanted))
        digest, rounds = numbers
        return _pbkdf2("Werkzeug", f"{method}$", digest, _number(rounds), salt.encode(), bytes.fromhex(wanted))

    return _Hasher("Werkzeug", read)


def django() -> LegacyHasher:
    """Hashes of `django.contrib.auth`: PBKDF2, scrypt, bcrypt, bcrypt_sha256 and argon2.

    bcrypt needs the extra `nipo_auth_mw[legacy]`.
    """

    def read(stored: str) -> LegacyHash | None:
        name, _, rest = stored.partition("$")
        if name in {"pbkdf2_sha256", "pbkdf2_sha1"}:
            rounds, salt, wanted = rest.split("$")
            digest = name.partition("_")[2]
            return _pbkdf2("Django", f"{name}${rounds}$", digest, _number(rounds), salt.encode(), _base64(wanted))
        if name == "scrypt":
            n, salt, r, p, wanted = rest.split("$")
            settings = _number(n), _number(r), _number(p)
            return _scrypt("Django", f"{name}${n}$", settings, salt.encode(), _base64(wanted))
        if name in {"bcrypt", "bcrypt_sha256"}:
            return _bcrypt("Django", f"{name}$", rest, _sha256_digits if name == "bcrypt_sha256" else str.encode)
        return _argon2("Django", "argon2", f"${rest}", str.encode) if name == "argon2" else None

    return _Hasher("Django", read)


def bcrypt(*, pepper: str = "") -> LegacyHasher:
    """Hashes `$2a$…`, `$2b$…`, `$2y$…`: Devise, Laravel, PHP's `password_hash`, Flask-Bcrypt, Spring.

    `pepper` is Devise's, which it appends to each password. As in these systems, bytes after the 72nd do not count. A
    password with a zero byte is wrong: C implementations take it for the end, and so for a shorter password. Needs the
    extra `nipo_auth_mw[legacy]`; raises `ConfigError` without it.
    """
    _library("bcrypt")

    def prepare(password: str) -> bytes:
        return (password + pepper).encode()

    return _Hasher("bcrypt", lambda stored: _bcrypt("bcrypt", "", stored, prepare))


def flask_security(password_salt: str, *, normalize_form: str | None = "NFKD") -> LegacyHasher:
    """Hashes of Flask-Security-Too, which hashes a digest of the password, keyed with `SECURITY_PASSWORD_SALT`.

    Reads argon2 (its default), bcrypt and PBKDF2 of passlib. `normalize_form` is `SECURITY_PASSWORD_NORMALIZE_FORM`.
    bcrypt needs the extra `nipo_auth_mw[legacy]`.
    """
    name = "Flask-Security"

    def prepare(password: str) -> bytes:
        form: Any = normalize_form
        text = unicodedata.normalize(form, password) if normalize_form else password
        return base64.b64encode(hmac.digest(password_salt.encode(), text.encode(), hashlib.sha512))

    def read(stored: str) -> LegacyHash | None:
        if stored.startswith("$argon2"):
            return _argon2(name, "", stored, prepare)
        if stored.startswith("$2"):
            return _bcrypt(name, "", stored, prepare)
        if stored.startswith(("$pbkdf2-sha256$", "$pbkdf2-sha512$")):
            _, method, rounds, salt, wanted = stored.split("$")
            digest = method.partition("-")[2]
            salt, wanted = salt.replace(".", "+"), wanted.replace(".", "+")
            beginning = f"${method}${rounds}$"
            return _pbkdf2(name, beginning, digest, _number(rounds), _base64(salt), _base64(wanted), prepare)
        return None

    return _Hasher(name, read)


def firebase(*, signer_key: str, salt_separator: str, rounds: int, mem_cost: int) -> LegacyHasher:
    """Hashes of Firebase Authentication, as `$firebase$SALT$HASH`: `salt` and `passwordHash` of an exported user.

    The arguments are the project's password hash parameters, which the Firebase console shows. `nipo-auth user import`
    reads the exported file as it is. Needs the extra `nipo_auth_mw[legacy]`. Raises `ConfigError`.
    """
    aes = _library("cryptography.hazmat.primitives.ciphers", package="cryptography")
    try:
        key, separator = _base64(signer_key), _base64(salt_separator)
        _scrypt("Firebase", "", (2**mem_cost, rounds, 1), b"", b"")
    except (ValueError, binascii.Error, HashRejected, TypeError, OverflowError):
        problem, hint = "firebase() got other values than Firebase's", "Copy base64_signer_key, base64_salt_separator, "
        raise ConfigError("legacy_hashers", problem, f"{hint}rounds and mem_cost from the Firebase console.") from None

    def seal(derived: bytes) -> bytes:
        cipher = aes.Cipher(aes.algorithms.AES(derived), aes.modes.CTR(bytes(16))).encryptor()
        sealed: bytes = cipher.update(key) + cipher.finalize()
        return sealed

    def read(stored: str) -> LegacyHash | None:
        if not stored.startswith("$firebase$"):
            return None
        _, _, salt, wanted = stored.split("$")
        settings = (2**mem_cost, rounds, 1)
        salted = _base64(salt) + separator
        return _scrypt("Firebase", "$firebase$", settings, salted, _base64(wanted), finish=seal, length=32)

    return _Hasher("Firebase", read)


def without_secrets() -> list[LegacyHasher]:
    """The verifiers that need no argument: what a command line without the app can read."""
    try:
        return [werkzeug(), django(), bcrypt()]
    except ConfigError:
        return [werkzeug(), django()]


def _pbkdf2(
    name: str, beginning: str, digest: str, rounds: int, salt: bytes, wanted: bytes, prepare: Prepare = str.encode
) -> LegacyHash:
    """A hash of PBKDF2 (RFC 8018). A longer result than the digest would multiply the work."""
    if digest not in {"sha1", "sha224", "sha256", "sha384", "sha512"} or len(wanted) != hashlib.new(digest).digest_size:
        raise ValueError(digest)
    _bound(name, 1 <= rounds <= _MOST_ROUNDS)

    def derive(password: str, salt: bytes, rounds: int) -> bytes:
        return hashlib.pbkdf2_hmac(digest, prepare(password), salt, rounds)

    def matches(password: str) -> bool:
        return hmac.compare_digest(derive(password, salt, rounds), wanted)

    def spend(password: str, work: int) -> None:
        derive(password, _SALT, work)

    return LegacyHash(beginning, f"PBKDF2 {digest}", rounds, matches, spend)


def _scrypt(
    name: str,
    beginning: str,
    settings: tuple[int, int, int],
    salt: bytes,
    wanted: bytes,
    *,
    finish: Callable[[bytes], bytes] = bytes,
    length: int = 64,
) -> LegacyHash:
    """A hash of scrypt (RFC 7914). `finish` makes the stored bytes out of the derived ones."""
    n, r, p = settings
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise ValueError(settings)
    memory = 128 * r * (n + p + 2)
    _bound(name, memory <= _MOST_SCRYPT_BYTES and n * r * p <= _MOST_SCRYPT_WORK)

    def derive(password: str, salt: bytes) -> bytes:
        derived = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory + 2**20, dklen=length)
        return finish(derived)

    def matches(password: str) -> bool:
        return hmac.compare_digest(derive(password, salt), wanted)

    # All hashes of this family take the same work.
    return LegacyHash(beginning, f"scrypt {n} {r} {p}", n * r * p, matches, lambda password, _: derive(password, _SALT))


def _bcrypt(name: str, before: str, stored: str, prepare: Prepare) -> LegacyHash | None:
    """A hash of bcrypt, without the text `before` it."""
    if not stored.startswith("$2"):
        return None
    found = _BCRYPT.fullmatch(stored)
    if found is None:
        raise ValueError(name)
    cost = int(found[2])
    _bound(name, _LEAST_COST <= cost <= _MOST_COST)
    library = _late_library(name)
    # Four bits of the salt's last character mean nothing. The library refuses any but zeros, other systems wrote some.
    last = _BCRYPT_DIGITS[_BCRYPT_DIGITS.index(found[4]) & 0b110000]
    salt, wanted = f"$2b${found[2]}${found[3]}{last}", found[5]

    def derive(password: str, salt: str) -> str:
        secret = prepare(password).replace(b"\x00", b"")[:_BCRYPT_BYTES]
        return str(library.hashpw(secret, salt.encode()).decode("ascii"))[29:]

    def matches(password: str) -> bool:
        right = hmac.compare_digest(derive(password, salt), wanted)
        return right and b"\x00" not in prepare(password)

    def spend(password: str, work: int) -> None:
        for exponent in range(_LEAST_COST, _MOST_COST + 1):
            if work >> exponent & 1:
                derive(password, f"$2b${exponent:02}${'.' * 22}")

    return LegacyHash(f"{before}{stored[:7]}", "bcrypt", 2**cost, matches, spend)


def _argon2(name: str, before: str, stored: str, prepare: Prepare) -> LegacyHash:
    """A hash of argon2, without the text `before` it."""
    kind = kind_of(stored)
    if kind is None:
        raise ValueError(name)
    specimen = kind.specimen

    def matches(password: str) -> bool:
        return matches_argon2(stored, prepare(password))

    def spend(password: str, _work: int) -> None:
        matches_argon2(specimen, prepare(password))

    return LegacyHash(f"{before}{kind.settings}", f"argon2 {kind.settings}", kind.work, matches, spend)


def _bound(name: str, bearable: bool) -> None:
    """Raise `HashRejected` for a hash that takes more work than a sign-in may."""
    if not bearable:
        raise HashRejected(name, "too_costly", "Let their users reset the password")


def _number(text: str) -> int:
    """A number in decimal digits. Raises ValueError; `int` would read `1_0` and blanks as well."""
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise ValueError("no number")
    return int(text)


def _base64(text: str) -> bytes:
    """The bytes of base64, of either alphabet, with or without its padding. Raises ValueError."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _sha256_digits(password: str) -> bytes:
    """What Django's bcrypt_sha256 hashes: digits, since a digest may have a zero byte."""
    return hashlib.sha256(password.encode()).hexdigest().encode()


def _late_library(name: str) -> Any:
    """The library bcrypt, when the first hash is read. Raises `HashRejected` without it."""
    try:
        return _library("bcrypt")
    except ConfigError as missing:
        raise HashRejected(name, "library_missing", missing.hint) from None


@functools.lru_cache(maxsize=8)
def _library(module: str, package: str = "") -> Any:
    """A library of the extra. Raises `ConfigError` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        problem = f"the library {package or module} is not installed"
        raise ConfigError("legacy_hashers", problem, "pip install 'nipo_auth_mw[legacy]'") from None

"""Codes of an authenticator app: TOTP of RFC 6238 with SHA-1, 30 seconds and six digits, which all apps know.

The clock of a phone may be one step off (RFC 6238 5.2). With a code's own step that is 90 seconds, where ASVS 5 6.5.5
asks for 30: a code is accepted once, and guesses are counted, so the two other steps give an attacker little.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
from urllib.parse import quote, urlencode

from nipo_auth_mw._credentials.typed_codes import plain

_STEP = 30
_DIGITS = 6
_SECRET_BYTES = 20
_TOLERANCE = 1


def new_secret() -> bytes:
    """160 random bits, as RFC 4226 R6 recommends."""
    return secrets.token_bytes(_SECRET_BYTES)


def key_text(secret: bytes) -> str:
    """The secret as a person types it into an app: base32 in groups of four."""
    text = _base32(secret)
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def uri(secret: bytes, *, account: str, issuer: str) -> str:
    """The `otpauth:` address that an app reads from a QR code. `account` and `issuer` are what the app shows.

    A colon separates the two, so neither keeps one of its own. Algorithm, digits and period are the format's defaults.
    """
    names = [quote(name.replace(":", " "), safe="@") for name in (issuer, account) if name]
    facts = {"secret": _base32(secret)} | ({"issuer": issuer.replace(":", " ")} if issuer else {})
    return f"otpauth://totp/{':'.join(names)}?{urlencode(facts, quote_via=quote)}"


def code_at(secret: bytes, step: int) -> str:
    """The six digits of a step number (RFC 4226 5.3)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return f"{(number & 0x7FFFFFFF) % 10**_DIGITS:0{_DIGITS}}"


def step_at(now: float) -> int:
    """The step number of a moment, in seconds since 1970."""
    return int(now // _STEP)


def normalised(text: str) -> str | None:
    """The six digits of a code as it was typed: of any width, with blanks and hyphens. None for a text that is none."""
    code = plain(text)
    return code if len(code) == _DIGITS and code.isascii() and code.isdigit() else None


def step_of(secret: bytes, code_text: str, *, now: float, after: int) -> int | None:
    """The step number that the code is accepted for: within one step of `now`, and higher than `after`; else None.

    `after` is the step of the code that was accepted last, so no code is accepted twice, nor one before it (RFC 6238
    5.2; ASVS 5 6.5.1). Of two steps with the same code it is the higher one. Digits of any width, blanks and hyphens
    are read; any other text is refused before an HMAC is computed. The time does not depend on the digits.
    """
    code = normalised(code_text)
    if code is None:
        return None
    found = None
    for step in range(max(0, step_at(now) - _TOLERANCE), step_at(now) + _TOLERANCE + 1):
        if hmac.compare_digest(code_at(secret, step), code) and step > after:
            found = step
    return found


def _base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode("ascii").rstrip("=")

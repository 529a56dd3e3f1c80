"""Reads the JSON of `PublicKeyCredential.toJSON` strictly, before any library parses what is in it.

Every check here is linear in the length of the text. What browsers never send is refused: keys that occur twice, texts
in another spelling of base64url, deep nesting. Two parsers that read one text differently are how a check is passed by
one value while another is used. WebAuthn Level 3 sections 5.1.8 and 5.8.1.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nipo_auth_mw._credentials.passkey_challenges import PasskeyRejected

MOST_CHARACTERS = 16 * 1024
_MOST_BRACKETS = 64
_LEAST_ID, _MOST_ID = 16, 1023
_TRANSPORTS = ("ble", "hybrid", "internal", "nfc", "smart-card", "usb")


class Answer(NamedTuple):
    """The parts of a credential's JSON that are read. Nothing of it is verified yet, except its form."""

    credential_id: bytes
    response: Mapping[str, Any]
    client_data: Mapping[str, Any]

    def __repr__(self) -> str:
        return "Answer()"

    def part(self, name: str) -> bytes:
        """The bytes of a field of the response. Raises `PasskeyRejected` if they are missing."""
        return from_base64(self.response.get(name))

    def transports(self) -> tuple[str, ...]:
        """The ways to reach the authenticator, as far as they are known words."""
        given = self.response.get("transports")
        return tuple(one for one in _TRANSPORTS if one in given) if isinstance(given, list) else ()

    def for_library(self, *names: str) -> dict[str, Any]:
        """The same credential with these fields of the response alone."""
        text = to_base64(self.credential_id)
        parts = {name: self.response[name] for name in ("clientDataJSON", *names)}
        return {"id": text, "rawId": text, "type": "public-key", "response": parts}


def read(credential: str) -> Answer:
    """The parts of a credential's JSON. Raises `PasskeyRejected` for any other text."""
    if len(credential) > MOST_CHARACTERS:
        raise PasskeyRejected("malformed")
    outer = strict_object(credential)
    response, credential_id = outer.get("response"), from_base64(outer.get("rawId"))
    if outer.get("type") != "public-key" or outer.get("id") != outer["rawId"] or not isinstance(response, dict):
        raise PasskeyRejected("malformed")
    if not _LEAST_ID <= len(credential_id) <= _MOST_ID:
        raise PasskeyRejected("malformed")
    client_data = strict_object(from_base64(response.get("clientDataJSON")).decode("utf-8"))
    return Answer(credential_id, response, client_data)


def strict_object(text: str) -> dict[str, Any]:
    """The object that the JSON text stands for. Raises `ValueError` or `PasskeyRejected`."""
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise PasskeyRejected("malformed")
    found = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise PasskeyRejected("malformed")
    return found


def to_base64(data: bytes) -> str:
    """base64url without padding, as WebAuthn writes bytes."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64(text: object) -> bytes:
    """The bytes of a text in the only spelling that `to_base64` gives. Raises `ValueError` or `PasskeyRejected`."""
    if not isinstance(text, str) or not text:
        raise PasskeyRejected("malformed")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64(data) != text:
        raise PasskeyRejected("malformed")
    return data


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PasskeyRejected("malformed")
    return found


def _refuse(_constant: str) -> Any:
    raise PasskeyRejected("malformed")

"""A passkey in software, for tests without a browser. It needs the extra `nipo_auth_mw[two-step]`."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from nipo_auth_mw._credentials.passkey_json import from_base64, to_base64

Algorithm = Literal["ES256", "EdDSA", "RS256"]

_UP, _UV, _BE, _BS, _AT = 0x01, 0x04, 0x08, 0x10, 0x40
_AAGUID = bytes(16)


class SoftPasskey:
    """An authenticator with one passkey, and the browser in front of it.

        passkey = SoftPasskey("http://localhost")
        test_app.post("/-/auth/login/passkey", {"credential": passkey.get(options)})

    `create` and `get` take the options that a page holds, and return the JSON for its field `credential`, as the
    browser's `toJSON` gives it. `origin` is that of `base_url`. A synced passkey counts nothing, as those of phones do;
    a device-bound one, such as a security key, counts each use.

    Every part can be made wrong, for tests of a refusal: `client_data` replaces members of the client data, where None
    removes one; `flags_off` and `flags_on` change the flags of the authenticator data; `rp_id` is hashed in place of
    that of the options; `user_handle` is sent in place of the one that was given; `counter` is the last value used.
    """

    def __init__(
        self, origin: str = "http://localhost", *, algorithm: Algorithm = "ES256", synced: bool = True
    ) -> None:
        self.origin = origin
        self.algorithm = algorithm
        self.synced = synced
        self.credential_id = secrets.token_bytes(32)
        self.user_handle = b""
        self.counter = 0
        self.aaguid = _AAGUID
        self.client_data: dict[str, Any] = {}
        self.flags_off = 0
        self.flags_on = 0
        self.rp_id: str | None = None
        self._key = _new_key(algorithm)

    def __repr__(self) -> str:
        return f"SoftPasskey({self.origin!r}, algorithm={self.algorithm!r}, synced={self.synced})"

    def create(self, options: Mapping[str, Any] | str) -> str:
        """The credential for `navigator.credentials.create`. Raises `ValueError` if an excluded one is this one."""
        asked = _read(options)
        if any(one["id"] == to_base64(self.credential_id) for one in asked.get("excludeCredentials", [])):
            raise ValueError("this authenticator has a passkey of this account already")
        self.user_handle = from_base64(asked["user"]["id"])
        client_data = self._client_data("webauthn.create", asked["challenge"])
        attested = self.aaguid + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self._authenticator_data(asked["rp"]["id"], _AT) + attested + _cbor(self.public_key())
        statement = _cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential(
            {
                "clientDataJSON": to_base64(client_data),
                "attestationObject": to_base64(statement),
                "authenticatorData": to_base64(data),
                "transports": ["hybrid", "internal"] if self.synced else ["nfc", "usb"],
            }
        )

    def get(self, options: Mapping[str, Any] | str) -> str:
        """The credential for `navigator.credentials.get`. Raises `ValueError` if others are asked for."""
        asked = _read(options)
        allowed = [one["id"] for one in asked.get("allowCredentials", [])]
        if allowed and to_base64(self.credential_id) not in allowed:
            raise ValueError("this authenticator has none of the passkeys that are asked for")
        if not self.synced:
            self.counter += 1
        client_data = self._client_data("webauthn.get", asked["challenge"])
        data = self._authenticator_data(asked["rpId"])
        return self._credential(
            {
                "clientDataJSON": to_base64(client_data),
                "authenticatorData": to_base64(data),
                "signature": to_base64(self._sign(data + hashlib.sha256(client_data).digest())),
                "userHandle": to_base64(self.user_handle),
            }
        )

    def public_key(self) -> dict[int, int | bytes]:
        """The public key as a COSE key (RFC 9052, RFC 9053, RFC 8230)."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            point = self._key.public_key().public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return {1: 1, 3: -8, -1: 6, -2: self._key.public_key().public_bytes_raw()}
        numbers = self._key.public_key().public_numbers()
        return {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}

    def _client_data(self, kind: str, challenge: str) -> bytes:
        members = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        members |= self.client_data
        return json.dumps({name: value for name, value in members.items() if value is not None}).encode()

    def _authenticator_data(self, rp_id: str, flags: int = 0) -> bytes:
        flags |= _UP | _UV | (_BE | _BS if self.synced else 0)
        flags = flags & ~self.flags_off | self.flags_on
        rp_hash = hashlib.sha256((self.rp_id or rp_id).encode()).digest()
        return rp_hash + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(hashes.SHA256()))
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def _credential(self, response: Mapping[str, Any]) -> str:
        text = to_base64(self.credential_id)
        return json.dumps(
            {
                "id": text,
                "rawId": text,
                "type": "public-key",
                "authenticatorAttachment": "platform" if self.synced else "cross-platform",
                "clientExtensionResults": {},
                "response": response,
            }
        )


def _new_key(algorithm: Algorithm) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def _read(options: Mapping[str, Any] | str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(options) if isinstance(options, str) else options
    return found


def _cbor(value: Any) -> bytes:
    """The few kinds of CBOR that a credential has (RFC 8949), in the order that CTAP asks for."""
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value)) + value.encode()
    pairs = sorted(((_cbor(key), _cbor(one)) for key, one in value.items()), key=lambda pair: (len(pair[0]), pair[0]))
    return _head(5, len(pairs)) + b"".join(key + one for key, one in pairs)


def _head(kind: int, size: int) -> bytes:
    """The first bytes of an item: its kind and its size, or its value."""
    if size < 24:
        return bytes([kind << 5 | size])
    length = next(length for length in (1, 2, 4, 8) if size < 256**length)
    return bytes([kind << 5 | 24 + length.bit_length() - 1]) + size.to_bytes(length, "big")

"""Passkeys: the ceremonies of WebAuthn Level 3. The only module that imports fido2, at its first use.

fido2 verifies the type, the hash of the rp id, the flags of presence and verification, and the signature. This module
adds the other checks of a relying party (sections 7.1 and 7.2): the exact origin, no embedding page, our own challenge,
the flags of backup, the user handle, the kind and strength of a key, the length of an id, the signature counter. fido2
raises `ValueError`, `TypeError`, `KeyError`, `RecursionError` and others for bytes that are no credential, so any
exception is one refusal.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib.util
import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from nipo_auth_mw._credentials.passkey_challenges import Challenge, PasskeyChallenges, PasskeyRejected, Purpose, lasts
from nipo_auth_mw._credentials.passkey_json import Answer, from_base64, read, to_base64
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw.protocols import Factor

_ES256, _EDDSA, _RS256 = -7, -8, -257
_ALGORITHMS: Final = (_ES256, _EDDSA, _RS256)
# fido2's CBOR decoder copies the rest of its input for each item, so its time grows with the square of the length.
_MOST_BYTES = 8 * 1024
COUNTER = "counter"
"""The reason of a refusal whose signature is right, and whose counter has not risen."""
_EXPONENT = (65537).to_bytes(3, "big")
_BE, _BS = 0x08, 0x10

T = TypeVar("T")


class Rejected(NamedTuple):
    """A credential that is not accepted. `reason` is for the audit log; users see one text, or that it expired.

    `key` is the key of the factor that it is for, if our own challenge was answered on a page that is not ours.
    """

    reason: str
    key: str = ""


class Passkey(NamedTuple):
    """What a factor's `data` holds of a passkey. `public_key` is a COSE key (RFC 9052 section 7)."""

    credential_id: bytes
    public_key: bytes
    synced: bool
    transports: tuple[str, ...]

    def packed(self) -> str:
        """The text for `Factor.data`."""
        return json.dumps(
            {
                "id": to_base64(self.credential_id),
                "key": to_base64(self.public_key),
                "synced": self.synced,
                "transports": self.transports,
            }
        )

    @classmethod
    def unpacked(cls, data: str) -> Passkey:
        """The passkey that was packed. Raises `ValueError` or `KeyError` for another text."""
        found = json.loads(data)
        return cls(from_base64(found["id"]), from_base64(found["key"]), found["synced"], tuple(found["transports"]))


class Registered(NamedTuple):
    """A new passkey, verified. `key` and `counter` are those of its factor, `handle` is its user handle, and `nonce`
    names the challenge."""

    key: str
    passkey: Passkey
    counter: int
    aaguid: str
    handle: str
    nonce: str


class Opened(NamedTuple):
    """An assertion whose form and challenge are good, and whose signature is not verified yet.

    `key` is the key of the factor that it is for, and `nonce` names the challenge.
    """

    key: str
    answer: Answer
    nonce: str


class Verified(NamedTuple):
    """A passkey was used. `counter` is the value to store."""

    counter: int


def is_installed() -> bool:
    """Whether the extra `nipo_auth_mw[two-step]` is there. Imports nothing."""
    return importlib.util.find_spec("fido2") is not None


def rp_id_of(base_url: str) -> str | None:
    """The host of `base_url`; None for an IP address, since browsers make passkeys for host names alone."""
    host = urlsplit(base_url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.lower()
    return None


def factor_key(credential_id: bytes) -> str:
    """The key of the factor of this credential: unique over all accounts, and short whatever the id's length."""
    return f"passkey:{hashlib.sha256(credential_id).hexdigest()}"


class Passkeys:
    """The relying party: makes options for browsers, and verifies what they send back.

    `origin` is compared exactly, so a passkey works for one scheme, host and port. `signed` has keys for the challenges
    of passkeys alone. Handles are the 64 hexadecimal digits of 32 random bytes, and tell nothing about the person.
    """

    def __init__(self, rp_id: str, origin: str, signed: SignedTokens, *, site_name: str = "") -> None:
        self.rp_id = rp_id
        self._origin = origin
        self._challenges = PasskeyChallenges(signed)
        self._site_name = site_name or rp_id

    def creation_options(
        self, user_id: str, handle: str, email: str, name: str, existing: Iterable[Passkey]
    ) -> dict[str, Any]:
        """The argument of `PublicKeyCredential.parseCreationOptionsFromJSON`.

        A passkey can be found without an address, and asks for PIN or biometrics each time. An authenticator that has
        one of `existing` makes no second one. The handle is bound into the challenge, since the answer does not hold
        it.
        """
        return {
            "rp": {"id": self.rp_id, "name": self._site_name},
            "user": {"id": to_base64(bytes.fromhex(handle)), "name": email, "displayName": name or email},
            "challenge": self._challenge("create", user_id, handle),
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in _ALGORITHMS],
            "timeout": _milliseconds("create"),
            "excludeCredentials": [_descriptor(passkey) for passkey in existing],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
        }

    def request_options(self, purpose: Purpose, subject: str = "", allowed: Iterable[Passkey] = ()) -> dict[str, Any]:
        """The argument of `PublicKeyCredential.parseRequestOptionsFromJSON`.

        Without `subject` and `allowed` they are the same for every visitor, except the challenge, so they tell nothing
        about any account (WebAuthn section 14.6.2).
        """
        return {
            "challenge": self._challenge(purpose, subject),
            "timeout": _milliseconds(purpose),
            "rpId": self.rp_id,
            "allowCredentials": [_descriptor(passkey) for passkey in allowed],
            "userVerification": "required",
        }

    def signals(self, handle: str, email: str, name: str, existing: Iterable[Passkey]) -> dict[str, Any]:
        """The arguments of `signalAllAcceptedCredentials` and `signalCurrentUserDetails` (section 5.1.10)."""
        whose = {"rpId": self.rp_id, "userId": to_base64(bytes.fromhex(handle))}
        ids = [to_base64(passkey.credential_id) for passkey in existing]
        return {
            "all": {**whose, "allAcceptedCredentialIds": ids},
            "user": {**whose, "name": email, "displayName": name or email},
        }

    def register(self, credential: str, user_id: str) -> Registered | Rejected:
        """Verify a new passkey for this account (section 7.1). Never raises."""
        return _refused_if_raised(lambda: self._register(credential, user_id))

    def open(self, credential: str, purpose: Purpose, subject: str = "") -> Opened | Rejected:
        """Read an assertion and check its challenge. Costs no look-up and no signature of a key. Never raises.

        A challenge that is ours and too old is `Rejected("expired")`.
        """
        return _refused_if_raised(lambda: self._open(credential, purpose, subject))

    def verify(self, opened: Opened, factor: Factor, handle: str) -> Verified | Rejected:
        """Verify an assertion with the factor of its key and the handle of the factor's account (section 7.2).

        Never raises. The counter of a device-bound passkey has to rise, since a copy of it would show so; that of a
        synced one is each device's own. The caller has checked the digest of `factor`, and counts `opened.nonce` as
        used, since a challenge is good for one signature.
        """
        return _refused_if_raised(lambda: self._verify(opened, factor, handle))

    def _challenge(self, purpose: Purpose, subject: str, about: str = "") -> str:
        return to_base64(self._challenges.make(purpose, subject, about).encode())

    def _answered(self, answer: Answer, purpose: Purpose, subject: str) -> Challenge:
        """The challenge that was answered, on a page of our own that no other page embeds."""
        data = answer.client_data
        challenge = self._challenges.open(from_base64(data.get("challenge")).decode("ascii"), purpose, subject)
        if data.get("origin") != self._origin or data.get("crossOrigin", False) is not False or "topOrigin" in data:
            raise PasskeyRejected("origin", factor_key(answer.credential_id))
        return challenge

    def _register(self, credential: str, user_id: str) -> Registered:
        answer = read(credential)
        challenge = self._answered(answer, "create", user_id)
        _require_short(answer.part("attestationObject"))
        data = self._server.register_complete(_state(answer), answer.for_library("attestationObject"))
        made = data.credential_data
        if made.credential_id != answer.credential_id:
            raise PasskeyRejected("malformed")
        synced = _backup_eligible(data.flags)
        passkey = Passkey(made.credential_id, _packed_key(made.public_key), synced, answer.transports())
        key, aaguid = factor_key(made.credential_id), str(made.aaguid)
        return Registered(key, passkey, data.counter, aaguid, challenge.about, challenge.nonce)

    def _open(self, credential: str, purpose: Purpose, subject: str) -> Opened:
        answer = read(credential)
        challenge = self._answered(answer, purpose, subject)
        return Opened(factor_key(answer.credential_id), answer, challenge.nonce)

    def _verify(self, opened: Opened, factor: Factor, handle: str) -> Verified:
        answer, passkey = opened.answer, Passkey.unpacked(factor.data)
        if factor.key != opened.key or passkey.credential_id != answer.credential_id:
            raise PasskeyRejected("unknown")
        if not hmac.compare_digest(answer.part("userHandle"), bytes.fromhex(handle)):
            raise PasskeyRejected("handle")
        _require_short(answer.part("authenticatorData"))
        known = _attested(passkey)
        sent = answer.for_library("authenticatorData", "signature")
        self._server.authenticate_complete(_state(answer), [known], sent)
        data = _authenticator_data(answer.part("authenticatorData"))
        if _backup_eligible(data.flags) != passkey.synced:
            raise PasskeyRejected("backup")
        if not passkey.synced and data.counter <= factor.counter and (data.counter, factor.counter) != (0, 0):
            raise PasskeyRejected(COUNTER)
        return Verified(max(data.counter, factor.counter))

    @functools.cached_property
    def _server(self) -> Any:
        from fido2.server import Fido2Server
        from fido2.webauthn import PublicKeyCredentialRpEntity

        rp = PublicKeyCredentialRpEntity(id=self.rp_id, name=self._site_name)
        return Fido2Server(rp, verify_origin=lambda origin: origin == self._origin)


def _refused_if_raised(verify: Callable[[], T]) -> T | Rejected:
    """What `verify` returns; a refusal for whatever it raises. Messages of exceptions may quote what was sent."""
    try:
        return verify()
    except PasskeyRejected as rejected:
        return Rejected(rejected.reason, rejected.key)
    except Exception:
        return Rejected("invalid")


def _state(answer: Answer) -> dict[str, Any]:
    """What fido2 remembers of its own options. The challenge was checked by its signature."""
    return {"challenge": answer.client_data["challenge"], "user_verification": "required"}


def _require_short(data: bytes) -> None:
    if len(data) > _MOST_BYTES:
        raise PasskeyRejected("malformed")


def _backup_eligible(flags: int) -> bool:
    """Whether the passkey may be synced. A key that is backed up and must not be is a contradiction (section 6.1.3)."""
    if flags & _BS and not flags & _BE:
        raise PasskeyRejected("backup")
    return bool(flags & _BE)


def _packed_key(key: Any) -> bytes:
    """The key as bytes, if it is of a kind that was asked for and strong enough (NIST SP 800-57 part 1, table 2)."""
    from cryptography.exceptions import InvalidSignature
    from fido2 import cbor

    kind = (key.get(1), key.get(3), key.get(-1) if key.get(1) != 3 else None)
    if kind not in {(2, _ES256, 1), (1, _EDDSA, 6), (3, _RS256, None)}:
        raise PasskeyRejected("algorithm")
    if key[3] == _RS256 and not (2048 <= int.from_bytes(key[-1], "big").bit_length() <= 4096 and key[-2] == _EXPONENT):
        raise PasskeyRejected("key")
    try:
        # Loads the key, which refuses a point that is not on the curve.
        key.verify(b"", b"")
    except InvalidSignature:
        return cbor.encode(dict(key))
    except Exception:
        raise PasskeyRejected("key") from None
    raise PasskeyRejected("key")


def _attested(passkey: Passkey) -> Any:
    from fido2 import cbor
    from fido2.cose import CoseKey
    from fido2.webauthn import AttestedCredentialData

    key: Any = cbor.decode(passkey.public_key)
    return AttestedCredentialData.create(bytes(16), passkey.credential_id, CoseKey.parse(key))


def _authenticator_data(data: bytes) -> Any:
    from fido2.webauthn import AuthenticatorData

    return AuthenticatorData(data)


def credential_id_of(opened: Opened) -> str:
    """The id of the credential, as browsers write it."""
    return to_base64(opened.answer.credential_id)


def _descriptor(passkey: Passkey) -> dict[str, Any]:
    return {"type": "public-key", "id": to_base64(passkey.credential_id), "transports": list(passkey.transports)}


def _milliseconds(purpose: Purpose) -> int:
    return round(lasts(purpose).total_seconds() * 1000)

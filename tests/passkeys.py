"""What tests of passkeys need: a relying party, a passkey that it knows, and the second opinion of two libraries.

`webauthn` is licensed under BSD-3-Clause, as a library that tests alone import may be.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import webauthn
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity

from nipo_auth_mw._credentials.passkey_json import from_base64
from nipo_auth_mw._credentials.passkeys import Opened, Passkey, Passkeys, Registered, Rejected, Verified
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw.protocols import Factor
from nipo_auth_mw.testing._soft_passkey import SoftPasskey

RP_ID, ORIGIN = "reports.example.com", "https://reports.example.com"
HANDLE, OTHER_HANDLE = "0123456789abcdef" * 4, "fedcba9876543210" * 4
OWNER = "owner-1"


def relying_party(secret: str = "the first key of these tests, long enough") -> Passkeys:
    return Passkeys(RP_ID, ORIGIN, SignedTokens([secret], "passkey"), site_name="Reports")


def new_options(passkeys: Passkeys, user_id: str = OWNER, existing: Any = ()) -> dict[str, Any]:
    return passkeys.creation_options(user_id, HANDLE, "tanaka@example.com", "", existing)


class Enrolled(NamedTuple):
    """A passkey, and what the relying party stores of it."""

    passkeys: Passkeys
    soft: SoftPasskey
    passkey: Passkey
    factor: Factor

    def answer(self, **wrong: Any) -> str:
        """A sign-in with the passkey. `wrong` replaces attributes of it beforehand."""
        options = self.passkeys.request_options("login")
        return misbehaving(self.soft, **wrong).get(options)

    def verify(self, credential: str, factor: Factor | None = None, handle: str = HANDLE) -> Verified | Rejected:
        opened = self.passkeys.open(credential, "login")
        if not isinstance(opened, Opened):
            return opened
        return self.passkeys.verify(opened, factor or self.factor, handle)


def misbehaving(soft: SoftPasskey, **wrong: Any) -> SoftPasskey:
    for name, value in wrong.items():
        assert hasattr(soft, name), name
        setattr(soft, name, value)
    return soft


def enrolled(**soft: Any) -> Enrolled:
    passkeys, one = relying_party(), SoftPasskey(ORIGIN, **soft)
    made = passkeys.register(one.create(new_options(passkeys)), OWNER)
    assert isinstance(made, Registered), made
    factor = Factor(made.key, OWNER, "passkey", "", made.passkey.packed(), made.counter, 0.0, 0.0, "")
    return Enrolled(passkeys, one, made.passkey, factor)


def changed(credential: str, **parts: Any) -> str:
    """The credential with other parts of its response."""
    found = json.loads(credential)
    found["response"] |= parts
    return json.dumps(found)


def challenge_in(credential: str) -> str:
    client_data = from_base64(json.loads(credential)["response"]["clientDataJSON"])
    return str(json.loads(client_data)["challenge"])


def opinions_of_create(credential: str) -> dict[str, bool]:
    """Whether the two libraries accept a new passkey, asked as their documentation shows it."""
    challenge = challenge_in(credential)
    state = {"challenge": challenge, "user_verification": "required"}
    return {
        "fido2": _accepts(lambda: _server().register_complete(state, json.loads(credential))),
        "webauthn": _accepts(
            lambda: webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=from_base64(challenge),
                expected_rp_id=RP_ID,
                expected_origin=ORIGIN,
                require_user_verification=True,
            )
        ),
    }


def opinions_of_get(credential: str, passkey: Passkey, counter: int) -> dict[str, bool]:
    """Whether the two libraries accept a sign-in, asked as their documentation shows it."""
    challenge = challenge_in(credential)
    state = {"challenge": challenge, "user_verification": "required"}
    key = CoseKey.parse(cbor.decode(passkey.public_key))
    known = AttestedCredentialData.create(bytes(16), passkey.credential_id, key)
    return {
        "fido2": _accepts(lambda: _server().authenticate_complete(state, [known], json.loads(credential))),
        "webauthn": _accepts(
            lambda: webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=from_base64(challenge),
                expected_rp_id=RP_ID,
                expected_origin=ORIGIN,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=counter,
                require_user_verification=True,
            )
        ),
    }


def _server() -> Fido2Server:
    return Fido2Server(PublicKeyCredentialRpEntity(id=RP_ID, name="Reports"))


def _accepts(verify: Any) -> bool:
    try:
        verify()
    except Exception:
        return False
    return True

"""The ceremonies of passkeys, with the second opinion of two libraries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from nipo_auth_mw._credentials.passkey_names import cleaned_name, default_name
from nipo_auth_mw._credentials.passkeys import Passkey, Registered, Rejected, Verified, rp_id_of
from nipo_auth_mw.testing import SoftPasskey
from tests.passkeys import (
    ORIGIN,
    OTHER_HANDLE,
    OWNER,
    changed,
    enrolled,
    misbehaving,
    new_options,
    opinions_of_create,
    opinions_of_get,
    relying_party,
)

BOTH, FIDO2, NEITHER = {"fido2", "webauthn"}, {"fido2"}, set()
KINDS = [(algorithm, synced) for algorithm in ("ES256", "EdDSA", "RS256") for synced in (True, False)]


def accepting(opinions: dict[str, bool]) -> set[str]:
    return {name for name, accepts in opinions.items() if accepts}


@pytest.mark.parametrize(("algorithm", "synced"), KINDS)
def test_a_soft_passkey_is_accepted_by_us_and_by_both_libraries(algorithm: Any, synced: bool) -> None:
    passkeys, soft = relying_party(), SoftPasskey(ORIGIN, algorithm=algorithm, synced=synced)
    created = soft.create(new_options(passkeys))
    assert accepting(opinions_of_create(created)) == BOTH
    assert isinstance(passkeys.register(created, OWNER), Registered)
    one = enrolled(algorithm=algorithm, synced=synced)
    answer = one.answer()
    assert accepting(opinions_of_get(answer, one.passkey, one.factor.counter)) == BOTH
    assert one.verify(answer) == Verified(0 if synced else 1)


def with_key(parts: dict[int, Any], algorithm: Any = "ES256") -> SoftPasskey:
    soft = SoftPasskey(ORIGIN, algorithm=algorithm)
    key = soft.public_key() | parts
    return misbehaving(soft, public_key=lambda: key)


def with_rsa(bits: int) -> SoftPasskey:
    soft = SoftPasskey(ORIGIN, algorithm="RS256")
    return misbehaving(soft, _key=rsa.generate_private_key(65537, bits))


# What is wrong, why we refuse it, and which of the libraries accept it.
CREATED: dict[str, tuple[Any, str, set[str]]] = {
    "an embedding page of another site": ({"client_data": {"crossOrigin": True}}, "origin", BOTH),
    "crossOrigin as a text": ({"client_data": {"crossOrigin": "false"}}, "origin", BOTH),
    "a topOrigin": ({"client_data": {"topOrigin": ORIGIN}}, "origin", BOTH),
    "another port": ({"origin": ORIGIN + ":8443"}, "origin", FIDO2),
    "a host below ours": ({"origin": "https://user-content.reports.example.com"}, "origin", FIDO2),
    "another spelling of the origin": ({"origin": ORIGIN.upper().replace("HTTPS", "https")}, "origin", FIDO2),
    "plain http": ({"origin": ORIGIN.replace("https", "http")}, "origin", NEITHER),
    "the ceremony of a sign-in": ({"client_data": {"type": "webauthn.get"}}, "invalid", NEITHER),
    "another rp id": ({"rp_id": "example.com"}, "invalid", NEITHER),
    "no user verification": ({"flags_off": 0x04}, "invalid", NEITHER),
    "no user presence": ({"flags_off": 0x01}, "invalid", NEITHER),
    "backed up, and not eligible": ({"flags_off": 0x08}, "backup", FIDO2),
    "an id of 15 bytes": ({"credential_id": bytes(15)}, "malformed", BOTH),
    "an id of 1024 bytes": ({"credential_id": bytes(1024)}, "malformed", BOTH),
    "RSA of 1024 bits": (with_rsa(1024), "key", BOTH),
    "an exponent of 3": (with_key({-2: b"\x03"}, "RS256"), "key", BOTH),
    "RSA-PSS": (with_key({3: -37}, "RS256"), "algorithm", FIDO2),
    "ES384": (with_key({3: -35, -1: 2}), "algorithm", FIDO2),
    "an unknown algorithm": (with_key({3: -65000}), "algorithm", FIDO2),
    "the curve of another algorithm": (with_key({-1: 2}), "algorithm", BOTH),
    "the kind of another algorithm": (with_key({1: 3}), "algorithm", BOTH),
    "a point off the curve": (with_key({-3: b"\x01" * 32}), "key", BOTH),
    "a short coordinate": (with_key({-2: b"\x01"}), "key", BOTH),
}
USED: dict[str, tuple[dict[str, Any], dict[str, Any], str, set[str]]] = {
    "an embedding page of another site": ({}, {"client_data": {"crossOrigin": True}}, "origin", BOTH),
    "crossOrigin as a text": ({}, {"client_data": {"crossOrigin": "false"}}, "origin", BOTH),
    "a topOrigin": ({}, {"client_data": {"topOrigin": ORIGIN}}, "origin", BOTH),
    "another port": ({}, {"origin": ORIGIN + ":8443"}, "origin", FIDO2),
    "a host below ours": ({}, {"origin": "https://user-content.reports.example.com"}, "origin", FIDO2),
    "another spelling of the origin": ({}, {"origin": ORIGIN + "/"}, "origin", FIDO2),
    "plain http": ({}, {"origin": ORIGIN.replace("https", "http")}, "origin", NEITHER),
    "the ceremony of an enrolment": ({}, {"client_data": {"type": "webauthn.create"}}, "invalid", NEITHER),
    "another rp id": ({}, {"rp_id": "example.com"}, "invalid", NEITHER),
    "no user verification": ({}, {"flags_off": 0x04}, "invalid", NEITHER),
    "no user presence": ({}, {"flags_off": 0x01}, "invalid", NEITHER),
    "no longer eligible for backup": ({}, {"flags_off": 0x18}, "backup", BOTH),
    "now eligible for backup": ({"synced": False}, {"flags_on": 0x08}, "backup", BOTH),
    "backed up, and not eligible": ({"synced": False}, {"flags_on": 0x10}, "backup", FIDO2),
    "no user handle": ({}, {"user_handle": b""}, "malformed", BOTH),
    "the user handle of another account": ({}, {"user_handle": bytes.fromhex(OTHER_HANDLE)}, "handle", BOTH),
}


@pytest.mark.parametrize("case", CREATED)
def test_a_new_passkey_is_refused_also_where_libraries_accept_it(case: str) -> None:
    wrong, reason, accepted_by = CREATED[case]
    passkeys = relying_party()
    soft = wrong if isinstance(wrong, SoftPasskey) else misbehaving(SoftPasskey(ORIGIN), **wrong)
    created = soft.create(new_options(passkeys))
    refused = passkeys.register(created, OWNER)
    assert isinstance(refused, Rejected)
    assert (refused.reason, bool(refused.key)) == (reason, reason == "origin")
    assert accepting(opinions_of_create(created)) == accepted_by


@pytest.mark.parametrize("case", USED)
def test_a_sign_in_is_refused_also_where_libraries_accept_it(case: str) -> None:
    soft, wrong, reason, accepted_by = USED[case]
    one = enrolled(**soft)
    answer = one.answer(**wrong)
    refused = one.verify(answer)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.key) == (reason, one.factor.key if reason == "origin" else "")
    assert accepting(opinions_of_get(answer, one.passkey, one.factor.counter)) == accepted_by


def test_the_id_that_is_sent_is_the_one_that_was_attested() -> None:
    passkeys = relying_party()
    created = json.loads(SoftPasskey(ORIGIN).create(new_options(passkeys)))
    created |= {"id": "A" * 43, "rawId": "A" * 43}
    assert passkeys.register(json.dumps(created), OWNER) == Rejected("malformed")
    assert accepting(opinions_of_create(json.dumps(created))) == BOTH


@pytest.mark.parametrize("length", [16, 1023])
def test_ids_of_any_allowed_length_fit_a_factor(length: int) -> None:
    passkeys = relying_party()
    soft = misbehaving(SoftPasskey(ORIGIN), credential_id=bytes(length))
    made = passkeys.register(soft.create(new_options(passkeys)), OWNER)
    assert isinstance(made, Registered)
    assert len(made.key) == 72
    assert Passkey.unpacked(made.passkey.packed()) == made.passkey


def test_unknown_members_and_transports_are_passed_over() -> None:
    passkeys, soft = relying_party(), SoftPasskey(ORIGIN)
    soft.client_data = {"other_keys_can_be_added_here": "do not compare clientDataJSON against a template"}
    created = changed(soft.create(new_options(passkeys)), transports=["usb", "cable", 7, "internal"])
    made = passkeys.register(created, OWNER)
    assert isinstance(made, Registered)
    assert made.passkey.transports == ("internal", "usb")


def test_an_authenticator_makes_no_second_passkey_of_an_account() -> None:
    one = enrolled()
    with pytest.raises(ValueError, match="already"):
        one.soft.create(new_options(one.passkeys, existing=[one.passkey]))
    other = SoftPasskey(ORIGIN)
    options = one.passkeys.request_options("second", OWNER, [one.passkey])
    with pytest.raises(ValueError, match="none of the passkeys"):
        other.get(options)


@pytest.mark.parametrize(
    ("base_url", "rp_id"),
    [
        ("https://reports.example.com/app", "reports.example.com"),
        ("https://reports.example.com:8443", "reports.example.com"),
        ("http://localhost:5000", "localhost"),
        ("http://127.0.0.1:5000", None),
        ("http://[::1]:5000", None),
    ],
)
def test_the_rp_id_is_the_host_and_an_ip_address_has_none(base_url: str, rp_id: str | None) -> None:
    assert rp_id_of(base_url) == rp_id


def test_a_new_passkey_is_named_after_its_maker_or_the_device() -> None:
    assert default_name("fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "Safari (iPhone)") == "iCloud Keychain"
    assert default_name("00000000-0000-0000-0000-000000000000", "Chrome (Windows)") == "Chrome (Windows)"
    assert default_name("00000000-0000-0000-0000-000000000000", "") == ""


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("会社のノートPC", "会社のノートPC"),
        ("  my\r\n phone\t", "my phone"),
        ("か\u3099", "が"),
        ("x" * 61, "x" * 60),
        (" \u200b\u0000 ", ""),
    ],
)
def test_a_name_is_one_short_line(typed: str, name: str) -> None:
    assert cleaned_name(typed) == name

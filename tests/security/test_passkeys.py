"""Rows PK1 to PK6, PK8, PK10 and PK13: what a passkey has to prove, whatever page it is sent to."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from nipo_auth_mw._credentials.passkey_json import MOST_CHARACTERS, from_base64, to_base64
from nipo_auth_mw._credentials.passkey_names import cleaned_name
from nipo_auth_mw._credentials.passkeys import Opened, Passkey, Passkeys, Registered, Rejected, Verified
from nipo_auth_mw._credentials.tokens import SignedTokens
from nipo_auth_mw.testing import SoftPasskey
from tests.each import each
from tests.passkeys import (
    HANDLE,
    ORIGIN,
    OTHER_HANDLE,
    OWNER,
    RP_ID,
    Enrolled,
    changed,
    enrolled,
    misbehaving,
    new_options,
    relying_party,
)
from tests.security.corpora.texts import MARKUP

NOW = 1_900_000_000


def created(soft: SoftPasskey | None = None, **wrong: Any) -> Registered | Rejected:
    passkeys = relying_party()
    soft = misbehaving(soft or SoftPasskey(ORIGIN), **wrong)
    return passkeys.register(soft.create(new_options(passkeys)), OWNER)


WRONG_PAGES: list[dict[str, Any]] = [
    {"origin": "http://reports.example.com"},
    {"origin": "https://reports.example.com:8443"},
    {"origin": "https://other.reports.example.com"},
    {"origin": "https://example.com"},
    {"origin": "https://REPORTS.example.com"},
    {"origin": "https://reports.example.com/"},
    {"origin": ""},
    {"client_data": {"origin": None}},
    {"client_data": {"origin": ["https://reports.example.com"]}},
    {"client_data": {"crossOrigin": True}},
    {"client_data": {"crossOrigin": 0}},
    {"client_data": {"topOrigin": "https://reports.example.com"}},
    {"client_data": {"type": None}},
    {"client_data": {"type": "webauthn.other"}},
    {"rp_id": "example.com"},
    {"rp_id": "REPORTS.example.com"},
    {"rp_id": "other.example.com"},
]


@pytest.mark.parametrize("wrong", WRONG_PAGES, ids=str)
def test_pk1_a_passkey_works_on_our_own_pages_alone(wrong: dict[str, Any]) -> None:
    assert isinstance(created(**wrong), Rejected)
    one = enrolled()
    assert isinstance(one.verify(one.answer(**wrong)), Rejected)


def test_pk1_each_ceremony_has_a_type_of_its_own() -> None:
    assert created(client_data={"type": "webauthn.get"}) == Rejected("invalid")
    one = enrolled()
    assert one.verify(one.answer(client_data={"type": "webauthn.create"})) == Rejected("invalid")


def test_pk1_a_browser_that_sends_no_cross_origin_is_accepted() -> None:
    one = enrolled()
    assert one.verify(one.answer(client_data={"crossOrigin": None})) == Verified(0)


def answered(one: Enrolled, challenge: str) -> str:
    options = one.passkeys.request_options("login")
    return one.soft.get(options | {"challenge": challenge})


def test_pk2_a_challenge_is_ours() -> None:
    one, other = enrolled(), relying_party("another key, which signs the challenges of another app")
    good = from_base64(one.passkeys.request_options("login")["challenge"]).decode()
    made_up = [to_base64(b"0" * 32), other.request_options("login")["challenge"], to_base64(b"a.1.b.c.")]
    flipped = [good[:at] + chr(ord(good[at]) ^ 1) + good[at + 1 :] for at in range(len(good))]
    for challenge in [*made_up, *(to_base64(text.encode()) for text in flipped), to_base64(good.encode()) + "AAAA"]:
        refused = one.verify(answered(one, challenge))
        assert refused == Rejected("challenge") or refused == Rejected("invalid"), challenge
    assert one.verify(answered(one, to_base64(good.encode()))) == Verified(0)


def test_pk2_the_token_of_another_purpose_of_the_same_key_is_no_challenge() -> None:
    one = enrolled()
    other = SignedTokens(["the first key of these tests, long enough"], "reset")
    token = other.sign(from_base64(one.passkeys.request_options("login")["challenge"]).decode().rpartition(".")[0])
    assert one.verify(answered(one, to_base64(token.encode()))) == Rejected("challenge")


@pytest.mark.parametrize("asked", ["create", "login", "second", "confirm"])
@pytest.mark.parametrize("given", ["create", "login", "second", "confirm"])
def test_pk2_a_challenge_is_for_one_purpose_and_one_account(given: Any, asked: Any) -> None:
    one = enrolled()
    for subject, wanted in ((OWNER, OWNER), (OWNER, "owner-2"), ("", OWNER), (OWNER, "")):
        answer = one.soft.get(one.passkeys.request_options(given, subject))
        opened = one.passkeys.open(answer, asked, wanted)
        fits = (given, subject) == (asked, wanted)
        assert isinstance(opened, Opened) if fits else opened == Rejected("challenge")


def test_pk2_a_new_passkey_is_for_the_account_that_asked() -> None:
    passkeys = relying_party()
    answer = SoftPasskey(ORIGIN).create(new_options(passkeys, "owner-2"))
    assert passkeys.register(answer, OWNER) == Rejected("challenge")
    assert isinstance(passkeys.register(answer, "owner-2"), Registered)


@pytest.mark.parametrize(("purpose", "minutes"), [("create", 5), ("login", 15), ("second", 15), ("confirm", 15)])
def test_pk2_a_challenge_is_young(purpose: Any, minutes: int) -> None:
    passkeys = relying_party()
    lasts = timedelta(minutes=minutes)
    with time_machine.travel(NOW, tick=False) as clock:
        answer = SoftPasskey(ORIGIN).get(passkeys.request_options(purpose))
        for moved, good in ((lasts - timedelta(seconds=1), True), (lasts, False), (timedelta(minutes=-5), True)):
            clock.move_to(NOW + moved.total_seconds())
            opened = passkeys.open(answer, purpose)
            assert isinstance(opened, Opened) if good else opened == Rejected("expired")
        clock.move_to(NOW - 301)
        assert passkeys.open(answer, purpose) == Rejected("expired")


def test_pk2_each_challenge_has_a_name_under_which_it_is_counted() -> None:
    one = enrolled()
    answers = [one.answer() for _ in range(50)]
    names = [one.passkeys.open(answer, "login") for answer in [*answers, *answers]]
    assert len({opened.nonce for opened in names if isinstance(opened, Opened)}) == 50


def test_pk3_a_known_id_is_no_proof() -> None:
    one, stranger = enrolled(), SoftPasskey(ORIGIN)
    stranger.credential_id, stranger.user_handle = one.soft.credential_id, one.soft.user_handle
    answer = stranger.get(one.passkeys.request_options("login"))
    assert one.verify(answer) == Rejected("invalid")


def test_pk3_credential_handle_and_account_agree() -> None:
    one, other = enrolled(), enrolled()
    answer = one.answer()
    assert one.verify(answer, other.factor) == Rejected("unknown")
    assert one.verify(answer, other.factor._replace(key=one.factor.key)) == Rejected("unknown")
    assert one.verify(answer, one.factor._replace(key=other.factor.key)) == Rejected("unknown")
    for handle in (OTHER_HANDLE, "", "not hexadecimal"):
        assert isinstance(one.verify(answer, handle=handle), Rejected)
    for wrong in (b"", b"x", bytes.fromhex(OTHER_HANDLE), HANDLE.encode()):
        assert isinstance(one.verify(one.answer(user_handle=wrong)), Rejected)
    no_handle = json.loads(one.answer(user_handle=bytes.fromhex(HANDLE)))
    del no_handle["response"]["userHandle"]
    assert one.verify(json.dumps(no_handle)) == Rejected("malformed")
    assert one.verify(answer) == Verified(0)


def test_pk4_presence_and_verification_are_required() -> None:
    for flag in (0x01, 0x04, 0x05):
        assert created(flags_off=flag) == Rejected("invalid")
        one = enrolled()
        assert one.verify(one.answer(flags_off=flag)) == Rejected("invalid")


@pytest.mark.parametrize("algorithm", [-35, -36, -37, -47, -65535, -65000, -9, -19, 0])
def test_pk4_only_the_algorithms_that_were_asked_for_are_accepted(algorithm: int) -> None:
    for kind in ("ES256", "EdDSA", "RS256"):
        soft = SoftPasskey(ORIGIN, algorithm=kind)  # type: ignore[arg-type]
        key = soft.public_key() | {3: algorithm}
        assert isinstance(created(soft, public_key=lambda key=key: key), Rejected)


@pytest.mark.parametrize("parts", [{-3: b"\x01" * 32}, {-2: bytes(32), -3: bytes(32)}, {-2: b""}, {-2: 7}, {-3: None}])
def test_pk4_a_key_is_a_point_on_the_curve(parts: dict[int, Any]) -> None:
    soft = SoftPasskey(ORIGIN)
    key = {name: one for name, one in (soft.public_key() | parts).items() if one is not None}
    assert isinstance(created(soft, public_key=lambda: key), Rejected)


@pytest.mark.parametrize(("length", "good"), [(0, False), (15, False), (16, True), (1023, True), (1024, False)])
def test_pk4_the_id_is_neither_guessable_nor_endless(length: int, good: bool) -> None:
    assert isinstance(created(credential_id=bytes(length)), Registered) is good


def test_pk5_whether_a_passkey_can_be_synced_never_changes() -> None:
    for synced, wrong in ((True, {"flags_off": 0x18}), (False, {"flags_on": 0x18}), (False, {"flags_on": 0x08})):
        one = enrolled(synced=synced)
        assert one.verify(one.answer(**wrong)) == Rejected("backup")


def test_pk5_nothing_is_backed_up_that_cannot_be() -> None:
    assert created(SoftPasskey(ORIGIN, synced=False), flags_on=0x10) == Rejected("backup")
    one = enrolled(synced=False)
    assert one.verify(one.answer(flags_on=0x10)) == Rejected("backup")


def test_pk5_a_passkey_that_is_not_backed_up_yet_is_accepted() -> None:
    one = enrolled()
    assert one.verify(one.answer(flags_off=0x10)) == Verified(0)


def test_pk6_the_counter_of_a_device_bound_passkey_rises() -> None:
    one = enrolled(synced=False)
    first = one.verify(one.answer())
    assert first == Verified(1)
    factor = one.factor._replace(counter=1)
    assert one.verify(one.answer(counter=0), factor) == Rejected("counter")
    assert one.verify(one.answer(counter=-1 + 2**32 - 1), factor) == Verified(2**32 - 1)
    assert one.verify(one.answer(counter=1), factor) == Verified(2)


def test_pk6_a_passkey_that_counts_nothing_stays_at_zero() -> None:
    one = enrolled(synced=False)
    assert one.verify(one.answer(counter=-1)) == Verified(0)
    assert one.verify(one.answer(counter=-1), one.factor._replace(counter=1)) == Rejected("counter")


def test_pk6_the_devices_of_a_synced_passkey_are_not_compared() -> None:
    one = enrolled()
    phone, tablet = copy.copy(one.soft), copy.copy(one.soft)
    phone.counter, tablet.counter, factor = 9, 4, one.factor
    for device, counter in ((phone, 9), (tablet, 9), (phone, 9), (tablet, 9)):
        verified = one.verify(device.get(one.passkeys.request_options("login")), factor)
        assert verified == Verified(counter)
        factor = factor._replace(counter=counter)


def test_pk10_a_row_that_is_no_passkey_is_a_refusal() -> None:
    one = enrolled()
    others = [
        "",
        "null",
        "[]",
        "{}",
        '{"id": 1}',
        one.factor.data[:-5],
        one.factor.data.replace('"key": "', '"key": "A'),
    ]
    for data in others:
        assert isinstance(one.verify(one.answer(), one.factor._replace(data=data)), Rejected)
    swapped = Passkey.unpacked(one.factor.data)._replace(public_key=enrolled().passkey.public_key)
    assert one.verify(one.answer(), one.factor._replace(data=swapped.packed())) == Rejected("invalid")


def test_pk8_a_visitors_options_are_the_same_for_everybody() -> None:
    one, other = enrolled(), relying_party()
    first, second = one.passkeys.request_options("login"), other.request_options("login")
    assert first.pop("challenge") != second.pop("challenge")
    assert (
        first
        == second
        == {
            "timeout": 900_000,
            "rpId": RP_ID,
            "allowCredentials": [],
            "userVerification": "required",
        }
    )


def test_pk8_options_of_an_enrolment_name_the_account_by_a_random_handle() -> None:
    options = new_options(relying_party(), "user-id-of-the-host-app")
    assert from_base64(options["user"]["id"]) == bytes.fromhex(HANDLE)
    assert "user-id-of-the-host-app" not in json.dumps(options)
    assert "user-id-of-the-host-app" not in from_base64(options["challenge"]).decode()
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [-7, -8, -257]


def test_pk10_what_was_sent_is_in_no_repr() -> None:
    one = enrolled()
    answer = one.answer()
    opened = one.passkeys.open(answer, "login")
    signature = json.loads(answer)["response"]["signature"]
    assert signature not in repr(opened)
    assert "PRIVATE" not in repr(one.soft)


NESTED = "[" * 5000 + "]" * 5000
ODD = ["", " ", "0", "null", "[]", "{}", '"x"', "\x00", "\ud800", '{"response": ', NESTED, '{"a":' * 5000, "9" * 5000]
ODD += ["NaN", "{" + '"a": 1,' * 2000 + '"a": 2}', "x" * 65536, "[" * 65536, "あ" * 20000]


@pytest.mark.parametrize("text", ODD, ids=lambda text: f"{text[:6]!r}-{len(text)}")
def test_pk10_odd_texts_are_refused_cheaply(text: str) -> None:
    passkeys = relying_party()
    for ask in (lambda: passkeys.register(text, OWNER), lambda: passkeys.open(text, "login")):
        assert isinstance(cheaply(ask), Rejected)


@pytest.mark.parametrize("where", ["outside", "response", "client data"])
def test_pk10_a_key_that_occurs_twice_is_refused(where: str) -> None:
    one = enrolled()
    answer = one.answer()
    if where == "outside":
        double = answer.replace('"type": "public-key"', '"type": "public-key", "type": "public-key"')
    elif where == "response":
        double = answer.replace('"signature":', '"signature": "AA", "signature":')
    else:
        client_data = from_base64(json.loads(answer)["response"]["clientDataJSON"]).decode()
        twice = client_data.replace('"origin":', '"origin": "https://evil.example", "origin":')
        double = changed(answer, clientDataJSON=to_base64(twice.encode()))
    assert double != answer
    assert one.verify(double) == Rejected("malformed")


def test_pk10_one_spelling_of_base64_is_read() -> None:
    one = enrolled()
    answer = one.answer()
    sent = json.loads(answer)["response"]
    for name in ("clientDataJSON", "authenticatorData", "userHandle"):
        for spelling in (sent[name] + "=", sent[name] + "\n", " " + sent[name], sent[name] + "!!!!"):
            assert isinstance(one.verify(changed(answer, **{name: spelling})), Rejected)


def nested_cbor(depth: int) -> bytes:
    return b"\x81" * depth


@pytest.mark.parametrize("data", [b"", nested_cbor(5000), b"\x9b" + b"\xff" * 8 + bytes(8000), b"\x5b" + b"\xff" * 8])
def test_pk10_binary_parts_that_are_no_credential_are_refused_cheaply(data: bytes) -> None:
    passkeys = relying_party()
    credential = changed(SoftPasskey(ORIGIN).create(new_options(passkeys)), attestationObject=to_base64(data))
    assert isinstance(cheaply(lambda: passkeys.register(credential, OWNER)), Rejected)


def cheaply(ask: Callable[[], Any], seconds: float = 0.05) -> Any:
    """What it returns, if one of five tries takes less processor time than that: a collection of garbage, or a process
    that takes the caches away, may fall into one try, and what is expensive is so in each."""
    for _ in range(5):
        started = time.thread_time()
        result = ask()
        if time.thread_time() - started < seconds:
            return result
    raise AssertionError(f"takes {seconds} s of the processor")


def mutated(source: random.Random, credential: str) -> str:
    """One credential that is almost right: a text, a field or a byte of it is another."""
    kind = source.randrange(8)
    if kind == 0:
        at = source.randrange(len(credential))
        return credential[:at] + chr(source.randrange(0x250)) + credential[at + source.randrange(3) :]
    if kind == 1:
        return credential[: source.randrange(len(credential))]
    found = json.loads(credential)
    holder = found["response"] if source.randrange(4) else found
    name = source.choice(list(holder))
    if kind == 2:
        del holder[name]
    elif kind == 3:
        holder[name] = source.choice([None, True, 0, -1, 1e308, "", "A", [], {}, [[]], ["A"] * 50, {"a": {"b": []}}])
    elif kind == 4:
        other = source.choice(list(found["response"]))
        holder[name] = found["response"][other]
    elif isinstance(holder[name], str) and re.fullmatch(r"[A-Za-z0-9_-]+", holder[name]):
        data = bytearray(from_base64_or_text(holder[name]))
        for _ in range(source.choice([1, 1, 1, 2, 8])):
            at = source.randrange(len(data))
            data[at : at + source.choice([0, 1, 1, 1, 4])] = source.randbytes(source.choice([0, 1, 1, 1, 4]))
            data = data or bytearray(1)
        holder[name] = to_base64(bytes(data))
    return json.dumps(found)


def from_base64_or_text(text: str) -> bytes:
    try:
        return from_base64(text)
    except Exception:
        return text.encode()


def mutate(number: int) -> None:
    source = random.Random(number)
    one = enrolled()
    passkeys: Passkeys = one.passkeys
    samples = [SoftPasskey(ORIGIN, algorithm=kind) for kind in ("ES256", "EdDSA", "RS256")]  # type: ignore[arg-type]
    new = [soft.create(new_options(passkeys)) for soft in samples]
    used = one.answer()
    for _ in range(number // 2):
        credential = mutated(source, source.choice(new))
        result = cheaply(lambda credential=credential: passkeys.register(credential, OWNER))
        assert isinstance(result, Registered | Rejected)
        credential = mutated(source, used)
        result = cheaply(lambda credential=credential: one.verify(credential))
        assert isinstance(result, Verified | Rejected)
        if isinstance(result, Verified):
            assert signed_part(credential) == signed_part(used)


def signed_part(credential: str) -> list[Any]:
    response = json.loads(credential)["response"]
    return [response[name] for name in ("clientDataJSON", "authenticatorData", "userHandle")]


def test_pk10_almost_right_credentials_are_refused_without_an_exception() -> None:
    mutate(1000)


@pytest.mark.long
def test_pk10_twenty_thousand_almost_right_credentials() -> None:
    mutate(20_000)


def test_pk10_a_credential_has_a_greatest_length() -> None:
    one = enrolled()
    padded = json.loads(one.answer())
    padded["padding"] = "x" * MOST_CHARACTERS
    assert cheaply(lambda: one.verify(json.dumps(padded)), 0.005) == Rejected("malformed")


@each("text", [*MARKUP, "\u202eabc", "a\u2066b", "a\x00b", "a\r\nBcc: x", "\ud800", "x" * 999])
def test_pk13_a_name_is_one_short_line_without_controls(text: str) -> None:
    name = cleaned_name(text)
    assert len(name) <= 60
    assert name == "" or name.isprintable()
    assert not set(name) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
    assert cleaned_name(name) == name

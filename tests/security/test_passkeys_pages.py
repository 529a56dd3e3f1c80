"""Rows PK2, PK6, PK7, PK9, PK11 to PK14 and MA12 at the routes that take a passkey."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from webtest import TestApp

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.passkey_names import without_links
from nipo_auth_mw._credentials.passkeys import Passkey, factor_key
from nipo_auth_mw.protocols import Factor
from nipo_auth_mw.stores import MemoryStore
from nipo_auth_mw.testing import MemoryMailer, SoftPasskey, link_in
from tests.features.test_passkeys import ADD, CONFIRM, JSON, LOGIN, SECOND, SECURITY, options_on, switch_on, use
from tests.kit import (
    browser,
    enrol_passkey,
    events,
    middleware,
    person,
    seen,
    sign_in,
    store_passkey,
    without_challenge,
)
from tests.mechanisms.test_templates import XSS
from tests.security.test_passkeys import mutated

KEYS = {"secret_key": "the-key-of-these-tests-" * 3}


@pytest.fixture
def auth(mailer: MemoryMailer) -> Any:
    return middleware(mailer=mailer, **KEYS)


@pytest.fixture
def tanaka(auth: Any) -> TestApp:
    """A browser that is signed in to the account of these tests."""
    if auth.accounts.find("tanaka@example.com") is None:
        person(auth)
    device = browser(auth)
    sign_in(device)
    return device


@pytest.fixture
def soft(auth: Any) -> SoftPasskey:
    return enrol_passkey(auth, person(auth))


def refused(device: TestApp, credential: str, route: str = LOGIN) -> str:
    """The code of the refusal."""
    answer = device.post(route, {"credential": credential}, headers=JSON, expect_errors=True)
    assert answer.status_int in {401, 403, 422}
    return str(answer.json["code"])


def sent(device: TestApp, soft: SoftPasskey) -> str:
    return soft.get(options_on(device.get("/-/auth/login")))


@pytest.mark.parametrize("synced", [True, False])
def test_pk2_a_passkey_that_was_sent_once_is_refused_the_second_time(auth: Any, synced: bool) -> None:
    soft = enrol_passkey(auth, person(auth), synced=synced)
    credential = sent(browser(auth), soft)
    assert browser(auth).post(LOGIN, {"credential": credential}).status_int == 303
    assert refused(browser(auth), credential) == "passkey_rejected"
    assert [row.details["reason"] for row in events(auth, "passkey_refused")] == ["replayed"]


def test_pk2_of_twenty_threads_with_one_passkey_one_is_let_in(auth: Any, soft: SoftPasskey) -> None:
    credential = sent(browser(auth), soft)

    def post(_: int) -> int:
        return int(browser(auth).post(LOGIN, {"credential": credential}, expect_errors=True).status_int)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert answers.count(303) == 1
    assert answers.count(401) == 19


def test_pk2_each_page_takes_what_was_made_for_it(auth: Any, soft: SoftPasskey) -> None:
    switch_on(auth)
    passkeys, own = auth._services.passkeys, {"allowCredentials": []}
    made = {purpose: passkeys.request_options(purpose, "1") | own for purpose in ("second", "confirm")}
    made["login"] = passkeys.request_options("login")
    signed_in, waits = browser(auth), browser(auth)
    assert use(signed_in, soft).status_int == 303
    sign_in(waits)
    doors = {"login": (browser(auth), LOGIN), "second": (waits, SECOND), "confirm": (signed_in, CONFIRM)}
    for purpose, options in made.items():
        for name, (device, route) in doors.items():
            if name != purpose:
                assert refused(device, soft.get(options), route) == "passkey_rejected"
    others = passkeys.request_options("second", "2") | own
    assert refused(waits, soft.get(others), SECOND) == "passkey_rejected"
    assert seen(waits) == ""


def test_pk3_a_passkey_of_another_account_is_no_second_step(auth: Any, soft: SoftPasskey) -> None:
    switch_on(auth)
    other = enrol_passkey(auth, person(auth, "suzuki@example.com"))
    device = browser(auth)
    options = options_on(sign_in(device).follow())
    with pytest.raises(ValueError, match="none of the passkeys"):
        other.get(options)
    assert refused(device, other.get(options | {"allowCredentials": []}), SECOND) == "passkey_rejected"
    assert seen(device) == ""


def test_pk3_every_refusal_is_one_answer(auth: Any, soft: SoftPasskey) -> None:
    strange, wrong = SoftPasskey(), SoftPasskey()
    wrong.credential_id, wrong.user_handle, strange.user_handle = soft.credential_id, soft.user_handle, soft.user_handle
    answers = []
    for credential in (sent(browser(auth), strange), sent(browser(auth), wrong), "{}"):
        answer = browser(auth).post(LOGIN, {"credential": credential}, headers=JSON, expect_errors=True)
        answers.append((answer.status_int, answer.text, answer.headers.get("Set-Cookie")))
    assert len(set(answers)) == 1


def planted(auth: Any, soft: SoftPasskey, **values: Any) -> Factor:
    """The row of a passkey, changed as an attacker with SQL would, without our keys."""
    services = auth._services
    (factor,) = services.factors.of("1")
    changed = factor._replace(**values)
    services.factor_store.remove_factor(factor.key, factor.user_id)
    services.factor_store.add_factor(changed)
    return changed


@pytest.mark.parametrize("removes_its_own", [True, False])
def test_mf20_of_two_passkeys_the_one_that_the_session_proved_is_the_one_that_counts(
    auth: Any, removes_its_own: bool
) -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        user = person(auth)
        mine, lost = enrol_passkey(auth, user), enrol_passkey(auth, user)
        switch_on(auth)
        clock.shift(3600)
        device = browser(auth)
        use(device, mine)
        clock.shift(60)
        removed = factor_key((mine if removes_its_own else lost).credential_id)
        device.post(f"{SECURITY}/remove", {"factor": removed}, status=303)
        session = device.get("/-/auth/session").json["session"]
    assert session["means"] == (["password"] if removes_its_own else ["passkey"])
    assert bool(session["second_at"]) is not removes_its_own


def test_mf9_other_sessions_end_when_a_passkey_switches_two_steps_on(auth: Any, soft: SoftPasskey) -> None:
    own, other = browser(auth), browser(auth)
    for device in (own, other):
        assert use(device, soft).status_int == 303
    before = own.cookies["nipo_auth"]
    own.post(f"{SECURITY}/two-step", {"on": "1"}, status=303)
    assert (seen(own), seen(other)) == ("1", "")
    assert own.cookies["nipo_auth"] != before


@pytest.mark.parametrize("told", [{"origin": "https://localhost:1"}, {"topOrigin": "http://localhost"}])
def test_pk1_a_challenge_of_ours_that_was_answered_elsewhere_is_recorded(
    auth: Any, soft: SoftPasskey, told: Any
) -> None:
    switch_on(auth)
    device = browser(auth)
    soft.client_data = told
    assert refused(device, sent(device, soft)) == "passkey_rejected"
    page = sign_in(device).follow()
    assert refused(device, soft.get(options_on(page)), SECOND) == "passkey_rejected"
    found = [(row.user_id, row.details["reason"]) for row in events(auth, "passkey_refused")]
    assert found == [("1", "origin")] * 2
    stranger, other = SoftPasskey(), SoftPasskey()
    stranger.client_data = told
    assert refused(device, sent(device, stranger)) == "passkey_rejected", "an id that no account has"
    other.credential_id, other.client_data = soft.credential_id, {**told, "challenge": "AAAA"}
    assert refused(device, sent(device, other)) == "passkey_rejected", "no challenge of ours"
    assert len(events(auth, "passkey_refused")) == 2


def test_pk6_pk14_a_copy_is_refused_and_its_owner_is_told_once_an_hour(auth: Any, mailer: MemoryMailer) -> None:
    original = enrol_passkey(auth, person(auth, notify_email="tanaka@example.jp"), synced=False)
    switch_on(auth)
    stolen = copy.copy(original)
    assert use(browser(auth), original).status_int == 303
    before, thief, pending = len(mailer.outbox), browser(auth, "203.0.113.7"), browser(auth)
    assert refused(thief, sent(thief, stolen)) == "passkey_rejected"
    told = mailer.outbox[before:]
    assert {mail.to for mail in told} == {"tanaka@example.com", "tanaka@example.jp"}
    assert all("may have a copy of it" in mail.text and "203.0.113.7" in mail.text for mail in told)
    # Now the copy counts higher: the original is refused, as its owner's second step, too.
    stolen.counter = 9
    assert use(thief, stolen).status_int == 303
    page = sign_in(pending).follow()
    assert refused(pending, original.get(options_on(page)), SECOND) == "passkey_rejected"
    copies = [mail for mail in mailer.outbox if "may have a copy of it" in mail.text]
    assert copies == told, "one mail an hour"
    with time_machine.travel(time.time() + 3601):
        assert use(pending, original).status_int == 401
    assert len([mail for mail in mailer.outbox if "may have a copy of it" in mail.text]) == 4
    assert [row.details["reason"] for row in events(auth, "passkey_refused")] == ["counter"] * 3


def test_pk14_a_request_that_is_sent_twice_is_no_copy(auth: Any, mailer: MemoryMailer) -> None:
    soft, device = enrol_passkey(auth, person(auth), synced=False), browser(auth)
    credential = sent(device, soft)
    device.post(LOGIN, {"credential": credential}, status=303)
    before = len(mailer.outbox)
    assert refused(browser(auth), credential) == "passkey_rejected"
    assert mailer.outbox[before:] == []
    assert [row.details["reason"] for row in events(auth, "passkey_refused")] == ["replayed"]


def test_pk7_planted_and_exchanged_rows_are_refused_and_recorded(auth: Any, soft: SoftPasskey) -> None:
    other, attacker = person(auth, "suzuki@example.com"), SoftPasskey()
    attacker.credential_id, attacker.user_handle = soft.credential_id, soft.user_handle
    made = Passkey.unpacked(auth._services.factors.of("1")[0].data)
    from fido2 import cbor

    data = made._replace(public_key=cbor.encode(attacker.public_key())).packed()
    synced = made._replace(synced=False).packed()
    for number, (who, values) in enumerate(
        [(attacker, {"data": data}), (soft, {"data": synced}), (soft, {"user_id": other.id}), (soft, {"counter": 7})]
    ):
        services = auth._services
        before = services.factors.of("1")[0]
        planted(auth, soft, **values)
        assert refused(browser(auth), sent(browser(auth), who)) == "passkey_rejected"
        assert [row.details["reason"] for row in events(auth, "passkey_refused")] == ["tampered"] * (number + 1)
        services.factor_store.remove_factor(before.key, values.get("user_id", "1"))
        services.factor_store.add_factor(before)
    assert use(browser(auth), soft).status_int == 303


def test_pk9_an_id_belongs_to_one_account_for_ever(auth: Any, soft: SoftPasskey) -> None:
    person(auth, "suzuki@example.com")
    device = browser(auth)
    sign_in(device, "suzuki@example.com")
    options = options_on(device.get(ADD))
    answer = device.post(ADD, {"credential": soft.create(options)}, headers=JSON, expect_errors=True)
    assert (answer.status_int, answer.json["code"]) == (422, "passkey_known")
    assert auth._services.factors.of("2") == []
    assert events(auth, "factor_added") == []


def test_pk9_of_two_accounts_with_one_id_one_gets_it(auth: Any) -> None:
    soft, devices = SoftPasskey(), []
    for email in ("tanaka@example.com", "suzuki@example.com"):
        person(auth, email)
        device = browser(auth)
        sign_in(device, email)
        devices.append((device, soft.create(options_on(device.get(ADD)))))
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda one: one[0].post(ADD, {"credential": one[1]}, expect_errors=True).status_int, devices)
        assert sorted(answers) == [303, 422]


def test_pk9_an_account_has_twenty_passkeys_at_most(auth: Any, tanaka: TestApp) -> None:
    for _ in range(19):
        enrol_passkey(auth, auth.accounts.get("1"))
    last, surplus = (SoftPasskey().create(options_on(tanaka.get(ADD))) for _ in range(2))
    assert tanaka.post(ADD, {"credential": last}).status_int == 303
    for answer in (
        tanaka.post(ADD, {"credential": surplus}, headers=JSON, expect_errors=True),
        tanaka.get(ADD, headers=JSON, expect_errors=True),
    ):
        assert (answer.status_int, answer.json["code"]) == (409, "too_many_factors")
    assert len(auth._services.factors.of("1")) == 20


def test_pk11_nothing_from_elsewhere_signs_in_or_adds_a_passkey(auth: Any, soft: SoftPasskey, tanaka: TestApp) -> None:
    device = browser(auth)
    credential = sent(device, soft)
    new = SoftPasskey().create(options_on(tanaka.get(ADD)))
    for site in ("cross-site", "same-site"):
        elsewhere = {"Sec-Fetch-Site": site, "Origin": "https://evil.example"}
        assert device.post(LOGIN, {"credential": credential}, headers=elsewhere, expect_errors=True).status_int == 403
        assert tanaka.post(ADD, {"credential": new}, headers=elsewhere, expect_errors=True).status_int == 403
    assert seen(device) == ""
    assert len(auth._services.factors.of("1")) == 1


def test_pk12_junk_is_limited_by_the_client_and_leaves_no_row(auth: Any, soft: SoftPasskey, hashes: Any) -> None:
    stranger, device = SoftPasskey(), browser(auth, "203.0.113.7")
    stranger.user_handle = soft.user_handle
    good, junk = sent(device, soft), sent(device, stranger)
    before = len(events(auth))
    codes = []
    for credential in ("{}", "x" * 30_000, junk) * 333:
        answer = device.post(LOGIN, {"credential": credential}, headers=JSON, expect_errors=True)
        codes.append(answer.json["code"])
    assert codes == ["passkey_rejected"] * 50 + ["too_many_attempts"] * 949
    assert [row.event for row in events(auth)[before:]] == ["limited"]
    assert hashes == []
    assert refused_as(device, good) == "too_many_attempts"
    assert browser(auth).post(LOGIN, {"credential": good}).status_int == 303


def refused_as(device: TestApp, credential: str) -> str:
    return str(device.post(LOGIN, {"credential": credential}, headers=JSON, expect_errors=True).json["code"])


@pytest.fixture
def hashes(auth: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the hasher."""
    calls: list[str] = []
    for name in ("hash", "verify"):
        monkeypatch.setattr(auth._services.hashing, name, lambda *_, name=name, **__: calls.append(name))
    return calls


def test_pk12_a_known_device_signs_in_from_a_limited_address(auth: Any, soft: SoftPasskey) -> None:
    device, junk = browser(auth, "203.0.113.7"), browser(auth, "203.0.113.7")
    assert use(device, soft, remember="1").status_int == 303
    for _ in range(51):
        junk.post(LOGIN, {"credential": "{}"}, expect_errors=True)
    device.post("/-/auth/logout")
    assert use(device, soft).status_int == 303
    forged = browser(auth, "203.0.113.7")
    forged.set_cookie("nipo_device", "forged")
    credential = sent(forged, soft)
    assert refused_as(forged, credential) == "too_many_attempts"


@pytest.mark.parametrize("kind", ["forged", "known"])
def test_pk12_nor_does_a_passkey_that_an_account_has_fill_the_audit_log(
    auth: Any, soft: SoftPasskey, kind: str
) -> None:
    device = browser(auth, "203.0.113.7")
    if kind == "known":
        use(device, soft, remember="1")
        device.post("/-/auth/logout")
    else:
        device.set_cookie("nipo_device", "forged")
    soft.origin = "https://evil.example"
    credential = sent(device, soft)
    codes = [refused_as(device, credential) for _ in range(60)]
    assert codes == ["passkey_rejected"] * 50 + ["too_many_attempts"] * 10
    assert len(events(auth, "passkey_refused")) == 50
    assert len(events(auth, "limited")) == 1


@pytest.mark.parametrize("name", [*XSS, "a\u202eb\u0000c", "n" * 100])
def test_pk13_a_name_stays_text_on_pages_and_in_mails(
    auth: Any, tanaka: TestApp, mailer: MemoryMailer, name: str
) -> None:
    options = options_on(tanaka.get(ADD))
    done = tanaka.post_json(ADD, {"credential": SoftPasskey().create(options), "name": name}, headers=JSON).json
    assert len(done["name"]) <= 60
    assert done["name"].isprintable()
    page = tanaka.get(SECURITY)
    names = [item.text.strip() for item in page.html.select("section[aria-labelledby=passkeys] dt")]
    assert names == [done["name"].strip()]
    assert without_links(done["name"]) in mailer.outbox[-1].text
    assert "<script>alert" not in page.text
    assert "<script>alert" not in (mailer.outbox[-1].html or "")


def mutate_at_every_door(auth: Any, number: int) -> None:
    """Credentials that are almost right, at each route that takes one, in the shapes of a form and of JSON."""
    soft = enrol_passkey(auth, person(auth))
    switch_on(auth)
    source, counts, factors = random.Random(number), Counter[int](), auth._services.factors
    while sum(counts.values()) < number:
        for added in factors.of("1")[1:]:
            factors.remove("1", added.key)
        # Some are right in what is signed, and an account has a greatest number of sessions.
        owner, waits = browser(auth), browser(auth)
        assert use(owner, soft).status_int == 303
        sign_in(waits)
        page, made = options_on(waits.get(SECOND)), SoftPasskey().create(options_on(owner.get(ADD)))
        doors = [(LOGIN, browser(auth), sent(browser(auth), soft)), (SECOND, waits, soft.get(page)), (ADD, owner, made)]
        doors.append((CONFIRM, owner, soft.get(auth._services.passkeys.request_options("confirm", "1"))))
        for route, device, credential in doors:
            for _ in range(25):
                wrong = mutated(source, credential)
                client = {"REMOTE_ADDR": f"10.{source.randrange(256)}.{source.randrange(256)}.{source.randrange(256)}"}
                post = device.post_json if source.randrange(2) else device.post
                answer = post(route, {"credential": wrong}, headers=JSON, extra_environ=client, expect_errors=True)
                counts[answer.status_int] += 1
                if answer.status_int == 200:  # Only what is not signed was changed.
                    break
    assert set(counts) <= {200, 401, 403, 409, 410, 422, 429}, counts
    assert counts[401] + counts[403] + counts[422] > 0.8 * number, counts


def test_pk10_no_page_fails_by_an_almost_right_credential(auth: Any) -> None:
    mutate_at_every_door(auth, 400)


@pytest.mark.long
def test_pk10_no_page_fails_by_twenty_thousand_almost_right_credentials(auth: Any) -> None:
    mutate_at_every_door(auth, 20_000)


PRIZE = "Claim it: https://evil.example/a or a@evil.example now"


def test_ma12_the_mails_about_a_passkey_hold_no_link_and_send_no_text_to_a_stranger(
    auth: Any, tanaka: TestApp, mailer: MemoryMailer
) -> None:
    tanaka.post("/-/auth/account/profile", {"notify_email": "stranger@example.net"}, status=303)
    options = options_on(tanaka.get(ADD))
    key = tanaka.post_json(ADD, {"credential": SoftPasskey().create(options), "name": PRIZE}, headers=JSON).json[
        "factor"
    ]
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    link = link_in(mailer.outbox[-1])
    browser(auth).post(urlsplit(link).path, {"password": "kiiroi-tori-to-midori-no-mori"}, status=303)
    sign_in(tanaka, password="kiiroi-tori-to-midori-no-mori")
    tanaka.post(f"{SECURITY}/remove", {"factor": key}, status=303)
    told = [mail for mail in mailer.outbox if "passkey" in mail.text.lower()]
    assert {mail.to for mail in told} == {"tanaka@example.com", "stranger@example.net"}
    assert len(told) == 6
    for mail in told:
        for text in (mail.text, mail.html or ""):
            assert not re.search(r"//evil|evil\.example", text)
            assert ("Claim it" in text) == (mail.to == "tanaka@example.com")


def test_ma12_a_name_in_a_table_of_the_host_app_makes_no_link_and_no_line(mailer: MemoryMailer) -> None:
    """Its user may have chosen it, and an address that is another person's."""
    store = MemoryStore()
    store.create(
        email="tanaka@example.com", password_hash=None, name=f"A\r\n\r\n\u202e{PRIZE}", role="staff", active=True
    )
    browser(middleware(store=store, mailer=mailer, **KEYS)).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    for text in (mailer.outbox[0].text, mailer.outbox[0].html or ""):
        assert "A Claim it" in text
        assert not re.search(r"//evil|evil\.example|\u202e", text)


@pytest.mark.parametrize("name", ["iPhone 15", "YubiKey 5.7", "佐藤の鍵", "Chrome (Windows)", "Mr. Sato", "a.5"])
def test_pk13_a_name_that_is_no_link_stays_as_it_is_in_mails(name: str) -> None:
    assert without_links(name) == name


@pytest.mark.parametrize("name", [*XSS, "n" * 60_000, "a\nBcc: x@example.com\r\n\r\nb", "\x00a", "\u202ea"])
def test_pk13_a_new_name_is_one_short_line_and_an_app_takes_none(
    auth: Any, tanaka: TestApp, mailer: MemoryMailer, name: str
) -> None:
    auth._services.factors.add_app("1", totp.new_secret(), 0)
    store_passkey(auth, "1", "passkey:a", "Phone")
    kinds = set()
    for factor in auth._services.factors.of("1"):
        kinds.add(factor.kind)
        fields = {"factor": factor.key, "name": name}
        answer = tanaka.post_json(f"{SECURITY}/rename", fields, headers=JSON, expect_errors=True)
        assert (answer.status_int == 200) is (factor.kind == "passkey")
        called = auth._services.factors.find(factor.key).name
        assert len(called) <= 60
        assert called.isprintable()
        if factor.kind == "app":
            assert called == ""
            assert answer.json["code"] == "no_such_factor"
            tanaka.get(f"{SECURITY}/rename?factor={factor.key}", status=404)
    assert kinds == {"app", "passkey"}
    called = auth._services.factors.find("passkey:a").name
    tanaka.post_json(f"{SECURITY}/remove", {"factor": "passkey:a"}, status=200)
    assert any(without_links(called) in line for line in mailer.outbox[-1].text.splitlines())


def test_pk8_the_sign_in_page_and_its_refusals_tell_nothing_of_passkeys(auth: Any, soft: SoftPasskey) -> None:
    person(auth, "suzuki@example.com")
    pages = []
    for email in ("tanaka@example.com", "suzuki@example.com", "nobody@example.com"):
        answer = sign_in(browser(auth), email, "akai-yama-to-kuroi-kawa")
        pages.append(without_challenge(answer).replace(email, ""))
    assert len(set(pages)) == 1
    first, second = (json.dumps(options_on(browser(auth).get("/-/auth/login"))) for _ in range(2))
    assert first != second

"""Rows ID1-ID8: one spelling of an address, and look-alikes are other people."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import pytest

from nipo_auth_mw._mail import addresses
from nipo_auth_mw._mail.addresses import Addresses
from nipo_auth_mw.errors import EmailRejected, EmailTaken
from tests.each import each
from tests.kit import PASSWORD, events, middleware, person
from tests.security.corpora.addresses import ACCEPTED, LOOK_ALIKES, REFUSED
from tests.security.tools import ask, login, rows, session_pair, signed_in, who

SPELLINGS = [
    "victim@site.example",
    " Victim@SITE.example",
    "VICTIM@SITE.EXAMPLE\t",
    "\u3000victim@site.example ",
    "vIcTiM@Site.Example",
    "victim@\uff33\uff29\uff34\uff25.example",
    "victim@site\u3002example",
    "victim@site\uff61example",
    "\uff56\uff49\uff43\uff54\uff49\uff4d\uff20\uff53\uff49\uff54\uff45\uff0e\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45",
    "\uff36\uff29ctim\uff20site.example\u3000",
    "victim\uff20\uff33ite\u3002Example",
]


@pytest.fixture
def auth():
    auth = middleware()
    person(auth, email="victim@site.example")
    return auth


@pytest.mark.parametrize("typed", SPELLINGS)
def test_id1_every_spelling_is_one_account(auth, typed):
    assert who(auth, session_pair(login(auth, typed))) == "1"
    with pytest.raises(EmailTaken):
        person(auth, email=typed)
    assert auth.accounts.find(typed).id == "1"


def test_id1_an_account_made_in_any_spelling_is_kept_in_the_canonical_one():
    for typed in SPELLINGS:
        auth = middleware()
        assert person(auth, email=typed).email == "victim@site.example"
        assert login(auth, "victim@site.example").status == 303


def test_id1_of_many_who_take_one_address_at_once_the_store_lets_one(each_store):
    auth = middleware(store=each_store)
    ready, made = threading.Barrier(len(SPELLINGS)), []

    def take(typed):
        ready.wait()
        with contextlib.suppress(EmailTaken):
            made.append(person(auth, email=typed).email)

    threads = [threading.Thread(target=take, args=(typed,)) for typed in SPELLINGS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["victim@site.example"]
    assert [user.email for user in auth.accounts.search()] == made


@each("number, typed", enumerate([*LOOK_ALIKES, *REFUSED]))
def test_id3_a_reset_asked_for_with_a_look_alike_mails_nobody(auth, number, typed):
    for body in ({"form": {"email": typed.encode("utf-8", "replace")}}, {"data": {"email": typed}}):
        status = ask(auth, "POST", "/-/auth/forgot", REMOTE_ADDR=f"198.51.100.{number}", **body).status
        assert status == (422 if addresses.canonical(typed) is None else 200)
    assert auth._services.outbox._mailer.outbox == []


@pytest.mark.parametrize("typed", LOOK_ALIKES)
def test_id3_a_look_alike_is_somebody_else(auth, typed):
    answer = login(auth, typed)
    assert (answer.status, answer.all("Set-Cookie"), rows(auth)) == (401, [], 0)
    assert auth.accounts.find(typed) is None
    answer = ask(auth, "POST", "/-/auth/login", data={"email": typed, "password": PASSWORD})
    assert answer.status == 401
    (first, *_) = events(auth, "sign_in_failed")
    assert first.user_id is None
    assert "victim" not in first.email, "what belongs to no account is masked"
    for _ in range(6):
        login(auth, typed)
    assert login(auth, "victim@site.example").status == 303, "and locks no other account"


@pytest.mark.parametrize("typed", LOOK_ALIKES)
def test_id3_an_account_of_a_look_alike_is_another_one_or_refused(auth, typed):
    try:
        other = person(auth, email=typed)
    except EmailRejected:
        return
    assert other.id != "1"
    assert other.email.isascii()
    assert who(auth, session_pair(login(auth, "victim@site.example"))) == "1"
    assert who(auth, session_pair(login(auth, typed))) == other.id


@pytest.mark.parametrize("typed", ["\u212aiki@site.example", "ki\u212ai@site.example"])
def test_id3_lower_case_by_unicodes_rules_makes_nobody_anybody(auth, typed):
    person(auth, email="kiki@site.example")
    assert typed.lower() != typed
    assert login(auth, typed).status == 401
    ask(auth, "POST", "/-/auth/forgot", form={"email": typed})
    assert auth._services.outbox._mailer.outbox == []
    with pytest.raises(EmailRejected):
        person(auth, email=typed)


def test_id4_every_full_width_character_is_its_ascii_one():
    for code in range(0xFF01, 0xFF5F):
        typed, plain = f"x{chr(code)}y@site.example", f"x{chr(code - 0xFEE0)}y@site.example"
        assert addresses.canonical(typed) == addresses.canonical(plain)
    for other in ("\u212a", "\u017f", "\ufb01", "\u2460", "\u33a5", "\uff76", "\uff5f", "\u3042"):
        assert addresses.canonical(f"x{other}y@site.example") is None


@each("hyphen", ["\uff0d", "\u2010", "\u2011", "\u2013", "\u2212", "\u30fc", "\uff70"])
def test_id4_the_hyphens_of_japanese_keyboards_and_documents(hyphen):
    assert addresses.canonical(f"taro{hyphen}s@site.example") == "taro-s@site.example"
    assert not addresses.has_wrong_letters(f"taro{hyphen}s@site.example")
    with_domain = addresses.canonical(f"taro@my{hyphen}site.example")
    if hyphen in "\u30fc\uff70":
        assert with_domain == "taro@xn--mysite-q64e.example", "the long vowel mark is a letter of domains"
    else:
        assert with_domain == "taro@my-site.example"


@each("blank", ["\u00a0", "\u3000", "\u200b", "\u200e", "\u202a", "\u202c", "\u2060", "\u2069", "\ufeff"])
def test_id4_what_comes_along_with_a_copied_address_is_dropped_at_its_ends_alone(blank):
    assert addresses.accepted(f"{blank}taro@site.example{blank}") == "taro@site.example"
    assert Addresses("site.example").accepted(f"{blank}taro{blank}") == "taro@site.example"
    assert addresses.canonical(f"ta{blank}ro@site.example") is None


@pytest.mark.parametrize("at", ["\uff20", "\ufe6b"])
def test_id4_canonical_first_validated_second(auth, at):
    for typed in (
        *((f"victim{at}site.example",) if at == "\ufe6b" else ()),
        f"victim{at}evil.example@site.example",
        f"victim@site.example{at}evil.example",
        f"victim@evil.example{at}site.example",
        f"victim@{at}site.example",
        f"{at}@site.example",
    ):
        assert login(auth, typed).status == 401
        assert addresses.canonical(typed) is None
        with pytest.raises(EmailRejected):
            person(auth, email=typed)


def test_id5_international_domains_are_kept_as_a_labels():
    auth = middleware()
    user = person(auth, email="u@b\xfccher.example")
    assert user.email == "u@xn--bcher-kva.example"
    for typed in (
        "u@b\xfccher.example",
        "u@xn--bcher-kva.example",
        "U@B\xdcCHER.example",
        "u@bu\u0308cher.example",
        "u@XN--BCHER-KVA.example",
    ):
        assert who(auth, session_pair(login(auth, typed))) == user.id, typed
    for other in ("u@bucher.example", "u@b\u0443cher.example", "u@buecher.example", "u@xn--xn--bcher-kva-x.example"):
        assert login(auth, other).status == 401
    assert person(auth, email="u@\u0440\u0430\u0443.example").email == "u@xn--80a5ak.example", "Cyrillic stays distinct"
    assert login(auth, "u@pay.example").status == 401
    ask(auth, "POST", "/-/auth/forgot", form={"email": "U@B\xdcCHER.example"})
    assert [mail.to for mail in auth._services.outbox._mailer.outbox] == [user.email]
    assert person(auth, email="u@fa\xdf.example").email == "u@xn--fa-hia.example", (
        "not transitional: sharp s is a letter"
    )


@pytest.mark.parametrize("typed", ACCEPTED)
def test_id6_what_people_have_is_accepted_and_signs_in(typed):
    auth = middleware()
    user = person(auth, email=typed)
    assert who(auth, session_pair(login(auth, typed))) == user.id
    assert who(auth, session_pair(login(auth, typed.upper() if typed.isascii() else typed))) == user.id
    assert who(auth, session_pair(login(auth, user.email))) == user.id


@pytest.mark.parametrize(
    "persistent",
    [".a@example.com", "a@example", '"a"@example.com', "a;b@example.com", "-a@example.com", "a@[192.0.2.1]"],
)
def test_id6_sign_in_only_canonicalises_and_looks_up(auth, persistent):
    """A host's own table may hold what no account of ours would be given."""
    directory, hashed = auth._services.directory, auth._services.hashing.hash(PASSWORD)
    made = directory.create(email=persistent, password_hash=hashed, name="", role="staff", active=True)
    for typed in (persistent, f" {persistent.upper()} "):
        assert who(auth, session_pair(login(auth, typed))) == made.id


@pytest.mark.parametrize(
    "typed",
    [
        "a@" + "b." * 5000 + "com",
        "a" * 100_000 + "@x.com",
        "@" * 60_000,
        "a@" + "\u0300" * 60_000,
        "\u0315\u0300" * 10_000 + "@x.com",
        "a@" + "\u0315\u0300" * 30_000,
        "a" * 65 + "@example.com",
        "a" * 255 + "@b.com",
        "a@" + "xn--" * 2000,
        "." * 60_000 + "@",
        "a@" + "\U0001f600" * 15_000,
        "a@" + "\u0315\u0300" * 120,
        "a@" + "\xfc" * 250,
        ("a." * 126) + "@b",
        "a@" + "\u0644\u0627" * 120,
    ],
    ids=range(15),
)
def test_id7_length_is_looked_at_before_anything_else(typed):
    began = time.thread_time()
    assert addresses.canonical(typed) is None or len(typed) <= 254
    with pytest.raises(EmailRejected):
        addresses.accepted(typed)
    assert time.thread_time() - began < 0.2


def test_id7_nothing_long_reaches_a_library(monkeypatch):
    def encode(domain, **how):
        raise AssertionError(len(domain))

    monkeypatch.setattr("idna.encode", encode)
    for typed in ("a@" + "\u0315\u0300" * 30_000, "a@" + "\xfc" * 253, "\u3042" * 255 + "@x.com"):
        assert addresses.canonical(typed) is None


def test_id7_an_over_long_address_is_a_plain_401_without_a_count_of_its_own(auth):
    for length in (255, 10_000, 60_000):
        answer = login(auth, "a" * length + "@x.com")
        assert answer.status == 401
        assert len(answer.text) < 10_000
    assert login(auth, "a" * 70_000).status == 413


@each("value", [[], ["victim@site.example"], {}, {"$ne": ""}, 5, 1.5, None, True, False, [[]], {"email": "x"}])
@each("field", ["email", "password", "next", "lang", "other"])
def test_id8_json_of_a_wrong_type_is_400(auth, field, value):
    fields = {"email": "victim@site.example", "password": PASSWORD, field: value}
    answer = ask(auth, "POST", "/-/auth/login", data=fields)
    assert (answer.status, json.loads(answer.body)["status"], rows(auth)) == (400, 400, 0)
    assert events(auth, "sign_in_failed") == []


@each("value", [[], {}, {"$gt": ""}, 5, None, True])
@each(
    "route, field",
    [
        ("forgot", "email"),
        ("reset/x", "password"),
        ("account/password", "current_password"),
        ("account/password", "password"),
        ("account/confirm", "password"),
        ("account/email", "email"),
        ("account/profile", "notify_email"),
        ("language", "lang"),
        ("staff/create", "email"),
        ("staff/1/password", "password"),
    ],
)
def test_id8_json_of_a_wrong_type_is_400_on_every_route(auth, route, field, value):
    auth.accounts.set_role("1", "admin")
    cookie = signed_in(auth, "victim@site.example")
    answer = ask(auth, "POST", f"/-/auth/{route}", data={field: value}, cookie=cookie)
    assert answer.status == 400
    assert events(auth, "sign_in_failed", "password_reset_requested", "profile_changed") == []


@pytest.mark.parametrize("flag", ["1", "true", 1, 0, None, "", [], {}])
def test_id8_flags_in_json_are_booleans(auth, flag):
    fields = {"email": "victim@site.example", "password": PASSWORD, "remember": flag}
    assert ask(auth, "POST", "/-/auth/login", data=fields).status == 400

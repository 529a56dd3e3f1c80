"""Rows KY1-KY5: the secret, what is signed with it, and what is refused as one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pickle
import re
import threading

import pytest
from itsdangerous import Signer, URLSafeSerializer, URLSafeTimedSerializer

from nipo_auth_mw import AuthConfig, ConfigError
from nipo_auth_mw._credentials.tokens import KeyedDigests, SignedTokens
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, link_in
from tests.each import each
from tests.kit import PASSWORD, WRONG, middleware, person
from tests.security.tools import ask, login, session_pair, signed_in, who

OLD = "the old secret of this set-up, 0123456789"
NEW = "the new secret of this set-up, 9876543210"


def with_keys(store: MemoryStore, *keys: str, **settings):
    return middleware(store=store, secret_key=keys, **settings)


def test_ky1_the_newest_key_signs_and_all_of_them_verify():
    store = MemoryStore()
    before = with_keys(store, OLD)
    person(before)
    cookie = signed_in(before)
    both = with_keys(store, NEW, OLD)
    assert who(both, cookie) == "1"
    fresh = signed_in(both)
    assert who(with_keys(store, NEW), fresh) == "1"
    assert who(with_keys(store, NEW), cookie) == "", "a key taken away opens nothing"
    other = MemoryStore()
    auth = with_keys(other, NEW, OLD)
    person(auth)
    fresh = signed_in(auth)
    assert who(with_keys(other, OLD), fresh) == ""


def test_ky1_a_known_device_stays_known_when_the_key_is_replaced():
    store = MemoryStore()
    before = with_keys(store, OLD)
    person(before)
    device = next(f"{n}={v}" for n, v in login(before).cookies.items() if "device" in n)
    both = with_keys(store, NEW, OLD)
    for _ in range(5):
        login(both, password=WRONG)
    assert login(both).status == 429
    assert login(both, cookie=device).status == 303


def test_ky2_a_device_of_another_realm_or_person_is_not_known():
    store = MemoryStore()
    auth, realm = with_keys(store, OLD), with_keys(store, OLD, realm="r")
    person(auth)
    person(auth, email="suzuki@example.com")
    mine, theirs = login(auth).cookies["nipo_device"], login(auth, "suzuki@example.com").cookies["nipo_device"]
    for one in (auth, realm):
        for _ in range(5):
            login(one, password=WRONG)
        assert login(one).status == 429
    assert login(realm, cookie=f"nipo_device_r={mine}").status == 429
    assert login(auth, cookie=f"nipo_device={theirs}").status == 429
    assert login(auth, cookie=f"nipo_device={mine}").status == 303


def test_ky2_each_purpose_realm_and_secret_has_a_key_of_its_own():
    uses = [
        (key, purpose, realm) for key in (OLD, NEW) for purpose in ("session", "device", "reset") for realm in ("", "r")
    ]
    for made in uses:
        for opened in uses:
            text = SignedTokens([opened[0]], *opened[1:]).open(SignedTokens([made[0]], *made[1:]).sign("text"))
            assert text == ("text" if made == opened else None), (made, opened)


@pytest.fixture
def places():
    """A middleware, and one value for each thing that is signed: what its owner's browser and mailbox hold."""
    mailer = MemoryMailer()
    auth = with_keys(MemoryStore(), OLD, mailer=mailer)
    person(auth)
    cookies = login(auth).cookies
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    change = {"email": "new@example.net", "password": PASSWORD}
    ask(auth, "POST", "/-/auth/account/email", form=change, cookie=f"nipo_auth={cookies['nipo_auth']}")
    links = [re.fullmatch(r"\S+/-/auth/(\S+)/(\S+)", link_in(mail)) for mail in mailer.outbox]
    mailed = {link[1]: link[2] for link in links if link}
    assert sorted(mailed) == ["email/cancel", "email/confirm", "reset"]
    return auth, mailed | {"session": cookies["nipo_auth"], "device": cookies["nipo_device"]}


def test_ky2_each_signed_value_is_good_in_its_own_place_and_in_no_other(places):
    auth, values = places
    other_realm = with_keys(auth._services.session_store, OLD, realm="r", mailer=MemoryMailer())
    for own, value in values.items():
        for place in ("reset", "email/confirm", "email/cancel"):
            assert ask(auth, path=f"/-/auth/{place}/{value}").status == (200 if own == place else 410), (own, place)
            assert ask(other_realm, path=f"/-/auth/{place}/{value}").status == 410, (own, place)
            if own != place:
                answer = ask(auth, "POST", f"/-/auth/{place}/{value}", form={"password": "midori-no-kaze-no-oto"})
                assert answer.status == 410, (own, place)
        assert who(auth, f"nipo_auth={value}") == ("1" if own == "session" else ""), own
        assert who(other_realm, f"nipo_auth_r={value}") == "", own
    for _ in range(5):
        login(auth, password=WRONG)
    for own in ("session", "reset", "email/confirm", "email/cancel", "device"):
        assert login(auth, cookie=f"nipo_device={values[own]}").status == (303 if own == "device" else 429), own


def test_ky2_no_two_purposes_share_a_key(places):
    auth, values = places
    services = auth._services
    signers = {"session": services.sessions._signed, "device": services.known_devices._signed}
    signers |= {"reset": services.reset_links._signed, "email/confirm": services.email_links._signed}
    signers |= {"email/cancel": services.cancel_links._signed}
    for purpose, signed in signers.items():
        for own, value in values.items():
            assert (signed.open(value) is not None) == (own == purpose), (own, purpose)


def test_ky1_mailed_links_go_on_when_the_key_is_replaced(places):
    before, values = places
    mails = MemoryMailer()
    both, new = (with_keys(before._services.session_store, *keys, mailer=mails) for keys in ((NEW, OLD), (NEW,)))
    for place in ("reset", "email/confirm", "email/cancel"):
        assert ask(both, path=f"/-/auth/{place}/{values[place]}").status == 200, place
        assert ask(new, path=f"/-/auth/{place}/{values[place]}").status == 410, place


def test_ky3_nothing_that_is_signed_for_a_client_verifies_as_a_session():
    auth = middleware(secret_key=OLD)
    person(auth)
    mine = signed_in(auth)
    secret = mine.partition("=")[2].rpartition(".")[0]
    for wanted in (secret, f"/{secret}"):
        for answer in (
            login(auth, fields={"next": wanted}),
            login(auth, wanted),
            ask(auth, "POST", "/-/auth/language", form={"lang": "ja", "next": wanted}),
            ask(auth, path="/-/auth/login", query=f"next={wanted}", cookie=f"nipo_lang={secret}; nipo_device={secret}"),
            login(auth, cookie=f"nipo_lang={secret}; nipo_device={secret}"),
            login(auth, cookie=f"nipo_auth={secret}; nipo_device={secret}.{'A' * 43}"),
        ):
            for name, value in answer.cookies.items():
                if name != "nipo_auth":
                    assert who(auth, f"nipo_auth={value}") == "", name
                    assert secret not in value
    assert who(auth, mine) == "1"


BAD = [
    "",
    " ",
    "secret",
    "changeme",
    "dev",
    "a" * 31,
    "x" * 31,
    OLD[:31],
    "changeme" * 5,
    "change-this-to-something-secret-please",
    None,
    b"b" * 40,
    5,
    [],
    (),
    [""],
    ["a" * 31],
    [OLD, ""],
    [OLD, "short"],
    [OLD, OLD],
    [OLD, None],
    "django-insecure-" + "x" * 50,
    "your-secret-key-here-your-secret-key",
    "あ" * 10,
    "a" * 32,
    "あ" * 32,
    "abcd" * 8,
    "12345678" * 4 + "123",
    [OLD, "k" * 48],
]


@each("key", BAD)
def test_ky4_a_weak_known_or_missing_secret_is_refused_at_start(key):
    with pytest.raises(ConfigError) as refused:
        AuthConfig(secret_key=key, base_url="https://app.example")
    assert "secret_key" in str(refused.value)
    assert not isinstance(key, str) or len(key) < 8 or key not in str(refused.value)


def test_ky4_no_secret_is_made_up():
    with pytest.raises((ConfigError, TypeError)):
        AuthConfig(base_url="https://app.example")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        AuthConfig.from_mapping({"NIPO_AUTH_BASE_URL": "https://app.example"})
    assert OLD not in repr(AuthConfig(secret_key=OLD, base_url="https://app.example"))
    assert OLD not in repr(middleware(secret_key=OLD))


def test_ky5_signatures_are_sha_256_and_made_by_no_library_default():
    auth = middleware(secret_key=OLD)
    person(auth)
    name, value = signed_in(auth).split("=")
    assert len(value.rpartition(".")[2]) >= 43
    secret = value.rpartition(".")[0]
    guesses = [
        Signer(OLD).sign(secret),
        Signer(OLD, salt="session").sign(secret),
        Signer(OLD, digest_method=hashlib.sha256).sign(secret),
    ]
    guesses += [
        URLSafeSerializer(OLD).dumps({"user": "1"}),
        URLSafeTimedSerializer(OLD, "cookie-session").dumps({"user": "1"}),
    ]
    for digest in ("sha1", "sha256", "sha512", "md5"):
        plain = base64.urlsafe_b64encode(hmac.digest(OLD.encode(), secret.encode(), digest)).rstrip(b"=")
        guesses.append(f"{secret}.{plain.decode()}")
    for guess in guesses:
        text = guess.decode() if isinstance(guess, bytes) else guess
        assert who(auth, f"{name}={text}") == ""
    assert session_pair(login(auth)) != ""


def test_ky5_all_of_a_signature_is_compared():
    auth = middleware(secret_key=OLD)
    person(auth)
    mine = signed_in(auth)
    start = mine.rindex(".") + 1
    for at in range(start, len(mine)):
        other = "A" if mine[at] != "A" else "B"
        assert who(auth, mine[:at] + other + mine[at + 1 :]) == ""
        assert who(auth, mine[:at]) == ""
    assert who(auth, mine) == "1"


def test_ky5_what_is_forged_is_compared_in_constant_time(monkeypatch):
    compared, really = [], hmac.compare_digest
    here = threading.get_ident()

    def compare(*both):
        # A background thread of the test before may compare meanwhile.
        if threading.get_ident() == here:
            compared.append(both)
        return really(*both)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    auth = middleware(secret_key=OLD)
    name = auth._web.session_cookie.name
    assert who(auth, f"{name}=secret.{'A' * 43}") == ""
    assert [one for _, one in compared] == [b"A" * 43]
    keyed = KeyedDigests([OLD, NEW], "purpose")
    assert not keyed.matches("0" * 64, "part")
    assert keyed.key_of("0" * 8, "part") is None
    assert [one for _, one in compared[1:]] == [b"0" * 64] * 2 + [b"0" * 8] * 2


def test_ky5_no_pickle_is_ever_opened(tmp_path):
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    auth = middleware(secret_key=OLD)
    person(auth)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        raw = pickle.dumps(Bomb(), protocol)
        for text in (
            raw.decode("latin-1"),
            base64.urlsafe_b64encode(raw).decode(),
            base64.b64encode(raw).decode(),
            raw.hex(),
        ):
            signed = auth._services.sessions._signed.sign(text) if text.isascii() else text
            for value in (text, text + "." + "A" * 43, Signer(OLD).sign(text.encode()).decode("latin-1"), signed):
                for cookie in ("nipo_auth", "nipo_device", "nipo_lang"):
                    assert who(auth, f"{cookie}={value}") == ""
                    assert ask(auth, path="/-/auth/login", cookie=f"{cookie}={value}").status == 200
    assert not mark.exists()

"""Passwords that other systems hashed: RU19, and how their hashes are read. Hashes are made by the real packages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import argon2
import pytest

from nipo_auth_mw import ConfigError, legacy
from nipo_auth_mw._credentials.hash_kinds import kind_of
from nipo_auth_mw.errors import HashRejected
from nipo_auth_mw.models import LegacyHash
from nipo_auth_mw.protocols import LegacyHasher
from nipo_auth_mw.testing import MemoryStore, fast_hasher
from tests.kit import PASSWORD, WRONG, events, middleware, person
from tests.security.django_site import django_app
from tests.security.tools import ask, login, signed_in

bcrypt = pytest.importorskip("bcrypt")
hashers = pytest.importorskip("django.contrib.auth.hashers")
security = pytest.importorskip("werkzeug.security")

OLD = "pässword of the old app"
PEPPER = "devise's pepper"
FIREBASE = {
    "signer_key": "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
    "salt_separator": "Bw==",
    "rounds": 8,
    "mem_cost": 14,
}
# The vector that Firebase publishes with its implementation.
OF_FIREBASE = (
    "$firebase$42xEC+ixf3L2lw=="
    "$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
)


@pytest.fixture(scope="module")
def _django() -> None:
    """Its settings, which all tests of a process share."""
    django_app([])


def quick(name: str, **settings: Any) -> Callable[[str], str]:
    """One of Django's hashers with parameters for tests."""
    made = type(name, (getattr(hashers, name),), settings)()
    return lambda password: made.encode(password, made.salt())


def of_passlib(scheme: str, **settings: Any) -> Callable[[str], str]:
    """As Flask-Security-Too hashes: a digest of the password, by passlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hasher = getattr(pytest.importorskip("passlib.hash"), scheme).using(**settings)
    import base64
    import hashlib
    import hmac
    import unicodedata

    def make(password: str) -> str:
        text = unicodedata.normalize("NFKD", password).encode()
        digest = base64.b64encode(hmac.digest(b"salt of the app", text, hashlib.sha512)).decode()
        return str(hasher.hash(digest[:72] if scheme == "bcrypt" else digest))

    return make


def of_bcrypt(rounds: int = 4, prefix: bytes = b"2b", pepper: str = "") -> Callable[[str], str]:
    def make(password: str) -> str:
        # bcrypt-ruby, PHP and others cut what the package refuses.
        return bcrypt.hashpw((password + pepper).encode()[:72], bcrypt.gensalt(rounds, prefix)).decode()

    return make


MADE: dict[str, tuple[Callable[[], LegacyHasher], Callable[[], Callable[[str], str]]]] = {
    "werkzeug scrypt": (legacy.werkzeug, lambda: lambda p: security.generate_password_hash(p, "scrypt:1024:8:1")),
    "werkzeug pbkdf2": (legacy.werkzeug, lambda: lambda p: security.generate_password_hash(p, "pbkdf2:sha256:100")),
    "werkzeug sha1": (legacy.werkzeug, lambda: lambda p: security.generate_password_hash(p, "pbkdf2:sha1:100")),
    "django pbkdf2": (legacy.django, lambda: quick("PBKDF2PasswordHasher", iterations=100)),
    "django sha1": (legacy.django, lambda: quick("PBKDF2SHA1PasswordHasher", iterations=100)),
    "django scrypt": (legacy.django, lambda: quick("ScryptPasswordHasher", work_factor=1024)),
    "django bcrypt": (legacy.django, lambda: quick("BCryptPasswordHasher", rounds=4)),
    "django bcrypt_sha256": (legacy.django, lambda: quick("BCryptSHA256PasswordHasher", rounds=4)),
    "django argon2": (legacy.django, lambda: quick("Argon2PasswordHasher", memory_cost=64, time_cost=1, parallelism=2)),
    "bcrypt": (legacy.bcrypt, of_bcrypt),
    "laravel": (legacy.bcrypt, lambda: lambda p: of_bcrypt()(p).replace("$2b$", "$2y$")),
    "devise": (lambda: legacy.bcrypt(pepper=PEPPER), lambda: of_bcrypt(prefix=b"2a", pepper=PEPPER)),
    "flask-security argon2": (
        lambda: legacy.flask_security("salt of the app"),
        lambda: of_passlib("argon2", memory_cost=64, rounds=1, parallelism=2),
    ),
    "flask-security bcrypt": (
        lambda: legacy.flask_security("salt of the app"),
        lambda: of_passlib("bcrypt", rounds=4),
    ),
    "flask-security pbkdf2": (
        lambda: legacy.flask_security("salt of the app"),
        lambda: of_passlib("pbkdf2_sha512", rounds=100),
    ),
}


def with_account(hasher: LegacyHasher, stored: str | None, **more: Any) -> Any:
    auth = middleware(legacy_hashers=[hasher], **more)
    auth._services.directory.create(email="old@example.com", password_hash=stored, name="", role="staff", active=True)
    return auth


@pytest.mark.usefixtures("_django")
@pytest.mark.parametrize("kind", MADE)
def test_the_old_password_signs_in_and_is_hashed_anew(kind: str) -> None:
    of, make = MADE[kind]
    stored = make()(OLD)
    auth = with_account(of(), stored)
    assert login(auth, "old@example.com", WRONG).status == 401
    assert login(auth, "old@example.com", "").status == 401
    mine = signed_in(auth, "old@example.com", password=OLD)
    new = auth._services.users.find_by_email("old@example.com").password_hash
    assert kind_of(new) == kind_of(fast_hasher().hash("x"))
    assert login(auth, "old@example.com", OLD).status == 303
    assert login(auth, "old@example.com", WRONG).status == 401
    assert ask(auth, "GET", "/-/auth/session", cookie=mine).status == 200, "the upgrade ended no session"
    assert next(row.details["reason"] for row in events(auth, "sign_in_failed")) == "wrong_password"


def test_an_upgrade_ends_no_session_and_forgets_no_device() -> None:
    stored = of_bcrypt()(OLD)
    auth = with_account(legacy.bcrypt(), stored)
    first, users = signed_in(auth, "old@example.com", password=OLD), auth._services.users
    # A backup of the user table comes back: the session that was opened meanwhile is of the same password.
    account = users.find_by_email("old@example.com")
    assert users.set_password_hash(account.id, stored, expected=account.password_hash)
    assert ask(auth, "GET", "/-/auth/session", cookie=first).status == 200


def test_firebase_s_published_vector() -> None:
    pytest.importorskip("cryptography")
    hasher = legacy.firebase(**FIREBASE)  # type: ignore[arg-type]
    found = hasher.read(OF_FIREBASE)
    assert found is not None
    assert found.matches("user1password")
    assert not found.matches("user1passwore")
    web_safe = hasher.read(OF_FIREBASE.replace("+", "-").replace("/", "_").replace("=", ""))
    assert web_safe is not None
    assert web_safe.matches("user1password")
    assert FIREBASE["signer_key"] not in repr(hasher) + repr(found)
    for wrong in ({"rounds": 0}, {"mem_cost": 40}, {"signer_key": "é"}, {"mem_cost": "14"}):
        with pytest.raises(ConfigError) as raised:
            legacy.firebase(**{**FIREBASE, **wrong})  # type: ignore[arg-type]
        assert str(FIREBASE["signer_key"]) not in str(raised.value)


def test_bcrypt_cuts_after_72_bytes_as_its_writers_did_and_the_upgrade_does_not() -> None:
    long = "a" * 72 + "tail"
    auth = with_account(legacy.bcrypt(), of_bcrypt()(long))
    assert login(auth, "old@example.com", long).status == 303
    assert login(auth, "old@example.com", "a" * 72 + "another").status == 401


def test_bcrypt_takes_no_zero_byte_for_the_end_of_a_password() -> None:
    for of in (legacy.bcrypt(), legacy.bcrypt(pepper="\x00x")):
        found = of.read(of_bcrypt()("a" * 9))
        assert found is not None
        assert not found.matches("a" * 9 + "\x00")
        assert not found.matches("a" * 9 + "\x00rest")
    empty = legacy.bcrypt().read(of_bcrypt()(""))
    assert empty is not None
    assert not empty.matches("\x00")


def test_bcrypt_reads_a_salt_with_bits_that_mean_nothing() -> None:
    stored = of_bcrypt()(OLD)
    digits = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    odd = stored[:28] + digits[digits.index(stored[28]) + 5] + stored[29:]
    found = legacy.bcrypt().read(odd)
    assert found is not None
    assert found.matches(OLD)


ABSURD = {
    "werkzeug": [
        "scrypt:1073741824:8:1$salt$" + "00" * 64,
        "scrypt:32768:800:1$salt$" + "00" * 64,
        "scrypt:32768:8:9999$salt$" + "00" * 64,
        "pbkdf2:sha256:9999999999$salt$" + "00" * 32,
    ],
    "django": [
        f"pbkdf2_sha256$9999999999$salt${'A' * 43}=",
        f"scrypt$1073741824$salt$8$5${'A' * 86}==",
        f"bcrypt$$2b$31${'a' * 21}O{'a' * 31}",
    ],
    "bcrypt": [f"$2b$31${'a' * 21}O{'a' * 31}", f"$2a$16${'a' * 21}O{'a' * 31}", f"$2y$03${'a' * 21}O{'a' * 31}"],
}
BROKEN = {
    "werkzeug": [
        *("scrypt", "scrypt:1:2", "scrypt:a:b:c$x$00", "scrypt:1000:8:1$salt$" + "00" * 64, "pbkdf2:md5:1$x$00"),
        *("pbkdf2:sha256:1$x$00", "pbkdf2:sha256:1_0$x$" + "00" * 32, "pbkdf2:sha256:1$x$" + "00" * 64),
        *("pbkdf2:sha256: 1$x$" + "00" * 32, "scrypt:0:8:1$s$00", "scrypt:-2:8:1$s$00", "pbkdf2:shake_128:1$x$00"),
    ],
    "django": [
        *("pbkdf2_sha256$", "pbkdf2_sha256$1$s$?", f"pbkdf2_sha256$0x1$s${'A' * 43}=", "scrypt$2$s$1$1"),
        *("bcrypt$$2b$12$short", "argon2$argon2id$v=19$m=8,t=1,p=1$x$y"),
        f"argon2$argon2id$v=19$m=4294967295,t=1,p=1${'A' * 22}${'A' * 43}",
    ],
    "bcrypt": ["$2b$", "$2x$04$" + "a" * 53, "$2b$4$" + "a" * 53, "$2b$04$" + "-" * 53],
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_hash_that_asks_for_absurd_work_is_refused_and_not_run(name: str, caplog: Any) -> None:
    hasher = getattr(legacy, name)()
    for stored in ABSURD[name]:
        with pytest.raises(HashRejected) as raised:
            hasher.read(stored)
        assert raised.value.reason == "too_costly", stored
    for stored in BROKEN[name]:
        with pytest.raises(HashRejected) as raised:
            hasher.read(stored)
        assert raised.value.reason in {"broken", "too_costly"}, stored
        assert stored not in str(raised.value)
    auth = with_account(hasher, ABSURD[name][0])
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        for _ in range(3):
            assert login(auth, "old@example.com", OLD).status == 401
    assert len([one for one in caplog.records if "too_costly" in one.getMessage()]) == 1
    assert {row.details["reason"] for row in events(auth, "sign_in_failed")} == {"unreadable_hash"}


def test_an_unknown_kind_is_logged_once_by_its_name_with_what_to_do(caplog: Any) -> None:
    texts = {
        "Werkzeug": "pbkdf2:sha256:1$salt$" + "00" * 32,
        "Django": f"pbkdf2_sha256$1$salt${'A' * 43}=",
        "bcrypt": f"$2b$04${'a' * 21}O{'a' * 31}",
        "crypt(3)": "$6$salt$xyz",
        "hexadecimal digits": "5f4dcc3b5aa765d61d8327deb882cf99",
        "an unknown system": "a-password-in-plain-text",
    }
    store = MemoryStore()
    for number, stored in enumerate(texts.values()):
        store.create(email=f"p{number}@example.com", password_hash=stored, name="", role="staff", active=True)
    store.create(email="nothing@example.com", password_hash="!" + "x" * 40, name="", role="staff", active=True)
    auth = middleware(store=store)
    with caplog.at_level(logging.ERROR, "nipo_auth_mw"):
        for number in (*range(len(texts)), *range(len(texts))):
            assert login(auth, f"p{number}@example.com", OLD).status == 401
    lines = [one.getMessage() for one in caplog.records]
    assert len(lines) == len(texts)
    assert all(any(name in line for line in lines) for name in texts)
    assert "legacy_hashers=[werkzeug()]" in caplog.text
    assert not any(stored in caplog.text for stored in texts.values())


class Counting:
    """Counts the work of a legacy hasher."""

    def __init__(self, inner: LegacyHasher) -> None:
        self.inner, self.name, self.done = inner, inner.name, {}  # type: ignore[var-annotated]

    def read(self, stored: str) -> LegacyHash | None:
        found = self.inner.read(stored)
        if found is None:
            return None

        def count(work: int) -> None:
            self.done[found.family] = self.done.get(found.family, 0) + work

        def matches(password: str) -> bool:
            count(found.work)
            return found.matches(password)

        def spend(password: str, work: int) -> None:
            count(work)
            found.spend(password, work)

        return LegacyHash(found.beginning, found.family, found.work, matches, spend)


@pytest.mark.usefixtures("_django")
def test_ru19_every_address_costs_the_work_of_all_legacy_kinds_that_are_left() -> None:
    store, counting = MemoryStore(), [Counting(legacy.django()), Counting(legacy.bcrypt()), Counting(legacy.werkzeug())]
    stored = {
        "old": quick("PBKDF2PasswordHasher", iterations=100)(OLD),
        "newer": quick("PBKDF2PasswordHasher", iterations=700)(OLD),
        "cheap": of_bcrypt(4)(OLD),
        "dear": of_bcrypt(6)(OLD),
        "scrypt": security.generate_password_hash(OLD, "scrypt:1024:8:1"),
        "today": fast_hasher().hash(OLD),
        "none": None,
        "unusable": "!" + "x" * 40,
        "unknown": "$6$salt$xyz",
    }
    for name, text in stored.items():
        store.create(email=f"{name}@example.com", password_hash=text, name="", role="staff", active=True)
    auth, work = middleware(store=store, legacy_hashers=counting), {}
    for name in (*stored, "nobody"):
        for one in counting:
            one.done.clear()
        assert login(auth, f"{name}@example.com", WRONG).status == 401
        work[name] = [dict(one.done) for one in counting]
    assert work["nobody"] == [{"PBKDF2 sha256": 700}, {"bcrypt": 2**6}, {"scrypt 1024 8 1": 8192}]
    assert all(done == work["nobody"] for done in work.values()), work


def test_ru19_bcrypt_spends_exactly_the_work_that_is_missing() -> None:
    asked: list[int] = []
    library = legacy._library("bcrypt")
    found = legacy.bcrypt().read(of_bcrypt(10)("x"))
    assert found is not None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(library, "hashpw", lambda password, salt: asked.append(int(salt[4:6])) or b"." * 60)
        found.spend("x", found.work - 2**6)
    assert sum(2**cost for cost in asked) == 2**10 - 2**6


def test_accounts_create_takes_a_hash() -> None:
    auth = middleware(legacy_hashers=[legacy.bcrypt()])
    made = auth.accounts.create(email="a@example.com", password_hash=of_bcrypt()(OLD))
    assert login(auth, "a@example.com", OLD).status == 303
    assert auth._services.users.get(made.id).password_hash.startswith("$argon2id$")
    auth.accounts.create(email="b@example.com", password_hash=argon2.PasswordHasher(1, 64, 1).hash(OLD))
    assert login(auth, "b@example.com", OLD).status == 303
    nothing = auth.accounts.create(email="c@example.com", password_hash="!unusable")
    assert auth._services.users.get(nothing.id).password_hash is None
    for number, text in enumerate(("plain text", "pbkdf2:sha256:1$a$00", "$argon2id$broken", *ABSURD["bcrypt"])):
        with pytest.raises(HashRejected) as raised:
            auth.accounts.create(email=f"d{number}@example.com", password_hash=text)
        assert text not in str(raised.value)
        assert auth.accounts.find(f"d{number}@example.com") is None
    with pytest.raises(ValueError, match="exclude"):
        auth.accounts.create(email="e@example.com", password=PASSWORD, password_hash=of_bcrypt()(OLD))
    with pytest.raises(ConfigError, match="legacy_hashers"):
        middleware(legacy_hashers=[legacy.bcrypt])


def test_a_temporary_password_that_was_imported_has_to_be_changed() -> None:
    auth = middleware(legacy_hashers=[legacy.bcrypt()])
    auth.accounts.create(email="a@example.com", password_hash=of_bcrypt()(OLD), must_change=True)
    mine = signed_in(auth, "a@example.com", password=OLD)
    assert ask(auth, "GET", "/page", cookie=mine, HTTP_ACCEPT="application/json").code == "password_change_required"


def test_without_the_extra_its_absence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, package: str = "") -> Any:
        raise ConfigError("legacy_hashers", "is not installed", "pip install 'nipo_auth_mw[legacy]'")

    monkeypatch.setattr(legacy, "_library", missing)
    for make in (legacy.bcrypt, lambda: legacy.firebase(**FIREBASE)):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="legacy"):
            make()
    with pytest.raises(HashRejected) as raised:
        legacy.django().read(f"bcrypt$$2b$12${'a' * 21}O{'a' * 31}")
    assert (raised.value.reason, raised.value.hint) == ("library_missing", "pip install 'nipo_auth_mw[legacy]'")


def test_a_hasher_that_fails_is_no_wrong_password() -> None:
    def fail(password: str) -> bool:
        raise MemoryError(password)

    class Failing:
        name = "failing"

        def read(self, stored: str) -> LegacyHash | None:
            return LegacyHash("x", "x", 1, fail, lambda password, work: None) if stored == "x" else None

    auth = with_account(Failing(), "x")
    person(auth)
    for _ in range(6):
        assert login(auth, "old@example.com", OLD).status == 503
    assert events(auth, "sign_in_failed", "locked") == []

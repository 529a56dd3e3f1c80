"""Failures and kinds of hashes: rows RU5 and RU19 of what must hold."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import argon2
import pytest
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from nipo_auth_mw._credentials.hash_kinds import kind_of
from nipo_auth_mw._credentials.hash_pool import HashPool, cores
from nipo_auth_mw.errors import HashingFailed
from nipo_auth_mw.models import Account, LegacyHash
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, fast_hasher
from tests.kit import PASSWORD, WRONG, SpyHasher, events, middleware, person
from tests.security.tools import ask, login, signed_in

NEW = "midori-no-oka-to-kaze"
SECRET = "a hasher may quote the password"
FAILURES: list[Any] = [
    *(MemoryError(SECRET), OSError(12, SECRET), RuntimeError(SECRET), KeyError(SECRET), TypeError(SECRET)),
    *(HashingError("Memory allocation error"), VerificationError("Memory allocation error"), VerificationError(SECRET)),
    *(InvalidHashError(SECRET), ValueError(SECRET), ArithmeticError(SECRET), LookupError(SECRET), EOFError(SECRET)),
]


class Failing(SpyHasher):
    """A hasher that raises `problem` while there is one."""

    problem: Exception | None = None

    def hash(self, password: Any, *, salt: Any = None) -> str:
        if self.problem:
            raise self.problem
        return super().hash(password, salt=salt)

    def verify(self, hash: Any, password: Any) -> Any:
        if self.problem:
            raise self.problem
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> Failing:
    return Failing(fast_hasher())


@pytest.fixture
def auth(hasher: Failing) -> Any:
    auth = middleware(hasher=hasher, mailer=MemoryMailer())
    person(auth)
    return auth


@pytest.mark.parametrize("problem", FAILURES, ids=repr)
def test_ru5_a_failure_is_no_wrong_password(auth: Any, hasher: Failing, problem: Exception, caplog: Any) -> None:
    mine, counted = signed_in(auth), []
    client_limit = auth._services.client_limit
    client_limit.count_against = lambda address: counted.append(address)
    hasher.problem = problem
    forms: list[tuple[str, dict[str, str], str]] = [
        ("login", {"email": "tanaka@example.com", "password": PASSWORD}, ""),
        ("login", {"email": "nobody@example.com", "password": PASSWORD}, ""),
        ("account/password", {"current_password": PASSWORD, "password": NEW}, mine),
        ("account/email", {"email": "new@example.com", "password": PASSWORD}, mine),
        ("account/confirm", {"password": PASSWORD}, mine),
    ]
    with caplog.at_level(logging.INFO, "nipo_auth_mw"):
        for _ in range(7):
            for route, form, cookie in forms:
                answer = ask(auth, "POST", f"/-/auth/{route}", form=form, cookie=cookie, HTTP_ACCEPT="application/json")
                assert (answer.status, answer.code) == (503, "unavailable"), route
                assert answer.get("Retry-After")
    assert type(problem).__name__ in caplog.text
    assert SECRET not in caplog.text
    assert PASSWORD not in caplog.text
    assert "Memory allocation error" in caplog.text or "Memory allocation" not in str(problem)
    assert counted == []
    assert events(auth, "sign_in_failed", "locked", "password_changed", "email_change_requested") == []
    hasher.problem = None
    assert login(auth).status == 303


def test_ru5_a_failure_leaves_every_attempt_slot_free(auth: Any, hasher: Failing) -> None:
    hasher.problem = MemoryError()
    for _ in range(5):
        assert login(auth).status == 503
    hasher.problem = None
    for _ in range(4):
        assert login(auth, password=WRONG).status == 401
    assert login(auth).status == 303


@pytest.mark.parametrize("problem", FAILURES, ids=repr)
def test_ru5_a_password_that_cannot_be_hashed_is_not_set(auth: Any, hasher: Failing, problem: Exception) -> None:
    user = auth.accounts.find("tanaka@example.com")
    ask(auth, "POST", "/-/auth/forgot", form={"email": "tanaka@example.com"})
    link = auth._services.reset_links.make(
        auth._services.users.get(user.id), auth._services.account_states.account_state(user.id)
    )
    hasher.problem = problem
    assert ask(auth, "POST", f"/-/auth/reset/{link}", form={"password": NEW}).status == 503
    for act in (
        lambda: auth.accounts.set_password(user.id, NEW),
        lambda: auth.accounts.create(email="new@example.com", password=NEW),
    ):
        with pytest.raises(HashingFailed) as raised:
            act()
        assert SECRET not in str(raised.value)
    hasher.problem = None
    assert login(auth).status == 303
    assert auth.accounts.find("new@example.com") is None
    assert ask(auth, "POST", f"/-/auth/reset/{link}", form={"password": NEW}).status == 303, "the link was not spent"


def test_ru5_a_failed_rehash_keeps_nobody_out(auth: Any, hasher: Failing) -> None:
    hasher.check_needs_rehash = lambda stored: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    assert login(auth).status == 303


def test_ru5_what_ends_a_request_gives_its_slot_back(auth: Any, hasher: Failing) -> None:
    class Ended(BaseException):
        pass

    hasher.problem = Ended()  # type: ignore[assignment]
    for _ in range(6):
        with pytest.raises(Ended):
            login(auth)
    hasher.problem = None
    assert login(auth).status == 303


@pytest.mark.parametrize("wrong", [VerifyMismatchError("x"), False])
def test_ru5_a_mismatch_is_a_wrong_password(auth: Any, hasher: Failing, wrong: Any) -> None:
    def verify(hash: Any, password: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    hasher.verify = verify  # type: ignore[method-assign]
    assert [login(auth).status for _ in range(6)] == [401] * 5 + [429]


# Kinds


class Legacy:
    """A host's own legacy hasher: the PBKDF2 of an earlier version of the app. `done` is the work of all calls."""

    name = "an earlier version"

    def __init__(self) -> None:
        self.done = 0

    def read(self, stored: str) -> LegacyHash | None:
        if not stored.startswith("pbkdf2$"):
            return None

        def matches(password: str) -> bool:
            self.spend(password, 10)
            return stored == pbkdf2(password, stored.split("$")[1])

        return LegacyHash("pbkdf2$", "PBKDF2", 10, matches, self.spend)

    def spend(self, _password: str, work: int) -> None:
        self.done += work


def pbkdf2(password: str, salt: str = "salt") -> str:
    return f"pbkdf2${salt}${hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), 10).hex()}"


def of(passes: int, memory: int, lanes: int, **more: Any) -> Callable[[str], str]:
    return argon2.PasswordHasher(passes, memory, lanes, **more).hash


KINDS: dict[str, Callable[[str], str]] = {
    "today": fast_hasher().hash,
    "dearer": of(3, 64, 4),
    "more passes": of(9, 8, 1),
    "longer": of(1, 8, 1, hash_len=64, salt_len=8),
    "argon2i": of(2, 16, 1, type=argon2.Type.I),
    "argon2d": of(2, 16, 1, type=argon2.Type.D),
    "first version": lambda password: argon2.low_level.hash_secret(
        password.encode(), b"saltsalt", 2, 16, 1, 32, argon2.Type.I, 16
    ).decode(),
    "foreign": pbkdf2,
    "unusable": lambda password: "!" + "x" * 40,
    "empty": lambda password: "",
    "broken": lambda password: "$argon2id$v=19$m=8,t=1,p=1$x$y",
    "bottomless": lambda password: f"$argon2id$v=19$m=4294967295,t=1,p=1${'A' * 22}${'A' * 43}",
}
NOT_READABLE = {"unusable", "empty", "broken", "bottomless"}


class Table:
    """A host's own user table. `hash_unlike` and the directory are left out."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner

    def get(self, user_id: str) -> Account | None:
        return self._inner.get(user_id)

    def find_by_email(self, email: str) -> Account | None:
        return self._inner.find_by_email(email)

    def set_password_hash(self, user_id: str, new: str, *, expected: str | None) -> bool:
        return self._inner.set_password_hash(user_id, new, expected=expected)


class Directory(Table):
    """A host's own user table that administrators manage."""

    def __getattr__(self, name: str) -> Any:
        if name == "hash_unlike":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def create(self, **facts: Any) -> Account:
        return self._inner.create(**facts)

    def update(self, user_id: str, **facts: Any) -> bool:
        return self._inner.update(user_id, **facts)

    def delete(self, user_id: str) -> bool:
        return self._inner.delete(user_id)

    def search(self, text: str, *, after: str | None, limit: int) -> Sequence[Account]:
        return self._inner.search(text, after=after, limit=limit)


class Process:
    """A process that has just started: its middleware, and what its checks compare."""

    def __init__(self, store: Any, users: Any = None) -> None:
        self.hasher, self.legacy = SpyHasher(fast_hasher()), Legacy()
        self.auth = middleware(
            store=store, users=users, hasher=self.hasher, legacy_hashers=[self.legacy], mailer=MemoryMailer()
        )
        hashing = self.auth._services.hashing
        hashing._plain = SpyHasher(hashing._plain)
        self.plain = hashing._plain

    def work(self, email: str) -> list[str]:
        """The kinds that one wrong password is compared with, in any order; without texts that cost nothing."""
        self.hasher.verified.clear()
        self.plain.verified.clear()
        self.legacy.done = 0
        assert login(self.auth, email, WRONG).status == 401
        assert len(self.hasher.verified) == 1
        compared = [*self.hasher.verified, *self.plain.verified]
        return sorted([*(str(kind_of(one)) for one in compared), *["legacy"] * (self.legacy.done // 10)])


@pytest.fixture(params=["memory", "sqlite", "directory"])
def furnished(request: Any) -> Callable[[], Process]:
    each_store = request.getfixturevalue("store") if request.param == "sqlite" else MemoryStore()
    with each_store.transaction():
        for name, hash_of in KINDS.items():
            email = f"{name.replace(' ', '-')}@example.com"
            each_store.create(email=email, password_hash=hash_of(PASSWORD), name="", role="staff", active=True)
        each_store.create(email="invited@example.com", password_hash=None, name="", role="staff", active=True)
    users = Directory(each_store) if request.param == "directory" else None
    return lambda: Process(each_store, users)


def test_ru19_from_the_first_request_on_every_address_is_compared_with_every_kind(
    furnished: Callable[[], Process],
) -> None:
    addresses = [f"{name.replace(' ', '-')}@example.com" for name in (*KINDS, "invited", "nobody")]
    first = {email: furnished().work(email) for email in addresses}
    assert len(first["nobody@example.com"]) == len(KINDS) - len(NOT_READABLE) - len(["longer"])
    assert set(map(tuple, first.values())) == {tuple(first["nobody@example.com"])}
    one = furnished()
    for email in addresses:
        one.work(email)
    assert {tuple(one.work(email)) for email in addresses} == {tuple(first["nobody@example.com"])}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_READABLE])
def test_ru19_the_right_password_fits_whatever_its_kind(furnished: Callable[[], Process], kind: str) -> None:
    auth = furnished().auth
    email = f"{kind.replace(' ', '-')}@example.com"
    assert login(auth, email).status == 303
    stored = auth._services.users.find_by_email(email).password_hash
    assert kind_of(stored) == kind_of(KINDS["today"](PASSWORD)), "it is hashed anew"
    assert login(auth, email).status == 303


def test_ru19_a_table_that_cannot_be_looked_through_is_learned_by_meeting() -> None:
    store = MemoryStore()
    for email, hash_of in (("a@example.com", KINDS["today"]), ("b@example.com", KINDS["dearer"])):
        store.create(email=email, password_hash=hash_of(PASSWORD), name="", role="staff", active=True)
    one = Process(store, Table(store))
    one.work("b@example.com")
    assert one.work("a@example.com") == one.work("b@example.com") == one.work("nobody@example.com")


def test_ru19_a_store_that_cannot_say_its_kinds_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    store = MemoryStore()
    one = Process(store)
    person(one.auth)
    monkeypatch.setattr(store, "hash_unlike", lambda *_, **__: 1 / 0)
    assert login(one.auth).status == 303
    assert "ZeroDivisionError" in caplog.text


def test_ru19_the_work_is_bounded_however_many_kinds_there_are() -> None:
    store = MemoryStore()
    for passes in range(1, 30):
        hashed = of(passes, 8, 1)(PASSWORD)
        store.create(email=f"p{passes}@example.com", password_hash=hashed, name="", role="staff", active=True)
    one = Process(store)
    for passes in range(1, 30):
        assert len(one.work(f"p{passes}@example.com")) <= 9


def test_ru19_all_work_of_one_check_is_done_in_one_slot_of_the_pool(furnished: Callable[[], Process]) -> None:
    one = furnished()
    pool, ran = one.auth._services.hashing.hash_pool, []
    run = pool.run
    pool.run = lambda call, *given, **meanwhile: ran.append(call) or run(call, *given, **meanwhile)  # type: ignore[method-assign]
    one.work("nobody@example.com")
    assert len(ran) == 1


# Slots


@pytest.mark.parametrize(
    ("files", "least"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/a/b/cpu.cfs_quota_us": "100000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "rubbish"}, None),
        ({"cpu.max": ""}, None),
        ({}, None),
    ],
)
def test_pw15_slots_follow_the_quota_of_the_container(tmp_path: Any, files: dict[str, str], least: int | None) -> None:
    own = tmp_path / "own"
    own.write_text("3:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/a/b\n")
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    free = cores(own=tmp_path / "missing", groups=tmp_path / "missing")
    assert cores(own=own, groups=tmp_path / "groups") == min(free, least or free)
    assert HashPool().slots == cores()

"""Rows MF12, TO2, RC2, PK2, MF9 and TO4 where requests meet, through two middleware objects that share the store.

Here over threads, on memory and SQLite. `servers/test_second_step_races.py` runs the same on PostgreSQL, MariaDB and
Redis, and over processes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.testing import code_of, enrol_app
from tests.kit import (
    PASSWORD,
    browser,
    enrol_passkey,
    events,
    middleware,
    options_on,
    person,
    seen,
    sign_in,
)

SECURITY, SECOND = "/-/auth/account/security", "/-/auth/login/second"
CONFIRM, PASSKEY = "/-/auth/account/confirm", "/-/auth/login/passkey"
JSON, REQUESTS = {"Accept": "application/json"}, 30
REFUSED = {"invalid_code", "locked", "busy", "passkey_rejected", "second_expired", "sign_in_required", "factor_exists"}
WRONG_CODES = ("000000", "111111", "222222", "333333", "444444", "555555")
Post = Callable[[int], tuple[str, Any]]


class House:
    """Two middleware objects on one store, and one account. `counters` is where the counters are."""

    def __init__(self, store: Any, counters: str) -> None:
        lockout = LockoutPolicy(storage=counters, client_failures=1000)
        self.store = store
        self.doors = [middleware(store=store, lockout=lockout) for _ in range(2)]
        self.auth, self.user = self.doors[0], person(self.doors[0])

    def device(self, number: int = 0) -> Any:
        """A browser of its own, at one of the doors."""
        return browser(self.doors[number % 2], f"192.0.2.{number + 1}")

    def posting(
        self, path: str, cookie: tuple[str, str] | None = None, **form: str
    ) -> Callable[[int], tuple[int, Any]]:
        """A request that many send at once, each in a browser of its own: the answer's code, and the browser."""

        def post(number: int) -> tuple[str, Any]:
            device = self.device(number)
            if cookie:
                device.set_cookie(*cookie)
            return answer(device, path, form), device

        return post

    def pending(self) -> tuple[str, str]:
        """The cookie of a sign-in that waits for its second step."""
        device = self.device()
        assert sign_in(device).location == SECOND
        return "nipo_second", device.cookies["nipo_second"]

    def inside(self, secret: str, steps: int = 0) -> Any:
        """A browser after both steps."""
        device = self.device()
        sign_in(device)
        assert device.post(SECOND, {"code": code_of(secret, steps)}).status_int == 303
        return device

    def sessions(self) -> int:
        return len(self.store.sessions_of(self.user.id))


def answer(device: Any, path: str, form: dict[str, str]) -> str:
    """The code of the refusal; "" for none."""
    return str(device.post(path, form, headers=JSON, expect_errors=True).json.get("code", ""))


def together(*works: Callable[[int], Any]) -> list[Any]:
    """What they return, each called with its number in a thread of its own, all at the same moment."""
    start = threading.Barrier(len(works))

    def run(number: int) -> Any:
        start.wait()
        return works[number](number)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, range(len(works))))


def won(results: list[tuple[str, Any]]) -> int:
    """How many requests were let in; all others must have been refused, none by an error."""
    codes = Counter(code for code, _ in results)
    assert set(codes) <= REFUSED | {""}, codes
    return codes[""]


@pytest.fixture(params=["memory", "sqlite"])
def stored(request: Any, tmp_path: Any) -> Iterator[tuple[Any, str]]:
    """A store, and where the counters are."""
    if request.param == "memory":
        yield MemoryStore(), "store"
        return
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    yield store, "store"
    store.close()


@pytest.fixture
def house(stored: tuple[Any, str]) -> House:
    return House(*stored)


class TestRaces:
    def test_to2_of_thirty_requests_with_one_code_one_is_let_in(self, house: House) -> None:
        secret = enrol_app(house.auth, house.user)
        post = house.posting(SECOND, house.pending(), code=code_of(secret))
        assert won(together(*[post] * REQUESTS)) == 1
        assert house.sessions() == 1

    def test_to2_a_code_is_taken_at_sign_in_or_at_re_authentication(self, house: House) -> None:
        secret = enrol_app(house.auth, house.user)
        cookie = "nipo_auth", house.inside(secret, -1).cookies["nipo_auth"]
        code = code_of(secret)
        second = house.posting(SECOND, house.pending(), code=code)
        confirm = house.posting(CONFIRM, cookie, password=PASSWORD, code=code)
        assert won(together(*[second, confirm] * (REQUESTS // 2))) == 1

    def test_rc2_of_thirty_requests_with_one_backup_code_one_is_let_in(self, house: House) -> None:
        enrol_app(house.auth, house.user)
        factors = house.auth._services.factors
        post = house.posting(SECOND, house.pending(), code=factors.make_codes(house.user.id)[0])
        assert won(together(*[post] * REQUESTS)) == 1
        assert (house.sessions(), factors.codes_left(house.user.id)) == (1, 9)

    @pytest.mark.parametrize("synced", [True, False])
    def test_pk2_of_thirty_requests_with_one_passkey_one_is_let_in(self, house: House, synced: bool) -> None:
        soft = enrol_passkey(house.auth, house.user, synced=synced)
        credential = soft.get(options_on(house.device().get("/-/auth/login")))
        assert won(together(*[house.posting(PASSKEY, credential=credential)] * REQUESTS)) == 1
        assert house.sessions() == 1

    def test_mf12_of_thirty_wrong_codes_at_once_five_are_looked_at(self, house: House) -> None:
        secret = enrol_app(house.auth, house.user)
        near = {code_of(secret, step) for step in range(-2, 3)}
        wrong = next(code for code in WRONG_CODES if code not in near)
        post = house.posting(SECOND, house.pending(), code=wrong)
        results = together(*[post] * REQUESTS)
        while (last := post(0)[0]) == "invalid_code":
            results.append((last, None))
        assert won(results) == 0
        assert last == "locked"
        assert [code for code, _ in results].count("invalid_code") == 5
        assert len(events(house.auth, "second_step_failed")) == 5
        assert len(events(house.auth, "second_locked")) == 1

    def test_mf9_nobody_is_in_by_a_proof_that_goes_at_the_same_moment(self, house: House) -> None:
        """Two steps are switched off beside three sign-ins with a backup code each."""
        secret = enrol_app(house.auth, house.user)
        codes = house.auth._services.factors.make_codes(house.user.id)
        owner = house.inside(secret, -1)
        sign_ins = [house.posting(SECOND, house.pending(), code=code) for code in codes[:3]]

        def remove(number: int) -> tuple[str, Any]:
            return answer(owner, f"{SECURITY}/two-step", {"on": "0"}), owner

        (gone, _), *others = together(remove, *sign_ins)
        assert gone == ""
        won(others)
        assert [seen(device) for _, device in others] == [""] * 3
        assert seen(owner) == house.user.id
        assert house.auth._services.factor_store.factors_of(house.user.id) == []

    def test_mf9_nobody_is_in_by_a_passkey_that_is_removed_at_the_same_moment(self, house: House) -> None:
        soft, owner = enrol_passkey(house.auth, house.user), house.device()
        sign_in(owner)
        (factor,) = house.auth._services.factors.of(house.user.id)
        options = [options_on(house.device().get("/-/auth/login")) for _ in range(3)]
        sign_ins = [house.posting(PASSKEY, credential=soft.get(one)) for one in options]

        def remove(number: int) -> tuple[str, Any]:
            return answer(owner, f"{SECURITY}/remove", {"factor": factor.key}), owner

        (gone, _), *others = together(remove, *sign_ins)
        assert gone == ""
        won(others)
        assert [seen(device) for _, device in others] == [""] * 3
        assert seen(owner) == house.user.id

    @pytest.mark.parametrize("replace", ["", "1"])
    def test_mf9_of_two_apps_that_are_confirmed_at_once_one_is_stored(self, house: House, replace: str) -> None:
        works, secrets = [], []
        for number in range(2):
            device = house.device(number)
            sign_in(device, remember="")
            shown = device.get(f"{SECURITY}/app", headers=JSON).json
            secrets.append(shown["key"])
            form = {"setup": shown["setup"], "code": code_of(shown["key"]), "replace": replace}

            def confirm(number: int, device: Any = device, form: dict[str, str] = form) -> tuple[str, Any]:
                return answer(device, f"{SECURITY}/app", form), device

            works.append(confirm)
        results = together(*works)
        assert won(results) == 1
        first = [code for code, _ in results].index("")
        assert [bool(seen(device)) for _, device in results] == [number == first for number in range(2)]
        assert house.sessions() == 1
        assert len(house.auth._services.factors.of(house.user.id)) == 1
        assert house.posting(SECOND, house.pending(), code=code_of(secrets[first], 1))(0)[0] == ""

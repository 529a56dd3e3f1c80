"""Rows KY6-KY8: after a change of the secret key, what is in use comes to need the new key alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, MemoryStore, code_of, enrol_app, fast_hasher, sign_in
from tests.kit import WRONG, Elapsing, elapsing, events, middleware, person
from tests.kit import browser as browser_of
from tests.security.tools import Answer, ask, login, session_pair, signed_in, who

OLD = "the old secret of this set-up, 0123456789"
NEW = "the new secret of this set-up, 9876543210"
START = 1_790_000_000.0
A_MINUTE = 60


@pytest.fixture
def clock() -> Any:
    with elapsing(START) as clock:
        yield clock


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    if request.param == "memory":
        yield MemoryStore()
        return
    store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    store.create_schema()
    yield store
    store.close()


def with_keys(store: Any, *keys: str, **settings: Any) -> Any:
    return middleware(store=store, secret_key=keys, hasher=fast_hasher(), mailer=MemoryMailer(), **settings)


def with_the_old(store: Any) -> Any:
    auth = with_keys(store, OLD)
    person(auth)
    return auth


def use(auth: Any, cookie: str, path: str = "/page") -> Answer:
    """One use, with what it leaves to the background done."""
    answer = ask(auth, path=path, cookie=cookie)
    auth._services.worker.flush(10)
    return answer


def jar(cookie: str, answer: Answer) -> str:
    """The cookies of a browser after an answer."""
    pairs = dict(one.split("=", 1) for one in cookie.split("; "))
    return "; ".join(f"{name}={value}" for name, value in (pairs | answer.cookies).items())


@pytest.mark.parametrize("remember", ["1", ""])
def test_ky6_a_session_in_use_outlives_the_older_key(store: Any, clock: Elapsing, remember: str) -> None:
    cookie = signed_in(with_the_old(store), fields={"remember": remember})
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    first = use(both, cookie)
    assert first.status == 200
    renewed = session_pair(first)
    assert renewed.rpartition(".")[0] == cookie.rpartition(".")[0], "the secret stays"
    assert renewed != cookie
    assert ("Max-Age" in first.get("Set-Cookie")) is bool(remember), "the session still ends with the browser"
    assert who(with_keys(store, NEW), renewed) == "", "the stamp is the old key's until the new cookie comes back"


def test_ky6_two_uses_are_enough_and_end_no_session(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    renewed = session_pair(use(both, cookie))
    again = use(both, renewed)
    assert (again.status, again.cookies) == (200, {})
    assert who(both, cookie) == "1", "a parallel request brings the old cookie"
    alone = with_keys(store, NEW)
    assert who(alone, renewed) == "1"
    assert who(alone, cookie) == ""
    assert not events(both, "session_ended", "session_expired")


def test_ky6_without_an_older_key_nothing_is_renewed(store: Any, clock: Elapsing) -> None:
    auth = with_the_old(store)
    cookie = signed_in(auth)
    before = store.sessions_of("1")
    clock.shift(A_MINUTE)
    assert use(auth, cookie).cookies == {}
    assert [one.stamp for one in store.sessions_of("1")] == [one.stamp for one in before]


def test_ky6_a_client_that_keeps_no_cookies_makes_one_write_a_minute(
    store: Any, clock: Elapsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = signed_in(with_the_old(store))
    both, sent = with_keys(store, NEW, OLD), []
    real = store.mark_session_sent
    monkeypatch.setattr(store, "mark_session_sent", lambda *given: sent.append(given) or real(*given))
    clock.shift(A_MINUTE)
    for _ in range(10):
        use(both, cookie)
    assert len(sent) == 1
    clock.shift(A_MINUTE)
    assert session_pair(use(both, cookie))


def test_ky6_a_known_device_in_use_stays_known_without_the_older_key(store: Any, clock: Elapsing) -> None:
    before = with_the_old(store)
    both_cookies = "; ".join(f"{name}={value}" for name, value in login(before).cookies.items())
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    renewed = jar(both_cookies, use(both, both_cookies))
    use(both, renewed)
    alone = with_keys(store, NEW)
    for _ in range(5):
        login(alone, password=WRONG)
    assert login(alone).status == 429
    device = next(one for one in renewed.split("; ") if "device" in one)
    assert login(alone, cookie=device).status == 303


def test_ky6_a_known_device_is_renewed_at_a_sign_in_of_any_kind(store: Any) -> None:
    before = with_the_old(store)
    person(before, email="suzuki@example.com")
    device = next(f"{name}={value}" for name, value in login(before).cookies.items() if "device" in name)
    both, alone = with_keys(store, NEW, OLD), with_keys(store, NEW)
    plain = {"remember": ""}
    assert "nipo_device" not in login(alone, "suzuki@example.com", fields=plain, cookie=device).cookies
    answer = login(both, fields=plain, cookie=device)
    renewed = f"nipo_device={answer.cookies['nipo_device']}"
    assert "nipo_device" not in login(both, fields=plain, cookie=renewed).cookies, "once"
    for _ in range(5):
        login(alone, password=WRONG)
    assert login(alone, cookie=renewed).status == 303
    assert login(alone, "suzuki@example.com", fields=plain, cookie=renewed).status == 303


def test_ky6_no_device_is_told_to_be_new_because_a_key_is(store: Any) -> None:
    before = with_the_old(store)
    cookie = "; ".join(f"{name}={value}" for name, value in login(before, HTTP_USER_AGENT="A").cookies.items())
    both = with_keys(store, NEW, OLD)
    login(both, HTTP_USER_AGENT="A")
    login(both, HTTP_USER_AGENT="B", cookie=next(one for one in cookie.split("; ") if "device" in one))
    alone = with_keys(store, NEW)
    login(alone, HTTP_USER_AGENT="A")
    assert not events(alone, "new_device")
    login(alone, HTTP_USER_AGENT="C")
    assert len(events(alone, "new_device")) == 1


def test_ky6_forward_renews_the_session_too(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store), fields={"remember": ""})
    clock.shift(A_MINUTE)
    answer = use(with_keys(store, NEW, OLD), cookie, "/-/auth/forward")
    assert session_pair(answer) not in {"", cookie}
    assert "Max-Age" not in answer.get("Set-Cookie")


def test_ky7_a_device_that_is_unknown_stays_so(store: Any) -> None:
    before = with_the_old(store)
    device = next(f"{name}={value}" for name, value in login(before).cookies.items() if "device" in name)
    before.accounts.set_password("1", "midori-no-kaze-no-oto")
    both = with_keys(store, NEW, OLD)
    answer = login(both, password="midori-no-kaze-no-oto", fields={"remember": ""}, cookie=device)
    renewed = f"nipo_device={answer.cookies['nipo_device']}"
    for _ in range(5):
        login(both, password=WRONG)
    for one in (device, renewed):
        assert login(both, password="midori-no-kaze-no-oto", cookie=one).status == 429


def test_ky7_an_account_that_changes_before_the_write_ends_the_session(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    renewed = session_pair(use(both, cookie))
    # As the host app's own SQL does it: no session is ended, and the revocation counter stays.
    both._services.worker.submit(lambda: store.set_password_hash("1", "!", expected=store.get("1").password_hash))
    ask(both, path="/page", cookie=renewed)
    both._services.worker.flush(10)
    assert who(both, renewed) == ""
    assert who(both, cookie) == ""


def test_ky7_an_ended_session_gets_neither_cookie_nor_stamp(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)

    def ends(environ: Any, start_response: Any) -> list[bytes]:
        auth.accounts.set_active("1", False)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"page"]

    auth = middleware(ends, store=store, secret_key=(NEW, OLD), hasher=fast_hasher())
    answer = use(auth, cookie)
    assert (answer.status, answer.cookies) == (200, {})
    assert list(store.sessions_of("1")) == []


def test_ky7_no_renewed_cookie_reaches_a_shared_cache(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)

    def cached(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        return [b"page"]

    assert use(middleware(cached, store=store, secret_key=(NEW, OLD)), cookie).cookies == {}


def test_ky7_a_value_signed_by_no_key_is_never_renewed(store: Any, clock: Elapsing) -> None:
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)
    for forged in (cookie[:-2] + "AA", cookie.rpartition(".")[0], cookie.rpartition(".")[0] + "." + "A" * 43):
        assert not session_pair(use(with_keys(store, NEW, OLD), forged))


def test_ky6_the_app_of_a_user_who_came_outlives_the_older_key(store: Any, clock: Elapsing) -> None:
    before = with_the_old(store)
    secrets = [enrol_app(before, user) for user in ("1", person(before, email="suzuki@example.com").id)]
    browser = browser_of(before)
    sign_in(before, browser, "1")
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    browser.app = both
    for _ in range(2):
        assert browser.get("/page").status_int == 200
        both._services.worker.flush(10)
    new = with_keys(store, NEW)._services.factors
    assert new.accept_code("1", code_of(secrets[0]), START + A_MINUTE)
    assert new.accept_code("2", code_of(secrets[1]), START + A_MINUTE) is None, "its user did not come"


def test_ky6_the_owner_of_backup_codes_is_told_to_make_new_ones(store: Any, clock: Elapsing) -> None:
    """A store has only their digests, so they end with the key that they were made with."""
    page = "/-/auth/account/security"
    before = with_the_old(store)
    enrol_app(before, "1")
    code = before._services.factors.make_codes("1")[0]
    browser, told = browser_of(before), []
    for auth in (before, both := with_keys(store, NEW, OLD), new := with_keys(store, NEW)):
        browser.app = auth
        sign_in(auth, browser, "1")
        told.append(browser.get(page).text)
    assert ["stop working soon" in one for one in told] == [False, True, False]
    assert ["no longer work" in one for one in told] == [False, False, True]
    assert [re.search(r"(\d+) left", one)[1] for one in told] == ["10", "10", "0"]
    assert new._services.factors.find_code("1", code) is None
    assert both._services.factors.find_code("1", code)
    browser.post(f"{page}/codes", {}, status=200)
    assert "no longer work" not in browser.get(page).text


def test_ky8_the_sessions_that_need_an_older_key_are_counted(store: Any, clock: Elapsing) -> None:
    before = with_the_old(store)
    person(before, email="suzuki@example.com")
    cookies = [signed_in(before, email) for email in ("tanaka@example.com", "suzuki@example.com")]
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    left = both._services.sessions.on_older_keys
    assert left() == 2
    renewed = session_pair(use(both, cookies[0]))
    assert left() == 2, "the browser may not have got the new cookie"
    use(both, renewed)
    assert left() == 1
    signed_in(both, "suzuki@example.com")
    assert left() == 1
    both.accounts.set_active("2", False)
    assert left() == 0


def test_ky8_more_sessions_than_one_page_are_counted(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nipo_auth_mw._sessions.key_rotation._PAGE", 2)
    before = with_the_old(store)
    for _ in range(5):
        signed_in(before)
    assert with_keys(store, NEW, OLD)._services.sessions.on_older_keys() == 5


def test_ky8_a_store_without_the_protocol_works_and_is_told(clock: Elapsing) -> None:
    class Plain(MemoryStore):
        restamp_session = None  # type: ignore[assignment]

    store = Plain()
    cookie = signed_in(with_the_old(store))
    clock.shift(A_MINUTE)
    both = with_keys(store, NEW, OLD)
    renewed = session_pair(use(both, cookie))
    assert use(both, renewed).status == 200
    assert both._services.sessions.on_older_keys() is None

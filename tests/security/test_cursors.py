"""Row AK4: a paging cursor is data, of one list."""

from __future__ import annotations

import json
import shutil
import threading
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from nipo_auth_mw._web.interface import interface_of
from nipo_auth_mw._web.routes import find
from nipo_auth_mw.stores import MemoryStore, SQLStore
from tests.kit import middleware, person
from tests.security.corpora.texts import MARKUP
from tests.security.tools import ask, signed_in

LISTS = {"staff": ("users", "email"), "audit": ("events", "time")}
ODD = [
    "0",
    "-1",
    "1",
    "1:1",
    "1.5:2",
    "-1:-1",
    "1e999:1",
    "nan:1",
    "inf:1",
    "1:99999999999999999999999",
    "9" * 400 + ":1",
]
ODD += [
    "' OR 1=1 --",
    "x' UNION SELECT * FROM nipo_auth_account --",
    "%",
    "_",
    "*",
    "\x00",
    "a\x00b",
    "日本",
    "\ufffd",
    "a" * 5000,
]
ODD += ["2", "17", "id:2", "tanaka@example.com", "TANAKA@example.com", "{}", "[]", "null", "true", "../../1", "１:２"]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def auth(request, tmp_path_factory, empty_database):
    """One for all tests, which only read the lists."""
    path = shutil.copy(empty_database, tmp_path_factory.mktemp("cursors") / "auth.db")
    store = MemoryStore() if request.param == "memory" else SQLStore(f"sqlite:///{path}")
    auth = middleware(store=store)
    person(auth, role="admin")
    person(auth, "suzuki@example.com")
    for n in range(60):
        auth.accounts.create(email=f"n{n:03}@example.com", password=None)
    yield auth
    getattr(store, "close", bool)()


@pytest.fixture(scope="module")
def cookie(auth):
    return signed_in(auth)


def listed(auth, cookie, name, query):
    answer = ask(auth, path=f"/-/auth/{name}", query=query, cookie=cookie, HTTP_ACCEPT="application/json")
    assert answer.status in {200, 400, 422}, query
    return json.loads(answer.body) if answer.status == 200 else None


def rows_of(page, name):
    """The rows of a page as texts, which a set can hold."""
    return {json.dumps(row) for row in page[LISTS[name][0]]}


def whole(auth, cookie, name):
    """Every row of a list, followed by its own cursors, and the cursors."""
    rows, cursors, after = set(), [], ""
    while after is not None:
        page = listed(auth, cookie, name, f"after={quote(after)}")
        rows |= rows_of(page, name)
        after = page["after"]
        cursors += [after] if after else []
    return rows, cursors


@pytest.mark.parametrize("name", LISTS)
def test_ak4_a_cursor_of_another_list_or_of_none_shows_rows_of_this_list_only(auth, cookie, name):
    rows, own = whole(auth, cookie, name)
    _, others = whole(auth, cookie, next(other for other in LISTS if other != name))
    assert own
    assert others
    mutated = [one[:-1] for one in own] + [one + "0" for one in own] + [one.upper() for one in own] + [own[0] + own[-1]]
    for after in (*others, *mutated, *ODD, *MARKUP):
        page = listed(auth, cookie, name, f"after={quote(after)}")
        if page is not None:
            assert rows_of(page, name) <= rows
            assert page.keys() - {"count"} == {LISTS[name][0], "after"}
            shown = ask(auth, path=f"/-/auth/{name}", query=f"after={quote(after)}", cookie=cookie)
            assert shown.status == 200
            assert "<script>alert" not in shown.text


FILTERS = ["q", "email", "event", "from", "to", "sort", "order", "limit", "offset", "page", "user_id", "id", "changed"]


@pytest.mark.parametrize("name", LISTS)
def test_ak4_filters_show_rows_of_this_list_only_whatever_they_hold(auth, cookie, name):
    rows, _ = whole(auth, cookie, name)
    read = interface_of(find(name)[0].views["GET"]).fields
    assert {"q" if name == "staff" else "email", "after"} <= set(read)
    for field in {*FILTERS, *read} - {"after"}:
        for value in (*(ODD if field in read else ODD[::8]), "admin", "password_hash", "1", "2"):
            page = listed(auth, cookie, name, f"{field}={quote(value)}")
            assert page is None or rows_of(page, name) <= rows, (field, value)


@pytest.mark.parametrize("name", LISTS)
def test_ak4_a_user_without_the_role_gets_no_row_by_any_cursor(auth, cookie, name):
    _, own = whole(auth, cookie, name)
    stranger = signed_in(auth, "suzuki@example.com")
    for after in (*own, *ODD):
        for who, status in ((stranger, 403), ("", 401)):
            query = f"after={quote(after)}"
            answer = ask(auth, path=f"/-/auth/{name}", query=query, cookie=who, HTTP_ACCEPT="application/json")
            assert answer.status == status
            assert b"@example.com" not in answer.body


@pytest.mark.parametrize("name", LISTS)
def test_ak4_a_cursor_changes_no_statement(store, name):
    auth = middleware(store=store)
    person(auth, role="admin")
    for n in range(60):
        auth.accounts.create(email=f"n{n:03}@example.com", password=None)
    cookie = signed_in(auth)
    _, own = whole(auth, cookie, name)
    executed: list[str] = []
    here = threading.get_ident()

    def keep(_connection, _cursor, statement, *_more):
        # The background thread seals meanwhile, and a connection may be opened beside its own.
        if threading.get_ident() == here and not statement.startswith("PRAGMA"):
            executed.append(statement)

    def statements(after):
        executed.clear()
        ask(auth, path=f"/-/auth/{name}", query=f"after={quote(after)}", cookie=cookie)
        return set(executed)

    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    try:
        known = statements(own[0]) | statements("")
        for after in ODD:
            assert statements(after) <= known, after
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", keep)


def test_ak4_the_id_of_anothers_session_ends_none(auth, cookie):
    suzuki = auth.accounts.find("suzuki@example.com")
    signed_in(auth, "suzuki@example.com")
    stored, *_ = auth._services.session_store.sessions_of(suzuki.id)
    page = json.loads(ask(auth, path="/-/auth/account", cookie=cookie, HTTP_ACCEPT="application/json").body)
    own = page["sessions"][0]["id"]
    for session in (stored.key, stored.key[:12], own[:-1], own + "0", own.upper() + "x", "", *ODD):
        answer = ask(auth, "POST", "/-/auth/account/sessions/end", form={"session": session}, cookie=cookie)
        assert answer.status == 404, session
    assert auth._services.session_store.sessions_of(suzuki.id)

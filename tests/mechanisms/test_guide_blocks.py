"""The Python of the guides runs as it stands. Pages with a test of their own are named here."""

from __future__ import annotations

import inspect
import re
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import a2wsgi
import flask
import sqlalchemy as sa
from werkzeug.exceptions import HTTPException
from werkzeug.security import generate_password_hash

from examples.own_users import PeopleStore, Person, people
from nipo_auth_mw import AuthMiddleware, protocols
from nipo_auth_mw.flask import Auth, role_required
from nipo_auth_mw.stores import MemoryStore, SQLStore
from nipo_auth_mw.stores import _schema as schema
from nipo_auth_mw.testing import in_memory, in_memory_from, sign_in
from tests.kit import PASSWORD, browser, echo, middleware, person
from tests.kit import sign_in as sign_in_by_form

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
HTML = {"Accept": "text/html"}

ELSEWHERE = {
    "guides/django.md": "downstream/test_recipes.py",
    "guides/from-django.md": "mechanisms/test_migrating.py",
    "guides/from-firebase.md": "mechanisms/test_migrating.py",
    "guides/from-flask-login.md": "mechanisms/test_migrating.py",
    "guides/from-flask-security.md": "mechanisms/test_migrating.py",
    "guides/testing.md": "downstream/test_recipes.py",
    "guides/theming.md": "mechanisms/test_theming_example.py",
    "ja/how-to.md": "mechanisms/test_tutorial.py",
    "ja/tutorial.md": "mechanisms/test_tutorial.py",
    "tutorial.md": "mechanisms/test_tutorial.py",
}
"""Each of these pages, and the test that runs all of its blocks, or finds them in a page whose blocks run."""
HERE: dict[str, int] = {
    "README.md": 1,
    "guides/existing-passwords.md": 1,
    "guides/flask.md": 3,
    "guides/forward.md": 1,
    "guides/frameworks.md": 3,
    "guides/live.md": 1,
    "guides/own-user-table.md": 2,
    "operations.md": 1,
    "reference/events.md": 1,
}
"""How many blocks of each of these pages run below."""
OTHERS = {"README.md": 5, "guides/frameworks.md": 6}
"""How many more run in `downstream/test_first_day.py`, `mechanisms/test_frameworks.py` and `servers/named_apps`."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT)).removeprefix("docs/")


def blocks(name: str) -> list[str]:
    page = ROOT / name if name == "README.md" else ROOT / "docs" / name
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def block(name: str, has: str) -> str:
    """The one block of the page that holds this text."""
    (found,) = [one for one in blocks(name) if has in one]
    return str(found)


def run(code: str, **given: Any) -> dict[str, Any]:
    exec(compile(code, "guide", "exec"), given)
    return given


def on_memory(app: Any = echo) -> dict[str, Any]:
    """The names that a block takes for granted, with the middleware of the tests."""

    def made(app: Any, config: Any, **given: Any) -> AuthMiddleware:
        return middleware(app, **given)

    return {"app": app, "config": None, "store": MemoryStore(), "AuthMiddleware": made}


def test_every_block_of_the_docs_is_run_by_a_test():
    found = {named(page): len(blocks(named(page))) for page in PAGES}
    here = {name: count + OTHERS.get(name, 0) for name, count in HERE.items()}
    assert {name: count for name, count in found.items() if count and name not in ELSEWHERE} == here
    for name, test in ELSEWHERE.items():
        assert found[name], name
        assert (ROOT / "tests" / test).is_file(), test


def test_the_whole_of_it_written_out_in_the_readme(monkeypatch, tmp_path):
    monkeypatch.setenv("NIPO_AUTH_SECRET_KEY", "0123456789abcdef-of-the-readme-fedcba")
    code = block("README.md", "# wsgi.py").replace("sqlite:////var/lib/reports", f"sqlite:///{tmp_path}")
    SQLStore(f"sqlite:///{tmp_path}/auth.db").create_schema()
    made = run(code.replace("from reports import app\n", ""), app=echo)
    test_app = browser(made["application"], HTTP_HOST="reports.example.jp", **{"wsgi.url_scheme": "https"})
    assert test_app.get("/static/a.css").status_int == 200
    assert test_app.get("/poll", headers=HTML).location == "/-/auth/login?next=/poll"


def test_the_app_of_the_flask_guide():
    def in_tests(app: flask.Flask) -> Auth:
        return Auth(app, **in_memory_from(app.config))

    code = block("guides/flask.md", "# app.py").replace("Auth(app)", "in_tests(app)")
    made = run(code, in_tests=in_tests, __name__="app")
    app = made["app"]
    app.add_url_rule("/", view_func=lambda: "public")
    app.add_url_rule("/admins", "admins", role_required("admin")(lambda: "admins"))
    app.add_url_rule("/broken", "broken", lambda: 1 // 0)
    run(block("guides/flask.md", "# errors"), app=app, HTTPException=HTTPException)
    client = app.test_client()
    assert client.get("/").text == "public"
    with app.app_context():
        user = made["auth"].accounts.create(email="yamada@example.com")
        sign_in(made["auth"].middleware, client, user)
    assert client.get("/admins").status_code == 403
    assert (client.get("/broken").text, client.get("/broken").status_code) == ("failed", 500)


def test_migrations_leave_the_tables_of_the_middleware_out():
    made = run(block("guides/flask.md", "# Flask-Migrate"), app=None, db=None, Migrate=lambda *_, **given: given)
    of_the_app = made["migrate"]["include_name"]
    assert not any(of_the_app(name, "table", {}) for name in schema.account.metadata.tables)
    assert of_the_app("users", "table", {})
    assert of_the_app(None, "schema", {})


def test_the_line_of_existing_passwords():
    made = run(
        block("guides/existing-passwords.md", "legacy"),
        **on_memory(),
    )
    hashed = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")
    made["auth"].accounts.create(email="tanaka@example.com", password_hash=hashed)
    assert sign_in_by_form(browser(made["auth"])).status_int == 303


def test_the_three_methods_of_an_own_table_are_those_of_the_protocol():
    told = run(
        "from __future__ import annotations\n" + block("guides/own-user-table.md", "class UserStore(Protocol)"),
        Protocol=Protocol,
    )["UserStore"]
    methods = {name for name in vars(protocols.UserStore) if not name.startswith("_")}
    assert methods == {name for name in vars(told) if not name.startswith("_")}
    for name in methods:
        assert inspect.signature(getattr(told, name)) == inspect.signature(getattr(protocols.UserStore, name)), name


def test_the_contract_suite_of_an_own_table():
    class OurUsers(PeopleStore):
        def insert(self, email: str, password_hash: str | None, active: bool) -> str:
            row = {"mail": email, "secret": password_hash, "is_active": active}
            with self._engine.begin() as connection:
                return str(connection.execute(sa.insert(Person).values(**row)).inserted_primary_key[0])

    suite = run(
        block("guides/own-user-table.md", "UserStoreContract"),
        OurUsers=OurUsers,
        fresh_database=lambda: people("sqlite://"),
    )["TestOurUsers"]()
    suite.test_an_account_is_found_by_its_id(suite.make_store())
    suite.test_a_disabled_account_is_found_as_inactive(suite.make_store())


def test_the_stream_of_the_guide_ends_with_the_session():
    sent: list[str] = []

    def messages():
        while True:
            yield f"message {len(sent)}"

    made = run(block("guides/live.md", "def stream"), messages=messages)
    made["time"] = Clock()
    auth = middleware(made["stream"])
    person(auth)
    test_app = browser(auth)
    assert test_app.get("/", headers=HTML).location == "/-/auth/login?next=/"
    sign_in_by_form(test_app)
    cookie = {"HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in test_app.cookies.items())}
    environ = {
        **test_app.RequestClass.blank("/").environ,
        **cookie,
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "localhost",
    }
    answer = iter(auth(environ, lambda status, headers, *_: None))
    assert next(answer) == b"data: message 0\n\n"
    made["time"].now += 61
    assert next(answer) == b"data: message 0\n\n"
    test_app.post("/-/auth/logout")
    made["time"].now += 61
    assert next(answer, None) is None


class Clock:
    """`time.monotonic`, as the test says."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_listener_of_the_operations_page_writes_lines(tmp_path):
    code = block("operations.md", "JSONLines").replace("/var/log/reports", str(tmp_path))
    made = run(
        code,
        **on_memory(),
    )
    person(made["auth"])
    assert '"tanaka@example.com"' in (tmp_path / "auth.jsonl").read_text("utf-8")


def test_the_listener_of_the_events_page_tells_of_a_lock():
    class Chat(list):
        send = list.append

    chat = Chat()
    auth = run(block("reference/events.md", "def warn"), chat=chat, **on_memory())["auth"]
    person(auth)
    for _ in range(auth.config.lockout.failures):
        sign_in_by_form(browser(auth), password="another-password")
    (told,) = chat
    assert re.fullmatch(r"\d\d:\d\d locked: tanaka@example.com from 192.0.2.1", told)


def test_the_sign_out_of_the_frameworks_guide_ends_the_apps_own_session():
    class Sessions(list):
        def delete(self, environ):
            self.append(environ["PATH_INFO"])

    sessions = Sessions()
    made = run(
        block("guides/frameworks.md", "# sign-out"),
        **on_memory(),
        sessions=sessions,
    )
    person(made["auth"])
    test_app = browser(made["auth"])
    sign_in_by_form(test_app)
    test_app.post("/-/auth/logout")
    assert sessions == ["/-/auth/logout"]


def test_the_names_of_the_frameworks_guide_reach_the_app():
    code = block("guides/frameworks.md", "identity_headers={").replace("    ...,\n", "")
    config = run(code, AuthConfig=dict)["config"]

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        names = ("REMOTE_USER", "HTTP_X_FORWARDED_EMAIL", "HTTP_X_FORWARDED_USER")
        return [" ".join(environ[name] for name in names).encode()]

    auth = AuthMiddleware(app, **in_memory(**config))
    person(auth)
    test_app = browser(auth)
    sign_in_by_form(test_app)
    assert test_app.get("/").text == "tanaka@example.com tanaka@example.com tanaka"


def test_the_asgi_app_of_the_frameworks_guide():
    async def app(scope, receive, send):
        text = scope["wsgi_environ"]["REMOTE_USER"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text})

    auth = run(block("guides/frameworks.md", "# ASGI"), a2wsgi=a2wsgi, **on_memory(app))["application"]
    user = person(auth)
    test_app = browser(auth)
    sign_in_by_form(test_app)
    assert test_app.get("/").text == user.id


def test_traefik_asks_the_forward_route_and_takes_the_headers_of_the_guide():
    text = (ROOT / "docs" / "guides" / "forward.md").read_text("utf-8")
    (traefik,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert re.findall(r'address: "http://127.0.0.1:8000(.*?)"', traefik) == ["/-/auth/forward"]
    (taken,) = re.findall(r"authResponseHeaders: \[(.*?)\]", traefik)
    spelt = [f"X{one}User{two}{name[7:]}" for name in taken.split(", ") for one, two in ("__", "_-", "-_")]
    assert re.findall(r'^ +(\S+): ""$', traefik, re.MULTILINE) == spelt, "a server behind takes _ for -"
    assert set(taken.split(", ")) <= set(re.findall(r'"(X-User-\w+)":', block("guides/forward.md", "# sign_in.py")))


def test_the_app_of_the_forward_guide_answers_a_proxy(monkeypatch, tmp_path):
    monkeypatch.setenv("NIPO_AUTH_SECRET_KEY", "0123456789abcdef-of-the-guide-fedcba")
    SQLStore(f"sqlite:///{tmp_path}/auth.db").create_schema()
    code = block("guides/forward.md", "# sign_in.py").replace("sqlite:////var/lib/sign-in", f"sqlite:///{tmp_path}")
    auth = run(code)["application"]
    test_app = browser(auth, HTTP_HOST="intra.example.jp", HTTP_X_FORWARDED_PROTO="https")
    answer = test_app.get("/-/auth/forward", headers={"X-Forwarded-Uri": "/wiki/page"}, status=401)
    assert answer.headers["X-Sign-In"].endswith("/-/auth/login?next=/wiki/page")


def test_the_way_back_restores_the_replaced_hashes_alone(tmp_path):
    """Steps 1 and 5 of the guide to existing passwords, in SQLite."""
    text = (ROOT / "docs/guides/existing-passwords.md").read_text("utf-8")
    keep, restore = re.findall(r"   ```sql\n(.*?)   ```", text, re.DOTALL)
    database = sqlite3.connect(tmp_path / "app.db")
    database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, password TEXT)")
    before = ["$2b$12$old", "$2b$12$left", None, "$argon2id$v=19$same"]
    database.executemany("INSERT INTO users (password) VALUES (?)", [(one,) for one in before])
    database.executescript(keep)
    database.execute("UPDATE users SET password = '$argon2id$v=19$new' WHERE id IN (1, 3)")
    database.executescript(restore)
    after = [password for (password,) in database.execute("SELECT password FROM users ORDER BY id")]
    database.close()
    assert after == ["$2b$12$old", "$2b$12$left", "$argon2id$v=19$new", "$argon2id$v=19$same"]

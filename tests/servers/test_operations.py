"""What docs/operations.md tells an operator to do works."""

from __future__ import annotations

import http.client
import re
import sqlite3
import ssl
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from webtest import TestApp
from werkzeug.serving import make_server

from benchmarks.load.processes import Missing, Process, free_port, program
from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import in_memory, sign_in
from tests._services import absent
from tests.kit import PASSWORD, echo, middleware

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


@pytest.fixture
def site(tmp_path):
    """Builds the middleware on a file, as a start of the server does."""
    stores = []

    def start():
        store = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
        store.create_schema()
        stores.append(store)
        return AuthMiddleware(echo, **{**in_memory(), "store": store})

    start.stop = lambda: stores.pop().close()
    yield start
    for store in stores:
        store.close()


def test_a_restored_copy_revives_sessions_and_the_documented_statement_ends_them(site, tmp_path):
    auth = site()
    user, browser = auth.accounts.create(email="tanaka@example.com"), TestApp(auth)
    sign_in(auth, browser, user)
    with closing(sqlite3.connect(tmp_path / "auth.db")) as live, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        live.backup(copy)  # what `.backup` calls
    cookies = dict(browser.cookies)
    browser.post("/-/auth/logout")
    site.stop()
    restore(tmp_path)
    assert visit(site(), cookies) == 200
    site.stop()
    statements = re.findall(r"`(DELETE FROM \w+)`", PAGE)
    assert len(statements) == 2
    with closing(sqlite3.connect(tmp_path / "auth.db")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    assert visit(site(), cookies) == 303


def restore(folder):
    for end in ("-wal", "-shm"):
        (folder / f"auth.db{end}").unlink(missing_ok=True)
    (folder / "copy").replace(folder / "auth.db")


def visit(auth, cookies):
    browser = TestApp(auth)
    for name, value in cookies.items():
        browser.set_cookie(name, value.strip('"'))
    return browser.get("/page", headers={"Accept": "text/html"}).status_int


@pytest.fixture
def nginx(tmp_path):
    """Starts nginx with the docs' example in front of a port of this machine; returns its own port."""
    started = []

    def start(upstream):
        port = free_port()
        authority = trustme.CA()
        certificate = authority.issue_cert("reports.example.jp")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        (example,) = re.findall(r"<!-- nginx example -->\n```nginx\n(.*?)```", PAGE, re.DOTALL)
        for there, here in {
            "/var/cache/nginx/reports": f"{tmp_path}/cache",
            "server 127.0.0.1:8000": f"server 127.0.0.1:{upstream}",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/reports.example.jp.pem": f"{tmp_path}/chain.pem",
            "/etc/ssl/reports.example.jp.key": f"{tmp_path}/key.pem",
        }.items():
            assert there in example
            example = example.replace(there, here)
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "conf").write_text(
            f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {temporary}\n{example} }}"
        )
        try:
            command = [program("nginx", "nginx-light"), "-e", f"{tmp_path}/error", "-c", f"{tmp_path}/conf"]
        except Missing as missing:
            absent(str(missing))
        started.append(Process(tmp_path, "nginx", [*command, "-g", "user root;"], f"127.0.0.1:{port}"))
        started[0].start()
        return port

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def reports():
    """An app that calls every answer public, behind the middleware: port, middleware and the paths that it served."""
    served = []

    def app(environ, start_response):
        served.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        return [environ.get("REMOTE_USER", "-").encode()]

    auth = middleware(app, base_url="https://reports.example.jp", trusted_proxies=1, public_paths=("/static/*",))
    server = make_server("127.0.0.1", 0, auth, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.port, auth, served
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port, folder, method, path, body=None, **headers):
    """One request of a client on 127.0.0.2, as a browser sends it."""
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    connection = http.client.HTTPSConnection("reports.example.jp", port, timeout=20, context=trust)
    connection._create_connection = lambda _, *rest: http.client.socket.create_connection(
        ("127.0.0.1", port), 20, ("127.0.0.2", 0)
    )
    headers = {"Accept": "text/html", "X-Forwarded-For": "203.0.113.9", **headers}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body, headers)
    with closing(connection):
        answer = connection.getresponse()
        return answer, answer.read().decode()


def test_the_nginx_example_keeps_pages_of_a_session_out_of_its_cache_and_tells_the_clients_address(
    nginx, reports, tmp_path
):
    upstream, auth, served = reports
    user = auth.accounts.create(email="tanaka@example.com", password=PASSWORD)
    port = nginx(upstream)
    form = f"email=tanaka%40example.com&password={PASSWORD}&remember=1"
    answer, _ = ask(port, tmp_path, "POST", "/-/auth/login", form)
    assert answer.status == 303
    assert answer.headers["Strict-Transport-Security"]
    (event,) = auth._services.audit.events(event="signed_in", limit=9)
    assert event.client_address == "127.0.0.2"
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    for path in ("/report", "/static/logo.svg"):
        assert ask(port, tmp_path, "GET", path, Cookie=cookie)[1] == user.id
    assert ask(port, tmp_path, "GET", "/report")[0].status == 303
    assert [ask(port, tmp_path, "GET", "/static/logo.svg")[1] for _ in range(3)] == ["-"] * 3
    assert served.count("/static/logo.svg") == 2

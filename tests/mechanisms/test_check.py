"""`nipo-auth check`: each line of the deployment checklist in SECURITY.md, good and bad."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from unittest import mock
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import sqlalchemy as sa
import time_machine
import trustme

from nipo_auth_mw import AuthConfig, AuthMiddleware, LockoutPolicy
from nipo_auth_mw.cli import _live, main
from nipo_auth_mw.cli._check_accounts import account_findings
from nipo_auth_mw.stores import MemoryStore, SQLStore, TableUsers
from nipo_auth_mw.testing import code_of, enrol_app, fast_hasher
from tests._services import database
from tests.kit import PASSWORD, echo, middleware
from tests.security.tools import ask, login

pytestmark = pytest.mark.usefixtures("quick_hashes")
SECRET = "a secret for the tests of the command line alone"


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch):
    """A test trusts only the authority that it names: reading those of the machine takes long."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture
def store(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "auth.db")
    with_tables = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    yield with_tables
    with_tables.close()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'auth.db'}"


def server_of(store, base_url="http://localhost", secret=SECRET, **settings):
    config = AuthConfig(secret_key=secret, base_url=base_url, **settings)
    auth = AuthMiddleware(echo, config, store=store, hasher=fast_hasher())
    if auth.accounts.find("admin@example.com") is None:
        auth.accounts.create(email="admin@example.com", password=PASSWORD, role="admin")
    return auth


@pytest.fixture
def check(url, monkeypatch, capsys):
    """Runs the command; the texts by level and subject, and the exit code."""

    def run(*arguments, base_url="https://reports.example.jp", store=url, secret=SECRET, **settings):
        given = {"STORE": store, "SECRET_KEY": secret, "BASE_URL": base_url, **settings}
        for name, value in given.items():
            monkeypatch.setenv(f"NIPO_AUTH_{name}", str(value))
        code = 0
        try:
            main(["check", "--json", *arguments])
        except SystemExit as end:
            code = end.code or 0
        found = {}
        for one in json.loads(capsys.readouterr().out):
            found.setdefault((one["level"], one["about"]), []).append(one["text"])
        return found, code

    return run


def test_a_good_deployment_is_told_so_line_by_line(store, check):
    auth = server_of(store)
    auth._services.seals.seal()
    found, code = check(TRUSTED_PROXIES=1, SITE_NAME="Reports", TIMEZONE="Asia/Tokyo")
    assert code == 0
    told = {"base_url", "secret_key", "trusted_proxies", "store", "lockout.storage", "threads"}
    assert told <= {about for level, about in found if level == "ok"}


def test_a_public_path_that_covers_the_whole_app_is_a_warning(store, check):
    server_of(store)
    assert ("warning", "public_paths") not in check(PUBLIC_PATHS="/static/*,/healthz")[0]
    found, code = check(PUBLIC_PATHS="/*")
    assert ["whole app is public" in text for text in found["warning", "public_paths"]] == [True]
    found, code = check(PUBLIC_PATHS="/*", PROTECTED_PATHS="/admin/*")
    assert any("only protected_paths" in text for text in found["warning", "public_paths"])
    assert code == 0


def test_passkeys_need_a_host_name(store, check):
    server_of(store)
    for base_url, warned in {
        "http://127.0.0.1:8000": True,
        "http://[::1]:8000": True,
        "http://localhost": False,
    }.items():
        found, _ = check(base_url=base_url)
        assert (("warning", "two_step.passkeys") in found) is warned, base_url
    assert ("warning", "two_step.passkeys") not in check(base_url="http://127.0.0.1", TWO_STEP_PASSKEYS="0")[0]


def test_administrators_without_the_two_steps_that_they_must_have_are_told(store, check):
    auth = server_of(store)
    found, code = check(TWO_STEP_REQUIRED_FOR="admin")
    assert found["warning", "two_step.required_for"]
    assert not code
    enrol_app(auth, auth.accounts.find("admin@example.com"))
    assert check(TWO_STEP_REQUIRED_FOR="admin")[0]["ok", "two_step.required_for"] == [
        "1 of 1 administrators have two steps"
    ]
    assert ("ok", "two_step.required_for") not in check(TWO_STEP_REQUIRED_FOR="")[0]


def test_hashes_that_nobody_can_sign_in_with_are_listed(store, check):
    server_of(store)
    with store.transaction():
        for name, stored in (("old", "scrypt:2:8:1$salt$" + "00" * 64), ("lost", "$6$salt$xyz"), ("none", "!abc")):
            store.create(email=f"{name}@example.com", password_hash=stored, name="", role="staff", active=True)
    found, code = check()
    assert code == 1
    assert found[("error", "hashes")] == [
        "accounts have hashes of crypt(3) (unknown_kind), so no password is right for them. "
        "Their users sign in after a reset by mail, or with a `LegacyHasher` of your own"
    ]
    assert found[("ok", "hashes")] == ["hashes of Werkzeug are left; the app needs legacy_hashers for them"]
    store.set_password_hash(store.find_by_email("lost@example.com").id, "!", expected="$6$salt$xyz")
    assert check()[0][("ok", "hashes")][-1] == "every password hash can be checked"


def test_addresses_that_nobody_could_sign_in_with_are_listed(store, check):
    server_of(store)
    assert ("ok", "accounts") in check()[0]
    for email in ("Taro@Example.com", "no address", "hanako@example.com"):
        store.create(email=email, password_hash=None, name="", role="staff", active=True)
    found, code = check()
    assert code == 1
    (text,) = found[("error", "accounts")]
    assert "2 accounts" in text
    assert "'Taro@Example.com' (id 2) is looked for as 'taro@example.com'" in text
    assert "'no address' (id 3) is no address" in text
    assert "hanako" not in text


def test_another_secret_than_the_servers_is_an_error(store, check):
    server_of(store, secret="another secret than that of the shell")
    found, code = check()
    assert ("error", "secret_key") in found
    assert code == 1


def test_the_sessions_that_need_an_older_key_are_told(store, check):
    auth = server_of(store)
    assert not [one for one in check()[0] if one[1] == "older_keys"]
    login(auth, "admin@example.com")
    newer = "another secret for the tests of the command line"
    found, code = check(secret=f"{newer},{SECRET}")
    assert found["warning", "older_keys"] == ["1 session not used since the first key came would end"]
    assert code == 0
    auth.accounts.set_active("1", False)
    store.create(email="boss@example.com", password_hash=None, name="", role="admin", active=True)
    assert ("ok", "older_keys") in check(secret=f"{newer},{SECRET}")[0]


def test_the_proofs_that_need_an_older_key_are_told(store, check):
    auth = server_of(store)
    secret = enrol_app(auth, "1")
    auth._services.factors.make_codes("1")
    newer = "another secret for the tests of the command line"
    codes = "1 account with backup codes of an older key, which would end; their users have to make new ones"
    told = ["1 account with an app or a passkey of an older key, which would end", codes]
    assert check(secret=f"{newer},{SECRET}")[0]["warning", "older_keys"] == told
    both = server_of(store, secret=[newer, SECRET])
    assert both._services.factors.accept_code("1", code_of(secret), time.time())
    assert check(secret=f"{newer},{SECRET}")[0]["warning", "older_keys"] == [codes]
    both._services.factors.make_codes("1")
    assert ("ok", "older_keys") in check(secret=f"{newer},{SECRET}")[0]


def test_rows_that_nobody_seals_point_at_a_missing_background_thread(store, check):
    auth = server_of(store)
    assert ("ok", "threads") in check()[0]
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=5)):
        assert ("warning", "threads") in check()[0]
        auth._services.seals.seal()
        assert ("ok", "threads") in check()[0]


def test_before_a_server_ran_nothing_is_said_of_its_threads(store, check):
    config = AuthConfig(secret_key=SECRET, base_url="http://localhost")
    of_a_shell = AuthMiddleware(echo, config, store=store, hasher=fast_hasher()).accounts.acting_as("cli")
    of_a_shell.create(email="admin@example.com", password=PASSWORD, role="admin")
    assert "none of the newest rows" in check()[0]["ok", "threads"][0]
    login(server_of(store), "admin@example.com")
    assert "their background threads" in check()[0]["ok", "threads"][0]


def test_rows_of_a_shell_are_nobodys_threads_work(store, check):
    server_of(store).accounts.acting_as("cli").create(email="b@example.com", password=PASSWORD)
    server_of(store)._services.seals.seal()
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=5)):
        assert ("ok", "threads") in check()[0]


def test_an_entry_of_the_future_is_a_wrong_clock(store, check):
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=1)):
        server_of(store)
    found, code = check()
    assert ("error", "clock") in found
    assert code == 1


def test_a_table_of_the_apps_own_without_an_administrator_is_told():
    users = MemoryStore()

    class Own:
        get, find_by_email, set_password_hash = users.get, users.find_by_email, users.set_password_hash
        search = users.search

    auth = middleware(store=MemoryStore(), users=Own())

    def told():
        return [level for level, about, _ in account_findings(auth._services, of_app=True) if about == "administrators"]

    users.create(email="a@example.com", password_hash=None, name="", role="staff", active=True)
    boss = users.create(email="b@example.com", password_hash=None, name="", role="admin", active=False)
    assert told() == ["warning"]
    users.update(boss.id, active=True)
    assert told() == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_that_gives_an_id_to_the_next_user_is_told(tmp_path, kept):
    engine, columns = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}"), ("email", "password_hash")
    people = sa.Table(
        "people",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text) for name in columns),
        sqlite_autoincrement=kept,
    )
    people.metadata.create_all(engine)
    users = TableUsers(engine, id=people.c.id, **{name: people.c[name] for name in columns})
    auth = middleware(store=MemoryStore(), users=users)
    told = [text for _, _, text in account_findings(auth._services, of_app=True) if "AUTOINCREMENT" in text]
    assert bool(told) is not kept


@pytest.mark.parametrize("known", [True, False])
def test_roles_of_accounts_that_no_setting_names_are_told(known):
    store = MemoryStore()
    auth = middleware(store=store, roles=["admin", "staff", "driver"] if known else ["admin", "staff"])
    for email, role in (("a@example.com", "staff"), ("b@example.com", "driver"), ("c@example.com", "driver")):
        store.create(email=email, password_hash=None, name="", role=role, active=True)
    told = [(level, text) for level, _, text in account_findings(auth._services, of_app=True) if "roles" in text]
    text = "accounts have roles that are not in the setting roles: 'driver' (2)"
    assert told == ([] if known else [("warning", text)])


@pytest.mark.services
@pytest.mark.parametrize("service", ["postgres", "mariadb"])
@pytest.mark.parametrize("width", [20, 255])
def test_a_column_that_is_too_narrow_for_new_hashes_is_told(service, width):
    """The model says nothing of it: a migration may not have run yet."""
    with database(service, "narrow") as url:
        engine = sa.create_engine(url)
        for size in (width, 300):
            columns = [sa.Column(name, sa.String(size)) for name in ("email", "pw")]
            people = sa.Table("people", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns)
            people.metadata.create_all(engine)  # the second one finds the table
        users = TableUsers(engine, id=people.c.id, email=people.c.email, password_hash=people.c.pw)
        auth = middleware(store=MemoryStore(), users=users)
        told = [one for one in account_findings(auth._services, of_app=True) if "the column of the hashes" in one[2]]
        assert [(level, f"takes {width} characters" in text) for level, _, text in told] == [("error", True)] * (
            width < 97
        )
        engine.dispose()


@pytest.mark.services
@pytest.mark.parametrize("service", ["postgres", "mariadb"])
def test_the_database_servers_clock_is_compared(service, check):
    with database(service, "check") as url:
        store = SQLStore(url)
        store.create_schema()
        assert ("ok", "clock") in check(store=url)[0]
        with time_machine.travel(datetime.now(UTC) - timedelta(minutes=1)):
            assert ("error", "clock") in check(store=url)[0]
        store.close()


@pytest.mark.services
def test_redis_clock_is_compared_and_its_reach_told(store, check, redis_uri):
    found, _ = check(LOCKOUT_STORAGE=redis_uri)
    assert ("ok", "clock") in found
    assert ("ok", "lockout.storage") in found
    with time_machine.travel(datetime.now(UTC) - timedelta(minutes=1)):
        assert ("error", "clock") in check(LOCKOUT_STORAGE=redis_uri)[0]


class Quiet(WSGIRequestHandler):
    def log_message(self, *words):
        pass

    def get_environ(self):
        """That of wsgiref, and the names of the headers as the client spelt them."""
        return {**super().get_environ(), "spelt": self.headers.keys()}


@pytest.fixture
def serve():
    """Serves an app on loopback, with TLS where it is given a certificate; returns the port."""
    servers = []

    def start(app, certificate=None):
        server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return server.server_port

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


class Later:
    """A WSGI app that is built when its port is known."""

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


def test_live_a_running_server_is_found_well(store, check, serve):
    app = Later()
    base_url = f"http://localhost:{serve(app)}"
    app.app = server_of(store, base_url)
    found, code = check("--live", base_url=base_url)
    assert code == 0
    assert {("ok", "live"), ("ok", "trusted_proxies")} <= found.keys()
    assert any("127.0.0.1" in text for text in found["ok", "trusted_proxies"])


def test_live_a_server_that_believes_anybodys_forwarded_address_is_an_error(store, check, serve):
    app = Later()
    base_url = f"http://localhost:{serve(app)}"
    app.app = server_of(store, base_url, trusted_proxies=1)
    found, code = check("--live", base_url=base_url)
    assert any("believes a forged X-Forwarded-For" in text for text in found["error", "trusted_proxies"])
    assert code == 1


def test_ru8_live_a_server_that_takes_an_underscore_for_a_hyphen_is_an_error(store, check, serve):
    """The proxy in front replaces X-Forwarded-For alone."""
    app, proxied = Later(), Later()
    base_url = f"http://localhost:{serve(proxied)}"
    app.app = server_of(store, base_url, trusted_proxies=1)

    def proxy(environ, start_response):
        if "X_Forwarded-For" not in environ["spelt"]:
            environ["HTTP_X_FORWARDED_FOR"] = "198.51.100.7"
        return app(environ, start_response)

    proxied.app = proxy
    found, code = check("--live", base_url=base_url)
    assert any("let the proxy remove names with _" in text for text in found["error", "trusted_proxies"])
    assert code == 1


@pytest.mark.parametrize("address", ["172.18.0.3", "10.0.0.1", "192.168.0.1", "fd00::1", "fe80::1%eth0", "10.0.0.1:99"])
def test_ru8_live_the_address_of_a_proxy_in_a_private_network_is_an_error(store, check, serve, address, monkeypatch):
    monkeypatch.setattr(_live, "_is_here", lambda config: False)
    app, proxied = Later(), Later()
    base_url = f"http://localhost:{serve(proxied)}"
    app.app = server_of(store, base_url)
    proxied.app = lambda environ, start_response: app({**environ, "REMOTE_ADDR": address}, start_response)
    found, code = check("--live", base_url=base_url)
    assert any("of its proxy" in text for text in found["error", "trusted_proxies"])
    assert code == 1


def test_live_a_server_on_a_unix_socket_is_an_error(store, check, serve):
    app, proxied = Later(), Later()
    base_url = f"http://localhost:{serve(proxied)}"
    app.app = server_of(store, base_url)
    proxied.app = lambda environ, start_response: app({**environ, "REMOTE_ADDR": ""}, start_response)
    assert any(
        "no client address" in text for text in check("--live", base_url=base_url)[0]["error", "trusted_proxies"]
    )


def test_live_a_proxy_that_hides_referrers_is_a_warning(store, check, serve):
    app, proxied = Later(), Later()
    base_url = f"http://localhost:{serve(proxied)}"
    app.app = server_of(store, base_url)

    def answer(environ, start_response):
        def start(status, headers, *more):
            return start_response(status, [*headers, ("Referrer-Policy", "no-referrer")], *more)

        return app(environ, start)

    proxied.app = answer
    assert check("--live", base_url=base_url)[0]["warning", "referrer_policy"]


def test_live_another_app_or_another_store_is_an_error(store, check, serve, tmp_path):
    base_url = f"http://localhost:{serve(echo)}"
    server_of(store)
    assert check("--live", base_url=base_url)[0]["error", "live"]
    other = SQLStore(f"sqlite:///{tmp_path / 'other.db'}")
    other.create_schema()
    app = Later()
    base_url = f"http://localhost:{serve(app)}"
    app.app = server_of(other, base_url)
    assert any("into this store" in text for text in check("--live", base_url=base_url)[0]["error", "store"])
    other.close()


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "a text"), "(ConnectionRefusedError)"),
        (OSError(errno.EHOSTUNREACH, "a text"), "(OSError: No route to host)"),
        (
            socket.gaierror(socket.EAI_NONAME, "a text"),
            "(gaierror: the host name is unknown, or no name server answers)",
        ),
        (TimeoutError(), "(TimeoutError)"),
    ],
)
def test_live_a_server_that_is_down_is_an_error_with_its_reason(store, check, monkeypatch, problem, reason):
    monkeypatch.setattr(_live.http.client.HTTPConnection, "connect", mock.Mock(side_effect=problem))
    found, code = check("--live", base_url="http://localhost:1")
    assert found["error", "live"] == [f"http://localhost:1 does not answer from here {reason}"]
    assert code == 1


def test_live_a_server_that_speaks_no_tls_is_told_as_that(store, check, serve):
    [told] = check("--live", base_url=f"https://localhost:{serve(server_of(store))}")[0]["error", "live"]
    assert re.search(r"does not answer from here \(SSLError: [A-Z_]+\)", told)


@pytest.mark.parametrize(("trusted", "days", "level"), [(True, 400, "ok"), (True, 3, "warning"), (False, 400, "error")])
def test_live_the_certificate_is_checked(store, check, serve, monkeypatch, tmp_path, trusted, days, level):
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    app = Later()
    base_url = f"https://localhost:{serve(app, certificate)}"
    app.app = server_of(store, base_url)
    if trusted:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    found, code = check("--live", base_url=base_url)
    assert (level, "tls") in found
    assert (code == 1) == (level == "error")
    assert ("ok", "live") in found, "what is behind a certificate that is not valid is looked at, too"
    assert ("ok", "trusted_proxies") in found
    if trusted:
        assert any("Strict-Transport-Security" in text for text in found["warning", "tls"])
        assert ask(app.app, path="/-/auth/session").status == 401


def test_live_a_limited_address_is_no_verdict(store, check, serve):
    app = Later()
    base_url = f"http://localhost:{serve(app)}"
    app.app = server_of(store, base_url, lockout=LockoutPolicy(client_failures=5))
    # The command sends JSON from this machine, as a front end does, which may fail five times as often.
    for _ in range(25):
        ask(app.app, "POST", "/-/auth/login", data={}, REMOTE_ADDR="127.0.0.1")
    assert any("client limit" in text for text in check("--live", base_url=base_url)[0]["warning", "trusted_proxies"])


def test_live_a_proxy_that_passes_the_mount_on_is_named(store, check, serve):
    app = Later()
    base_url = f"http://localhost:{serve(app)}/reports"
    app.app = server_of(store, base_url)
    found, code = check("--live", base_url=base_url)
    assert "let the proxy cut it off, or set SCRIPT_NAME" in found["error", "mount"][0]
    assert ("ok", "live") not in found
    assert code == 1


MAILING = """
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.mailers import SMTPMailer
from nipo_auth_mw.stores import MemoryStore, SQLStore

config = AuthConfig(secret_key="{secret}", base_url="http://localhost")
mailer = {mailer}
app = AuthMiddleware(lambda environ, start: [], config, store=SQLStore("{url}"), mailer=mailer)
"""


@pytest.mark.parametrize(
    ("mailer", "level", "text"),
    [
        ("None", "warning", "the app has none"),
        ("SMTPMailer('smtp://localhost:1', sender='a@example.com')", "error", "localhost:1: ConnectionRefusedError"),
        ("type('Own', (), {'send': lambda self, message: None})()", "ok", "not checked"),
    ],
)
def test_the_apps_mailer_is_looked_at(store, url, tmp_path, monkeypatch, capsys, mailer, level, text):
    server_of(store)
    name = f"mailing_{level}"
    (tmp_path / f"{name}.py").write_text(MAILING.format(secret=SECRET, mailer=mailer, url=url))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["--app", f"{name}:app", "check", "--json"])
    found = {(one["level"], one["about"]): one["text"] for one in json.loads(capsys.readouterr().out)}
    assert text in found[level, "mailer"]
    assert bool(end.value.code) == any(one == "error" for one, _ in found)

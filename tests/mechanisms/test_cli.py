"""`nipo-auth` as a shell meets it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import ssl
import stat
import subprocess
import sys
import time
from typing import NamedTuple
from unittest import mock

import click
import pytest
import time_machine

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.cli import main
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import code_of, enrol_app
from nipo_auth_mw.testing.contracts.factors import a_factor, digests
from tests._services import needed
from tests.kit import PASSWORD, WRONG, browser, middleware, seen, sign_in

pytestmark = pytest.mark.usefixtures("quick_hashes")
SECRET = "0123456789abcdef0123456789abcdef"


class Done(NamedTuple):
    """What a finished process leaves behind."""

    returncode: int
    stdout: str
    stderr: str


def settings_of(store, **settings):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("NIPO_AUTH_")}
    return {**plain, "NIPO_AUTH_STORE": store, "NIPO_AUTH_SECRET_KEY": SECRET, **settings}


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs `nipo-auth` with a store in an absolute file, in this process, which spares half a second each."""
    store = f"sqlite:///{tmp_path / 'auth.db'}"

    def run(*arguments, stdin="", **settings):
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, settings_of(store, **settings), clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main(list(arguments))
                code = 0
            except SystemExit as end:
                code = end.code or 0
        return Done(code, out.getvalue(), err.getvalue())

    run.store = store
    return run


@pytest.fixture
def ready(shell, make_once, tmp_path):
    """The shell with an administrator."""

    def init():
        done = shell("init", "--email", "admin@example.com", "--password-stdin", stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr

    make_once(tmp_path / "auth.db", init)
    return shell


def test_it_is_a_program(shell):
    command = [sys.executable, "-W", "error", "-m", "nipo_auth_mw.cli", "init", "--email", "admin@example.com"]
    done = subprocess.run(
        [*command, "--password-stdin", "--json"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=False,
        env=settings_of(shell.store),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["role"] == "admin"


def test_init_makes_the_tables_and_the_first_administrator_and_may_run_again(ready):
    again = ready("init", "--email", "admin@example.com", "--json")
    (user,) = json.loads(again.stdout)
    assert (user["email"], user["role"]) == ("admin@example.com", "admin")
    assert len(ready("user", "list").stdout.splitlines()) == 1


def test_init_says_when_it_adds_another_administrator(ready):
    done = ready("init", "--email", "other@example.com", "--password-stdin", stdin=PASSWORD)
    assert "administrator already" in done.stderr
    assert done.returncode == 0


def test_init_asks_again_for_a_password_that_is_too_weak(shell, monkeypatch):
    typed = iter(["short", "short", PASSWORD, PASSWORD])
    monkeypatch.setattr(click.termui, "hidden_prompt_func", lambda prompt: next(typed))
    done = shell("init", "--email", "admin@example.com")
    assert done.returncode == 0
    assert "too_short" in done.stderr
    assert shell("init", "--email", "other@example.com", "--password-stdin", stdin="short").returncode == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("user", "add", "no-address"), "email_rejected"),
        (("user", "add", "admin@example.com"), "email_taken"),
        (("user", "add", "new@example.com", "--role", "amdin"), "unknown_role"),
        (("init", "--email", "no-address"), "email_rejected"),
    ],
)
def test_no_password_is_asked_for_where_the_rest_is_refused(ready, monkeypatch, command, code):
    monkeypatch.setattr(click.termui, "hidden_prompt_func", lambda prompt: pytest.fail("asked"))
    done = ready(*command)
    assert (done.returncode, code in done.stderr) == (1, True)


@pytest.mark.parametrize("command", [("user", "add"), ("check",), ("dev-cert",)])
def test_help_needs_no_store(shell, command):
    assert "Usage:" in shell(*command, "--help", NIPO_AUTH_STORE="").stdout


def test_a_certificate_for_a_phone_is_trusted_by_its_own_authority_alone(shell, tmp_path):
    folder = tmp_path / "certificates"
    done = shell("dev-cert", "192.168.1.5", "reports.test", "--folder", str(folder), NIPO_AUTH_STORE="")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    for name, fits in (("192.168.1.5", True), ("reports.test", True), ("evil.test", False)):
        assert handshake(server, ssl.create_default_context(cafile=folder / "ca.pem"), name) is fits
    assert "PRIVATE KEY" not in (folder / "ca.pem").read_text()
    again = shell("dev-cert", "192.168.1.5", "--folder", str(folder), NIPO_AUTH_STORE="")
    assert (again.returncode, "already" in again.stderr) == (2, True)
    wrong = shell("dev-cert", "http://x/", "--folder", str(tmp_path / "other"), NIPO_AUTH_STORE="")
    assert (wrong.returncode, "without http://" in wrong.stderr) == (2, True)


def handshake(server, client, name):
    """Whether a client that asks for this name accepts the server's certificate."""
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    ends = [client.wrap_bio(*pipes, server_hostname=name), server.wrap_bio(*reversed(pipes), server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return True


def test_accounts_are_added_listed_disabled_and_enabled(ready):
    added = ready("user", "add", "Yamada@example.com", "--name", "山田", "--password-stdin", "--json", stdin=PASSWORD)
    (user,) = json.loads(added.stdout)
    assert (user["email"], user["name"], user["role"]) == ("yamada@example.com", "山田", "staff")
    assert ready("user", "disable", "yamada@example.com").returncode == 0
    assert "disabled" in ready("user", "list", "yamada").stdout
    assert ready("user", "enable", user["id"]).returncode == 0
    assert "active" in ready("user", "list", "yamada").stdout
    assert PASSWORD not in added.stdout + added.stderr
    assert "argon2" not in added.stdout


def test_what_the_shell_does_holds_in_the_running_server(ready):
    store = SQLStore(ready.store)
    auth = middleware(store=store, secret_key=SECRET, lockout=LockoutPolicy(failures=2))
    test_app = browser(auth)
    assert sign_in(test_app, "admin@example.com").status_int == 303
    ready("user", "disable", "admin@example.com")
    assert seen(test_app) == ""
    ready("user", "enable", "admin@example.com")
    assert seen(test_app) == ""
    for _ in range(2):
        sign_in(browser(auth), "admin@example.com", WRONG)
    assert sign_in(browser(auth), "admin@example.com").status_int == 429
    assert ready("user", "unlock", "admin@example.com").returncode == 0
    assert sign_in(browser(auth), "admin@example.com").status_int == 303
    changed = ready("user", "password", "admin@example.com", "--password-stdin", stdin=PASSWORD + "2")
    assert changed.returncode == 0
    assert sign_in(browser(auth), "admin@example.com").status_int == 401
    assert sign_in(browser(auth), "admin@example.com", PASSWORD + "2").status_int == 303
    store.close()


def test_mf13_the_shell_brings_codes_back_after_a_hundred_wrong_ones(ready):
    store = SQLStore(ready.store)
    auth = middleware(store=store, secret_key=SECRET)
    secret, lockout = enrol_app(auth, auth.accounts.find("admin@example.com")), auth._services.second_lockout
    with time_machine.travel(time.time(), tick=False) as clock:
        for number in range(100):
            lockout.fail(lockout.reserve(lockout.account("1"), time.monotonic()))
            clock.shift((number % 5 == 4) * 86_401)
        for status in (429, 303):
            device = browser(auth)
            sign_in(device, "admin@example.com")
            sent = device.post("/-/auth/login/second", {"code": code_of(secret)}, expect_errors=True)
            assert sent.status_int == status
            assert ready("user", "unlock", "admin@example.com").returncode == 0
    store.close()


def test_exit_codes_tell_a_script_what_went_wrong(ready):
    refused = ready("user", "add", "admin@example.com", "--no-password")
    assert (refused.returncode, "email_taken" in refused.stderr) == (1, True)
    weak = ready("user", "add", "b@example.com", "--password-stdin", stdin="12345678")
    assert (weak.returncode, "password_rejected" in weak.stderr) == (1, True)
    assert ready("user", "disable", "nobody@example.com").returncode == 1
    assert ready("user", "list", NIPO_AUTH_STORE="sqlite:///relative.db").returncode == 2
    assert "four slashes" in ready("user", "list", NIPO_AUTH_STORE="sqlite:///relative.db").stderr
    assert ready("user", "unlock", "admin@example.com", NIPO_AUTH_SECRET_KEY="short").returncode == 2
    assert ready("user", "list", NIPO_AUTH_LOCKOUT_FAILURE="5").returncode == 2


def test_a_database_out_of_reach_has_an_exit_code_of_its_own(ready):
    needed("psycopg")
    down = ready("user", "list", NIPO_AUTH_STORE="postgresql+psycopg://nobody:hidden@127.0.0.1:1/none")
    assert down.returncode == 3
    assert "hidden" not in down.stderr
    assert "Traceback" not in down.stderr


def test_before_init_the_message_names_it(shell):
    done = shell("user", "list")
    assert done.returncode == 2
    assert f"nipo-auth --store {shell.store} init" in done.stderr


def test_what_writes_rows_needs_the_servers_secret_and_what_reads_does_not(ready, monkeypatch):
    monkeypatch.delitem(os.environ, "NIPO_AUTH_SECRET_KEY", raising=False)

    def run(*arguments):
        without = mock.patch(f"{__name__}.settings_of", lambda store, **_: {"NIPO_AUTH_STORE": store})
        with without:
            return ready(*arguments)

    for arguments in (("user", "list"), ("session", "list", "admin@example.com"), ("audit", "list")):
        assert run(*arguments).returncode == 0
    for arguments in (("user", "disable", "admin@example.com"), ("session", "sweep"), ("audit", "verify"), ("check",)):
        done = run(*arguments)
        assert (done.returncode, "NIPO_AUTH_SECRET_KEY" in done.stderr) == (2, True)


def test_a_second_step_is_shown_and_reset(ready):
    made = json.loads(ready("user", "add", "yamada@example.com", "--no-password", "--json").stdout)[0]
    nothing = ready("user", "security", "yamada@example.com").stdout
    assert nothing.splitlines() == ["two steps\toff", "backup codes\t0"]
    store = SQLStore(ready.store)
    store.add_factor(a_factor(f"app:{made['id']}", made["id"], name="a\tb"))
    store.replace_backup_codes(made["id"], digests("a")[:3])
    state = store.account_state(made["id"])
    store.update_account_state(made["id"], state.having(two_step=1_800_000_000.0), expected=state)
    store.close()
    on = "2027-01-15T08:00:00+00:00"
    assert ready("user", "security", made["id"]).stdout.splitlines() == [
        f"two steps\ton since {on}",
        f"app\t{on}\t\ta\\tb",
        "backup codes\t3",
    ]
    shown = json.loads(ready("user", "security", made["id"], "--json").stdout)
    assert (shown["two_step_since"], shown["backup_codes"], [one["kind"] for one in shown["factors"]]) == (
        on,
        3,
        ["app"],
    )
    listed = ready("user", "list", "--without-second-step").stdout
    assert ("admin@example.com" in listed, "yamada" in listed) == (True, False)
    done = ready("user", "security", "yamada@example.com", "--reset")
    assert (done.returncode, "no mail was sent" in done.stdout) == (0, True)
    assert ready("user", "security", "yamada@example.com").stdout == nothing
    assert "yamada" in ready("user", "list", "--without-second-step").stdout
    (row,) = json.loads(ready("audit", "list", "--event", "factors_reset", "--json").stdout)
    assert (row["user_id"], row["actor"]) == (made["id"], "cli")


def test_an_account_is_deleted_after_a_question(ready):
    ready("user", "add", "yamada@example.com", "--no-password")
    assert ready("user", "delete", "yamada@example.com", stdin="n\n").returncode == 1
    assert "yamada" in ready("user", "list").stdout
    assert json.loads(ready("user", "delete", "yamada@example.com", "--yes", "--json").stdout)["deleted"] is True
    assert "yamada" not in ready("user", "list").stdout


def test_a_password_to_be_changed(ready):
    done = ready("user", "password", "admin@example.com", "--must-change", "--password-stdin", stdin=PASSWORD + "2")
    assert done.returncode == 0
    store = SQLStore(ready.store)
    answer = sign_in(browser(middleware(store=store, secret_key=SECRET)), "admin@example.com", PASSWORD + "2")
    assert "account/password" in answer.location
    store.close()


def test_sessions_are_listed_ended_and_swept(ready):
    store = SQLStore(ready.store)
    auth = middleware(store=store, secret_key=SECRET)
    phone, desk = browser(auth, HTTP_USER_AGENT="evil\x1b[2J"), browser(auth)
    for device in (phone, desk):
        sign_in(device, "admin@example.com")
    listed = json.loads(ready("session", "list", "admin@example.com", "--json").stdout)
    assert len(listed) == 2
    assert not {"key", "stamp"} & set(listed[0])
    assert "\x1b" not in ready("session", "list", "admin@example.com").stdout
    one = phone.get("/-/auth/session").json["session"]["id"]
    assert ready("session", "end", "admin@example.com", one).stdout == "sessions ended: 1\n"
    assert (seen(phone), bool(seen(desk))) == ("", True)
    assert ready("session", "end", "admin@example.com", one).returncode == 1
    assert ready("session", "end", "admin@example.com").returncode == 2
    assert json.loads(ready("session", "end", "admin@example.com", "--all", "--json").stdout)["ended"] == 1
    assert seen(desk) == ""
    assert ready("session", "sweep").stdout == "sessions ended: 0\n"
    store.close()


def test_the_history_is_listed_exported_and_verified(ready):
    ready("user", "add", "yamada@example.com", "--no-password")
    ready("session", "sweep")
    assert "account_created" in ready("audit", "list", "--email", "yamada@example.com").stdout
    assert ready("audit", "list", "--event", "signed_in").stdout == ""
    for name, told in (("nothing", "docs/reference/events.md"), ("signedin", "Did you mean 'signed_in'?")):
        refused = ready("audit", "list", "--event", name)
        assert (refused.returncode, told in refused.stderr) == (2, True)
    lines = [json.loads(line) for line in ready("audit", "export", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["account_created"] * 2
    assert ready("audit", "export", "--from", "2000-01-01", "--to", "2000-01-02").stdout.count("\n") == 1
    good = json.loads(ready("audit", "verify", "--json").stdout)
    assert (good["rows"], good["unsealed"], good["wrong"]) == (2, 0, [])
    assert ready("audit", "verify", "--anchor", good["anchor"]).returncode == 0
    store = SQLStore(ready.store)
    with store._db.writing() as connection:
        connection.exec_driver_sql("UPDATE nipo_auth_event SET email = 'x' WHERE id = 2")
    store.close()
    bad = ready("audit", "verify")
    assert (bad.returncode, "row 2 was changed" in bad.stdout) == (1, True)
    assert ready("audit", "verify", "--anchor", "9:" + "0" * 64).stdout.count("anchor") >= 2
    for nonsense in ("foo", "1:abc", "0:" + "0" * 64):
        mistyped = ready("audit", "verify", "--anchor", nonsense)
        assert (mistyped.returncode, mistyped.stdout) == (2, "")


def test_check_names_what_is_wrong(ready, tmp_path):
    settings = {"NIPO_AUTH_BASE_URL": "https://reports.example.jp"}
    done = ready("check", "--json", **settings)
    found = {(one["level"], one["about"]) for one in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {("ok", "base_url"), ("ok", "store"), ("ok", "lockout.storage"), ("warning", "trusted_proxies")} <= found
    assert ready("check").returncode == 1
    (tmp_path / "auth.db").chmod(0o644)
    assert ready("check", **settings).returncode == 1
    (tmp_path / "auth.db").chmod(0o600)
    ready("user", "disable", "admin@example.com")
    assert "administrators" in ready("check", **settings).stdout
    assert ready("check", NIPO_AUTH_BASE_URL="http://reports.example.jp").returncode == 2


def test_every_command_takes_json(ready):
    """By their help, so that a new command is not forgotten."""
    groups = {"user": 14, "session": 3, "audit": 3, "mail": 5, "store": 2}
    commands = [("init",), ("check",)]
    for group, amount in groups.items():
        text = ready(group, "--help").stdout.partition("Commands:")[2]
        names = [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
        assert len(names) == amount, names
        commands += [(group, name) for name in names]
    for command in commands:
        text = ready(*command, "--help").stdout
        assert "--json" in text, command
        assert "--password " not in text, command


APP = """
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.errors import MailerError
from nipo_auth_mw.stores import SQLStore
from tests.kit import echo

class Mailer:
    sender = "noreply@example.com"

    def send(self, message):
        if refuses:
            raise MailerError("the server refused the recipient (550)", permanent=True)
        sent.append((message.to, message.text))

class Host:
    wsgi_app = None

refuses, sent = False, []
config = AuthConfig(secret_key="{secret}", base_url="http://localhost")
auth = AuthMiddleware(echo, config, store=SQLStore("{store}"), mailer=Mailer())
app = Host()
app.wsgi_app = auth

def create_app():
    return app
"""


@pytest.fixture
def app(ready, tmp_path, monkeypatch):
    """The module of a host app, in the folder in which the command is called."""
    (tmp_path / "reports_app.py").write_text(APP.format(secret=SECRET, store=ready.store))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "reports_app", raising=False)
    app = importlib.import_module("reports_app")
    # As if the process had been killed before it could send anything.
    monkeypatch.setattr(app.auth._services.outbox, "_submit", lambda *_: None)
    yield app
    app.auth._services.session_store.close()


@pytest.mark.parametrize("name", ["reports_app:auth", "reports_app:app", "reports_app"])
def test_mails_that_a_process_left_behind_are_sent_by_a_command(ready, app, name, monkeypatch):
    monkeypatch.setattr(app.auth._services.outbox, "due_in", lambda: 0.0)
    browser(app.auth).post("/-/auth/forgot", {"email": "admin@example.com"})
    (waiting,) = json.loads(ready("mail", "list", "--json").stdout)
    assert (waiting["state"], waiting["to"]) == ("asked", "admin@example.com")
    done = ready("--app", name, "mail", "send", NIPO_AUTH_STORE="")
    assert (done.returncode, done.stdout) == (0, "mails waiting: 0, given up: 0\n")
    ((to, text),) = app.sent
    assert to == "admin@example.com"
    assert "http://localhost/-/auth/reset/" in text


def test_dead_letters_are_shown_queued_again_and_dropped(ready, app):
    app.refuses = True
    browser(app.auth).post("/-/auth/forgot", {"email": "admin@example.com"})
    app.auth._services.outbox._run("asked", everything=True)
    app.auth._services.outbox._run("waiting", everything=True)
    (failed,) = json.loads(ready("mail", "list", "--failed", "--json").stdout)
    assert (failed["kind"], failed["reason"]) == ("reset", "the server refused the recipient (550)")
    assert "facts" not in failed
    told = ready("check", NIPO_AUTH_BASE_URL="http://localhost").stdout
    assert "gave up on 1 mail; `nipo-auth mail list --failed` shows more" in told
    assert "mail_failed" in ready("audit", "list").stdout
    for wrong in ((), ("no-such-key",), (failed["key"], "--all")):
        assert ready("mail", "retry", *wrong).returncode != 0
    assert ready("mail", "retry", failed["key"]).stdout == "mails queued again: 1\n"
    app.auth._services.outbox._run("waiting", everything=True)
    assert ready("mail", "drop", "--all").stdout == "mails dropped: 1\n"
    assert ready("mail", "list").stdout == ""


def test_check_tells_of_mails_that_no_process_sends(ready, app, monkeypatch):
    browser(app.auth).post("/-/auth/forgot", {"email": "admin@example.com"})
    settings = {"NIPO_AUTH_BASE_URL": "http://localhost"}
    assert "no mail is late" in ready("check", **settings).stdout
    with time_machine.travel(time.time() + 1000):
        late = ready("check", **settings)
        assert "mails wait, and no process sends them" in late.stdout
        assert late.returncode == 1
    with monkeypatch.context() as fault:
        fault.setattr(app.auth._services.outbox._delivery, "answer", lambda request: (_ for _ in ()).throw(LookupError))
        app.auth._services.outbox._run("asked", everything=True)
    with time_machine.travel(time.time() + 1000):
        assert "mails are late: LookupError" in ready("check", **settings).stdout


def test_check_tells_of_a_store_that_keeps_no_mails(ready, app, monkeypatch):
    monkeypatch.setattr(app.auth._services.outbox, "_store", None)
    for name in ("reports_app:auth", "reports_app:app", "reports_app:create_app()"):
        told = ready("--app", name, "check").stdout
        assert "the session store keeps no mails" in told
        assert "base_url\tis plain http" in told, "the app's own settings"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--app", "no_such_module:app"), "cannot be imported"),
        (("--app", "reports_app:nothing"), "cannot be imported"),
        (("--app", "reports_app:sent"), "is no AuthMiddleware"),
        (("--app", "reports_app:create_app"), "a factory as reports:create_app()"),
        ((), "Give --app"),
    ],
)
def test_mails_are_sent_by_an_app_alone(ready, app, arguments, words):
    done = ready(*arguments, "mail", "send")
    assert done.returncode == 2
    assert words in done.stderr


def test_a_store_or_an_app_has_to_be_named(ready):
    done = ready("mail", "list", NIPO_AUTH_STORE="")
    assert done.returncode == 2
    assert "Give --store URL, or --app MODULE:NAME." in done.stderr


def test_an_invitation_prints_its_link_and_ends(shell):
    assert shell("init", "--email", "kanri@example.com", "--password-stdin", stdin=f"{PASSWORD}\n").returncode == 0
    link = shell("user", "add", "sato@example.com", "--invite").stdout.strip()
    assert link.startswith("http://localhost/-/auth/invite/")
    again = json.loads(shell("user", "invite", "sato@example.com", "--json").stdout)
    assert again["link"] != link
    assert again["invited_until"]
    assert shell("user", "invite", "sato@example.com", "--revoke").returncode == 0
    refused = shell("user", "invite", "kanri@example.com")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "cannot_invite" in refused.stderr
    assert shell("user", "add", "a@example.com", "--invite", "--no-password").returncode == 2


@pytest.mark.parametrize(
    "arguments", [("user", "add", "a@example.com", "--no-password"), ("user", "add", "a@example.com", "--invite")]
)
def test_a_role_that_is_not_configured_is_refused_with_those_that_are(ready, arguments):
    refused = ready(*arguments, "--role", "amdin")
    assert refused.returncode == 1
    assert "unknown_role: 'amdin' is not in the setting `roles`: admin, staff" in refused.stderr
    assert "a@example.com" not in ready("user", "list").stdout
    assert ready(*arguments, "--role", "leader", NIPO_AUTH_ROLES="admin,staff,leader").returncode == 0
    again = ready("user", "role", "admin@example.com", "amdin")
    assert (again.returncode, "unknown_role" in again.stderr) == (1, True)


def test_a_refusal_says_what_would_be_taken(ready):
    short = ready("user", "add", "a@example.com", "--password-stdin", stdin="short\n")
    assert "too_short, the limit is 8 characters" in short.stderr
    assert "name@example.com" in ready("user", "add", "a", "--no-password").stderr
    assert (
        "a program would guess it"
        in ready("user", "add", "a@b.example", "--password-stdin", stdin="password1\n").stderr
    )

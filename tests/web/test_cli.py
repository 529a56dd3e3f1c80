"""`nipo-auth` as a shell meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.stores import SQLStore
from tests.kit import PASSWORD, WRONG, browser, middleware, seen, sign_in

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def shell(tmp_path):
    """Runs `nipo-auth` with a store in an absolute file; returns the finished process."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NIPO_AUTH_")}
    store = f"sqlite:///{tmp_path / 'auth.db'}"

    def run(*arguments, stdin="", **settings):
        command = [sys.executable, "-W", "error", "-m", "nipo_auth_mw.cli", *arguments]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**environ, "NIPO_AUTH_STORE": store, **settings},
        )

    run.store = store
    return run


@pytest.fixture
def ready(shell):
    done = shell("init", "--email", "admin@example.com", "--password-stdin", stdin=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    return shell


def test_init_makes_the_tables_and_the_first_administrator_and_may_run_again(ready):
    again = ready("init", "--email", "admin@example.com", "--json")
    (user,) = json.loads(again.stdout)
    assert (user["email"], user["role"]) == ("admin@example.com", "admin")
    assert len(ready("user", "list").stdout.splitlines()) == 1


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
    assert ready("user", "unlock", "admin@example.com", NIPO_AUTH_SECRET_KEY=SECRET).returncode == 0
    assert sign_in(browser(auth), "admin@example.com").status_int == 303
    changed = ready(
        "user", "password", "admin@example.com", "--password-stdin", stdin=PASSWORD + "2", NIPO_AUTH_SECRET_KEY=SECRET
    )
    assert changed.returncode == 0
    assert sign_in(browser(auth), "admin@example.com").status_int == 401
    assert sign_in(browser(auth), "admin@example.com", PASSWORD + "2").status_int == 303
    store.close()


def test_exit_codes_tell_a_script_what_went_wrong(ready):
    refused = ready("user", "add", "admin@example.com", "--no-password")
    assert (refused.returncode, "email_taken" in refused.stderr) == (1, True)
    weak = ready("user", "add", "b@example.com", "--password-stdin", stdin="12345678")
    assert (weak.returncode, "password_rejected" in weak.stderr) == (1, True)
    assert ready("user", "disable", "nobody@example.com").returncode == 1
    assert ready("user", "list", NIPO_AUTH_STORE="sqlite:///relative.db").returncode == 2
    assert "four slashes" in ready("user", "list", NIPO_AUTH_STORE="sqlite:///relative.db").stderr
    assert ready("user", "unlock", "admin@example.com").returncode == 2
    assert ready("user", "list", NIPO_AUTH_LOCKOUT_FAILURE="5").returncode == 2
    down = ready("user", "list", NIPO_AUTH_STORE="postgresql+psycopg://nobody:hidden@127.0.0.1:1/none")
    assert down.returncode == 3
    assert "hidden" not in down.stderr
    assert "Traceback" not in down.stderr


def test_before_init_the_message_names_it(shell):
    done = shell("user", "list")
    assert done.returncode == 2
    assert "nipo-auth init" in done.stderr

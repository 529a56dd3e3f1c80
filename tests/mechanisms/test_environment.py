"""What `from_environ` reads, what a development day makes up, and where nothing is made up."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from nipo_auth_mw import AuthMiddleware, ConfigError, from_environ
from nipo_auth_mw.environment import _kept_secret
from nipo_auth_mw.models import Message
from tests.kit import browser, echo, logged_here, person, seen, sign_in

pytestmark = pytest.mark.usefixtures("quick_hashes")
SECRET = "k" * 40 + "q"
WHOLE = {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_BASE_URL": "https://reports.example.jp"}


def made(given=None, **more):
    parts = from_environ(given or {}, **more)
    parts["store"].create_schema()
    return parts


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".nipo-auth"


@pytest.mark.parametrize("gone", ["NIPO_AUTH_BASE_URL", "NIPO_AUTH_SECRET_KEY", "NIPO_AUTH_STORE"])
def test_a_server_needs_all_three(gone, tmp_path):
    given = WHOLE | {"NIPO_AUTH_STORE": f"sqlite:///{tmp_path}/auth.db"}
    assert from_environ(given)["config"].base_url == "https://reports.example.jp"
    for bad in ({**given, gone: ""}, {key: given[key] for key in given if key != gone}):
        with pytest.raises(ConfigError, match="NIPO_AUTH_DEVELOPMENT") as refused:
            from_environ(bad)
        assert refused.value.field == gone


def test_mail_goes_to_the_server_that_the_environment_names(tmp_path):
    given = WHOLE | {"NIPO_AUTH_STORE": f"sqlite:///{tmp_path}/auth.db"}
    assert from_environ(given)["mailer"] is None
    one, other = {"NIPO_AUTH_SMTP_URL": "smtp://localhost"}, {"NIPO_AUTH_SENDER": "noreply@example.jp"}
    assert from_environ(given | one | other)["mailer"].sender == "noreply@example.jp"
    named = from_environ(given | one | other | {"NIPO_AUTH_SENDER_NAME": "日報"})["mailer"]
    assert named._from.display_name == "日報"
    for half in (one, other):
        with pytest.raises(ConfigError, match="belong together"):
            from_environ(given | half)


def test_a_development_day_starts_from_nothing(folder, caplog, capsys):
    auth = AuthMiddleware(echo, **from_environ({}, development=folder))
    assert "has no account yet; make the first: nipo-auth init" in caplog.text
    person(auth)
    member = browser(auth)
    assert sign_in(member).status_int == 303
    assert seen(member) == "1"
    member.post("/-/auth/forgot", {"email": "tanaka@example.com"})
    auth.flush_mail()
    assert "http://localhost:8000/-/auth/reset/" in capsys.readouterr().out
    caplog.clear()
    again = AuthMiddleware(echo, **from_environ({"NIPO_AUTH_DEVELOPMENT": str(folder)}))
    assert again.accounts.find("tanaka@example.com")
    assert logged_here(caplog) == []
    other = browser(again)
    other.cookiejar = member.cookiejar
    assert seen(other) == "1", "the secret key was kept"


def test_what_is_made_up_is_its_owners_alone(folder):
    made(development=folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("secret_key", "auth.db"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in folder.iterdir() if "secret" in path.name) == ["secret_key"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/.*cannot be used \(Not a directory\)"):
        from_environ({}, development=tmp_path / "file" / ".nipo-auth")


def test_the_secret_stays_out_of_git(folder):
    subprocess.run(["git", "init", "-q", str(folder.parent)], check=True)
    made(development=folder)
    status = subprocess.run(["git", "-C", str(folder.parent), "status", "-s"], capture_output=True, check=True)
    assert status.stdout == b""


def test_of_processes_that_start_at_once_all_get_one_secret(tmp_path):
    found, barrier = [], threading.Barrier(8)

    def start():
        barrier.wait()
        found.append(_kept_secret(tmp_path / "secret_key"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


PUBLIC = [
    "https://reports.example.jp",
    "https://8.8.8.8",
    "https://[2001:4860:4860::8888]",
    "https://localhost.evil.jp",
]
PRIVATE = ["http://localhost:8100", "https://192.168.1.5:5000", "https://reports.test", "https://[::1]", "https://web"]


@pytest.mark.parametrize("base_url", PUBLIC)
def test_nothing_is_made_up_for_a_public_address(base_url, folder, tmp_path):
    given = {"NIPO_AUTH_BASE_URL": base_url}
    for more in ({}, {"NIPO_AUTH_SECRET_KEY": SECRET}, {"NIPO_AUTH_STORE": f"sqlite:///{tmp_path}/auth.db"}):
        with pytest.raises(ConfigError, match="public address"):
            from_environ(given | more, development=folder)
    assert not folder.exists()
    whole = given | {"NIPO_AUTH_SECRET_KEY": SECRET, "NIPO_AUTH_STORE": f"sqlite:///{tmp_path}/auth.db"}
    assert from_environ(whole, development=folder)["mailer"] is None, "no mail with a link goes to a log"


@pytest.mark.parametrize("base_url", PRIVATE)
def test_an_address_of_this_machine_or_its_network_is_one_of_development(base_url, folder, capsys):
    parts = made({"NIPO_AUTH_BASE_URL": base_url}, development=folder)
    auth = AuthMiddleware(echo, **parts)
    assert auth.config.base_url == base_url
    parts["mailer"].send(Message("a@example.com", "subject", "text"))
    assert "a@example.com" in capsys.readouterr().out


def test_plain_http_is_refused_for_a_private_network_too(folder):
    with pytest.raises(ConfigError, match="TLS"):
        from_environ({"NIPO_AUTH_BASE_URL": "http://192.168.1.5:5000"}, development=folder)


def test_two_apps_on_localhost_do_not_sign_each_other_out(tmp_path):
    apps = [AuthMiddleware(echo, **from_environ({}, development=tmp_path / name)) for name in ("one", "two")]
    jar = None
    for auth in apps:
        person(auth)
        client = browser(auth)
        client.cookiejar = jar if jar is not None else client.cookiejar
        jar = client.cookiejar
        sign_in(client)
    for auth in apps:
        client = browser(auth)
        client.cookiejar = jar
        assert seen(client) == "1"


def test_a_value_that_is_given_is_never_replaced(folder, tmp_path):
    given = WHOLE | {"NIPO_AUTH_BASE_URL": "http://localhost:8100", "NIPO_AUTH_REALM": "mine"}
    given["NIPO_AUTH_STORE"] = f"sqlite:///{tmp_path}/other.db"
    parts = from_environ(given, development=folder, base_url="http://localhost:1")
    assert (parts["config"].secrets, parts["config"].realm) == ((SECRET,), "mine")
    assert parts["config"].base_url == "http://localhost:8100"
    assert "other.db" in repr(parts["store"])
    assert not (tmp_path / "other.db").exists(), "tables are made in a store of development alone"


def test_no_secret_is_shown(folder):
    parts = made(development=folder)
    assert (folder / "secret_key").read_text() not in repr(parts)


def test_the_environment_is_read_by_default(monkeypatch, folder):
    monkeypatch.setenv("NIPO_AUTH_DEVELOPMENT", str(folder))
    monkeypatch.setenv("NIPO_AUTH_SITE_NAME", "日報")
    assert from_environ()["config"].site_name == "日報"
    assert Path(os.environ["NIPO_AUTH_DEVELOPMENT"]).exists()

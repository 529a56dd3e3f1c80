"""README's first day, from an empty folder, with its blocks as they stand; and how many lines of them are ours."""

from __future__ import annotations

import http.cookiejar
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PASSWORD = "aoi-umi-to-shiroi-kumo"
OURS = re.compile(r"nipo_auth_mw|\bAuth\(|current_user|protect\(|MIDDLEWARE|NIPO_AUTH|pytest_plugins")


def block(name):
    """The block of the README whose first line is this name."""
    (found,) = [one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if one.startswith(f"# {name}\n")]
    return found


def ours(*names):
    """The lines of these blocks that an app without us would not have."""
    return [line for name in names for line in block(name).splitlines()[1:] if OURS.search(line)]


def environ(folder, **more):
    given = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{folder}"}
    return {**given, "PYTHONIOENCODING": "utf-8", **more}


def run(*command, folder, given="", **more):
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ(folder, **more),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def served(port, seconds=20):
    """Wait until something listens at the port."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError


def test_the_lines_that_are_ours_can_be_counted():
    assert 1 <= len(ours("app.py")) <= 6
    assert 1 <= len(ours("mysite/wsgi.py", "mysite/settings.py")) <= 8
    assert len(ours("conftest.py")) == 1
    assert ours("test_app.py") == []


def test_flask_from_an_empty_folder(tmp_path):
    (tmp_path / "app.py").write_text(block("app.py"), "utf-8")
    init = ["-m", "flask", "auth", "init", "--email", "kanri@example.com", "--password-stdin"]
    done = run(*init, folder=tmp_path, given=PASSWORD, FLASK_DEBUG="1")
    assert (done.returncode, done.stderr) == (0, ""), "init is not told to run init"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flask", "run", "--no-reload", "--port", str(port)]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        command, cwd=tmp_path, env=environ(tmp_path, FLASK_DEBUG="1"), stdout=log, stderr=subprocess.STDOUT
    )
    try:
        served(port)
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        browser.addheaders = [("Accept", "text/html")]
        address = f"http://localhost:{port}"
        assert 'id="login"' in browser.open(f"{address}/").read().decode()
        form = urllib.parse.urlencode({"email": "kanri@example.com", "password": PASSWORD, "next": "/"}).encode()
        assert browser.open(f"{address}/-/auth/login", form).read() == b"Hello, kanri@example.com."
        browser.open(f"{address}/-/auth/forgot", b"email=kanri@example.com").read()
    finally:
        server.terminate()
        server.wait()
        log.close()
    assert f"{address}/-/auth/reset/" in (tmp_path / "log").read_text("utf-8"), "the mail has the port of flask run"


def test_the_tests_of_the_readme_pass_beside_the_app(tmp_path):
    for name in ("app.py", "conftest.py", "test_app.py"):
        (tmp_path / name).write_text(block(name), "utf-8")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)
    assert "2 passed" in done.stdout, done.stdout
    assert not (tmp_path / "instance").exists(), "tests leave nothing behind"


@pytest.fixture
def mysite(django_project):
    """A new Django project with the blocks of the README at the ends of its files."""
    for name in ("mysite/wsgi.py", "mysite/settings.py"):
        with (django_project / name).open("a", encoding="utf-8") as file:
            file.write(block(name))
    return django_project


def test_django_from_a_new_project(mysite):
    init = ["-m", "nipo_auth_mw.cli", "--app", "mysite.wsgi:application", "init"]
    done = run(*init, "--email", "kanri@example.com", "--password-stdin", folder=mysite, given=PASSWORD)
    assert (done.returncode, done.stderr) == (0, "")
    code = f"""
from django.core.management import call_command
from webtest import TestApp
from mysite.wsgi import application
call_command("migrate", verbosity=0)
browser = TestApp(application, extra_environ={{"HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html"}})
form = browser.get("/admin/").follow().forms["login"]
form["email"], form["password"] = "kanri@example.com", "{PASSWORD}"
print(form.submit().follow().status_int, browser.get("/missing", status=404).status_int)
"""
    done = run("-c", code, folder=mysite)
    assert done.stdout.split() == ["302", "404"], done.stderr


def test_a_server_without_settings_does_not_start(mysite):
    settings = mysite / "mysite" / "settings.py"
    settings.write_text(settings.read_text("utf-8").replace("DEBUG = True", "DEBUG = False"), "utf-8")
    assert "NIPO_AUTH_BASE_URL: is missing" in run("-c", "import mysite.wsgi", folder=mysite).stderr

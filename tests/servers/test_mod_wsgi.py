"""Promises under a real Apache with mod_wsgi, in the three ways in which it runs an app.

mod_wsgi has the Python that it was built with, and Apache's user reads no home. So the package is installed into a
folder of the test.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests._services import absent
from tests.kit import PASSWORD
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_gunicorn import get, post

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
MODULES = Path("/usr/lib/apache2/modules")
RIGHT = {"email": "tanaka@example.com", "password": PASSWORD}
APP = f"""
import pathlib
import sys

from nipo_auth_mw import AuthConfig, AuthMiddleware, current_user
from nipo_auth_mw.errors import EmailTaken
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher

FOLDER = pathlib.Path(__file__).parent / "data"


class WritingMailer:
    def send(self, message):
        with (FOLDER / "mails").open("a") as file:
            file.write(message.to + "\\n")


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    user = current_user(environ)
    return [f"user={{user and user.id}} in {{environ['mod_wsgi.application_group']!r}}".encode()]


store = SQLStore(f"sqlite:///{{FOLDER / 'auth.db'}}")
store.create_schema()
config = AuthConfig(secret_key="for the tests under Apache alone", base_url="http://127.0.0.1")
application = AuthMiddleware(app, config, store=store, mailer=WritingMailer(), hasher=fast_hasher())
try:
    application.accounts.create(email="tanaka@example.com", password={PASSWORD!r})
except EmailTaken:
    pass
"""
SERVER = """
ServerRoot {folder}
PidFile {folder}/pid
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
User www-data
Group www-data
ErrorLog {folder}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
WSGISocketPrefix {folder}/wsgi
<Directory {folder}>
Require all granted
</Directory>
"""
DAEMON = """
WSGIDaemonProcess reports processes=2 threads=4 shutdown-timeout=10 python-path={folder}/site
WSGIScriptAlias / {folder}/app.wsgi process-group=reports application-group={group}
"""
EMBEDDED = """
WSGIPythonPath {folder}/site
WSGIScriptAlias / {folder}/app.wsgi
"""


@pytest.fixture(scope="module")
def folder():
    """A folder that Apache's user can read, with the package and what it needs."""
    built_for = next((file.name.rpartition("-")[2] for file in MODULES.glob("mod_wsgi.so-*")), None)
    if built_for is None or shutil.which("apache2", path="/usr/sbin") is None:
        absent("Apache with mod_wsgi is not installed: apt-get install apache2 libapache2-mod-wsgi-py3")
    if built_for != f"{sys.version_info.major}.{sys.version_info.minor}":
        absent(f"mod_wsgi has Python {built_for}: run the tests with that one")
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)
        install = ["-m", "pip", "install", "-q", "--no-compile", "--target", str(made / "site"), str(ROOT)]
        subprocess.run([sys.executable, *install], check=True, timeout=300)
        (made / "app.wsgi").write_text(APP, "utf-8")
        yield made


@pytest.fixture
def apache(folder):
    """Starts Apache with these lines in its settings; returns its URL and what ends it."""
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    data.chmod(0o777)
    started = []

    def start(how):
        port = free_port()
        settings = (SERVER + how.replace("{group}", "%{{GLOBAL}}")).format(folder=folder, port=port, modules=MODULES)
        (folder / "apache.conf").write_text(settings, "utf-8")
        command = ["/usr/sbin/apache2", "-DFOREGROUND", "-f", str(folder / "apache.conf")]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        wait_for(port, started[0])
        return f"http://127.0.0.1:{port}"

    def stop():
        started[0].send_signal(signal.SIGTERM)
        started[0].communicate(timeout=60)
        return (folder / "error.log").read_text("utf-8")

    start.stop = stop
    yield start
    if started and started[0].returncode is None:
        started[0].terminate()
        started[0].communicate(timeout=60)


@pytest.mark.parametrize(
    ("how", "interpreter"),
    [
        pytest.param(DAEMON, "''", id="a process of its own"),
        pytest.param(DAEMON.replace("{group}", "apart"), "'apart'", id="a sub-interpreter"),
        pytest.param(EMBEDDED, "'127.0.0.1:{port}|'", id="inside Apache"),
    ],
)
def test_users_are_signed_in_and_mails_leave_under_mod_wsgi(apache, folder, how, interpreter):
    url = apache(how)
    assert get(f"{url}/page", "") == 401
    status, headers = post(f"{url}/-/auth/login", RIGHT)
    assert status == 200
    cookie = headers["Set-Cookie"].partition(";")[0]
    interpreter = interpreter.replace("{port}", url.rpartition(":")[2])
    assert {get(f"{url}/page", cookie) for _ in range(20)} == {f"user=1 in {interpreter}"}
    assert post(f"{url}/-/auth/forgot", {"email": "tanaka@example.com"})[0] == 200
    log = apache.stop()
    assert not re.search(r"Traceback|wsgi:(error|crit)", log), log
    assert (folder / "data" / "mails").read_text() == "tanaka@example.com\n"

"""What the guides tell a newcomer to type works: curl for a program, and an app that is mounted behind nginx."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests._services import absent, needed
from tests.kit import PASSWORD, middleware, person
from tests.security.test_clients import Server
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_nginx_forward import CONF, fetch

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
(CUT_OFF,) = re.findall(r"```nginx\n(location /reports/ \{.*?)```", OPERATIONS, re.DOTALL)
HEADERS = "\n".join(re.findall(r"^    proxy_set_header .*$", OPERATIONS, re.MULTILINE))
"""Those of the server that the page shows, in which both mounts stand."""
PASSED_ON = "location /reports/ { proxy_pass http://reports; }"


@pytest.mark.parametrize("page", ["guides/json.md", "ja/how-to.md"])
def test_a_program_signs_in_with_the_lines_of_the_guide(tmp_path, page):
    if shutil.which("curl") is None:
        absent("curl is not installed (Debian: apt-get install curl)")
    (lines,) = re.findall(r"```sh\n(curl .*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    auth = middleware()
    person(auth, "yamada@example.com")
    server = Server(auth)
    lines = lines.replace("https://reports.example.jp", server.url).replace("…", PASSWORD)
    try:
        done = subprocess.run(["sh", "-ec", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
    finally:
        server.stop()
    signed_in, end = json.JSONDecoder().raw_decode(done.stdout)
    assert signed_in["user"]["email"] == "yamada@example.com"
    assert json.loads(done.stdout[end:])["session"]["means"] == ["password"]


@pytest.fixture
def nginx(tmp_path):
    """Starts nginx on a port, with this location. `upstream` is host:port of the server behind."""
    program, started = shutil.which("nginx") or "/usr/sbin/nginx", []
    if not os.access(program, os.X_OK):
        absent("nginx is not installed (Debian: apt-get install nginx-light)")

    def start(port, location, upstream):
        text = CONF.format(folder=tmp_path, port=port, locations=HEADERS + location)
        conf = tmp_path / "nginx.conf"
        conf.write_text(text.replace("http {", f"http {{ upstream reports {{ server {upstream}; }}"), "utf-8")
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        command = [program, "-c", str(conf), "-p", str(tmp_path), *user]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        wait_for(port, started[-1])

    yield start
    for server in started:
        server.terminate()
        server.communicate(timeout=10)


def leads_back(site):
    """A visitor of the mounted app signs in, and every path on the way has the mount."""
    status, headers, _ = fetch(f"{site}/page")
    assert (status, headers["Location"]) == (303, "/reports/-/auth/login?next=/reports/page")
    _, _, form = fetch(f"{site}/-/auth/login?next=/reports/page")
    assert 'action="/reports/-/auth/login"' in form
    status, headers, _ = fetch(
        f"{site}/-/auth/login", form={"email": "tanaka@example.com", "password": PASSWORD, "next": "/reports/page"}
    )
    assert (status, headers["Location"]) == (303, "/reports/page")
    cookie = headers.get_all("Set-Cookie")[0].partition(";")[0]
    status, _, text = fetch(f"{site}/page", cookie)
    assert (status, text.split()[0]) == (200, "user=1")


def test_an_app_whose_mount_nginx_cuts_off(nginx):
    port = free_port()
    auth = middleware(base_url=f"http://127.0.0.1:{port}/reports", trusted_proxies=1)
    person(auth)
    server = Server(auth)
    try:
        nginx(port, CUT_OFF, server.url.removeprefix("http://"))
        leads_back(f"http://127.0.0.1:{port}/reports")
    finally:
        server.stop()


MOUNTED = """
from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory
from tests.kit import echo, person
auth = AuthMiddleware(echo, **in_memory(base_url={url!r}))
person(auth)
"""


def test_an_app_whose_mount_gunicorn_knows(nginx, tmp_path):
    needed("gunicorn")
    port, behind = free_port(), free_port()
    (tmp_path / "mounted.py").write_text(MOUNTED.format(url=f"http://127.0.0.1:{port}/reports"), "utf-8")
    assert "`SCRIPT_NAME=/reports` in gunicorn's environment" in OPERATIONS
    assert "`proxy_pass http://reports;`" in OPERATIONS
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH') or DOCS.parent}"
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--threads", "2", "-b", f"127.0.0.1:{behind}", "mounted:auth"],
        env={**os.environ, "PYTHONPATH": path, "SCRIPT_NAME": "/reports"},
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(behind, server)
        nginx(port, PASSED_ON, f"127.0.0.1:{behind}")
        leads_back(f"http://127.0.0.1:{port}/reports")
    finally:
        server.terminate()
        server.communicate(timeout=10)

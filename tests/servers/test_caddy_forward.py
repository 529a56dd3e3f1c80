"""Forward authentication through a real Caddy, with the configuration of docs/guides/forward.md as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.parse

import pytest

from tests._services import absent
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_nginx_forward import GUIDE, SECRETS, behind, cookies_in, fetch, signed_in

(SITE,) = re.findall(r"```caddyfile\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
PLAIN = "{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\toutput discard\n\t}\n}\n"


@pytest.fixture(params=["", "?role=admin"], ids=["any user", "administrators"])
def site(request, tmp_path):
    """The URL of a Caddy in front of the middleware and of a server that is no WSGI app."""
    caddy = shutil.which("caddy")
    if caddy is None:
        absent("caddy is not installed (Debian: apt-get install caddy)")
    port = free_port()
    upstream, dashboard = behind(port)
    blocks = SITE.replace("intra.example.jp", f"http://127.0.0.1:{port}").replace(
        "/forward\n", f"/forward{request.param}\n"
    )
    blocks = blocks.replace("127.0.0.1:8000", urllib.parse.urlsplit(upstream.url).netloc)
    blocks = blocks.replace("127.0.0.1:9000", f"127.0.0.1:{dashboard.server_port}")
    conf = tmp_path / "Caddyfile"
    conf.write_text(PLAIN + blocks, "utf-8")
    folders = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    run = [caddy, "run", "--adapter", "caddyfile", "--config", str(conf)]
    server = subprocess.Popen(run, env={**os.environ, **folders}, stderr=subprocess.PIPE)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}", bool(request.param)
    finally:
        server.terminate()
        server.communicate(timeout=10)
        upstream.stop()
        dashboard.shutdown()
        dashboard.server_close()


def told(text):
    """The headers about a user that reached the server behind Caddy."""
    lines = [line for line in text.splitlines() if re.match(r"x[-_]user[-_]", line, re.IGNORECASE)]
    return sorted(lines)


def test_ak2_a_server_behind_caddy_gets_the_user_and_never_a_forged_one(site):
    url, admins = site
    forged = {"X-User-Id": "7", "X_User_Id": "8", "X-User-Email": "e@x", "X-User-Role": "admin", "X_User_Role": "admin"}
    forged |= {"X-User_Id": "9", "X_User-Id": "10", "X-User_Email": "e@x", "X_User-Name": "Boss"}
    boss, _ = signed_in(url, "boss@example.com")
    status, _, text = fetch(f"{url}/wiki/x", boss, **forged)
    assert status == 200
    assert told(text) == [
        "X-User-Email: boss@example.com",
        "X-User-Id: 2",
        "X-User-Name: %E5%B1%B1%E7%94%B0 %E5%A4%AA%E9%83%8E",
    ]
    tanaka, _ = signed_in(url)
    status, _, text = fetch(f"{url}/wiki/x", tanaka, **forged)
    assert (status, told(text)[1:2]) == ((403, []) if admins else (200, ["X-User-Id: 1"]))


def test_a_visitor_is_led_to_sign_in_and_back(site):
    url, _ = site
    steering = {"X-Forwarded-Uri": "/-/auth/login", "X-Forwarded-Method": "OPTIONS", "X-User-Id": "2"}
    for sent in ({}, steering):
        status, headers, _ = fetch(f"{url}/wiki/page?a=1&b=2", **sent)
        assert (status, headers["Location"].partition("?")[0]) == (303, f"{url}/-/auth/login")
        (wanted,) = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)["next"]
        assert wanted == "/wiki/page?a=1&b=2"
    cookie, to = signed_in(url, "boss@example.com", wanted)
    assert fetch(f"{url}{to}", cookie)[0] == 200
    assert fetch(f"{url}/wiki/page", "nipo_auth=forged")[0] == 303
    assert fetch(f"{url}/wiki/page", form={"a": "1"})[0] == 401
    assert fetch(f"{url}/wiki/page", Accept="application/json")[0] == 401


def test_ru30_a_server_behind_caddy_gets_none_of_our_secrets(site):
    url, _ = site
    boss, _ = signed_in(url, "boss@example.com")
    status, _, text = fetch(f"{url}/wiki/x", f"a=1; {SECRETS}; {boss}; b=2")
    assert status == 200
    assert [pair.partition("=")[0] for pair in cookies_in(text)] == ["a", "nipo_flash", "b"]


def test_sign_out_closes_what_is_behind_caddy(site):
    url, _ = site
    boss, _ = signed_in(url, "boss@example.com")
    assert fetch(f"{url}/-/auth/logout", boss, form={"next": "/"})[0] == 303
    assert fetch(f"{url}/wiki/", boss)[0] == 303

"""Forward authentication through a real nginx, with the configuration of docs/guides/forward.md as it stands."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests._services import absent
from tests.kit import PASSWORD, middleware, person
from tests.security.test_clients import Server
from tests.servers.conftest import free_port, wait_for
from tests.servers.test_nginx_cache import NoRedirect

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "forward.md"
LOCATIONS, INCLUDED = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
CONF = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""
HEADERS = {"X-User-Id": "id", "X-User-Email": "email", "X-User-Name": "name", "X-User-Role": "role"}


class Dashboard(http.server.BaseHTTPRequestHandler):
    """A server that knows nothing of WSGI: it shows the headers that reach it."""

    def do_GET(self):
        text = "".join(f"{name}: {value}\n" for name, value in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


def behind(port):
    """What a proxy on this port needs: the middleware with two users, and a server that is no WSGI app."""
    auth = middleware(base_url=f"http://127.0.0.1:{port}", trusted_proxies=1, identity_headers=HEADERS)
    person(auth, name="田中")
    person(auth, email="boss@example.com", role="admin", name="山田 太郎")
    dashboard = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=dashboard.serve_forever, args=(0.02,), daemon=True).start()
    return Server(auth), dashboard


@pytest.fixture
def site(tmp_path):
    """The URL of an nginx in front of the middleware, a folder, and a server that is no WSGI app."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(nginx, os.X_OK):
        absent("nginx is not installed (Debian: apt-get install nginx-light)")
    port = free_port()
    upstream, dashboard = behind(port)
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "page.html").write_text("the handbook", "utf-8")
    locations = LOCATIONS.replace("http://127.0.0.1:8000", upstream.url).replace("root /srv", f"root {tmp_path}")
    locations = locations.replace("127.0.0.1:9000", f"127.0.0.1:{dashboard.server_port}")
    (tmp_path / "forward.conf").write_text(INCLUDED, "utf-8")
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF.format(folder=tmp_path, port=port, locations=locations), "utf-8")
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    server = subprocess.Popen([nginx, "-c", str(conf), "-p", str(tmp_path), *user], stderr=subprocess.PIPE)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=10)
        upstream.stop()
        dashboard.shutdown()
        dashboard.server_close()


def fetch(url, cookie="", form=None, **headers):
    """The status, the headers and the text; no redirect is followed."""
    sent = {"Accept": "text/html", **({"Cookie": cookie} if cookie else {}), **headers}
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        answer = urllib.request.build_opener(NoRedirect).open(urllib.request.Request(url, data, sent))
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        return answer.status, answer.headers, answer.read().decode()


def signed_in(site, email="tanaka@example.com", to="/"):
    """Sign in through nginx: the cookie, and where sign-in leads."""
    form = {"email": email, "password": PASSWORD, "next": to}
    status, headers, _ = fetch(f"{site}/-/auth/login", form=form)
    assert status == 303
    cookies = [line.partition(";")[0] for line in headers.get_all("Set-Cookie")]
    return "; ".join(cookies), headers["Location"]


def test_a_folder_is_shown_after_sign_in_and_not_before(site):
    page = f"{site}/handbook/page.html?a=1&b=2"
    status, headers, _ = fetch(page)
    assert (status, headers["Location"].partition("?")[0]) == (303, f"{site}/-/auth/login")
    (wanted,) = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)["next"]
    cookie, to = signed_in(site, to=wanted)
    assert to == "/handbook/page.html?a=1&b=2"
    assert fetch(f"{site}{to}", cookie)[::2] == (200, "the handbook")
    for forged in ("nipo_auth=forged", cookie[:-9]):
        assert fetch(page, forged.partition(";")[0][:-3])[0] == 303


def test_ak2_a_server_of_another_kind_gets_the_user_and_never_a_forged_one(site):
    boss, _ = signed_in(site, "boss@example.com")
    status, _, text = fetch(f"{site}/dashboard/x", boss, **{"X-User-Id": "7", "X_User_Id": "8", "X-User-Email": "e@x"})
    told = [line for line in text.splitlines() if "user-" in line.lower() or "user_" in line.lower()]
    told = [line for line in told if not line.lower().startswith("user-agent")]
    assert status == 200
    assert told == [
        "X-User-Id: 2",
        "X-User-Email: boss@example.com",
        "X-User-Name: %E5%B1%B1%E7%94%B0 %E5%A4%AA%E9%83%8E",
    ]
    tanaka, _ = signed_in(site)
    assert fetch(f"{site}/dashboard/x", tanaka)[0] == 403, "not the role"
    forged = {"X-Forwarded-Uri": "/-/auth/login", "X-Original-URL": "/-/auth/login", "X-Forwarded-Method": "OPTIONS"}
    assert fetch(f"{site}/dashboard/x", **{"X-User-Id": "2"}, **forged)[0] == 303
    assert fetch(f"{site}/dashboard/x", form={"a": "1"})[0] == 303
    for inner in ("/_user", "/_admin", "/handbook/../_admin", "/%5fadmin"):
        assert fetch(f"{site}{inner}", boss)[0] == 404


def cookies_in(text):
    """The Cookie header that reached the server behind the proxy, as pairs."""
    sent = next((line.partition(":")[2] for line in text.splitlines() if line.lower().startswith("cookie:")), "")
    return [pair.strip() for pair in sent.split(";") if pair.strip()]


SECRETS = "nipo_device=x.y; __Host-nipo_second_wiki=x.y"


@pytest.mark.parametrize("sent", ["{ours}", "{ours}; a=1", "a=1; {ours}", "a=1;{ours};xnipo_auth=2; b=nipo_auth"])
def test_ru30_a_server_of_another_kind_gets_none_of_our_secrets(site, sent):
    """The server behind would act as its users at every other one."""
    boss, _ = signed_in(site, "boss@example.com")
    status, _, text = fetch(f"{site}/dashboard/x", sent.format(ours=f"{SECRETS}; {boss}"))
    assert status == 200
    own = sent.replace("{ours}", "nipo_flash").split(";")
    assert [pair.partition("=")[0] for pair in cookies_in(text)] == [pair.partition("=")[0].strip() for pair in own]


def test_sign_out_closes_both(site):
    boss, _ = signed_in(site, "boss@example.com")
    assert fetch(f"{site}/-/auth/logout", boss, form={"next": "/"})[0] == 303
    assert fetch(f"{site}/handbook/page.html", boss)[0] == fetch(f"{site}/dashboard/", boss)[0] == 303

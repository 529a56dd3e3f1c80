"""Row RU29 with a real nginx that keeps what it may: a stranger's same GET is challenged."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from tests._services import absent
from tests.kit import middleware, person
from tests.security.test_clients import Server
from tests.security.tools import signed_in
from tests.servers.conftest import free_port, wait_for

CONF = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=c:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream}; proxy_cache c; {more} add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""
HEADERS = {
    "public": [("Cache-Control", "public, max-age=60")],
    "s-maxage": [("Cache-Control", "s-maxage=60")],
    "max-age": [("Cache-Control", "max-age=60")],
    "nothing": [],
    "expires": [("Expires", "Mon, 23 Nov 2037 00:00:00 GMT")],
    "cdn": [("CDN-Cache-Control", "public, max-age=60"), ("Surrogate-Control", "max-age=60")],
    "accel": [("X-Accel-Expires", "60"), ("Cache-Control", "private")],
}
CONFIGURATIONS = {
    "bare": "",
    "keeps what says nothing": "proxy_cache_valid any 1m;",
    "ignores what the app says": "proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control Expires;",
}


def app(environ, start_response):
    told = environ["PATH_INFO"].rpartition("/")[2]
    start_response("200 OK", [("Content-Type", "text/html"), *HEADERS[told]])
    return [f"user={environ.get('REMOTE_USER', '-')}".encode()]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def fetched(url, cookie=""):
    """The status, what the cache did, and the text."""
    asked = urllib.request.Request(url, headers={"Accept": "text/html", **({"Cookie": cookie} if cookie else {})})
    try:
        answer = urllib.request.build_opener(NoRedirect).open(asked)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        return answer.status, answer.headers.get("X-Cache"), answer.read().decode()


@pytest.fixture(params=CONFIGURATIONS)
def cached(request, tmp_path):
    """nginx with a cache in front of the middleware: its URL, and the session cookie of a user."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(nginx, os.X_OK):
        absent("nginx is not installed (Debian: apt-get install nginx-light)")
    auth = middleware(app, public_paths=["/open/*"])
    person(auth)
    upstream, port = Server(auth), free_port()
    conf = tmp_path / "nginx.conf"
    more = CONFIGURATIONS[request.param]
    conf.write_text(CONF.format(folder=tmp_path, port=port, upstream=upstream.url, more=more), "utf-8")
    # Its worker runs as another user, who has to reach the cache.
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    server = subprocess.Popen([nginx, "-c", str(conf), "-p", str(tmp_path), *user], stderr=subprocess.PIPE)
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}", signed_in(auth)
    finally:
        server.terminate()
        server.communicate(timeout=10)
        upstream.stop()


def test_ru29_no_stranger_gets_a_users_page_out_of_nginxs_cache(cached):
    url, cookie = cached
    for told in HEADERS:
        for _ in range(2):
            assert fetched(f"{url}/page/{told}", cookie)[::2] == (200, "user=1"), told
            assert fetched(f"{url}/open/{told}", cookie)[::2] == (200, "user=1"), told
        assert fetched(f"{url}/page/{told}")[0] == 303, told
        assert fetched(f"{url}/open/{told}")[::2] == (200, "user=-"), told
        assert fetched(f"{url}/page/{told}", "nipo_auth=forged")[0] == 303, told


def test_ru29_the_cache_goes_on_serving_visitors(cached):
    """Otherwise the test above would show nothing: this nginx does keep what it may."""
    url, _ = cached
    assert [fetched(f"{url}/open/public")[1] for _ in range(2)] == ["MISS", "HIT"]

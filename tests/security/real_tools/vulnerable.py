"""A page with the holes that the scanners must find, and a place that notes who was talked into visiting it.

Reading files and fetching are make-believe or bound to this very server, so that it harms no machine while it runs.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import parse_qsl

from tests.security.real_tools.common import served

PAGE = """<!doctype html><title>Holes</title>
<p><a href="/find?name=a">find</a> <a href="/go?to=/">go</a> <a href="/read?file=a.txt">read</a>
<a href="/fetch?link=a">fetch</a></p>
<form method="post" action="/say"><input name="word"><button>Say</button></form>
"""
PASSWD = "root:x:0:0:root:/root:/bin/bash\n"


class Holes:
    """`url` of the page, `endpoint` for wapiti, and `visits`: what was fetched from the endpoint, but wapiti's own."""

    def __init__(self) -> None:
        self.url = ""
        self.visits: list[list[str]] = []
        self.words: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"{self.url}/endpoint/"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        given = dict(parse_qsl(environ["QUERY_STRING"]))
        if environ["REQUEST_METHOD"] == "POST":
            given = dict(parse_qsl(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()))
        status, kind, text = (
            "200 OK",
            "text/html; charset=utf-8",
            PAGE + "".join(f"<p>{word}</p>" for word in self.words),
        )
        headers = [("Set-Cookie", "seen=1")]
        if path.startswith("/endpoint/"):
            kind, text = "application/json", self.visited(path.removeprefix("/endpoint/"))
        elif path == "/find":
            status, text = find(given.get("name", ""))
        elif path == "/go":
            status, headers = "302 Found", [("Location", given.get("to", "/"))]
        elif path == "/read":
            text = PASSWD if "etc/passwd" in given.get("file", "") else "no such file"
        elif path == "/fetch":
            text = self.fetch(given.get("link", ""))
        elif path == "/say":
            self.words.append(given.get("word", ""))
        start_response(status, [("Content-Type", kind), *headers])
        return [text.encode("utf-8", "replace")]

    def fetch(self, link: str) -> str:
        """Server-side request forgery, to this server alone."""
        if not link.startswith(self.endpoint):
            return "no such link"
        try:
            with urllib.request.urlopen(link, timeout=5) as got:
                return str(got.read().decode())
        except (OSError, ValueError, http.client.HTTPException) as problem:
            return str(problem)

    def visited(self, path: str) -> str:
        """Note a visit; what wapiti asks for at the end is answered in its shape: by request, then by parameter."""
        if path == "get_ssrf.php":
            found: dict[str, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
            visit = {"url": self.endpoint, "date": "", "ip": "127.0.0.1", "method": "GET"}
            for parts in self.visits:
                if parts[0] == "ssrf" and len(parts) >= 4:
                    found[parts[2]][parts[3]].append(visit)
            return json.dumps(found)
        if path != "get_xxe.php":
            self.visits.append(path.split("/"))
        return "{}"


def find(name: str) -> tuple[str, str]:
    """An injection into SQL, and what was typed back as it came."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE person (name TEXT, note TEXT)")
        connection.execute("INSERT INTO person VALUES ('a', 'the first'), ('b', 'the second')")
        try:
            rows = connection.execute(f"SELECT name, note FROM person WHERE name = '{name}'").fetchall()
        except sqlite3.Error as problem:
            return "500 Internal Server Error", f"sqlite3.OperationalError: {problem}"
    return "200 OK", f"<p>Found for {name}: {rows}</p>"


@contextmanager
def holes() -> Iterator[Holes]:
    """The page, served on loopback for the length of the block."""
    app = Holes()
    with served(app) as app.url:
        yield app

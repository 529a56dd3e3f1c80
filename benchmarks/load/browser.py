"""A browser: keeps cookies and one connection, has an address of its own, and tells the ledger what it saw."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks.load.ledger import Ledger, Seen

PREFIX = "/-/auth"
SESSION = "nipo_auth"
_PATIENCE = 30
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


class Answer(NamedTuple):
    """An answer; status 0 stands for none."""

    status: int
    text: str
    location: str
    mark: str

    @property
    def failed(self) -> bool:
        """Whether the server failed."""
        return self.status == 0 or self.status >= 500

    @property
    def identity(self) -> str:
        """The user that the page names."""
        return self.text.partition("\n")[0]


class Browser:
    """One browser of one person."""

    def __init__(self, port: int, ledger: Ledger, address: str) -> None:
        self.cookies: dict[str, str] = {}
        self._ledger, self._host = ledger, f"localhost:{port}"
        # All of 127.0.0.0/8 is this machine, so each browser can come from an address of its own.
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE, source_address=(address, 0))

    def get(self, path: str, kind: str, *cookies: str) -> Answer:
        """Ask for a page, with these cookies in place of the kept ones if there are any."""
        return self._ask("GET", path, kind, None, "; ".join(cookies))

    def post(self, route: str, form: Mapping[str, str], kind: str = "") -> Answer:
        """Send a form to one of the middleware's routes."""
        return self._ask("POST", f"{PREFIX}/{route}", kind or route, urlencode(form), "")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, kind: str, body: str | None, cookies: str) -> Answer:
        """Send one request, and note what came."""
        mark, begun = self._ledger.mark(), time.monotonic()
        headers = {"Host": self._host, "User-Agent": mark, "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en"}
        headers["Cookie"] = cookies or "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = Answer(0, "", "", mark)
        # A failure of any kind is no answer. Nothing is sent twice.
        with suppress(OSError, http.client.HTTPException):
            self._connection.request(method, path, body, headers)
            got = self._connection.getresponse()
            text = got.read().decode("utf-8", "replace")
            for line in got.headers.get_all("Set-Cookie") or []:
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            answer = Answer(got.status, text, got.headers.get("Location", ""), mark)
        if answer.status == 0:
            self._connection.close()
        found = _HEADING.search(answer.text) if answer.status >= 500 else None
        self._ledger.seen.append(Seen(begun, time.monotonic(), kind, answer.status, found[1].strip() if found else ""))
        return answer

"""What one request costs behind the middleware: `python -m benchmarks.request [--rounds 15]`.

Everything runs interleaved in one process, on SQLite, and is compared in that run: the bare app, three limits that do
as little as possible, and ours. Before it is timed each request is proven right: the identity is in the body with the
cookie, not without it, not with one altered byte, and not after another process ended the session. Exits 1 when a
required budget is not met.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.limits import NAME, HmacAndEpoch, HmacAndSQLite, HmacOnly, sign
from benchmarks.timing import Figure, interleaved, over
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher

EMAIL, PASSWORD = "tanaka@example.com", "aoi-umi-to-shiroi-kumo"


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("REMOTE_USER", "-").encode()]


def environ(path: str, cookie: str = "", body: bytes = b"") -> dict[str, Any]:
    """One request as a server hands it over."""
    found: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": "text/html",
        "HTTP_USER_AGENT": "benchmark",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    if cookie:
        found["HTTP_COOKIE"] = f"theme=dark; {NAME}{cookie}"
    if body:
        found |= {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body))}
    return found


class Answer:
    """Calls an app as a server does and keeps what came."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status, self.headers = status, headers
        return None

    def of(self, wsgi: Any, request: dict[str, Any]) -> str:
        return b"".join(wsgi(request, self.start)).decode()


def asking(wsgi: Any, request: dict[str, Any], wanted: str) -> Callable[[], None]:
    """One timed request; who the app saw is looked at every time, the bare app's too."""
    start, body = Answer().start, [wanted.encode()]

    def ask() -> None:
        if wsgi(request.copy(), start) != body:
            sys.exit(f"not measured: {type(wsgi).__name__} did not see {wanted!r}")

    return ask


def altered(cookie: str) -> str:
    """One character of the signature changed."""
    return cookie[:-10] + ("A" if cookie[-10] != "A" else "B") + cookie[-9:]


def proven(wsgi: Any, cookie: str, user: str) -> None:
    for value, wanted in ((cookie, user), ("", "-"), (altered(cookie), "-")):
        seen = Answer().of(wsgi, environ("/public", value))
        if seen != wanted:
            sys.exit(f"not measured: {type(wsgi).__name__} saw {seen!r} instead of {wanted!r}")


class Ours:
    """The middleware on SQLite with everything durable, one account, and a way to sign in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "auth.db"
        self.store = SQLStore(f"sqlite:///{self.path}")
        self.store.create_schema()
        self.hasher = fast_hasher()
        config = AuthConfig(secret_key=secrets.token_urlsafe(48), base_url="http://localhost", public=["/public"])
        self.auth = AuthMiddleware(app, config, store=self.store, hasher=self.hasher)
        self.user = self.auth.accounts.create(email=EMAIL, password=PASSWORD)
        # Many people, so that none of them comes near the 100 sessions an account may have.
        others = [f"person{n}@example.com" for n in range(50)]
        for email in others:
            self.auth.accounts.create(email=email, password=PASSWORD)
        self.forms = itertools.cycle([self.form(email) for email in others])

    @staticmethod
    def form(email: str) -> bytes:
        return urlencode({"email": email, "password": PASSWORD, "remember": "1"}).encode()

    def sign_in(self, form: bytes = b"") -> str:
        answer, sent = Answer(), form or next(self.forms)
        answer.of(self.auth, environ("/auth/login", body=sent) | {"wsgi.input": io.BytesIO(sent)})
        if not answer.status.startswith("303"):
            sys.exit(f"not measured: sign-in answered {answer.status}")
        cookies = [value for name, value in answer.headers if name == "Set-Cookie"]
        return next(c for c in cookies if c.startswith(NAME)).removeprefix(NAME).partition(";")[0]

    def disable_elsewhere(self, active: int) -> None:
        """By plain SQL of another process, as a host's own administration page would."""
        sql = f"UPDATE nipo_auth_account SET active = {active}"
        code = f"import sqlite3; c = sqlite3.connect({str(self.path)!r}); c.execute({sql!r}); c.commit()"
        subprocess.run([sys.executable, "-c", code], check=True)


class CountedLookups:
    """Stands before the store's look-up and counts, to show that a forged cookie never reaches it."""

    def __init__(self, ours: Ours) -> None:
        self.sessions = ours.auth._services.sessions
        self.look_up, self.count = self.sessions._look_up, 0

    def __enter__(self) -> CountedLookups:
        def counted(key: str) -> Any:
            self.count += 1
            return self.look_up(key)

        self.sessions._look_up = counted
        return self

    def __exit__(self, *problem: object) -> None:
        self.sessions._look_up = self.look_up


def prove_ours(ours: Ours) -> str:
    cookie = ours.sign_in(ours.form(EMAIL))
    proven(ours.auth, cookie, ours.user.id)
    with CountedLookups(ours) as lookups:
        Answer().of(ours.auth, environ("/public", altered(cookie)))
        if lookups.count:
            sys.exit("not measured: a forged cookie reached the store")
    return cookie


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--calls", type=int, default=3000)
    options.add_argument(
        "--slack", type=float, default=1.0, help="let budgets be missed by this factor (a noisy machine)"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sys.exit(measure(Path(name), given.rounds, given.calls, given.slack))


def measure(folder: Path, rounds: int, calls: int, slack: float) -> int:
    ours = Ours(folder)
    cookie = prove_ours(ours)
    sqlite, hmac_only = HmacAndSQLite(app, folder / "limit.db"), HmacOnly(app)
    known = sqlite.enter(secrets.token_urlsafe(32), "1")
    epoch = HmacAndEpoch(app, folder / "epoch", sqlite)
    proven(sqlite, known, "1")
    proven(epoch, known, "1")
    claimed = sign("1")
    proven(hmac_only, claimed, "1")
    layers: dict[str, tuple[Any, str]] = {
        "limit: HMAC only": (hmac_only, claimed),
        "limit: HMAC + SQLite look-up": (sqlite, known),
        "limit: HMAC + cache + shared epoch": (epoch, known),
        "nipo_auth_mw": (ours.auth, cookie),
    }
    things = {"bare": asking(app, environ("/public"), "-")}
    for name, (wsgi, value) in layers.items():
        things[f"{name}/visitor"] = asking(wsgi, environ("/public"), "-")
        things[f"{name}/signed in"] = asking(wsgi, environ("/public", value), "1")
        things[f"{name}/forged"] = asking(wsgi, environ("/public", altered(value)), "-")
    figures = interleaved(things, rounds, calls)
    entering = interleaved({"sign-in": ours.sign_in, "hash": hashing(ours)}, rounds, max(20, calls // 30))
    prove_revocation(ours, cookie, calls)
    return report(list(layers), figures, over(entering["sign-in"], entering["hash"]), slack)


def hashing(ours: Ours) -> Callable[[], object]:
    stored = ours.hasher.hash(PASSWORD)
    return lambda: ours.hasher.verify(stored, PASSWORD)


def prove_revocation(ours: Ours, cookie: str, calls: int) -> None:
    """In the same timed loop: another process disables the account, and the very next request is a visitor's."""
    request = environ("/public", cookie)
    before, after = asking(ours.auth, request, ours.user.id), asking(ours.auth, request, "-")
    live = interleaved({"live": before}, 1, calls)["live"].median
    ours.disable_elsewhere(0)
    after()
    gone = interleaved({"ended": after}, 1, calls)["ended"].median
    print(f"disabled by another process between two of {2 * calls} timed requests: seen at the very next one ", end="")
    print(f"({live * 1e6:.1f} us each before, {gone * 1e6:.1f} after)\n")


def report(layers: list[str], figures: dict[str, Figure], entering: Figure, slack: float) -> int:
    bare = figures["bare"]
    print(
        f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores; bare app ", end=""
    )
    print(f"{bare.median * 1e6:.2f} us; below, microseconds over it: median (quartiles)")
    kinds = ("visitor", "signed in", "forged")
    print(f"{'':36}" + "".join(f"{kind:>24}" for kind in kinds))
    costs = {name: over(figures[name], bare) for name in figures if name != "bare"}
    for layer in layers:
        print(f"{layer:36}" + "".join(f"{_shown(costs[f'{layer}/{kind}']):>24}" for kind in kinds))
    limit = "limit: HMAC + SQLite look-up"
    budgets = [
        ("visitor on a public page, us", costs["nipo_auth_mw/visitor"].median * 1e6, 2.0),
        ("signed in / limit with look-up", _ratio(costs, limit, "signed in"), 2.0),
        ("forged / limit", _ratio(costs, limit, "forged"), 2.0),
        ("sign-in over the bare hash, ms", entering.median * 1e3, 1.5),
    ]
    low, high = entering.spread
    print(f"sign-in over the bare hash: {entering.median * 1e3:.2f} ms ({low * 1e3:.2f}-{high * 1e3:.2f})\n")
    missed = 0
    for name, value, most in budgets:
        missed += value > most * slack
        print(f"{'ok  ' if value <= most else 'OVER'} {name:34} {value:6.2f}   required: at most {most}")
    return 1 if missed else 0


def _shown(figure: Figure) -> str:
    low, high = figure.spread
    return f"{figure.median * 1e6:.2f} ({low * 1e6:.2f}-{high * 1e6:.2f})"


def _ratio(costs: dict[str, Figure], limit: str, kind: str) -> float:
    """Round by round, so that what slows the machine for a while slows both."""
    mine, least = costs[f"nipo_auth_mw/{kind}"].rounds, costs[f"{limit}/{kind}"].rounds
    return statistics.median(cost / base for cost, base in zip(mine, least, strict=True))


if __name__ == "__main__":
    main()

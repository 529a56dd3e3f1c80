"""The cost of one request behind the middleware: `python -m benchmarks.request [--rounds 15]`.

Everything runs interleaved in one process, on SQLite, and is compared in that run: the bare app, three middlewares that
do as little as possible, and nipo_auth_mw. Each request is proven right before it is timed: the app sees the user with
the cookie, and a visitor without it, with one byte altered, and after another process ended the session. Exits 1 if a
required budget is not met.

Times are those of the processor, and the databases are files in memory where the system has a folder for them: disks
differ more than processors do. How often a sign-in waits for the disk is counted beside.
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
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from benchmarks.limits import NAME, HmacAndEpoch, HmacAndSQLite, HmacOnly, sign
from benchmarks.spies import Commits
from benchmarks.timing import Figure, interleaved, over
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw._flows import second_check
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import code_of, enrol_app, fast_hasher

MEMORY = Path("/dev/shm")
"""Linux keeps the files of this folder in memory."""
REFERENCE = 8.1e-6
"""Seconds that the limit with a look-up takes on the machine whose times the budgets are."""
PEOPLE = 50
"""So many that no account of a long run reaches the 100 sessions that one may have."""
EMAIL, PASSWORD = "tanaka@example.com", "aoi-umi-to-shiroi-kumo"


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An app that answers with the user it sees."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("REMOTE_USER", "-").encode()]


def environ(path: str, cookie: str = "", body: bytes = b"") -> dict[str, Any]:
    """One request as a server passes it on."""
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
    """Calls an app as a server does and stores the answer."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """The `start_response` of WSGI."""
        self.status, self.headers = status, headers
        return None

    def of(self, wsgi: Any, request: dict[str, Any]) -> str:
        """The body of the answer to a request."""
        return b"".join(wsgi(request, self.start)).decode()


def asking(wsgi: Any, request: dict[str, Any], wanted: str) -> Callable[[], None]:
    """A call that sends one request and checks which user the app saw; the bare app's too."""
    start, body = Answer().start, [wanted.encode()]

    def ask() -> None:
        if wsgi(request.copy(), start) != body:
            sys.exit(f"not measured: {type(wsgi).__name__} did not see {wanted!r}")

    return ask


def altered(cookie: str) -> str:
    """The cookie with one character of its signature changed."""
    return cookie[:-10] + ("A" if cookie[-10] != "A" else "B") + cookie[-9:]


def proven(wsgi: Any, cookie: str, user: str) -> None:
    """Exit if the app sees a wrong user for a good cookie, for none, or for an altered one."""
    for value, wanted in ((cookie, user), ("", "-"), (altered(cookie), "-")):
        seen = Answer().of(wsgi, environ("/public", value))
        if seen != wanted:
            sys.exit(f"not measured: {type(wsgi).__name__} saw {seen!r} instead of {wanted!r}")


class Ours:
    """nipo_auth_mw on an empty database with durable writes, one account, and a way to sign in."""

    def __init__(self, url: str | sa.Engine, hasher: Any = None, people: int = PEOPLE) -> None:
        self.store = SQLStore(url)
        self.store.create_schema()
        self.hasher = hasher or fast_hasher()
        config = AuthConfig(secret_key=secrets.token_urlsafe(48), base_url="http://localhost", public_paths=["/public"])
        self.auth = AuthMiddleware(app, config, store=self.store, hasher=self.hasher)
        self.user = self.auth.accounts.create(email=EMAIL, password=PASSWORD)
        others = [f"person{n}@example.com" for n in range(people)]
        for email in others:
            self.auth.accounts.create(email=email, password=PASSWORD)
        self.forms = itertools.cycle([self.form(email) for email in others])

    @staticmethod
    def form(email: str) -> bytes:
        """The body of the sign-in form."""
        return urlencode({"email": email, "password": PASSWORD, "remember": "1"}).encode()

    def sign_in(self, form: bytes = b"") -> str:
        """Sign in; the value of the session cookie."""
        answer, sent = Answer(), form or next(self.forms)
        answer.of(self.auth, environ("/-/auth/login", body=sent) | {"wsgi.input": io.BytesIO(sent)})
        if not answer.status.startswith("303"):
            sys.exit(f"not measured: sign-in answered {answer.status}")
        cookies = [value for name, value in answer.headers if name == "Set-Cookie"]
        return next(c for c in cookies if c.startswith(NAME)).removeprefix(NAME).partition(";")[0]


class WithCode:
    """Signs in with a password and a code of an authenticator app, in accounts of their own.

    Each code works once, so each sign-in is one step of 30 seconds later than the last, by the clock that codes have.
    """

    def __init__(self, ours: Ours, people: int = PEOPLE) -> None:
        self.ours, self.later = ours, 0
        emails = [f"two-step{number}@example.com" for number in range(people)]
        made = [(ours.form(email), ours.auth.accounts.create(email=email, password=PASSWORD)) for email in emails]
        self.people = itertools.cycle([(form, enrol_app(ours.auth, account)) for form, account in made])

    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        """The clock of the codes."""
        return time.time() + 30 * self.later

    def sign_in(self) -> None:
        """Take both steps."""
        form, secret = next(self.people)
        self.later += 1
        pending = self._post("login", form, "nipo_second=")
        body = urlencode({"code": code_of(secret, self.later)}).encode()
        clock, second_check.time = second_check.time, self  # type: ignore[assignment]
        try:
            self._post("login/second", body, NAME, f"nipo_second={pending}")
        finally:
            second_check.time = clock

    def _post(self, path: str, body: bytes, wanted: str, cookie: str = "") -> str:
        """Send a form; the value of the cookie that the answer sets."""
        request = environ(f"/-/auth/{path}", body=body) | {"wsgi.input": io.BytesIO(body), "HTTP_COOKIE": cookie}
        answer = Answer()
        answer.of(self.ours.auth, request)
        cookies = [value for name, value in answer.headers if name == "Set-Cookie" and value.startswith(wanted)]
        if not cookies:
            sys.exit(f"not measured: {path} answered {answer.status}")
        return cookies[0].removeprefix(wanted).partition(";")[0]


def work_of_sign_ins(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Statements, commits, and commits that wait for the disk, of a sign-in with and without a code."""
    engine = sa.create_engine(f"sqlite:///{folder / 'counted.db'}")
    commits = Commits(engine)
    ours = Ours(engine, people=1)
    with_code = WithCode(ours, people=1)
    # The first sign-in of each account notes its client.
    ours.sign_in()
    with_code.sign_in()
    found = {"sign-in": commits.of(ours.sign_in), "sign-in with a code": commits.of(with_code.sign_in)}
    ours.store.close()
    return found


def disable_elsewhere(path: Path) -> None:
    """Disable the account by SQL in another process, as an administration page of a host app would."""
    sql = "UPDATE nipo_auth_account SET active = 0"
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute({sql!r}); c.commit()"
    subprocess.run([sys.executable, "-c", code], check=True)


class CountedLookups:
    """Counts the look-ups in the store, to show that a forged cookie causes none."""

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
    """Sign in and prove nipo_auth_mw; the value of the cookie."""
    cookie = ours.sign_in(ours.form(EMAIL))
    proven(ours.auth, cookie, ours.user.id)
    with CountedLookups(ours) as lookups:
        Answer().of(ours.auth, environ("/public", altered(cookie)))
        if lookups.count:
            sys.exit("not measured: a forged cookie reached the store")
    return cookie


def main() -> None:
    """Measure and exit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--calls", type=int, default=3000)
    options.add_argument(
        "--slack", type=float, default=1.0, help="multiply the budgets by this factor, for a noisy machine"
    )
    given = options.parse_args()
    in_memory = os.access(MEMORY, os.W_OK)
    print(f"processor times; databases {f'in memory ({MEMORY})' if in_memory else 'on the disk'}")
    with tempfile.TemporaryDirectory(dir=MEMORY if in_memory else None) as name:
        sys.exit(measure(Path(name), given.rounds, given.calls, given.slack))


def measure(folder: Path, rounds: int, calls: int, slack: float) -> int:
    """Measure everything. Returns the exit code."""
    path = folder / "auth.db"
    ours = Ours(f"sqlite:///{path}")
    cookie = prove_ours(ours)
    sqlite, hmac_only = HmacAndSQLite(app, folder / "limit.db"), HmacOnly(app)
    known = sqlite.enter(secrets.token_urlsafe(32), "1")
    shared_counter = HmacAndEpoch(app, folder / "revocation_counter", sqlite)
    proven(sqlite, known, "1")
    proven(shared_counter, known, "1")
    claimed = sign("1")
    proven(hmac_only, claimed, "1")
    layers: dict[str, tuple[Any, str]] = {
        "limit: HMAC only": (hmac_only, claimed),
        "limit: HMAC + SQLite look-up": (sqlite, known),
        "limit: HMAC + cache + shared counter": (shared_counter, known),
        "nipo_auth_mw": (ours.auth, cookie),
    }
    things = {"bare": asking(app, environ("/public"), "-")}
    for name, (wsgi, value) in layers.items():
        things[f"{name}/visitor"] = asking(wsgi, environ("/public"), "-")
        things[f"{name}/signed in"] = asking(wsgi, environ("/public", value), "1")
        things[f"{name}/forged"] = asking(wsgi, environ("/public", altered(value)), "-")
    figures = interleaved(things, rounds, calls, time.process_time)
    doors = {"sign-in": ours.sign_in, "with a code": WithCode(ours).sign_in, "hash": hashing(ours)}
    entering = interleaved(doors, rounds, max(20, calls // 30), time.process_time)
    prove_revocation(ours, path, cookie, calls)
    for name, (statements, commits, durable) in work_of_sign_ins(folder).items():
        print(f"{name}: {statements} statements, {commits} commits, {durable} of them waits for the disk")
    costs = (over(entering["sign-in"], entering["hash"]), over(entering["with a code"], entering["sign-in"]))
    return report(list(layers), figures, *costs, slack)


def hashing(ours: Ours) -> Callable[[], object]:
    """A call that verifies one password, without the middleware."""
    stored = ours.hasher.hash(PASSWORD)
    return lambda: ours.hasher.verify(stored, PASSWORD)


def prove_revocation(ours: Ours, path: Path, cookie: str, calls: int) -> None:
    """Show in the timed loop that the next request sees a visitor once another process disabled the account."""
    request = environ("/public", cookie)
    before, after = asking(ours.auth, request, ours.user.id), asking(ours.auth, request, "-")
    live = interleaved({"live": before}, 1, calls, time.process_time)["live"].median
    disable_elsewhere(path)
    after()
    gone = interleaved({"ended": after}, 1, calls, time.process_time)["ended"].median
    print(f"disabled by another process between two of {2 * calls} timed requests: seen by the next one ", end="")
    print(f"({live * 1e6:.1f} us each before, {gone * 1e6:.1f} after)\n")


def report(layers: list[str], figures: dict[str, Figure], entering: Figure, code: Figure, slack: float) -> int:
    """Print the costs and the budgets. Returns the exit code."""
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
    # A slow machine makes everything slower: the budgets in seconds are those of a machine with a limit of 8.1 us.
    slower = costs[f"{limit}/signed in"].median / REFERENCE
    budgets = [
        ("visitor on a public page, us", costs["nipo_auth_mw/visitor"].median * 1e6 / slower, 2.0),
        ("signed in / limit with look-up", _ratio(costs, limit, "signed in"), 2.0),
        ("forged / limit", _ratio(costs, limit, "forged"), 2.0),
        ("sign-in over the bare hash, ms", entering.median * 1e3 / slower, 1.5),
        ("a code over a sign-in without, ms", code.median * 1e3 / slower, 0.5),
    ]
    print(f"this machine takes {slower:.2f} x the time of the reference machine; the budgets are for that one")
    for name, figure in {"sign-in over the bare hash": entering, "a code over a sign-in without": code}.items():
        low, high = figure.spread
        print(f"{name}: {figure.median * 1e3:.2f} ms ({low * 1e3:.2f}-{high * 1e3:.2f})")
    print()
    missed = 0
    for name, value, most in budgets:
        missed += value > most * slack
        print(f"{'ok  ' if value <= most else 'OVER'} {name:34} {value:6.2f}   required: at most {most}")
    return 1 if missed else 0


def _shown(figure: Figure) -> str:
    """Median and quartiles in microseconds."""
    low, high = figure.spread
    return f"{figure.median * 1e6:.2f} ({low * 1e6:.2f}-{high * 1e6:.2f})"


def _ratio(costs: dict[str, Figure], limit: str, kind: str) -> float:
    """The cost as a multiple of the limit's, round by round: a slow moment of the machine slows both."""
    mine, least = costs[f"nipo_auth_mw/{kind}"].rounds, costs[f"{limit}/{kind}"].rounds
    return statistics.median(cost / base for cost, base in zip(mine, least, strict=True))


if __name__ == "__main__":
    main()

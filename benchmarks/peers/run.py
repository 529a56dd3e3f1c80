"""Proves each site right, times all of them in one interleaved run, and prints the table. See `benchmarks.peers`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.browser import Browser, request_of
from benchmarks.peers.gunicorn import cpu_of_a_request
from benchmarks.peers.sites import EMAIL, SITES, Site
from benchmarks.request import Answer
from benchmarks.timing import interleaved

PACKAGES = {"Django auth": "Django", "Pyramid": "pyramid"}
START = """
import json, re, sys, time
before = time.perf_counter()
from pathlib import Path
from benchmarks.peers import sites
site = sites.SITES[sys.argv[1]](Path(sys.argv[2]))
from benchmarks.peers.browser import Browser
Browser(site.wsgi).open("/page")
taken = time.perf_counter() - before
# Not ru_maxrss, which begins with that of the process that started this one.
print(json.dumps([taken, int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024]))
"""


def proven(name: str, site: Site) -> tuple[dict[str, str], bool]:
    """Exit unless the site is right. Returns the cookies of a user, and whether a copy of them outlives sign-out."""

    def must(right: bool, what: str) -> None:
        if not right:
            sys.exit(f"not measured: {name}: {what}")

    must(Browser(site.wsgi).open("/page") == "-", "a visitor is a user")
    wrong = Browser(site.wsgi)
    wrong.open(site.login, {**site.form, "password": "wrong"})
    must(wrong.open("/page") == "-", "a wrong password signs in")
    leaving = Browser(site.wsgi)
    leaving.open(site.login, site.form)
    must(leaving.open("/page") == EMAIL, "the right password does not sign in")
    copied = Browser(site.wsgi)
    copied.cookies = dict(leaving.cookies)
    leaving.open(site.logout, {})
    must(leaving.open("/page") == "-", "sign-out does not sign out")
    lives = copied.open("/page") == EMAIL
    staying = Browser(site.wsgi)
    staying.open(site.login, site.form)
    for cookie in staying.cookies:
        forged = Browser(site.wsgi)
        forged.cookies = {**staying.cookies, cookie: _altered(staying.cookies[cookie])}
        must(len(staying.cookies) > 1 or forged.open("/page") == "-", "an altered cookie is believed")
    return staying.cookies, lives


def _altered(value: str) -> str:
    """The value with one character in its middle changed."""
    at = len(value) // 2
    return value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]


def asking(site: Site, cookies: dict[str, str], wanted: str) -> Callable[[], None]:
    """A call that sends one request and checks the answer."""
    request, start = request_of("/page", cookies), Answer().start

    def ask() -> None:
        found = site.wsgi(request.copy(), start)
        text = b"".join(found).decode()
        close = getattr(found, "close", None)
        if close is not None:
            close()
        if text != wanted:
            sys.exit(f"not measured: {text!r} instead of {wanted!r}")

    return ask


def started(name: str) -> tuple[float, float]:
    """Seconds until the first answer of a new process with a new database, and its memory in MiB: the best of three."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-W", "ignore", "-c", START, name, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
    return min(seconds for seconds, _ in found), min(memory for _, memory in found)


def version(name: str) -> str:
    """The version of a peer."""
    try:
        return importlib.metadata.version(PACKAGES.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        return ""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--calls", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sites: dict[str, Site] = {}
        facts: dict[str, tuple[dict[str, str], bool]] = {}
        for name, make in SITES.items():
            own = Path(folder, name.replace(" ", "_").replace(":", ""))
            own.mkdir()
            sites[name] = make(own)
            facts[name] = proven(name, sites[name])
        things: dict[str, Callable[[], Any]] = {}
        for name, site in sites.items():
            things[f"{name}/visitor"] = asking(site, {}, "-")
            things[f"{name}/user"] = asking(site, facts[name][0], EMAIL)
        requests = interleaved(things, given.rounds, given.calls)
        entering = {name: _entering(site) for name, site in sites.items()}
        sign_ins = interleaved(entering, max(3, given.rounds // 3), 1)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; SQLite; {given.rounds} interleaved rounds")
        heads = (
            "visitor, us",
            "user, us",
            "user under gunicorn, CPU us",
            "sign-in, ms",
            "start, ms",
            "memory, MiB",
            "copied cookie after sign-out",
        )
        print(f"| {'':32} | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
        for name in SITES:
            start, memory = started(name)
            visitor, user = (requests[f"{name}/{kind}"].median * 1e6 for kind in ("visitor", "user"))
            served = cpu_of_a_request(name, sites[name], given.rounds, given.calls) * 1e6
            row = (visitor, user, served, sign_ins[name].median * 1e3, start * 1e3, memory)
            cells = [f"{value:.0f}" for value in row] + ["lives on" if facts[name][1] else "is dead"]
            print(f"| {f'{name} {version(name)}':32} | " + " | ".join(cells) + " |", flush=True)


def _entering(site: Site) -> Callable[[], None]:
    """A call that signs in with a new browser."""

    def enter() -> None:
        browser = Browser(site.wsgi)
        browser.open(site.login, site.form)
        if not browser.cookies:
            sys.exit("not measured: sign-in set no cookie")

    return enter


if __name__ == "__main__":
    main()

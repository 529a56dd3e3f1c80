"""The audit at the end: what clients saw against what the store, the hashers and the mail server have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import site, traces
from benchmarks.load.attackers import SPRAYED
from benchmarks.load.browser import SESSION, Browser
from benchmarks.load.faults import RECOVERY, Window
from benchmarks.load.house import House
from benchmarks.load.ledger import Ledger, Promise, Seen
from benchmarks.load.people import CHANGED, RESET, Crowd

MAILS_WITHIN = 90
"""Seconds that the audit waits for mails. A claim that its process lost lasts a minute. Then another process looks, as
it does every ten seconds while requests arrive."""
COPIES_WITHIN = 3
"""Seconds that it waits for second copies after that."""


@dataclass
class Audit:
    """What does not fit, each thing as one text."""

    lost: list[Promise] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    over_admitted: list[str] = field(default_factory=list)
    failed_outside: list[Seen] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """What `nipo-auth audit verify` and `nipo-auth check` found, and mails that were given up."""
    cut: list[str] = field(default_factory=list)
    """Mails that came twice because a `kill -9` fell between the mail server's yes and its sender: no fault."""
    left: dict[Promise, list[str]] = field(default_factory=dict)
    """What is left of each thing that was lost."""
    slowest_mail: dict[str, float] = field(default_factory=dict)
    """Seconds from the answer to the mail, by fault: the longest."""

    @property
    def verdict(self) -> str:
        """The last line."""
        return (
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, over-admitted {len(self.over_admitted)}, "
            f"5xx outside faults {len(self.failed_outside)}"
        )

    def things(self) -> list[str]:
        """Each thing that was found, on a line. What is left of a lost one follows it."""
        names = ("doubled", "over_admitted", "failed_outside", "wrong", "complaints")
        lost: list[str] = []
        for one in self.lost:
            lost += [f"lost: {one}", *(f"  {left}" for left in self.left.get(one, ()))]
        return [*lost, *(f"{name}: {thing}" for name in names for thing in getattr(self, name))]

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.things()

    def add(self, other: Audit) -> None:
        """Take in what was found at another site."""
        for name in ("lost", "doubled", "over_admitted", "failed_outside", "wrong", "complaints", "cut"):
            getattr(self, name).extend(getattr(other, name))
        self.left |= other.left


def of(house: House, ledger: Ledger, crowd: Crowd, windows: Sequence[Window]) -> Audit:
    """Compare. The people have stopped, and the servers still run."""
    for person in crowd.people:
        if SESSION in person.browser.cookies:
            person.page()
        person.browser.close()
    audit = Audit(lost=list(ledger.lost), wrong=list(ledger.wrong))
    _mails(house, ledger, windows, audit)
    events = _exported(house)
    _events(house, ledger, events, audit)
    rows = json.loads(_command(house, "mail", "list", "--json", "--limit", "100000").stdout)
    audit.left = {one: traces.of(one, windows, rows, events, house.folder) for one in audit.lost}
    # No fault is a reason to give up a mail: the mail server refuses none, and answers each whose data has begun.
    audit.complaints += [f"given up: {row}" for row in rows if row["state"] == "failed"]
    checked = Counter(site.SPRAYED if one.startswith(site.SPRAYED) else one for one in site.verified(house.folder))
    # PostgreSQL writes counters up to 0.6 s late. Stopped at once, it loses what one burst of the sprayer has counted.
    lost = SPRAYED if house.set_up.store == "postgres" and not house.set_up.redis else 0
    most = {site.SPRAYED: site.CLIENT_FAILURES + lost}
    audit.over_admitted = [f"{of} {times}" for of, times in checked.items() if times > most.get(of, site.FAILURES)]
    audit.failed_outside = [seen for seen in ledger.seen if seen.failed and not excused(seen, windows)]
    return audit


def excused(seen: Seen, windows: Sequence[Window]) -> bool:
    """Whether a request fell into a fault, or into the seconds after it. The server may be too busy for a guesser."""
    if seen.kind in ("guess", "spray") and seen.status == 503:
        return True
    return any(seen.begun <= window.ended + RECOVERY and seen.ended >= window.begun for window in windows)


def _events(house: House, ledger: Ledger, events: Sequence[Mapping[str, Any]], audit: Audit) -> None:
    """Each promised event must be in the audit log once."""
    rows = Counter(f"{row['event']} {row['user_agent']}" for row in events)
    for promise in ledger.events:
        if not rows[f"{promise.what} {promise.of}"]:
            audit.lost.append(promise)
    told = {"signed_in", "signed_out", "password_reset"}
    audit.doubled += [name for name, times in rows.items() if times > 1 and name.split()[0] in told]
    verified = _command(house, "audit", "verify")
    if verified.returncode != 0:
        audit.complaints.append((verified.stdout + verified.stderr)[-500:])
    # Clocks were wrong on purpose, so rows of the future are no news.
    found = json.loads(_command(house, "check", "--json").stdout)
    audit.complaints += [str(one) for one in found if one["level"] == "error" and one["about"] != "clock"]


def _mails(house: House, ledger: Ledger, windows: Sequence[Window], audit: Audit) -> None:
    """Each promised mail must have come once."""
    deadline, promised = time.monotonic() + MAILS_WITHIN, {(mail.what, mail.of) for mail in ledger.mails}
    visitor = Browser(house.port, ledger, "127.11.0.1")
    while time.monotonic() < deadline:
        came = Counter((mail["subject"], mail["to"]) for mail in house.mail.mails())
        if promised <= came.keys():
            break
        visitor.get("/public", "visit")
        time.sleep(0.2)
    visitor.close()
    time.sleep(COPIES_WITHIN)
    came = Counter((mail["subject"], mail["to"]) for mail in house.mail.mails())
    audit.lost += [promise for promise in ledger.mails if not came[promise.what, promise.of]]
    offset = time.monotonic() - time.time()
    # The first copy of each: later ones come first here.
    arrived = {(mail["subject"], mail["to"]): mail["at"] + offset for mail in reversed(house.mail.mails())}
    for key, times in came.items():
        if times > 1 and key[0] in (RESET, CHANGED):
            (audit.cut if _cut(arrived[key], windows) else audit.doubled).append(f"mail {key}")
    for promise in ledger.mails:
        took = arrived.get((promise.what, promise.of), promise.at) - promise.at
        for window in windows:
            if window.begun <= promise.at <= window.ended:
                audit.slowest_mail[window.fault] = max(took, audit.slowest_mail.get(window.fault, 0))


def _cut(arrived: float, windows: Sequence[Window]) -> bool:
    """Whether a mail was with the mail server in the moment of a `kill -9`, so that its sender never saw the answer."""
    kills = [window.begun for window in windows if window.fault.startswith("`kill -9`")]
    return any(abs(arrived - kill) < 1 for kill in kills)


def _exported(house: House) -> list[dict[str, Any]]:
    """The whole audit log, as its command exports it."""
    return [json.loads(line) for line in _command(house, "audit", "export", "--json").stdout.splitlines()]


def _command(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `nipo-auth` with the site's settings."""
    environment = {
        **os.environ,
        "NIPO_AUTH_STORE": house.settings["store"],
        "NIPO_AUTH_SECRET_KEY": site.SECRET,
        "NIPO_AUTH_BASE_URL": house.settings["base_url"],
        "NIPO_AUTH_LOCKOUT_STORAGE": house.settings.get("storage", "store"),
    }
    command = [sys.executable, "-m", "nipo_auth_mw.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

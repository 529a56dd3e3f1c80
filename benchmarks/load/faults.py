"""Faults, each made for real, one after the other."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load.house import House, SetUp

RECOVERY = 2.0
"""Seconds after the end of a fault within which requests may still fail."""
AHEAD = 120
"""Seconds by which a clock is stepped, twice of which is the most that two clocks differ from one fault to the next. By
design a session from more than five minutes ahead is ended."""
LATE = 8
"""Seconds by which the mail server is late: more than the time-out of many senders."""


@dataclass(frozen=True)
class Fault:
    """`begin` breaks something, `end` makes it whole; a fault without `end` is over at once."""

    name: str
    begin: Callable[[House], None]
    end: Callable[[House], None] | None = None


@dataclass(frozen=True)
class Window:
    """From the first act of a fault to the last; times by the monotonic clock."""

    fault: str
    begun: float
    ended: float


def of(set_up: SetUp) -> list[Fault]:
    """The faults that a site of this kind can have."""
    faults = [
        Fault("`kill -9` of a worker", lambda house: house.nodes[0].kill_worker()),
        Fault("`kill -9` of the whole gunicorn", _kill_all, _launch_all),
        Fault("gunicorn reloaded (SIGHUP), as by a deploy", _reload_all),
        Fault("SMTP stopped", lambda house: house.mail.stop(), lambda house: house.mail.start()),
        Fault(f"SMTP greets {LATE} s late", lambda house: house.mail.slow(greeting=LATE), _quick_mail),
        Fault(f"SMTP answers {LATE} s after the data", lambda house: house.mail.slow(data=LATE), _quick_mail),
    ]
    if set_up.nodes > 1:
        last = Fault("`kill -9` of one gunicorn of two", lambda house: house.nodes[-1].kill(), _launch_last)
        faults.insert(1, last)
    whose = "clock" if set_up.store == "sqlite" else "clock of one machine of two"
    for way, seconds in (("ahead", AHEAD), ("behind", -AHEAD)):
        faults.append(Fault(f"{whose} {AHEAD} s {way}, then right", _step(seconds), _step(0)))
    if set_up.store == "sqlite":
        faults.append(
            Fault("disk of the SQLite file full", lambda house: house.disk.fill(), lambda house: house.disk.free())
        )
    else:
        faults += [
            Fault("PostgreSQL stopped (fast)", lambda house: house.postgres.stop(signal.SIGINT), _start_postgres),
            Fault("PostgreSQL stopped (immediate)", lambda house: house.postgres.stop(signal.SIGQUIT), _start_postgres),
            Fault("PostgreSQL frozen", lambda house: house.postgres.freeze(), lambda house: house.postgres.thaw()),
            Fault(
                "PostgreSQL read-only",
                lambda house: house.postgres.read_only(True),
                lambda house: house.postgres.read_only(False),
            ),
            Fault("PostgreSQL's connections cut", lambda house: house.postgres.cut_connections()),
        ]
    if set_up.redis:
        faults += [
            Fault("Redis stopped", lambda house: house.redis.stop(), lambda house: house.redis.start()),
            Fault("Redis frozen", lambda house: house.redis.freeze(), lambda house: house.redis.thaw()),
        ]
    return faults


def _kill_all(house: House) -> None:
    """`kill -9` of every gunicorn."""
    for node in house.nodes:
        node.kill()


def _launch_all(house: House) -> None:
    """What a supervisor does. The fault ends here, so the time to start counts as recovery."""
    for node in house.nodes:
        node.launch()


def _reload_all(house: House) -> None:
    """New workers take over, and the old ones end after what they do."""
    for node in house.nodes:
        os.kill(node.pid, signal.SIGHUP)


def _launch_last(house: House) -> None:
    """The same for one of them."""
    house.nodes[-1].launch()


def _step(seconds: int) -> Callable[[House], None]:
    """The clock of one machine is set."""
    return lambda house: house.step(seconds)


def _quick_mail(house: House) -> None:
    """The mail server is as quick as before."""
    house.mail.slow()


def _start_postgres(house: House) -> None:
    """PostgreSQL starts, and recovers if it was stopped at once."""
    house.postgres.start()


def run(house: House, faults: Sequence[Fault], seconds: float, say: Callable[[str], None]) -> list[Window]:
    """Let each fault take so many seconds, of which the middle two fifths are the fault."""
    windows, wait = [], threading.Event().wait
    for fault in faults:
        wait(seconds * 0.3)
        begun = time.monotonic()
        fault.begin(house)
        if fault.end is not None:
            wait(seconds * 0.4)
            fault.end(house)
        windows.append(Window(fault.name, begun, time.monotonic()))
        say(f"{fault.name}: {windows[-1].ended - begun:.1f} s")
        wait(seconds * 0.3)
    return windows

"""Faults, each made for real, one after the other."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load.house import House

RECOVERY = 2.0
"""Seconds after the end of a fault within which requests may still fail."""
AHEAD = 300
"""Seconds by which a clock is stepped."""
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


def kill_all(house: House) -> None:
    """`kill -9` of every gunicorn."""
    for node in house.nodes:
        node.kill()


def launch_all(house: House) -> None:
    """What a supervisor does. The fault ends here, so the time to start counts as recovery."""
    for node in house.nodes:
        node.launch()


def of(house: House) -> list[Fault]:
    """The faults that this house can have."""
    first, last = house.nodes[0], house.nodes[-1]
    faults = [
        Fault("`kill -9` of a worker", lambda _: first.kill_worker()),
        Fault("`kill -9` of the whole gunicorn", kill_all, launch_all),
        Fault("SMTP stopped", lambda _: house.mail.stop(), lambda _: house.mail.start()),
        Fault(
            f"SMTP greets {LATE} s late",
            lambda _: house.mail.slow(greeting=LATE),
            lambda _: house.mail.slow(),
        ),
        Fault(
            f"SMTP answers {LATE} s after the data", lambda _: house.mail.slow(data=LATE), lambda _: house.mail.slow()
        ),
    ]
    if len(house.nodes) > 1:
        faults.insert(1, Fault("`kill -9` of one gunicorn of two", lambda _: last.kill(), lambda _: last.launch()))
    if house.set_up.faults:
        number = len(house.nodes) - 1
        faults += [
            Fault(
                f"clock of one gunicorn {AHEAD} s ahead",
                lambda _: house.step(number, AHEAD),
                lambda _: house.step(number, 0),
            ),
            Fault(
                f"clock of one gunicorn {AHEAD} s behind",
                lambda _: house.step(number, -AHEAD),
                lambda _: house.step(number, 0),
            ),
        ]
    if (disk := house.disk) is not None:
        faults.append(Fault("disk of the SQLite file full", lambda _: disk.fill(), lambda _: disk.free()))
    if (database := house.postgres) is not None:
        faults += [
            Fault("PostgreSQL stopped (fast)", lambda _: database.stop(signal.SIGINT), lambda _: database.start()),
            Fault(
                "PostgreSQL stopped (immediate)", lambda _: database.stop(signal.SIGQUIT), lambda _: database.start()
            ),
            Fault("PostgreSQL frozen", lambda _: database.freeze(), lambda _: database.thaw()),
            Fault("PostgreSQL read-only", lambda _: database.read_only(True), lambda _: database.read_only(False)),
            Fault("PostgreSQL's connections cut", lambda _: database.cut_connections()),
        ]
    if (redis := house.redis) is not None:
        faults += [
            Fault("Redis stopped", lambda _: redis.stop(), lambda _: redis.start()),
            Fault("Redis frozen", lambda _: redis.freeze(), lambda _: redis.thaw()),
        ]
    return faults


def run(house: House, faults: list[Fault], seconds: float, say: Callable[[str], None]) -> list[Window]:
    """Let each fault last two fifths of its share of the seconds, after as long a calm."""
    windows = []
    share = seconds / len(faults)
    wait = threading.Event().wait
    for fault in faults:
        wait(share * 0.3)
        begun = time.monotonic()
        fault.begin(house)
        if fault.end is not None:
            wait(share * 0.4)
            fault.end(house)
        windows.append(Window(fault.name, begun, time.monotonic()))
        say(f"{fault.name}: {windows[-1].ended - begun:.1f} s")
        wait(share * 0.3)
    return windows

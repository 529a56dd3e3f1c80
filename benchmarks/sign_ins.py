"""Sign-ins a second at the real cost of a hash: `python -m benchmarks.sign_ins [--seconds 4] [--rounds 7]`.

As many threads as cores sign in, in one process on SQLite with durable writes. They are compared with as many threads
that verify the same password and do nothing else, in turn. The share of the processor time leaves out what waits, and
other programs of the machine change it less. Exits 1 if the budget is not met.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import argon2

from benchmarks.request import PASSWORD, Ours
from nipo_auth_mw._credentials.hashing import LANES, MEMORY_KIB, PASSES

SHARE = 0.95
CORES = len(os.sched_getaffinity(0))


def main() -> None:
    """Measure and exit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(f"sqlite:///{folder}/auth.db", argon2.PasswordHasher(PASSES, MEMORY_KIB, LANES))
        stored = ours.hasher.hash(PASSWORD)
        shares, of_time = [], []
        for _ in range(given.rounds):
            bare, bare_time = a_second(lambda: ours.hasher.verify(stored, PASSWORD), given.seconds)
            mine, my_time = a_second(ours.sign_in, given.seconds)
            shares.append(mine / bare)
            of_time.append(bare_time / my_time)
            print(f"{bare:.1f} hashes, {mine:.1f} sign-ins a second: {shares[-1]:.3f}; processor {of_time[-1]:.3f}")
        ours.store.close()
    print(f"of the processor time of a sign-in, {statistics.median(of_time):.3f} is the hash")
    low, share, high = statistics.quantiles(shares, n=4, method="inclusive")
    print(f"{CORES} threads: {share:.3f} ({low:.3f}-{high:.3f}) of the bare hash; required: at least {SHARE}")
    sys.exit(0 if share >= SHARE else 1)


def a_second(work: Callable[[], object], seconds: float) -> tuple[float, float]:
    """How often as many threads as cores do this in a second, and the seconds of processor time that each takes."""
    done, ends = [0] * CORES, time.monotonic() + seconds

    def go(number: int) -> None:
        while time.monotonic() < ends:
            work()
            done[number] += 1

    threads = [threading.Thread(target=go, args=(number,)) for number in range(CORES)]
    started, used = time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - started), (time.process_time() - used) / sum(done)


if __name__ == "__main__":
    main()

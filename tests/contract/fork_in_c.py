"""A parent with an open connection that forks as a server in C does: `python -m tests.contract.fork_in_c URL`."""

from __future__ import annotations

import ctypes
import sys
import time

from nipo_auth_mw.stores import SQLStore
from tests.contract.workers import in_children


def fork_in_c() -> int:
    """A fork of which Python is not told, so it calls no hook. uWSGI forks so by default."""
    return int(ctypes.PyDLL(None).fork())


def main(url: str) -> None:
    """Let four children use the store, and show that the parent's connection is none of theirs."""
    store = SQLStore(url)
    assert store.find_session("a" * 64) is not None
    inherited = store._db._pool._idle[-1]

    def work() -> None:
        current = store._db._pool.acquire(time.monotonic())
        assert current is not inherited
        store._db._pool.release(current)
        assert store.find_session("a" * 64) is not None
        store.raise_revocation_counter("1")

    assert in_children(work, fork_in_c) == 4
    assert store.account_state("1").revocation_counter == 4
    assert store._db._pool._idle[-1] is inherited


if __name__ == "__main__":
    main(sys.argv[1])

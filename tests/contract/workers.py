"""What the tests let several processes do at once: `python -m tests.contract.workers JOB URL`, answers on stdout."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from nipo_auth_mw.stores import SQLStore

ROOT = Path(__file__).parents[2]
PROCESSES, THREADS, COUNTS = 4, 6, 12


def in_processes(job: str, url: str) -> list[str]:
    """Do a job in four processes at once and return what each prints."""
    command = [sys.executable, "-W", "error", "-m", "tests.contract.workers", job, url]
    started = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30) for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, answers
    assert [errors for _, errors in answers] == [""] * PROCESSES
    return [output for output, _ in answers]


def in_children(work: Callable[[], object]) -> int:
    """Fork four children that work at once; how many did so without an exception."""
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException as problem:
                os.write(2, repr(problem).encode())
            finally:
                os._exit(1)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] == 0 for child in children)


def create_schema(store: SQLStore) -> None:
    store.create_schema()
    store.check()


def count(store: SQLStore) -> None:
    """Count from many threads and print every number that was told."""
    told: list[int] = []

    def work() -> None:
        told.extend(store.counters.incr("shared", 600) for _ in range(COUNTS))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(" ".join(map(str, told)))


if __name__ == "__main__":
    own = SQLStore(sys.argv[2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    {"create_schema": create_schema, "count": count}[sys.argv[1]](own)
    own.close()

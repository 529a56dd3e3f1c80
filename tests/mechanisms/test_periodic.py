"""What a process does of its own accord."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from nipo_auth_mw._runtime import periodic
from nipo_auth_mw._runtime.periodic import PeriodicJob


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Worker:
    """Keeps the jobs that were handed in, with their pauses."""

    def __init__(self) -> None:
        self.jobs: list[tuple[float, Callable[[], object]]] = []

    def submit(self, job: Callable[[], object], *, after: float = 0.0) -> None:
        self.jobs.append((after, job))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(periodic, "time", clock)
    return clock


def periodic_job(found: list[int], *, after: float, every: float) -> tuple[Any, Worker]:
    worker = Worker()
    made: Any = PeriodicJob(worker, lambda: found.pop(0) if found else 0, after=after, every=every)  # type: ignore[arg-type]
    return made, worker


def test_a_row_is_sealed_half_a_minute_after_it_came_and_others_along_with_it(clock: Clock) -> None:
    sealing, worker = periodic_job([], after=30, every=30)
    sealing.trigger()
    clock.now += 29
    sealing.trigger()
    assert [after for after, _ in worker.jobs] == [30]
    clock.now += 2
    sealing.trigger()
    assert [after for after, _ in worker.jobs] == [30, 30]


def test_while_it_finds_something_it_looks_again(clock: Clock) -> None:
    sealing, worker = periodic_job([3, 1, 0], after=30, every=30)
    sealing.trigger()
    for _ in range(3):
        worker.jobs[-1][1]()
    assert len(worker.jobs) == 3


def test_what_is_gone_has_no_jobs_left(clock: Clock) -> None:
    found = [1]
    sealing, worker = periodic_job(found, after=30, every=30)
    sealing.trigger()
    del sealing
    gc.collect()
    worker.jobs[0][1]()
    assert found == [1]


def test_a_process_does_not_sweep_before_its_first_minutes_are_over_and_then_once_an_interval(clock: Clock) -> None:
    sweeping, worker = periodic_job([], after=0, every=300)
    for _ in range(5):
        sweeping.trigger()
    assert worker.jobs == []
    clock.now += 300
    for _ in range(5):
        sweeping.trigger()
    assert len(worker.jobs) == 1

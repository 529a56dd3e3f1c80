"""What a process does of its own accord."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from nipo_auth_mw.parts import chores
from nipo_auth_mw.parts.chores import Chore


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
    monkeypatch.setattr(chores, "time", clock)
    return clock


def chore(found: list[int], *, after: float, every: float) -> tuple[Any, Worker]:
    worker = Worker()
    made: Any = Chore(worker, lambda: found.pop(0) if found else 0, after=after, every=every)  # type: ignore[arg-type]
    return made, worker


def test_a_row_is_sealed_half_a_minute_after_it_came_and_others_along_with_it(clock: Clock) -> None:
    sealing, worker = chore([], after=30, every=30)
    sealing.due()
    clock.now += 29
    sealing.due()
    assert [after for after, _ in worker.jobs] == [30]
    clock.now += 2
    sealing.due()
    assert [after for after, _ in worker.jobs] == [30, 30]


def test_while_it_finds_something_it_looks_again(clock: Clock) -> None:
    sealing, worker = chore([3, 1, 0], after=30, every=30)
    sealing.due()
    for _ in range(3):
        worker.jobs[-1][1]()
    assert len(worker.jobs) == 3


def test_what_is_gone_has_no_chores_left(clock: Clock) -> None:
    found = [1]
    sealing, worker = chore(found, after=30, every=30)
    sealing.due()
    del sealing
    gc.collect()
    worker.jobs[0][1]()
    assert found == [1]


def test_a_process_does_not_sweep_before_its_first_minutes_are_over_and_then_seldom(clock: Clock) -> None:
    sweeping, worker = chore([], after=0, every=300)
    for _ in range(5):
        sweeping.due()
    assert worker.jobs == []
    clock.now += 300
    for _ in range(5):
        sweeping.due()
    assert len(worker.jobs) == 1

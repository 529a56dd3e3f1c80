"""Interleaved rounds of several calls, so that a drift in the machine's speed affects all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Seconds for a call, over rounds: the median, and the quartiles as spread."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile."""
        if len(self.rounds) < 2:
            return self.median, self.median
        low, _, high = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return low, high


def interleaved(
    things: dict[str, Callable[[], object]], rounds: int, calls: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Figure]:
    """Time each call `calls` times in each of `rounds` rounds, in turn. Garbage is collected between the calls only.

    `time.process_time` as the clock leaves out what other programs of the machine take, and every wait.
    """
    taken: dict[str, list[float]] = {name: [] for name in things}
    for thing in things.values():
        for _ in range(min(calls, 200)):
            thing()
    for _ in range(rounds):
        for name, thing in things.items():
            gc.collect()
            gc.disable()
            started = clock()
            for _ in range(calls):
                thing()
            taken[name].append((clock() - started) / calls)
            gc.enable()
    return {name: Figure(tuple(values)) for name, values in taken.items()}


def over(figure: Figure, base: Figure) -> Figure:
    """How much more than `base` each round costs."""
    return Figure(tuple(mine - bare for mine, bare in zip(figure.rounds, base.rounds, strict=True)))

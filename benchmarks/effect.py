"""Whether two lists of measurements differ, and by how much: Mann-Whitney's test and Cliff's delta."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_RESOLVED = 15e-6
"""Seconds. The smallest difference that was measured over the Internet, with thousands of measurements (Crosby, Wallach
and Riedi, "Opportunities and Limits of Remote Timing Attacks", 2009). Here an attacker gets 480 an address a day."""
_NEGLIGIBLE = 0.147
"""A smaller Cliff's delta is negligible (Romano and others, 2006)."""
_BY_CHANCE = 1e-5
"""The bound is this small because a run makes about seventy comparisons."""


@dataclass(frozen=True)
class Effect:
    """The difference of two lists of measurements.

    `delta` is Cliff's delta: the probability that a value of the second list is larger than one of the first, minus the
    probability that it is smaller. `shift` is the difference of the medians. `p` is the probability of such a delta if
    both lists were of one kind.
    """

    delta: float
    shift: float
    p: float

    @property
    def alike(self) -> bool:
        """False for a difference beyond chance, larger than negligible, and large enough to be seen from outside."""
        return self.p > _BY_CHANCE or abs(self.delta) < _NEGLIGIBLE or abs(self.shift) < _RESOLVED


def effect(first: Sequence[float], second: Sequence[float]) -> Effect:
    """Mann-Whitney's U by ranks, with the normal approximation and a correction for ties."""
    n, m = len(first), len(second)
    shared = Counter([*first, *second])
    rank_of, below = {}, 0
    for value in sorted(shared):
        rank_of[value] = below + (shared[value] + 1) / 2
        below += shared[value]
    u = sum(rank_of[value] for value in second) - m * (m + 1) / 2
    ties = sum(count**3 - count for count in shared.values())
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
    p = math.erfc(abs(u - n * m / 2) / spread / math.sqrt(2)) if spread else 1.0
    return Effect(2 * u / (n * m) - 1, statistics.median(second) - statistics.median(first), p)

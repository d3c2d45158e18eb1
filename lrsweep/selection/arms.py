"""What is compared: a schedule with its peak rate and all that goes with it, and what its trainings came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lrsweep.selection.statistics import CONFIDENCE, Interval, interval_around


@dataclass(frozen=True)
class Arm:
    """One of those among which is chosen. Arms of one family compete for it together."""

    name: str
    """unique among those that are compared"""
    family: str
    costs: tuple[float, ...]
    """one per seed that came to a value; the smaller the better, whichever way the metric is"""
    diverged: int = 0
    is_baseline: bool = False
    complexity: float = 0.0
    """the smaller, the simpler: of two that are as good the simpler one is taken"""
    least_spread: float = 0.0
    """below which its deviation is chance: ``coarse`` says so of values that come in steps"""
    order: int = 0
    """among those that are compared: a trial's number, or where it stands in a table"""

    @property
    def n(self) -> int:
        return len(self.costs)

    @property
    def ended(self) -> int:
        return self.n + self.diverged

    @cached_property
    def mean(self) -> float | None:
        return float(np.mean(self.costs)) if self.costs else None

    @cached_property
    def sd(self) -> float | None:
        """From seed to seed; None for fewer than two."""
        return float(np.std(self.costs, ddof=1)) if self.n > 1 else None

    @property
    def spread(self) -> float | None:
        """The deviation to reckon with."""
        return None if self.sd is None else max(self.sd, self.least_spread)

    @property
    def is_constant(self) -> bool:
        """Whether several seeds all gave one value."""
        return self.n > 1 and min(self.costs) == max(self.costs)

    def interval(self, confidence: float = CONFIDENCE) -> Interval | None:
        """Student's, of the mean; None for fewer than two values."""
        if self.mean is None or self.spread is None:
            return None
        return interval_around(self.mean, self.spread, self.n, confidence)

    @property
    def divergence_rate(self) -> float:
        return self.diverged / self.ended if self.ended else 0.0

    @property
    def place(self) -> tuple[bool, float, float, bool, float, int, str]:
        """Sorts the best first. Who diverges with one seed of three is no better for the mean of the other two, so that
        the share of divergences comes before the mean. Of equal means, as coarse values have, the baseline's comes
        first, then the simpler one's, then the earlier. Of equal single values the earlier comes first, as in a search
        (see ``ranking.ranked``): with one seed each, a tie is no sign that the simpler one is as good."""
        mean = 0.0 if self.mean is None else self.mean
        change, needs = (not self.is_baseline, self.complexity) if self.n > 1 else (False, 0.0)
        return self.mean is None, self.divergence_rate, mean, change, needs, self.order, self.name


def leader(arms: Sequence[Arm]) -> Arm:
    """By what was measured, not by what is shown. Raises ValueError where nobody came to a value."""
    first = min(arms, key=lambda arm: arm.place)
    if first.mean is None:
        raise ValueError("no arm has a value")
    return first

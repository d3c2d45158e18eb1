"""Whether the canary's nights still are what they were: charts of the nights since the last change of surroundings.

Of each chart every night asks seven questions: do the last 2, 3, 5, 8, 13, 21 or 34 nights lie beside all nights before
them? Each is Student's test of two groups of nights' means, so that a handful of nights to compare with makes it
careful, and so that what varies from night to night counts, and not only what varies from seed to seed. What a year may
claim wrongly (``FALSE_A_YEAR``) is divided evenly over all questions of its nights, which holds however they depend on
each other. The shortest window has two nights, and no single night is taken for further out than all but 1 in 1,000
are: one bad night, which skewed noise brings now and then, shows nothing.

Divergences are a chart of their own, by Fisher's exact test on the same windows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lrsweep.selection.arms import Arm
from lrsweep.selection.coarse import MOST, step_of
from lrsweep.selection.comparing import diverges_more
from lrsweep.selection.statistics import Interval, t_quantile

NIGHTS_A_YEAR = 365
FALSE_A_YEAR = 0.3
"""Drifts that a year of nights may claim wrongly, on the mean."""
CHARTS = 3
"""The champion's means, what the baseline's differ from them, and divergences."""
WINDOWS = (2, 3, 5, 8, 13, 21, 34)
FEWEST = 3
"""Nights to compare with: fewer have no limits."""
LEVEL = FALSE_A_YEAR / (NIGHTS_A_YEAR * CHARTS * len(WINDOWS))
"""Of one question, two-sided."""
USUAL = 0.995
"""Of nights, within the limits of one: 4 in 365 leave those of two charts where nothing has changed."""
FURTHEST = 0.999
"""No night counts as further out than so many nights are within."""


@dataclass(frozen=True)
class Shift:
    """The last nights lie beside those before them."""

    nights: int
    by: float
    """their mean less the mean before"""
    before: float


class Values:
    """Whether values come in steps, and then how little they can vary (see ``coarse``)."""

    def __init__(self) -> None:
        self._distinct: set[float] = set()
        self._count = 0

    def add(self, values: Iterable[float]) -> None:
        for value in values:
            self._distinct.add(value)
            self._count += 1

    @property
    def least_spread(self) -> float:
        """0 where no two are equal, which spares the search for the step."""
        return MOST * step_of(self._distinct) if len(self._distinct) < self._count else 0.0


class Course:
    """Nights' means in their order, kept as sums, so that every window costs the same.

    The sums are of weight, value and square; of a night with more seeds the mean weighs more. Values are counted from
    the first night's, so that squares keep their digits, and held to where all but a few nights are expected: one that
    is far out would else hide all that comes after it.
    """

    def __init__(self) -> None:
        self._means: list[float] = []
        self._weights: list[int] = []
        self._sums: list[tuple[int, float, float]] = [(0, 0.0, 0.0)]
        self._values = Values()
        self._within = (0.0, 0)

    @property
    def nights(self) -> int:
        return len(self._means)

    @property
    def mean(self) -> float | None:
        """Of all nights, each held."""
        return self._mean_before(self.nights) if self._means else None

    @property
    def seed_deviation(self) -> float | None:
        """From seed to seed within a night; None where no night had two."""
        scatter, degrees = self._within
        return math.sqrt(scatter / degrees) if degrees else None

    def add(self, values: Sequence[float]) -> None:
        """A night's, of one seed at least."""
        mean, weight = math.fsum(values) / len(values), len(values)
        scatter, degrees = self._within
        self._within = scatter + math.fsum((each - mean) ** 2 for each in values), degrees + weight - 1
        self._values.add(values)
        most = self.limits(weight, FURTHEST)
        held = mean if most is None else min(max(mean, most.low), most.high)
        self._means.append(mean)
        self._weights.append(weight)
        total, first, second = self._sums[-1]
        off = held - self._means[0]
        self._sums.append((total + weight, first + weight * off, second + weight * off * off))

    def limits(self, seeds: int, share: float = USUAL) -> Interval | None:
        """Within which one more night of so many seeds is expected; None before there are enough nights."""
        if self.nights < FEWEST:
            return None
        total, first, second = self._sums[-1]
        spread = self._spread((second - first * first / total) / (self.nights - 1))
        reach = t_quantile(self.nights - 1, share) * spread * math.sqrt(1 / total + 1 / seeds)
        mean = self._mean_before(self.nights)
        return Interval(mean - reach, mean + reach)

    def shift(self) -> Shift | None:
        """The shortest window that is shown to lie beside the nights before it."""
        nights = self.nights
        total, first, second = self._sums[-1]
        for window in WINDOWS:
            split = nights - window
            if split < FEWEST:
                return None
            before, first_before, _ = self._sums[split]
            last, first_last = total - before, first - first_before
            scatter = second - first_before * first_before / before - first_last * first_last / last
            error = self._spread(scatter / (nights - 2)) * math.sqrt(1 / before + 1 / last)
            if abs(first_last / last - first_before / before) > t_quantile(nights - 2, 1 - LEVEL) * error:
                return self._told(split)
        return None

    def _spread(self, variance: float) -> float:
        """Of one seed, as nights' means tell it: what varies from night to night is in it."""
        return max(math.sqrt(max(0.0, variance)), self._values.least_spread)

    def _mean_before(self, end: int) -> float:
        total, first, _ = self._sums[end]
        return self._means[0] + first / total

    def _told(self, split: int) -> Shift:
        """Of the last nights as they were, not held."""
        weights = self._weights[split:]
        last = math.fsum(map(operator.mul, self._means[split:], weights)) / sum(weights)
        before = self._mean_before(split)
        return Shift(len(weights), last - before, before)


class Divergences:
    """How many seeds ended in each night, and how many of them diverged."""

    def __init__(self) -> None:
        self._ended: list[int] = [0]
        self._diverged: list[int] = [0]

    def add(self, ended: int, diverged: int) -> None:
        self._ended.append(self._ended[-1] + ended)
        self._diverged.append(self._diverged[-1] + diverged)

    @property
    def so_far(self) -> tuple[int, int]:
        """Diverged, and ended."""
        return self._diverged[-1], self._ended[-1]

    def are_out(self, ended: int, diverged: int) -> bool:
        """Whether one more night's are more than chance explains, at the level of the limits."""
        so_far, all_ended = self.so_far
        return diverged > 0 and diverges_more(_counted(ended, diverged), _counted(all_ended, so_far), 1 - USUAL)

    def shift(self) -> Shift | None:
        """The shortest window in which more diverge than before. That fewer do is good news, and no drift."""
        if self._diverged[-1] == 0:
            return None
        for window in WINDOWS:
            split = len(self._ended) - 1 - window
            if split < FEWEST:
                return None
            before = _counted(self._ended[split], self._diverged[split])
            last = _counted(self._ended[-1] - self._ended[split], self._diverged[-1] - self._diverged[split])
            if last.diverged and diverges_more(last, before, LEVEL):
                return Shift(window, last.divergence_rate - before.divergence_rate, before.divergence_rate)
        return None


def _counted(ended: int, diverged: int) -> Arm:
    return Arm("", "", (0.0,) * (ended - diverged), diverged)

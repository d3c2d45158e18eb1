"""Whether one arm is *shown* to be better than another, or within a margin of it; what is not shown stays open.

Means are compared by Welch's test: arms differ in spread by more than their few seeds can tell, and seeds that all
share (where a training's seed moves every arm alike) only make it more careful. Divergences are counted beside the
means, and compared by Fisher's exact test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrsweep.selection.arms import Arm
from lrsweep.selection.statistics import Interval, t_quantile

ALPHA = 0.05
"""Of false claims, over all that one look at the data may claim."""
CAREFUL = 0.9
"""Welch's test claims up to 5.6 % in the place of 5 where spreads are as 1 to 3 and seeds are five (simulated)."""


@dataclass(frozen=True)
class Difference:
    """Of two means, the first less the second: below zero the first is better."""

    mean: float
    error: float
    degrees: float

    def interval(self, alpha: float = ALPHA) -> Interval:
        reach = t_quantile(self.degrees, 1 - alpha) * self.error
        return Interval(self.mean - reach, self.mean + reach)

    def upper(self, alpha: float) -> float:
        """What the true difference is shown not to exceed, at a one-sided ``alpha``. Where no value was seen to vary,
        and none lies beside another, it is that difference itself."""
        return self.mean + t_quantile(self.degrees, 1 - 2 * alpha) * self.error

    def is_below(self, limit: float, alpha: float) -> bool:
        """Whether it is shown, at a one-sided ``alpha``."""
        return self.mean < limit and self.upper(alpha) < limit  # the mean alone spares most quantiles


def difference(first: Arm, second: Arm) -> Difference | None:
    """None where either has fewer than two values, whose spread nobody knows.

    >>> found = difference(Arm("a", "a", (1.0, 2.0, 3.0)), Arm("b", "b", (4.0, 5.0, 6.0)))
    >>> found.mean, round(found.error, 3), found.degrees
    (-3.0, 0.816, 4.0)
    """
    if first.mean is None or second.mean is None or first.spread is None or second.spread is None:
        return None
    one, other = first.spread**2 / first.n, second.spread**2 / second.n
    variance = one + other
    degrees = float(first.n + second.n - 2)
    if variance > 0:
        degrees = variance**2 / (one**2 / (first.n - 1) + other**2 / (second.n - 1))
    return Difference(first.mean - second.mean, math.sqrt(variance), degrees)


def is_shown_better(first: Arm, second: Arm, alpha: float = ALPHA) -> bool:
    """Of a pair named in advance, wrongly in ``alpha / 2``: which of both looks better is seen in the data.

    An arm that has diverged more often is never shown to be better; one that is no worse in its mean is, where the
    other is shown to diverge more.
    """
    if first.divergence_rate > second.divergence_rate or first.mean is None:
        return False
    between = difference(first, second)
    if between is not None and between.is_below(0.0, CAREFUL * alpha / 2):
        return True
    return (second.mean is None or first.mean <= second.mean) and diverges_more(second, first, alpha / 2)


def is_shown_within(first: Arm, second: Arm, worth: float, alpha: float = ALPHA) -> bool:
    """Whether the first is shown to be worse than the second by ``worth`` at most, or better. Where all values that
    are compared are one value, a ``worth`` of nothing is enough."""
    if first.divergence_rate > second.divergence_rate:
        return False
    if second.mean is None:
        return first.mean is not None
    between = difference(first, second)
    return between is not None and between.mean <= worth and between.upper(alpha) <= worth


def is_shown_worse(first: Arm, second: Arm, worth: float, alpha: float) -> bool:
    """Whether the first is shown to be worse than the second by more than ``worth``, or to diverge more."""
    between = difference(second, first)
    by_mean = between is not None and between.is_below(-worth, alpha)
    return (by_mean and first.divergence_rate >= second.divergence_rate) or diverges_more(first, second, alpha)


def diverges_more(first: Arm, second: Arm, alpha: float) -> bool:
    """Fisher's exact test, one-sided.

    >>> diverges_more(Arm("a", "a", (), diverged=5), Arm("b", "b", (1.0,) * 5), 0.025)
    True
    >>> diverges_more(Arm("a", "a", (1.0,) * 2, diverged=3), Arm("b", "b", (1.0,) * 5), 0.025)
    False
    """
    diverged = first.diverged + second.diverged
    if first.divergence_rate <= second.divergence_rate:
        return False
    most = min(first.ended, diverged)
    ways = sum(
        math.comb(first.ended, each) * math.comb(second.ended, diverged - each)
        for each in range(first.diverged, most + 1)
    )
    return ways / math.comb(first.ended + second.ended, diverged) <= alpha

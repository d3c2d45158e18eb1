"""Means and rank correlations of few numbers, each with an interval that covers what it promises. Arrays in, numbers
out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95

SERIES_FROM = 1000
"""Degrees of freedom from which Student's quantile is a short series in the normal one: to 12 digits and more."""

MOST_STEPS = 200
"""Of what converges in five to fifty."""

CLOSE = 1e-6
"""A step of Newton's that is as small as this is the last: its error is the square."""

FEWEST_RANKED = 4
"""A rank correlation of three pairs has no interval."""


@dataclass(frozen=True)
class Interval:
    """Where the true value lies, of 100 such intervals in 95."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def turned(interval: Interval | None, sign: float) -> Interval | None:
    """The same of the negative where the sign is below zero.

    >>> turned(Interval(1.0, 3.0), -1.0)
    Interval(low=-3.0, high=-1.0)
    """
    return interval if interval is None or sign > 0 else Interval(-interval.high, -interval.low)


def listed(interval: Interval | None) -> list[float] | None:
    """For JSON."""
    return None if interval is None else [interval.low, interval.high]


@lru_cache(maxsize=4096)
def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors a two-sided interval reaches to either side.

    As SciPy's to ten digits and more, and here because to ask SciPy takes the first time 0.2 s, a fifth of what a look
    at results may take.

    >>> round(t_quantile(2), 3), round(t_quantile(1e9), 3)
    (4.303, 1.96)
    """
    if not (degrees > 0 and 0 <= confidence <= 1):
        raise ValueError(f"degrees {degrees} and confidence {confidence}; wanted some above 0, and 0 to 1")
    if (1 + confidence) / 2 == 1:
        return math.inf
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    if degrees > SERIES_FROM:
        return _expanded(normal, degrees)
    scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.lgamma(0.5)  # of 1 / B(degrees / 2, 1 / 2)
    low, high, at = normal, math.inf, max(normal, _expanded(normal, degrees))
    for _ in range(MOST_STEPS):
        excess = _beyond(at, degrees, scale) - (1 - confidence)
        low, high = (at, high) if excess > 0 else (low, at)
        density = math.exp(scale - (degrees + 1) / 2 * math.log1p(at * at / degrees)) / math.sqrt(degrees)
        newton, before = at + excess / (2 * density), at
        at = newton if low <= newton <= high else (low + min(high, 3 * low)) / 2
        if at == newton and math.isclose(at, before, rel_tol=CLOSE):
            break
    return at


def _expanded(normal: float, degrees: float) -> float:
    """Cornish and Fisher's series (Abramowitz and Stegun 26.7.5)."""
    z = normal
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum(term / degrees**power for power, term in enumerate(terms))


def _beyond(t: float, degrees: float, scale: float) -> float:
    """The chance of a value further from zero than ``t``: the incomplete beta function by its continued fraction
    (Abramowitz and Stegun 26.5.8), on the side on which that converges."""
    if t == 0:
        return 1.0
    x = degrees / (degrees + t * t)
    rest = t * t / (degrees + t * t)
    a, b = degrees / 2, 0.5
    share = math.exp(scale + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return share * _fraction(x, a, b) / a
    return 1 - share * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """From the front, by Lentz's way: each step is a factor, and the last are 1."""
    upper, lower = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = lower
    for m in range(1, MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        upper, lower = 1 + even / upper, 1 / (1 + even * lower)
        found *= upper * lower
        upper, lower = 1 + odd / upper, 1 / (1 + odd * lower)
        found *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return found


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Student's interval of the mean; None for fewer than two values, which say nothing of their spread.

    >>> interval = mean_interval([1.0, 2.0, 3.0])
    >>> round(interval.low, 3), round(interval.high, 3)
    (-0.484, 4.484)
    """
    if len(values) < 2:
        return None
    return interval_around(float(np.mean(values)), float(np.std(values, ddof=1)), len(values), confidence)


def interval_around(mean: float, deviation: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The same where mean and deviation of ``n`` values are known."""
    reach = t_quantile(n - 1, confidence) * deviation / math.sqrt(n)
    return Interval(mean - reach, mean + reach)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's: of ranks, equal values sharing their mean rank; infinity may stand among them.

    None for fewer than two pairs, or where one side is all equal and so has no order.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, math.inf, 30]), rank_correlation([1, 1], [1, 2])
    (0.8, None)
    """
    if len(first) < 2:
        return None
    one, other = _ranks(first), _ranks(second)
    spread = math.sqrt(float(one @ one) * float(other @ other))
    return None if spread == 0 else float(one @ other) / spread


def rank_interval(correlation: float, n: int) -> Interval | None:
    """Fisher's interval of Spearman's correlation with the variance of Bonett and Wright, (1 + r²/2) / (n - 3).

    A correlation of exactly 1 would have no width: it is taken half a step of what ``n`` ranks can say below 1.
    """
    if n < FEWEST_RANKED:
        return None
    most = 1 - 6 / (n * (n**2 - 1))
    held = min(max(correlation, -most), most)
    reach = t_quantile(math.inf) * math.sqrt((1 + held**2 / 2) / (n - 3))
    return Interval(math.tanh(math.atanh(held) - reach), math.tanh(math.atanh(held) + reach))


def _ranks(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """From 1 up, equal ones with their mean rank, less the mean of all."""
    _, places, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[places]
    return np.asarray(ranks - ranks.mean())

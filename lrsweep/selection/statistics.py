"""Means and rank correlations of few numbers, each with an interval that covers what it promises. Arrays in, numbers
out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95

_AT_95 = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146,
    2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274,
    2.200985160091639, 2.1788128296672284, 2.1603686564627913, 2.144786687917804, 2.131449545559776,
    2.1199052992212546, 2.1098155778333156, 2.1009220402410382, 2.0930240544083087, 2.085963447265864,
    2.0796138447276795, 2.0738730679040254, 2.0686576104190486, 2.0638985616280245, 2.0595385527532972,
    2.0555294386428735, 2.0518305164802846, 2.0484071417952454, 2.045229642132703, 2.0422724563012378,
)  # fmt: skip
"""Student's quantile of two sides and 1 to 30 degrees of freedom: those of most intervals. To ask SciPy takes the first
time 0.2 s, a fifth of what a look at results may take."""

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


def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors a two-sided interval reaches to either side.

    >>> round(t_quantile(2), 3), round(t_quantile(1e9), 3)
    (4.303, 1.96)
    """
    if confidence == CONFIDENCE and degrees in range(1, len(_AT_95) + 1):
        return _AT_95[int(degrees) - 1]
    if degrees == math.inf and confidence < 1:  # SciPy knows what the standard library refuses
        return NormalDist().inv_cdf((1 + confidence) / 2)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


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

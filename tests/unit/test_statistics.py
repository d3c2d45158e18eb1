"""Intervals and rank correlations by hand and from tables; how often the intervals cover, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from lrsweep.selection.statistics import mean_interval, rank_correlation, rank_interval, t_quantile

INFINITE = math.inf


@pytest.mark.parametrize(("degrees", "expected"), [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (INFINITE, 1.960)])
def test_quantiles_are_those_of_students_table(degrees: float, expected: float) -> None:
    """Two-sided, 95 %."""
    assert t_quantile(degrees) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("confidence", [0.05, 0.5, 0.9, 0.95, 0.99, 0.9999])
def test_quantiles_are_scipys(confidence: float) -> None:
    """Of whole degrees and of Welch's, few and many, on both sides of where the series begins."""
    degrees = [*range(1, 40), 0.6, 1.01, 2.5, 30.5, 199.9, 999.5, 1000.5, 3e4, 1e9]
    found = [t_quantile(each, confidence) for each in degrees]
    assert found == pytest.approx([stdtrit(each, (1 + confidence) / 2) for each in degrees], rel=1e-10)


@pytest.mark.parametrize(("degrees", "confidence"), [(0, 0.95), (-1, 0.95), (math.nan, 0.95), (3, -0.1), (3, 1.1)])
def test_no_quantile_is_made_up(degrees: float, confidence: float) -> None:
    """Of no degrees of freedom, or of no chance."""
    with pytest.raises(ValueError, match="wanted some above 0, and 0 to 1"):
        t_quantile(degrees, confidence)


def test_what_is_certain_has_an_infinite_quantile() -> None:
    assert t_quantile(3, 1.0) == t_quantile(math.inf, 1.0) == t_quantile(3, 1 - 1e-16) == math.inf
    assert t_quantile(3, 0.0) == 0.0
    for confidence in (0.5, 0.95, 0.999):
        assert t_quantile(math.inf, confidence) == pytest.approx(stdtrit(math.inf, (1 + confidence) / 2), rel=1e-14)


def test_the_interval_of_a_mean_is_students() -> None:
    """Mean 4, standard deviation 2, n 4: 4 ± 3.182 · 2 / 2; one value says nothing of its spread."""
    interval = mean_interval([4 - 3**0.5, 4 + 3**0.5, 4 - 3**0.5, 4 + 3**0.5])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.818, 7.182), abs=1e-3)
    assert interval.width == pytest.approx(6.364, abs=2e-3)
    assert mean_interval([0.5]) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6·4 / (5·24)
        ([1, 2, 2, 4], [1, 2, 3, 4], 0.9486832980505138),  # ranks 1, 2.5, 2.5, 4: 4.5 / sqrt(4.5 · 5)
        ([1, 2, 3, 4], [1, 2, INFINITE, INFINITE], 0.9486832980505138),  # the divergent share a rank
        ([1, 1, 1], [1, 2, 3], None),
        ([1], [1], None),
        ([], [], None),
    ],
)
def test_ranks_are_correlated_whatever_lies_between_them(
    first: list[float], second: list[float], expected: float | None
) -> None:
    """Equal values share their mean rank, and so do infinite ones; without an order there is no correlation."""
    found = rank_correlation(first, second)
    assert (found is None) if expected is None else (found == pytest.approx(expected))


def test_a_perfect_correlation_still_has_a_width() -> None:
    """Of eight pairs 1 reaches down to about 0.9, of four to nearly nothing; of three there is none."""
    eight = rank_interval(1.0, 8)
    four = rank_interval(1.0, 4)
    assert eight is not None
    assert four is not None
    assert 0.88 < eight.low < 0.94
    assert eight.high < 1
    assert four.low < 0.2
    assert rank_interval(1.0, 3) is None


def test_an_interval_of_no_correlation_lies_around_it() -> None:
    """tanh(1.96 / sqrt(n - 3)): of eight pairs tanh(0.8765), of 63 tanh(0.2530)."""
    for n, reach in ((8, 0.7045), (63, 0.2477)):
        interval = rank_interval(0.0, n)
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((-reach, reach), abs=1e-3)


def test_a_large_correlation_has_the_wider_interval_of_ranks() -> None:
    """0.8 of twelve: tanh(1.0986 ± 1.96 · √(1.32 / 9)) = tanh(0.3480) and tanh(1.8492)."""
    interval = rank_interval(0.8, 12)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.3346, 0.9516), abs=2e-4)


@pytest.mark.parametrize("n", [8, 20, 60])
@pytest.mark.parametrize("truth", [0.0, 0.5, 0.9])
def test_the_interval_covers_the_true_correlation_as_often_as_it_says(n: int, truth: float) -> None:
    """In 95 % of 400 samples, within four standard deviations of such a share (4.4 %)."""
    draws = np.random.default_rng(n)
    pearson = 2 * math.sin(math.pi * truth / 6)  # of normal values with this rank correlation
    covered = 0
    for _ in range(400):
        full = draws.standard_normal(n)
        rung = pearson * full + math.sqrt(1 - pearson**2) * draws.standard_normal(n)
        correlation = rank_correlation(list(rung), list(full))
        assert correlation is not None
        interval = rank_interval(correlation, n)
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert covered / 400 == pytest.approx(0.95, abs=0.044)

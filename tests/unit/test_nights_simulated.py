"""What nights claim by chance in simulated years in which nothing changes, and what they find where something does.

Deviations from seed to seed are 1 (see ``tests.benchmarks.nights.simulated``). The figures that are published come from
``tests.benchmarks.nights``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lrsweep.selection.nights import Judgement, Night, NightVerdict, Rules, judgements
from tests.benchmarks.nights.simulated import HERE, Year, years

DRIFTED, BETTER = NightVerdict.WORKLOAD_DRIFTED, NightVerdict.CHALLENGER_BETTER
MOST = 1.0
"""False verdicts of a study and a year, on the mean."""
REFUSED_FROM = 3
"""Standard errors of the simulation below MOST at which the mean has to stay."""

HARD = Year(tail="skewed", seeds=2, night_deviation=0.3, missed=0.1, diverging=0.02, lacking=0.1, challengers=1)


def judged(year: Year, count: int, change: Callable[[list[Night]], list[Night]] = list) -> list[list[Judgement]]:
    return [judgements(change(drawn), Rules(worth=0.0)) for drawn in years(year, count)]


def per_year(found: list[list[Judgement]]) -> Counter[NightVerdict]:
    return Counter(one.verdict for year in found for one in year)


def first(found: list[Judgement], verdict: NightVerdict, start: int = 0) -> float:
    """Nights from ``start`` until then; infinity where it never comes."""
    return next((night for night, one in enumerate(found[start:], 1) if one.verdict is verdict), np.inf)


@pytest.mark.parametrize(
    ("year", "count"),
    [
        pytest.param(HARD, 200, id="skewed, few seeds, missed nights, divergences, nights vary"),
        pytest.param(Year(challengers=2), 20, id="normal, two challengers every night"),
        pytest.param(Year(night_deviation=1.0), 40, id="nights vary as much as seeds"),
    ],
)
def test_a_year_in_which_nothing_changes_has_at_most_one_verdict(year: Year, count: int) -> None:
    """Of either kind together, on the mean and by more than chance; and most nights hold."""
    found = judged(year, count)
    false = [sum(one.verdict in (DRIFTED, BETTER) for one in own) for own in found]
    chance = float(np.std(false, ddof=1)) / count**0.5
    assert np.mean(false) + REFUSED_FROM * chance <= MOST
    verdicts = per_year(found)
    assert verdicts[NightVerdict.HOLDS] > 0.9 * verdicts.total()


def test_the_first_nights_raise_no_alarm() -> None:
    """500 studies of 12 nights, 2 skewed seeds each: a handful of nights to compare with makes limits wide."""
    verdicts = per_year(judged(Year(nights=12, seeds=2, tail="skewed", challengers=1), 500))
    assert verdicts[DRIFTED] <= 10
    assert verdicts[BETTER] <= 10


def test_challengers_that_are_no_better_are_not_claimed_however_long_one_looks() -> None:
    """100 studies of 60 nights with five of them: the mean number is below what all levels add up to, 0.1."""
    verdicts = per_year(judged(Year(nights=60, challengers=5), 100))
    assert verdicts[BETTER] <= 15  # 10 and 1.6 standard deviations


def test_a_device_that_changes_every_month_is_never_a_drift() -> None:
    """Each change moves all values by ten deviations; 10 years."""

    def moving(nights: list[Night]) -> list[Night]:
        moved = []
        for place, night in enumerate(nights):
            device = place // 30 % 2
            moved.append(
                replace(
                    night,
                    surroundings=replace(HERE, device=f"device {device}"),
                    canary=replace(
                        night.canary, costs={seed: cost + 10 * device for seed, cost in night.canary.costs.items()}
                    ),
                )
            )
        return moved

    verdicts = per_year(judged(Year(seeds=2), 10, moving))
    assert verdicts[DRIFTED] <= 10 * MOST / 2


@pytest.mark.parametrize(("shift", "median", "most"), [(2.0, 4, 7), (1.0, 12, 30)])
def test_a_shift_is_seen_within_a_few_nights(shift: float, median: float, most: float) -> None:
    """After 30 nights of 3 seeds; by a shift of the canary, in deviations from seed to seed: median and 9 of 10."""
    found = judged(Year(nights=90, shift=shift, shifted_from=30), 60)
    needed = [first(own, DRIFTED, 30) for own in found]
    assert np.quantile(needed, 0.5, method="higher") <= median
    assert np.quantile(needed, 0.9, method="higher") <= most


@pytest.mark.parametrize(("gain", "median", "most"), [(2.0, 4, 6), (1.0, 12, 20)])
def test_a_better_challenger_is_seen_within_a_few_nights(gain: float, median: float, most: float) -> None:
    """By 3 pairs a night and no worth, in deviations from seed to seed: median and 9 of 10."""
    found = judged(Year(nights=40, challengers=1, gain=gain), 60)
    needed = [first(own, BETTER) for own in found]
    assert min(needed) >= 3
    assert np.quantile(needed, 0.5, method="higher") <= median
    assert np.quantile(needed, 0.9, method="higher") <= most

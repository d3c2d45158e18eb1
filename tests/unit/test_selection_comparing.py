"""Arms, and what two of them show of each other, by hand and by tables."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from lrsweep.selection.arms import Arm, leader
from lrsweep.selection.comparing import (
    CAREFUL,
    difference,
    diverges_more,
    is_shown_better,
    is_shown_within,
    is_shown_worse,
)


def an_arm(name: str, *costs: float, diverged: int = 0) -> Arm:
    return Arm(name, name, costs, diverged)


LOW, HIGH = an_arm("low", 1.0, 2.0, 3.0), an_arm("high", 4.0, 5.0, 6.0)


def test_an_arm_counts_its_values_and_its_divergences_apart() -> None:
    """Two values and one divergence: mean 2, deviation 1.41, a third diverged."""
    arm = an_arm("a", 1.0, 3.0, diverged=1)
    assert (arm.n, arm.ended, arm.mean) == (2, 3, 2.0)
    assert arm.sd == pytest.approx(math.sqrt(2))
    assert arm.divergence_rate == pytest.approx(1 / 3)


def test_of_no_value_there_is_no_mean_and_of_one_no_spread() -> None:
    """Nothing is made up; an arm that never trained has not diverged either."""
    assert (an_arm("a").mean, an_arm("a").divergence_rate) == (None, 0.0)
    assert (an_arm("a", 1.0).mean, an_arm("a", 1.0).sd) == (1.0, None)


def test_who_diverges_less_leads_whatever_the_means() -> None:
    """Then comes the mean; an arm without values comes last, and of such alone nobody leads."""
    often = an_arm("often", 0.1, diverged=2)
    assert leader([often, HIGH, LOW, an_arm("never", diverged=3)]) is LOW
    assert leader([often, an_arm("never", diverged=3)]) is often
    with pytest.raises(ValueError, match="no arm has a value"):
        leader([an_arm("never", diverged=3)])


def test_the_interval_of_a_difference_is_welchs() -> None:
    """Spreads of 1 and 3: as SciPy has it."""
    first, second = an_arm("a", 1.0, 2.0, 3.0), an_arm("b", 2.0, 5.0, 8.0, 6.0)
    found = difference(first, second)
    assert found is not None
    expected = stats.ttest_ind(first.costs, second.costs, equal_var=False).confidence_interval(0.95)
    assert (found.interval().low, found.interval().high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("other", [an_arm("b"), an_arm("b", 1.0)], ids=["no value", "one value"])
def test_where_nothing_is_known_of_chance_nothing_is_shown(other: Arm) -> None:
    """One seed each: however far apart, none is shown to be better, within, or worse."""
    assert difference(LOW, other) is None
    assert not is_shown_better(LOW, an_arm("b", 1e9))
    assert not is_shown_within(an_arm("b", 0.0), LOW, worth=1e9)
    assert not is_shown_worse(an_arm("b", 1e9), LOW, 0.0, 0.05)


def test_three_seeds_show_a_gap_of_37_tenths_of_its_error_and_not_of_24() -> None:
    """Means 2 and 5, error 0.816, 4 degrees: t = 3.67 is beyond 2.88, the careful quantile, and 2.45 is not."""
    assert is_shown_better(LOW, HIGH)
    assert not is_shown_better(HIGH, LOW)
    assert not is_shown_better(LOW, an_arm("near", 3.0, 4.0, 5.0))
    assert stats.t.ppf(1 - CAREFUL * 0.025, 4) == pytest.approx(2.88, abs=0.005)


def test_who_diverges_more_is_never_shown_to_be_better_nor_within() -> None:
    """Four values far below the other's do not count against one divergence."""
    arm = an_arm("a", 0.1, 0.11, 0.12, 0.1, diverged=1)
    assert not is_shown_better(arm, HIGH)
    assert not is_shown_within(arm, HIGH, worth=100.0)
    assert not is_shown_better(an_arm("never", diverged=5), HIGH)


def test_divergences_alone_show_it_where_the_mean_is_no_worse() -> None:
    """Five of five against none of five has the probability 1/252; of three against three it is 1/20, too much."""
    assert is_shown_better(an_arm("a", *[1.0] * 5), an_arm("b", diverged=5))
    assert not is_shown_better(an_arm("a", *[1.0] * 3), an_arm("b", diverged=3))
    assert diverges_more(an_arm("b", diverged=5), an_arm("a", *[1.0] * 5), 1 / 251)
    assert not diverges_more(an_arm("b", diverged=5), an_arm("a", *[1.0] * 5), 1 / 253)


def test_within_is_shown_by_what_the_difference_does_not_exceed() -> None:
    """Means 2 and 2.1, error 0.816: one-sided 5 % of 4 degrees reach 2.13 errors, so 1.74 beyond 0.1."""
    near = an_arm("near", 1.1, 2.1, 3.1)
    assert is_shown_within(near, LOW, worth=1.9)
    assert not is_shown_within(near, LOW, worth=1.8)
    assert is_shown_within(LOW, an_arm("never", diverged=3), worth=0.1)


def test_values_without_spread_stand_for_themselves() -> None:
    """Equal ones lie within nothing of each other and none is better; different ones are told apart."""
    one, same, other = (an_arm(name, *[value] * 3) for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)))
    assert is_shown_within(one, same, worth=0.0)
    assert not is_shown_better(one, same)
    assert is_shown_better(one, other)
    assert not is_shown_within(other, one, worth=0.0)


def test_worse_by_more_than_it_is_worth_is_shown_or_not() -> None:
    """A gap of 3 with an error of 0.816: more than 0.5 worse at 5 %, one-sided (t = 3.06 beyond 2.13), not 2.5."""
    assert is_shown_worse(HIGH, LOW, 0.5, 0.05)
    assert not is_shown_worse(HIGH, LOW, 2.5, 0.05)
    assert is_shown_worse(an_arm("never", diverged=5), an_arm("a", *[1.0] * 5), 0.5, 0.05)

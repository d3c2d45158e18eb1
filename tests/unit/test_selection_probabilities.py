"""How probable it is that an arm is the best: sums, borders and directions; calibration is in
test_selection_simulated.py."""

from __future__ import annotations

import pytest

from lrsweep.selection.arms import Arm
from lrsweep.selection.probabilities import probability_best

SPREAD = (-1.0, 0.0, 1.0, -0.5, 0.5)


def around(name: str, mean: float, diverged: int = 0) -> Arm:
    return Arm(name, name, tuple(mean + each for each in SPREAD), diverged)


def test_they_add_up_to_one_and_follow_the_means() -> None:
    """The same data give the same numbers."""
    arms = [around("a", 0), around("b", 0.5), around("c", 9)]
    found = probability_best(arms)
    assert sum(value or 0.0 for value in found.values()) == pytest.approx(1)
    assert (found["a"] or 0) > (found["b"] or 0) > (found["c"] or 0)
    assert found["c"] == 0
    assert probability_best(arms) == found


def test_equal_arms_are_equally_probable() -> None:
    """A quarter each, within what 4,000 draws move."""
    found = probability_best([around(name, 0) for name in "abcd"])
    assert list(found.values()) == pytest.approx([0.25] * 4, abs=0.035)


def test_without_two_values_of_anybody_nobody_knows() -> None:
    """One seed each: None, not a guess."""
    assert probability_best([Arm("a", "a", (1.0,)), Arm("b", "b", (2.0,))]) == {"a": None, "b": None}


def test_an_arm_of_one_value_shares_the_others_spread() -> None:
    """It may be the best where it lies low, and surely is not where it lies high."""
    found = probability_best([around("a", 0), around("b", 0.5), Arm("c", "c", (-0.5,)), Arm("d", "d", (50.0,))])
    assert (found["c"] or 0) > 0.2
    assert found["d"] == 0


def test_who_diverges_is_best_only_where_it_does_not() -> None:
    """Of two with the same values the one that diverged half of the time is best in about a quarter; who always did is
    best in none; alone with that one, an arm is best for certain."""
    found = probability_best([around("a", 0), around("b", 0, diverged=5)])
    assert found["b"] == pytest.approx(0.25, abs=0.05)
    assert probability_best([around("a", 0), Arm("b", "b", (), diverged=3)]) == {"a": 1.0, "b": 0.0}


def test_values_without_spread_decide() -> None:
    """Constant values: nothing is left to chance."""
    found = probability_best([Arm("a", "a", (2.0, 2.0)), Arm("b", "b", (1.0, 1.0))])
    assert found == {"a": 0.0, "b": 1.0}


def test_one_restless_arm_says_little_of_the_others() -> None:
    """A baseline that goes wrong now and then, beside four quiet arms whose intervals lie apart."""
    means = {"a": 0.1, "b": 0.11, "c": 0.12, "d": 0.13}
    quiet = [Arm(name, name, tuple(mean + by for by in (-0.001, 0.0, 0.001))) for name, mean in means.items()]
    found = probability_best([*quiet, Arm("e", "e", (0.13, 0.15, 0.4))])
    assert found["a"] is not None
    assert found["a"] > 0.9

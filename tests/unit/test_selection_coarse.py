"""Values that come in steps: accuracies of few examples, and what three seeds that agree may claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lrsweep.selection.arms import Arm
from lrsweep.selection.coarse import step_of, with_least_spreads
from lrsweep.selection.deciding import Evidence, decide, default_worth
from lrsweep.selection.needed import next_step
from tests.unit.test_selection_simulated import at_most

STEP = 1 / 180
COMPARISONS = 1_500

Draw = Callable[[np.random.Generator, int], np.ndarray]


def counted_wrong(accuracy: float) -> Draw:
    """Mistakes among 180 examples, as a share."""
    return lambda random, n: random.binomial(180, 1 - accuracy, n) * STEP


def rounded(deviation: float, beside: float) -> Draw:
    """Gaussian, around a place between two steps, both in steps."""
    return lambda random, n: np.round(random.normal(beside, deviation, n)) * STEP


def constant(name: str, value: float, n: int = 3, complexity: float = 0.0) -> Arm:
    return Arm(name, name, (value,) * n, complexity=complexity)


def test_the_smallest_step_is_that_of_all_that_are_compared() -> None:
    """In any order, an accuracy added up in another way being the same; 0 of one value, and of none."""
    assert step_of([0.5, 0.75, 0.5, 0.625]) == 0.125
    assert step_of([0.1 + 0.2, 0.3, 0.5]) == pytest.approx(0.2)
    assert step_of([0.3, 0.3]) == 0.0
    assert step_of([]) == 0.0


def test_one_huge_value_hides_no_steps() -> None:
    """An arm that has all but diverged: the others are as well known as without it."""
    assert step_of([0.5, 0.502, 0.6, 2e7]) == pytest.approx(0.002)
    arms = [Arm("a", "a", (0.498, 0.5, 0.502)), Arm("b", "b", (0.6, 0.601, 0.603)), Arm("c", "c", (0.7, 0.8, 2e7))]
    assert decide(with_least_spreads(arms)).worth == decide(with_least_spreads(arms[:2])).worth


def test_no_spread_is_less_than_half_a_step() -> None:
    """Of an arm that is constant, and of one that hardly moves; a larger one stays, and one seed has none."""
    arms = [constant("a", 0.0), Arm("b", "b", (1.0,) * 9 + (2.0,)), Arm("c", "c", (0.0, 5.0)), Arm("d", "d", (4.0,))]
    found = with_least_spreads(arms)
    assert [arm.spread for arm in found] == [0.5, 0.5, arms[2].sd, None]
    assert [arm.sd for arm in found] == [arm.sd for arm in arms]
    assert with_least_spreads(found) == found


def test_of_values_that_all_differ_nothing_changes() -> None:
    """Two equal values are what it takes to have a smaller spread than half of the smallest step."""
    random = np.random.default_rng(0)
    for _ in range(200):
        arms = [Arm(name, name, tuple(random.normal(0, 1, 3))) for name in "ab"]
        assert [arm.spread for arm in with_least_spreads(arms)] == [arm.sd for arm in arms]


def test_an_interval_of_seeds_that_agree_has_a_width() -> None:
    """Three at 0.95 beside one at 0.96: half a step of 0.01, by Student's 4.303 and the root of three."""
    arm = with_least_spreads([constant("a", 0.95), Arm("b", "b", (0.96,))])[0]
    found = arm.interval()
    assert found is not None
    assert found.width / 2 == pytest.approx(4.303 * 0.005 / 3**0.5, rel=1e-3)
    assert constant("a", 0.95).interval() is not None
    assert Arm("a", "a", (0.95,)).interval() is None


def test_three_seeds_that_agree_by_chance_show_no_gap_of_one_step() -> None:
    """As they do once in four; of five, or over three steps, chance would take once in a thousand."""
    for n, steps, winner in ((3, 1, None), (3, 3, "a"), (5, 1, "a")):
        arms = [constant("a", 0.1, n), constant("b", 0.1 + STEP * steps, n), Arm("c", "c", (0.5, 0.5 + STEP))]
        assert decide(arms).winner == winner


def test_what_ignores_its_seed_is_told_so_where_it_shows_no_winner() -> None:
    """Without a spread anywhere nobody knows chance: the nearest two stay open with three seeds, and four tell
    them."""
    arms = [constant("a", 1.0), constant("b", 1.5), constant("c", 9.0)]
    verdict = decide(arms)
    assert (verdict.winner, verdict.recommended, verdict.evidence) == (None, "a", Evidence.RECOMMENDED)
    assert "see that the training uses its seed" in str(next_step(with_least_spreads(arms), verdict))
    assert decide([constant("a", 1.0, 4), constant("b", 1.5, 4), constant("c", 9.0, 4)]).winner == "a"


def test_of_equal_means_the_baseline_leads_and_then_the_simpler_one() -> None:
    """Coarse values tie; a name says nothing."""
    arms = [constant("a", 1.0, complexity=2.0), constant("b", 1.0, complexity=1.0), constant("c", 2.0)]
    assert decide(arms).leader == "b"
    assert decide([Arm("d", "d", (1.0,) * 3, is_baseline=True, complexity=9.0), *arms]).leader == "d"


def test_worth_is_taken_from_half_a_step_where_the_judge_never_moves() -> None:
    """A quarter of a step, in the place of nothing."""
    arms = with_least_spreads([constant("a", 1.0), constant("b", 2.0)])
    assert default_worth(arms) == 0.25


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize(
    "draw",
    [
        counted_wrong(0.9),
        counted_wrong(0.98),
        counted_wrong(0.995),
        counted_wrong(0.998),
        rounded(0.1, 0.5),
        rounded(0.3, 0.4),
        rounded(1.0, 0.25),
    ],
    ids=["0.9", "0.98", "0.995", "0.998", "on the edge", "near it", "rounded"],
)
def test_coarse_values_make_no_winner_of_equal_ones(draw: Draw, count: int, n: int) -> None:
    """Accuracies of 180 examples, and values rounded to as many steps: 4 % at most. Without the least spread two
    seeds each claim one in 12 % of cases where values lie on the edge between two steps."""
    random = np.random.default_rng(0)
    claims = [
        decide([Arm(f"{place}", f"{place}", tuple(draw(random, n))) for place in range(count)]).winner is not None
        for _ in range(COMPARISONS)
    ]
    assert np.mean(claims) <= at_most(0.05, COMPARISONS)


@pytest.mark.parametrize("n", [3, 5])
def test_coarse_values_that_are_worse_are_not_taken_for_as_good(n: int) -> None:
    """One makes a mistake in 50 more than the other, and a mistake in 75 is worth a change."""
    random = np.random.default_rng(0)
    taken = 0
    for _ in range(COMPARISONS):
        good, simple = (tuple(counted_wrong(accuracy)(random, n)) for accuracy in (0.99, 0.97))
        verdict = decide([Arm("good", "good", good, complexity=5.0), Arm("simple", "simple", simple)], worth=1 / 75)
        taken += verdict.recommended == "simple" and verdict.evidence is not Evidence.UNDECIDED
    assert taken / COMPARISONS <= 0.05

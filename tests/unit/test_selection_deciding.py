"""The decision: winner, equivalence set, whom to take, how far it is shown, and what would show more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import is_shown_better
from lrsweep.selection.deciding import Evidence, decide, default_worth
from lrsweep.selection.needed import next_step, seeds_to_settle, seeds_to_tell
from lrsweep.selection.statistics import t_quantile

SPREAD = (-1.0, 0.0, 1.0, -0.5, 0.5)
"""A standard deviation of 0.79"""


def around(name: str, mean: float, *, family: str = "", complexity: float = 1.0, by: float = 1.0, n: int = 5) -> Arm:
    costs = tuple(mean + by * each for each in SPREAD[:n])
    return Arm(name, family or name, costs, complexity=complexity)


def as_baseline(arm: Arm) -> Arm:
    return replace(arm, is_baseline=True)


def test_a_winner_beats_every_other_family_and_is_proven() -> None:
    """Ten deviations below both others."""
    verdict = decide([around("b", 10), around("a", 0), around("c", 20)])
    assert (verdict.winner, verdict.recommended, verdict.leader) == ("a", "a", "a")
    assert verdict.evidence is Evidence.PROVEN
    assert verdict.equivalence_set == ("a",)


def test_where_two_share_the_top_there_is_no_winner() -> None:
    """Both are far below the third; the one that leads is taken, and that may be luck."""
    verdict = decide([around("a", 0), around("b", 0.1), around("c", 20)])
    assert (verdict.winner, verdict.recommended) == (None, "a")
    assert verdict.evidence is Evidence.UNDECIDED


def test_a_familys_own_arms_are_no_rivals_of_each_other() -> None:
    """Two peak rates of one family beat the other family: the family wins with its better one."""
    verdict = decide([around("a 1", 0, family="a"), around("a 2", 0.1, family="a"), around("b", 10)])
    assert verdict.winner == "a 1"


def test_one_family_alone_does_not_win() -> None:
    """Nothing was compared, whatever its rates do."""
    arms = [around("a 1", 0, family="a"), around("a 2", 50, family="a")]
    verdict = decide(arms)
    assert (verdict.winner, verdict.recommended) == (None, "a 1")
    assert str(next_step(arms, verdict)).startswith(
        "all 2 that were compared are of a, and only another family could be beaten"
    )


def test_who_always_diverges_is_no_rival_of_those_that_have_another() -> None:
    """One seed that diverged does not keep a winner from winning; where it is the only rival, Fisher's test says."""
    arms = [around("a", 0), around("b", 10), Arm("c", "c", (), diverged=1)]
    assert decide(arms).winner == "a"
    assert decide([around("a", 0), Arm("c", "c", (), diverged=5)]).winner == "a"
    assert decide([around("a", 0), Arm("c", "c", (), diverged=2)]).winner is None


def test_where_all_diverge_there_is_nothing_to_decide() -> None:
    """A ValueError, which the command says in its own words."""
    with pytest.raises(ValueError, match="no arm has a value"):
        decide([Arm("a", "a", (), diverged=3), Arm("b", "b", (), diverged=3)])


def test_worth_is_half_the_baselines_deviation_or_the_leaders() -> None:
    """A baseline with a spread of 3 sets it at 1.19; without one the leader's 0.79 does; nobody's where none is."""
    wide = around("b", 10, by=3)
    assert default_worth([around("a", 0), as_baseline(wide)]) == pytest.approx(1.5 * 0.7906, abs=1e-4)
    assert default_worth([around("a", 0), wide]) == pytest.approx(0.5 * 0.7906, abs=1e-4)
    assert default_worth([Arm("a", "a", (1.0,))]) is None


def test_a_baseline_that_is_shown_to_be_as_good_stays() -> None:
    """The winner is better by less than it is worth."""
    arms = [around("a", 0, by=0.01), as_baseline(around("b", 0.1, by=0.01)), around("c", 9)]
    verdict = decide(arms, worth=1.0)
    assert (verdict.winner, verdict.recommended) == ("a", "b")
    assert verdict.evidence is Evidence.RECOMMENDED
    assert set(verdict.equivalence_set) == {"a", "b"}


def test_else_the_simplest_that_is_shown_to_be_as_good_is_taken() -> None:
    """The set has the simplest first."""
    arms = [around("a", 0, by=0.01, complexity=3), around("b", 0.1, by=0.01, complexity=0), around("c", 9)]
    verdict = decide(arms, worth=1.0)
    assert (verdict.equivalence_set, verdict.recommended) == (("b", "a"), "b")


def test_better_than_the_baseline_is_recommended_though_not_proven() -> None:
    """Two share the top, far below what is used today."""
    verdict = decide([around("a", 0), around("b", 0.1), as_baseline(around("c", 20))])
    assert (verdict.winner, verdict.recommended, verdict.evidence) == (None, "a", Evidence.RECOMMENDED)


def test_among_many_the_first_has_more_to_show_against_the_baseline() -> None:
    """A gap of 3 errors is enough for one rival (t = 2.75 at 8 degrees), not for the best of thirteen (t = 3.6)."""
    baseline = as_baseline(around("today", 1.5))
    few = [around("a", 0), around("b", 0.01), baseline]
    many = [around(f"{place}", 0.01 * place) for place in range(13)]
    assert decide(few, worth=1e-9).evidence is Evidence.RECOMMENDED
    assert decide([*many, baseline], worth=1e-9).evidence is Evidence.UNDECIDED


def test_looks_divide_what_may_be_claimed() -> None:
    """A gap of 3.2 errors is shown by one look and not by one of five (2.9 and 4.0 errors, 8 degrees)."""
    arms = [around("a", 0), around("b", 1.6)]
    assert decide(arms).winner == "a"
    assert decide(arms, looks=5).winner is None


def test_equal_constant_values_are_as_good_and_the_simplest_is_taken() -> None:
    """An accuracy of 1 with every seed: no winner, all of them in the set."""
    arms = [Arm("a", "a", (0.0,) * 3, complexity=2), Arm("b", "b", (0.0,) * 3, complexity=1)]
    verdict = decide(arms)
    assert (verdict.winner, verdict.equivalence_set, verdict.recommended) == (None, ("b", "a"), "b")
    assert verdict.evidence is Evidence.RECOMMENDED


# ── what would show more ─────────────────────────────────────────────────────────────────────────────────────────────


def said(*arms: Arm, worth: float | None = None) -> str:
    return str(next_step(arms, decide(arms, worth=worth)))


def test_of_one_seed_it_is_said_to_train_more() -> None:
    """At least three, better five; of all families that have too few."""
    assert said(Arm("a", "a", (1.0,)), Arm("b", "b", (2.0,))) == (
        "with 1 seed nothing is known of chance: train a, b with at least 3 seeds each, better 5"
    )


def test_how_many_seeds_would_tell_two_apart_is_said() -> None:
    """A gap of 0.9 of a deviation: 2 · (2.8 / 0.9)² + 2 = 22 seeds each; of equal means nobody knows."""
    one, other = around("a", 0, by=1 / 0.7906), around("b", 0.9, by=1 / 0.7906)
    assert seeds_to_tell(one, other) == 22
    assert said(one, other, as_baseline(around("c", 20))) == (
        "about 22 seeds each (they have 5 and 5) would show a difference like that between a and b in 4 of 5 cases"
    )
    assert seeds_to_tell(one, replace(one, name="c")) is None


def test_where_fewer_seeds_would_settle_it_by_worth_these_come_first() -> None:
    """A gap of 0.6 of a deviation, and half of one that it would be worth: 2 · (2.48 / 1.1)² + 2 = 13 seeds each show
    that nobody is better by more than that. Of what is recommended already only what tells apart is said."""
    one, other = around("a", 0, by=1 / 0.7906), around("b", 0.6, by=1 / 0.7906)
    assert seeds_to_settle(one, other, 0.5) == 13
    assert said(one, other) == (
        "about 13 seeds each (they have 5 and 5) would show in 4 of 5 cases that a lies within 0.5, the smallest gain "
        "worth a change, of the best; to tell it from b takes about 46"
    )
    assert "to tell it from b takes more than 50" in said(around("a", 0), around("b", 0.05))
    recommended = (one, other, as_baseline(around("c", 20)))
    assert decide(recommended).evidence is Evidence.RECOMMENDED
    assert said(*recommended).startswith("about 46 seeds each")


def test_seeds_that_settle_it_are_enough_for_all_rivals() -> None:
    """Simulated with ten arms whose means lie as they were seen to: of 400 draws with the seeds that were said, three
    quarters at least show of all nine that the leader lies within worth of them; with those for one rival half do."""
    gap, worth, arms = 0.3, 0.5, 10
    one, other = around("a", 0, by=1 / 0.7906), around("b", gap, by=1 / 0.7906)
    rng = np.random.default_rng(7)

    def shown(seeds: int | None) -> float:
        assert seeds is not None
        draws = rng.normal([0.0, *[gap] * (arms - 1)], 1.0, size=(400, seeds, arms))
        means, spreads = draws.mean(axis=1), draws.std(axis=1, ddof=1)
        error = np.sqrt((spreads[:, :1] ** 2 + spreads[:, 1:] ** 2) / seeds)
        reach = t_quantile(2 * seeds - 2, 0.9)
        return float((means[:, :1] - means[:, 1:] + reach * error < worth).all(axis=1).mean())

    assert shown(seeds_to_settle(one, other, worth, rivals=arms - 1)) > 0.75
    assert shown(seeds_to_settle(one, other, worth)) < 0.65


def test_no_seeds_settle_by_worth_where_another_is_better_by_more() -> None:
    """It has the better mean and diverges, or the first diverges more often itself."""
    better = Arm("b", "b", (-3.0, -2.0, -1.0), diverged=1)
    assert seeds_to_settle(around("a", 0), better, 1.0) is None
    assert seeds_to_settle(better, around("a", 0), 1.0) is None


def test_of_one_family_alone_it_is_said_what_its_points_lack() -> None:
    """Several points of it may be settled by worth, or have too few seeds; others that diverged are named."""
    one, other = (around(f"a {gap}", gap, family="a", by=1 / 0.7906) for gap in (0, 0.6))
    assert said(one, other) == (
        "all 2 that were compared are of a, and only another family could be beaten; about 13 seeds each (they have "
        "5 and 5) would show in 4 of 5 cases that the one that leads lies within 0.5, the smallest gain worth a "
        "change, of the best"
    )
    assert "; with 1 seed nothing is known of chance: train a" in said(
        around("a 1", 0, family="a", n=1), around("a 2", 1, family="a", n=1)
    )
    assert said(around("a", 0)) == "only a was compared: compare it with another family, by at least 3 seeds each"
    assert said(around("a", 0), Arm("b", "b", (), diverged=2)) == (
        "only a came to a value, and b diverged: compare it with a family that trains"
    )


def test_of_those_that_are_all_but_equal_one_may_take_either() -> None:
    """A twentieth of a deviation would take thousands of seeds."""
    assert "more than 50 seeds each would be needed to tell them apart: take either" in said(
        around("a", 0), around("b", 0.05), worth=0.01
    )


def test_what_is_proven_needs_nothing_more() -> None:
    """No sentence."""
    assert next_step([around("a", 0), around("b", 10)], decide([around("a", 0), around("b", 10)])) is None


def test_what_is_shown_at_one_level_is_open_at_another() -> None:
    """A gap of 3.2 errors is enough for one look at one rate each, not for five looks, nor for the best of eight rates:
    then it says how many seeds would show it, and more of them: 1.25 · ((2.58 + 0.84) / 1.6)² + 2."""
    one, other = around("a", 0), around("b", 1.6)
    assert is_shown_better(one, other)
    verdict = decide([one, other], looks=5)
    assert verdict.winner is None
    assert "about 8 seeds each (they have 5 and 5)" in str(next_step([one, other], verdict, looks=5))
    rates = [around(f"a {place}", 0.001 * place, family="a") for place in range(8)]
    verdict = decide([*rates, other])
    assert verdict.winner is None
    assert "about 9 seeds each (they have 5 and 5)" in str(next_step([*rates, other], verdict))
    assert (seeds_to_tell(one, other, 0.01), seeds_to_tell(one, other)) == (8, 6)


def test_a_better_mean_that_lost_by_divergences_is_told_so() -> None:
    """No seeds would show the leader's mean to be the better one; of one value that is left nothing is known."""
    better = Arm("rex", "rex", (-5.0, -5.1, -4.9, -5.0), diverged=1)
    assert said(around("a", 0), better, around("c", 0.1)) == (
        "rex is behind a for its divergences, 1 of 5, and its mean is the better one: where trainings may diverge at "
        "times, take it; else try it at a lower peak rate or with a warm-up"
    )
    alone = Arm("rex", "rex", (9.0,), diverged=3)
    assert "3 of 4, and one value is all that it has" in said(around("a", 0), alone)
    worse = Arm("rex", "rex", (0.1, 1.2, 0.3, 0.4), diverged=1)
    assert "in 4 of 5 cases" in said(around("a", 0), worse)


def test_what_is_shown_and_not_taken_has_a_step_too() -> None:
    """The baseline stays though another is shown to be better; only what is proven has none."""
    arms = [around("a", 0, by=0.01), as_baseline(around("b", 0.1, by=0.01)), around("c", 9)]
    verdict = decide(arms, worth=1.0)
    assert (verdict.winner, verdict.recommended) == ("a", "b")
    assert next_step(arms, verdict) == (
        "a is shown to be better than every other family, and by how much is not shown to be worth a change (1): a "
        "smaller worth would take it"
    )

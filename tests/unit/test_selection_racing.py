"""A race: who gets seeds after a look, who is sent home, and when it stops. What it claims by chance is simulated in
test_selection_simulated.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice

import pytest

from lrsweep.selection.arms import Arm
from lrsweep.selection.racing import LOOKS, Ended, next_seeds

SPREAD = (-1.0, 0.0, 1.0)
PLENTY = 10_000


def around(name: str, mean: float, n: int, diverged: int = 0) -> Arm:
    return Arm(name, name, tuple(mean + each for each in islice(cycle(SPREAD), n)), diverged)


def test_all_arms_begin_with_the_seeds_of_the_first_look() -> None:
    """Nothing is claimed of what was not trained."""
    race = next_seeds([around("a", 0, 0), around("b", 0, 0)], 0, PLENTY)
    assert dict(race.seeds) == {"a": 3, "b": 3}
    assert (race.verdict, race.ended, race.out) == (None, None, ())


def test_arms_that_are_open_go_on_to_the_next_look() -> None:
    """From three seeds to five; one that lacks some gets them too, and a divergence is a seed that was trained."""
    race = next_seeds([around("a", 0, 3), around("b", 0.1, 2), around("c", 0.1, 2, diverged=1)], 0, PLENTY)
    assert dict(race.seeds) == {"a": 2, "b": 3, "c": 2}
    assert race.ended is None


def test_who_is_shown_to_be_worse_by_more_than_it_is_worth_gets_no_more() -> None:
    """And stays at home: it is named again at the next look."""
    arms = [around("a", 0, 5), around("b", 0.1, 5), around("c", 50, 5)]
    race = next_seeds(arms, 1, PLENTY)
    assert race.out == ("c",)
    assert set(race.seeds) == {"a", "b"}
    again = next_seeds([around("a", 0, 8), around("b", 0.1, 8), around("c", 0.1, 5)], 2, PLENTY, out=race.out)
    assert again.out == ("c",)
    assert "c" not in again.seeds


def test_who_is_worse_by_less_than_it_is_worth_stays_in() -> None:
    """A gap of 50 that is worth nothing to the user sends nobody home."""
    race = next_seeds([around("a", 0, 3), around("b", 0, 3), around("c", 50, 3)], 0, PLENTY, worth=60.0)
    assert race.out == ()


def test_who_only_looks_worse_stays_in() -> None:
    """A gap of 1.5 with an error of 0.8, and half a deviation is worth nothing: three seeds show no more."""
    race = next_seeds([around("a", 0, 3), around("b", 1.5, 3)], 0, PLENTY)
    assert race.out == ()
    assert set(race.seeds) == {"a", "b"}


def test_a_race_stops_with_a_winner() -> None:
    """Nobody gets more."""
    race = next_seeds([around("a", 0, 5), around("b", 50, 5)], 1, PLENTY)
    assert (dict(race.seeds), race.ended) == ({}, Ended.WINNER)
    assert race.verdict is not None
    assert race.verdict.winner == "a"


def test_a_race_stops_where_the_recommended_is_as_good_as_the_best() -> None:
    """Two that are equal, and a gain has to be large to be worth anything."""
    race = next_seeds([around("a", 0, 5), around("b", 0, 5)], 1, PLENTY, worth=10.0)
    assert (dict(race.seeds), race.ended) == ({}, Ended.WITHIN)


def test_a_race_stops_with_its_last_look() -> None:
    """Two that are equal, after 18 seeds."""
    arms = [around("a", 0, 18), around("b", 0, 18)]
    assert next_seeds(arms, len(LOOKS) - 1, PLENTY).ended is Ended.LOOKS


@pytest.mark.parametrize(("budget", "seeds"), [(4, {"a": 2, "b": 2}), (3, {"a": 1, "b": 1}), (1, {}), (0, {})])
def test_the_budget_is_shared_evenly_and_ends_the_race(budget: int, seeds: dict[str, int]) -> None:
    """Two more each are wanted; a budget that does not pay for one each ends it."""
    race = next_seeds([around("a", 0, 3), around("b", 0.1, 3)], 0, budget)
    assert dict(race.seeds) == seeds
    assert (race.ended is Ended.BUDGET) == (not seeds)


def test_where_all_diverge_at_first_nothing_is_claimed() -> None:
    """There is no value to look at."""
    with pytest.raises(ValueError, match="no arm has a value"):
        next_seeds([Arm("a", "a", (), 3), Arm("b", "b", (), 3)], 0, PLENTY)


def test_a_look_for_which_no_arm_lacks_seeds_is_passed_over() -> None:
    """Those still in the race have seven, as where another one came late and is sent home with three: not 5 is next,
    but 8; where no look is left that asks anything of them every look was taken, whatever the budget."""
    arms = [around("a", 0, 7), around("b", 0.1, 7), around("c", 50, 3)]
    race = next_seeds(arms, 0, PLENTY)
    assert (race.out, dict(race.seeds), race.ended) == (("c",), {"a": 1, "b": 1}, None)
    assert next_seeds(arms, 0, PLENTY, looks=(3, 5, 7)).ended is Ended.LOOKS
    assert next_seeds(arms, 0, 1, looks=(3, 5, 9)).ended is Ended.BUDGET


def test_what_is_left_goes_to_those_who_lack_seeds() -> None:
    """Two are at the next look already; the third gets both trainings that are left."""
    arms = [around("a", 0, 5), around("b", 0.1, 5), around("c", 0.1, 3)]
    assert dict(next_seeds(arms, 0, 2).seeds) == {"c": 2}
    assert dict(next_seeds(arms, 0, 1).seeds) == {"c": 1}


def test_a_race_for_a_winner_goes_on_where_the_leader_alone_is_as_good_as_the_best() -> None:
    """A gap that is shown to be none for the worse, and not yet to be one for the better: of 1.2 with an error of 0.6.
    With a baseline in the set it stops: that stays."""
    arms = [around("a", 0, 5), around("b", 1.2, 5)]
    assert next_seeds(arms, 1, PLENTY, worth=1.0).ended is Ended.WITHIN
    race = next_seeds(arms, 1, PLENTY, worth=1.0, is_for_a_winner=True)
    assert (race.ended, dict(race.seeds)) == (None, {"a": 3, "b": 3})
    stays = [replace(arms[0], name="now", is_baseline=True, costs=(0.01, *arms[0].costs[1:])), *arms]
    assert next_seeds(stays, 1, PLENTY, worth=10.0, is_for_a_winner=True).ended is Ended.WITHIN


def test_looks_of_a_budget_take_the_place_of_the_five() -> None:
    """Of two looks each has half; one alone sends nobody home."""
    arms = [around("a", 0, 4), around("b", 0.1, 4), around("c", 50, 4)]
    race = next_seeds(arms, 0, PLENTY, looks=(4, 9))
    assert dict(race.seeds) == {"a": 5, "b": 5}
    one = next_seeds(arms, 0, PLENTY, looks=(4,))
    assert (one.ended, one.out) == (Ended.LOOKS, ())

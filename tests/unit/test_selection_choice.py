"""The choice as a whole: rows in, one object out, ready for JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from lrsweep.records import Direction
from lrsweep.selection.choice import choose
from lrsweep.selection.deciding import Evidence
from lrsweep.selection.rates import Rates
from lrsweep.selection.results import Point, Result
from lrsweep.selection.targets import Target

SPREAD = (-0.02, 0.0, 0.02, -0.01, 0.01)


def trained(
    family: str, mean: float, *, rate: float | None = 0.1, horizon: int = 900, n: int = 5, cost: float | None = None
) -> list[Result]:
    point = Point(family, peak_lr=rate)
    return [Result(point, horizon, str(seed), mean + by, cost) for seed, by in enumerate(SPREAD[:n])]


THREE = [*trained("cosine", 1.0), *trained("linear", 2.0), *trained("step", 3.0)]


def test_the_winner_is_named_by_its_family_with_all_that_it_rests_on() -> None:
    """Mean 1, five seeds, 1 better than the baseline."""
    choice = choose(THREE, baseline="linear")
    assert (choice.winner, choice.evidence, choice.horizon) == ("cosine", Evidence.PROVEN, 900)
    best = choice.recommended
    assert (best.point.family, best.n) == ("cosine", 5)
    assert (best.mean, best.gain) == pytest.approx((1.0, 1.0))
    assert best.gain_interval is not None
    assert best.gain_interval.low < 1 < best.gain_interval.high
    assert [each.point.family for each in choice.standings] == ["cosine", "linear", "step"]
    assert [each.is_baseline for each in choice.standings] == [False, True, False]
    assert choice.standings[1].gain is None
    assert (choice.trainings, choice.points, choice.search_cost, choice.next_step) == (15, 3, None, None)


def test_json_has_what_programs_ask_for_and_no_number_that_is_none() -> None:
    """Strict JSON: neither NaN nor infinity, whatever diverged."""
    results = [*THREE, *(Result(Point("rex"), 900, str(seed), math.inf) for seed in range(5))]
    found = json.loads(json.dumps(choose(results).to_json(), allow_nan=False))
    wanted = "winner recommended evidence equivalence_set probability_best finalists horizon"
    assert set(wanted.split()) <= set(found)
    assert (found["winner"], found["recommended"], found["evidence"]) == ("cosine", "cosine", "proven")
    assert found["probability_best"]["rex"] == 0.0
    assert found["finalists"][-1]["divergence_rate"] == 1.0
    assert found["choice"]["peak_lr"] == 0.1


@pytest.mark.parametrize(("direction", "best"), [("minimize", "cosine"), ("maximize", "step")])
def test_the_larger_is_better_where_it_is_said_so(direction: Direction, best: str) -> None:
    """Means, intervals and gains stay in the metric's own units."""
    choice = choose(THREE, direction=direction, baseline="linear")
    assert choice.winner == best
    for each in choice.standings:
        assert each.interval is not None
        assert each.mean is not None
        assert each.interval.low < each.mean < each.interval.high
    assert choice.standings[0].gain == pytest.approx(1.0)


def test_a_baseline_named_by_its_family_is_the_best_of_its_rates() -> None:
    """Of two rates of linear the better one is what is used today."""
    choice = choose([*THREE, *trained("linear", 1.5, rate=0.3)], baseline="linear")
    assert [each.point.peak_lr for each in choice.standings if each.is_baseline] == [0.3]


def test_chances_of_a_familys_rates_add_up() -> None:
    """Two equal rates of cosine share what the family has."""
    choice = choose([*THREE, *trained("cosine", 1.0, rate=0.3)])
    assert choice.probability_best["cosine"] == pytest.approx(1.0)
    assert sum(each or 0.0 for each in choice.probability_best.values()) == pytest.approx(1)


def test_one_seed_decides_nothing() -> None:
    """No winner, no probability, no interval; the leader is recommended, and what to train is said."""
    choice = choose([*trained("cosine", 1.0, n=1), *trained("linear", 9.0, n=1)])
    assert (choice.winner, choice.evidence) == (None, Evidence.UNDECIDED)
    assert choice.recommended.point.family == "cosine"
    assert choice.recommended.interval is None
    assert choice.probability_best == {"cosine": None, "linear": None}
    assert "train cosine, linear with at least 3 seeds each" in str(choice.next_step)
    assert choice.argmin.optimism is None


def test_the_longest_horizon_decides_unless_one_is_named() -> None:
    """The other is shown with what it loses."""
    results = [*THREE, *trained("step", 0.5, horizon=300), *trained("cosine", 0.6, horizon=300)]
    assert choose(results).winner == "cosine"
    short = choose(results, horizon=300)
    assert (short.winner, short.horizon) == ("step", 300)
    assert [(each.horizon, each.best.family) for each in short.by_horizon] == [(300, "step"), (900, "cosine")]


def test_what_a_search_put_first_at_a_shorter_horizon_is_shown_and_decides_nothing() -> None:
    """Cosine has 1.0 at 900 steps; linear's 1.5 with a third of them is 0.5 worse, at a third of the cost. A target may
    be reached there, by one value; how much was trained stays what was compared."""
    picked = [Result(Point("linear", peak_lr=0.3), 300, "7", 1.5, 1.0)]
    target = Target(1.75, "minimize")
    results = [replace(each, cost=3.0) for each in THREE]
    choice = choose(results, picked=picked, target=target)
    first, full = choice.by_horizon
    assert (first.horizon, first.best.family, first.n, first.cost, first.is_searched) == (300, "linear", 1, 1.0, True)
    assert first.worse == pytest.approx(0.5)
    assert (first.worse_interval, full.is_searched) == (None, False)
    assert choice.to_json() | {"by_horizon": [], "target": None} == choose(results).to_json() | {"by_horizon": []}
    assert choice.targeted is not None
    assert choice.targeted.shown is not None
    assert choice.targeted.measured is not None
    assert (choice.targeted.shown.horizon, choice.targeted.measured.horizon) == (900, 300)
    other_way = [replace(each, block="fused/8 on cuda") for each in picked]
    assert [each.horizon for each in choose(results, picked=other_way).by_horizon] == [900]


def test_what_a_search_picked_by_these_very_values_is_compared_with_nothing() -> None:
    """Linear's 0.2 at 300 steps is the smallest of many draws: no better than 900 steps, and no way to the target."""
    picked = [Result(Point("linear", peak_lr=0.3), 300, "7", 0.2, 1.0)]
    choice = choose(THREE, picked=picked, is_picked_by_itself=True, target=Target(0.3, "minimize"))
    first, _ = choice.by_horizon
    assert (first.mean, first.is_searched, first.worse) == (0.2, True, None)
    assert choice.targeted is not None
    assert choice.targeted.measured is None


def test_rates_within_worth_are_by_the_design_where_it_has_enough() -> None:
    """A lucky trial of the search at one rate would move the parabola; a seed that not all rates have says nothing."""

    def at(rate: float, value: float, seed: str) -> Result:
        return Result(Point("cosine", peak_lr=rate), 900, seed, value)

    def of_design(seed: str, raised: float) -> list[Result]:
        return [at(rate, math.log2(rate / 0.1) ** 2 + raised, seed) for rate in (0.025, 0.05, 0.1, 0.2, 0.4)]

    design = [*of_design("1", 0.0), *of_design("2", 3.0)]
    lucky = [at(0.3, -9.0, "lucky"), at(0.21, 5.0, "other")]
    half = [at(0.4, -90.0, "3")]
    finals = [*trained("cosine", 1.0), *trained("linear", 2.0)]
    found = choose(finals, searched=lucky, rated=[*design, *half], worth=1.0).rates
    assert isinstance(found, Rates)
    assert (found.low, found.best, found.high) == pytest.approx((0.05, 0.1, 0.2))
    assert not isinstance(choose(finals, searched=lucky, rated=design[:3], worth=1.0).rates, Rates)


def test_what_the_best_single_value_would_have_taken_is_said_with_its_luck() -> None:
    """Linear's 0.9 is one seed of five, whose others come to 2."""
    lucky = [*trained("cosine", 1.0), *trained("linear", 2.0, n=4), Result(Point("linear", peak_lr=0.1), 900, "9", 0.9)]
    argmin = choose(lucky).argmin
    assert (argmin.point.family, argmin.value) == ("linear", 0.9)
    assert argmin.optimism == pytest.approx(1.1 - 0.0025, abs=0.01)


def test_a_search_says_what_the_argmin_would_take_and_decides_nothing() -> None:
    """Its values are not among the finals; where all of them diverged the finals say it."""
    searched = trained("rex", 0.1, n=1)
    choice = choose(THREE, searched=searched)
    assert (choice.argmin.point.family, choice.argmin.is_searched, choice.argmin.mean) == ("rex", True, None)
    assert "rex" not in choice.probability_best
    diverged = [Result(Point("rex"), 900, "0", None)]
    assert choose(THREE, searched=diverged).argmin.point.family == "cosine"


@pytest.mark.parametrize(("direction", "optimism"), [("minimize", -0.2), ("maximize", 0.2)])
def test_a_search_may_also_see_less_than_fresh_seeds_come_to(direction: Direction, optimism: float) -> None:
    """Another half of the validation data may be harder: the search saw 0.2 more than the fresh seeds' mean."""
    point = Point("cosine", peak_lr=0.1)
    argmin = choose(THREE, direction=direction, searched=[Result(point, 900, "77", 1.2)]).argmin
    assert argmin.mean == pytest.approx(1.0)
    assert argmin.optimism == pytest.approx(optimism)


def test_who_is_left_out_is_in_the_choice_and_in_its_json() -> None:
    """A point of one seed beside points of five."""
    choice = choose([*THREE, *trained("rex", 0.1, n=1)])
    assert [each.point.family for each in choice.left_out] == ["rex"]
    assert choice.to_json()["left_out"] == [
        {"family": "rex", "schedule": None, "peak_lr": 0.1, "seeds": 1, "is_baseline": False}
    ]
    assert choice.winner == "cosine"


def test_costs_are_of_all_trainings_that_were_compared() -> None:
    """Fifteen at 2 each."""
    results = [
        each for family, mean in (("a", 1.0), ("b", 2.0), ("c", 3.0)) for each in trained(family, mean, cost=2.0)
    ]
    choice = choose(results)
    assert (choice.search_cost, choice.recommended.cost) == (30.0, 2.0)


def test_where_nothing_came_to_a_value_there_is_no_choice() -> None:
    """A ValueError, which commands say in their own words."""
    with pytest.raises(ValueError, match="no arm has a value"):
        choose([Result(Point("a"), 9, "0", None), Result(Point("b"), 9, "0", math.nan)])


def test_the_searchs_value_is_compared_with_fresh_seeds_of_its_own_metric() -> None:
    """It saw 1.0 on its half, on which the fresh seeds come to 1.2; on the half that decides they come to 1."""
    point = Point("cosine", peak_lr=0.1)
    again = [replace(each, value=(each.value or 0.0) + 0.2) for each in trained("cosine", 1.0)]
    argmin = choose(THREE, searched=[Result(point, 900, "77", 1.0)], searched_again=again).argmin
    assert (argmin.value, argmin.is_searched) == (1.0, True)
    assert (argmin.mean, argmin.optimism) == pytest.approx((1.2, 0.2))


def test_looks_at_growing_results_ask_for_more() -> None:
    """A gap of 3.2 errors is a winner's for one look, and for five it is open, with what would show it; each interval
    is of 95 % in either case."""
    results = [*trained("a", 1.0), *trained("b", 1.032)]
    one, five = choose(results), choose(results, looks=5)
    assert (one.winner, one.next_step) == ("a", None)
    assert five.winner is None
    assert "about 8 seeds each" in str(five.next_step)
    assert choose(results, alpha=0.01).next_step == five.next_step
    assert [each.interval for each in five.standings] == [each.interval for each in one.standings]


def test_three_equal_accuracies_have_an_interval_and_prove_nothing() -> None:
    """One example of 68 more is right, with each of three seeds."""
    points = {"a": 67 / 68, "b": 66 / 68}
    results = [Result(Point(name), 9, str(seed), value) for name, value in points.items() for seed in range(3)]
    choice = choose(results, direction="maximize")
    assert (choice.winner, choice.recommended.point.family, choice.recommended.sd) == (None, "a", 0.0)
    assert choice.recommended.interval is not None
    assert choice.recommended.interval.width == pytest.approx(2 * 4.303 * 0.5 / 68 / 3**0.5, rel=1e-3)
    assert choice.probability_best["a"] != 1.0
    assert "every seed gives the same value" in str(choice.next_step)

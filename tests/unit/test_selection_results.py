"""Results of trainings: finalists and who is left out, blocks, complexity; what targets, rates and horizons say."""

from __future__ import annotations

import json
import math
import random

import pytest

import lrsweep
from lrsweep.records import Direction
from lrsweep.selection.lengths import at_each_horizon
from lrsweep.selection.rates import Rates, rates_within, reach_of
from lrsweep.selection.results import (
    Point,
    Result,
    arms_of,
    at_horizon,
    complexity,
    finalists,
    largest_block,
    left_out,
    mean_cost,
)
from lrsweep.selection.targets import Target, cheapest

COSINE, LINEAR = Point("cosine", peak_lr=0.1), Point("linear", peak_lr=0.1)


def rows(
    point: Point, *values: float | None, horizon: int = 900, cost: float | None = None, block: str = ""
) -> list[Result]:
    return [Result(point, horizon, str(seed), value, cost, block) for seed, value in enumerate(values)]


# ── who is compared ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_finalists_have_three_seeds_or_as_many_as_any_has() -> None:
    """A search's points with one seed each are no rivals of those with three; where all have one, all are compared."""
    points = at_horizon([*rows(COSINE, 1.0, 2.0, 3.0), *rows(LINEAR, 0.1, 0.2)], 900)
    assert list(finalists(points)) == [COSINE]
    assert list(finalists({COSINE: rows(COSINE, 1.0), LINEAR: rows(LINEAR, 2.0)})) == [COSINE, LINEAR]


def test_a_divergence_is_a_seed_that_was_trained() -> None:
    """Two values and one divergence are three; infinity is one, whatever wrote it."""
    points = at_horizon(rows(COSINE, 1.0, None, math.inf), 900)
    [arm] = arms_of(finalists(points), "minimize", None)
    assert (arm.costs, arm.diverged) == ((1.0,), 2)


def test_costs_are_values_turned_where_larger_is_better() -> None:
    """An accuracy of 0.9 is a cost of -0.9, and the baseline is marked."""
    points = at_horizon([*rows(COSINE, 0.9), *rows(LINEAR, 0.8)], 900)
    arms = arms_of(points, "maximize", LINEAR)
    assert [(arm.costs, arm.is_baseline) for arm in arms] == [((-0.9,), False), ((-0.8,), True)]


def test_who_is_left_out_is_named_with_its_seeds() -> None:
    """Most seeds first; a baseline is marked, by point or, where none of its points is compared, by family."""
    points = at_horizon([*rows(COSINE, 1, 2, 3), *rows(LINEAR, 1), *rows(Point("rex"), 1, 2)], 900)
    assert [(each.point.family, each.seeds, each.is_baseline) for each in left_out(points, "linear")] == [
        ("rex", 2, False),
        ("linear", 1, True),
    ]
    assert [each.is_baseline for each in left_out(points, LINEAR)] == [False, True]
    assert not any(each.is_baseline for each in left_out(points, "cosine"))


def test_what_was_trained_otherwise_than_most_is_not_compared() -> None:
    """The block with most values at the deciding horizon, of all horizons; others are counted."""
    fused, alone = "fused/8 on cuda", "sequential on cpu"
    results = [
        *rows(COSINE, 1.0, 2.0, 3.0, block=fused),
        *rows(LINEAR, 1.0, 2.0, None, None, None, block=alone),
        *rows(COSINE, 1.0, horizon=300, block=alone),
        *rows(COSINE, 1.0, horizon=300, block=fused),
    ]
    kept, others = largest_block(results, 900)
    assert {each.block for each in kept} == {fused}
    assert len(kept) == 4
    assert others == {alone: 6}


def test_where_nothing_came_to_a_value_no_block_is_chosen() -> None:
    """All rows stay, for whoever says that all diverged."""
    results = rows(COSINE, None, None, block="a")
    assert largest_block(results, 900) == (results, {})


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (lrsweep.schedule("constant"), 0),
        (lrsweep.schedule("cosine"), 1),
        (lrsweep.schedule("cosine", warmup=0.1), 2),
        (lrsweep.schedule("cosine", warmup=0.1, floor=0.01), 3),
    ],
)
def test_each_number_makes_a_schedule_less_simple(schedule: lrsweep.Schedule, expected: float) -> None:
    """Warm-up and floor are one each."""
    assert complexity(Point(schedule.family, schedule.to_json())) == expected


def test_names_of_points_tell_apart_all_that_they_hold() -> None:
    """Rate, schedule and what stands beside."""
    points = [COSINE, Point("cosine"), Point("cosine", peak_lr=0.2), Point("cosine", peak_lr=0.1, beside='{"a": 1}')]
    assert len({point.name for point in points}) == 4


def test_a_mean_cost_is_of_those_that_are_known() -> None:
    """None where it is of none."""
    assert mean_cost([*rows(COSINE, 1, cost=2.0), *rows(COSINE, 1, cost=4.0), *rows(COSINE, 1)]) == 3.0
    assert mean_cost(rows(COSINE, 1)) is None


# ── a target ─────────────────────────────────────────────────────────────────────────────────────────────────────────

REACHING = [
    *rows(COSINE, 0.95, 0.96, 0.97, horizon=900, cost=3.0),
    *rows(LINEAR, 0.90, 0.95, 1.00, horizon=300, cost=1.0),
    *rows(COSINE, 0.80, 0.81, 0.82, horizon=300, cost=1.0),
]


def test_the_cheapest_that_is_shown_to_reach_a_target_has_its_whole_interval_beyond_it() -> None:
    """At 0.93 linear's mean reaches it with 300 steps, and its interval, 0.83 to 1.07, does not;
    cosine's with 900 does, 0.935 to 0.985."""
    found = cheapest(REACHING, Target(0.93, "maximize"))
    assert found.shown is not None
    assert found.measured is not None
    assert (found.shown.point, found.shown.horizon) == (COSINE, 900)
    assert (found.measured.point, found.measured.horizon, found.measured.cost) == (LINEAR, 300, 1.0)
    assert found.to_json()["target"] == ">= 0.93"


def test_what_nobody_reaches_is_nobodys() -> None:
    """Neither shown nor measured."""
    found = cheapest(REACHING, Target(1.5, "maximize"))
    assert (found.shown, found.measured) == (None, None)
    assert found.to_json() == {"target": ">= 1.5", "shown": None, "measured": None}


def test_cost_says_what_is_cheap_where_all_have_one_else_steps_do() -> None:
    """The same points, the short one dear: with costs the long one is cheaper."""
    dear = [*rows(COSINE, 0.95, 0.96, 0.97, cost=3.0), *rows(LINEAR, 0.95, 0.96, 0.97, horizon=300, cost=9.0)]
    costs = cheapest(dear, Target(0.9, "maximize")).measured
    steps = cheapest([*dear, *rows(Point("rex"), 0.1, 0.1, 0.1)], Target(0.9, "maximize")).measured
    assert costs is not None
    assert steps is not None
    assert (costs.horizon, steps.horizon) == (900, 300)


def test_a_point_that_diverged_is_not_shown_to_reach_a_target() -> None:
    """It is measured, with how often."""
    found = cheapest(rows(COSINE, 0.3, 0.3001, 0.2999, None), Target(0.4, "minimize"))
    assert found.shown is None
    assert found.measured is not None
    assert found.measured.diverged == 1


# ── peak rates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def at_rates(*rates: float, direction: Direction = "minimize", beside: str = "") -> list[Result]:
    """Costs (log2(rate / 0.1))², three times each."""
    sign = 1 if direction == "minimize" else -1
    return [
        each
        for rate in rates
        for each in rows(Point("cosine", peak_lr=rate, beside=beside), *[sign * math.log2(rate / 0.1) ** 2] * 3)
    ]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_rates_within_worth_are_where_the_parabola_is(direction: Direction) -> None:
    """A gain of 1 is lost at half and at double the best rate."""
    found = rates_within(at_rates(0.025, 0.05, 0.1, 0.2, 0.4, direction=direction), COSINE, 900, 1.0, direction)
    assert isinstance(found, Rates)
    assert (found.low, found.best, found.high) == pytest.approx((0.05, 0.1, 0.2))
    assert found.measured == 5
    assert found.misfit == pytest.approx(0, abs=1e-9)


def test_rates_do_not_reach_beyond_what_was_measured() -> None:
    """A gain of 9 would reach to an eighth and to eight times."""
    found = rates_within(at_rates(0.05, 0.1, 0.2, 0.4), COSINE, 900, 9.0, "minimize")
    assert isinstance(found, Rates)
    assert (found.low, found.high) == (0.05, 0.4)


def test_far_off_rates_do_not_bend_the_parabola() -> None:
    """Where costs are flat, as at rates that train nothing, they say nothing of the best one: five around it count."""
    flat = [each for rate in (1e-6, 1e-5, 1e-4) for each in rows(Point("cosine", peak_lr=rate), 5.0, 5.0, 5.0)]
    found = rates_within([*flat, *at_rates(0.025, 0.05, 0.1, 0.2, 0.4)], COSINE, 900, 1.0, "minimize")
    assert isinstance(found, Rates)
    assert found.best == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("results", "worth", "why"),
    [
        (at_rates(0.05, 0.1, 0.2), 1.0, "3 of its peak rates were trained, and it takes 4"),
        (at_rates(0.1, 0.2, 0.4, 0.8), 1.0, "the best of its rates is the smallest one"),
        (at_rates(0.05, 0.1, 0.2, 0.4), None, "what a gain is worth is not known"),
        (
            [*at_rates(0.025, 0.05, 0.1, 0.2, 0.4), *rows(Point("cosine", peak_lr=0.07), 3.0)],
            0.5,
            "its rates miss a parabola by 1.",
        ),
        (at_rates(0.05, 0.1, 0.2, 0.4, beside='{"batch_size": 8}'), 1.0, "0 of its peak rates"),
    ],
    ids=["few", "at the border", "no worth", "no parabola", "another batch size"],
)
def test_where_rates_do_not_say_it_there_is_a_sentence(results: list[Result], worth: float | None, why: str) -> None:
    """No interval is made up."""
    found = rates_within(results, COSINE, 900, worth, "minimize")
    assert isinstance(found, str)
    assert why in found


def test_trials_of_a_study_are_one_schedule_whatever_their_numbers() -> None:
    """Each rate is a trial of its own there; one that diverged with a seed bounds the best from above."""
    results = [
        each
        for trial, rate in enumerate((0.05, 0.1, 0.2, 0.4))
        for each in rows(Point("cosine", peak_lr=rate, beside=json.dumps({"trial": trial})), math.log2(rate / 0.1) ** 2)
    ]
    diverged = rows(Point("cosine", peak_lr=0.8, beside=json.dumps({"trial": 9})), None)
    found = rates_within([*results, *diverged], results[0].point, 900, 1.0, "minimize")
    assert isinstance(found, Rates)
    assert found.measured == 4
    assert found.high == pytest.approx(0.2)


# ── other horizons ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shorter_horizon_has_its_best_what_it_loses_and_what_it_saves() -> None:
    """Linear is best at 300 steps, 0.4 worse than the recommended cosine at 900, for a third of the steps."""
    results = [
        *rows(COSINE, 1.0, 1.1, 0.9, cost=3.0),
        *rows(LINEAR, 1.4, 1.5, 1.3, horizon=300, cost=1.0),
        *rows(COSINE, 9.0, 9.1, 9.2, horizon=300, cost=1.0),
    ]
    short, full = at_each_horizon(results, "minimize", 900, COSINE.name)
    assert (short.horizon, short.best, short.n, short.cost) == (300, LINEAR, 3, 1.0)
    assert (short.mean, short.worse, short.share) == pytest.approx((1.4, 0.4, 1 / 3))
    assert short.worse_interval is not None
    assert short.worse_interval.width / 2 == pytest.approx(2.776 * 0.1 * math.sqrt(2 / 3), abs=1e-3)
    assert (full.horizon, full.worse, full.share) == (900, None, 1.0)
    assert short.to_json()["share_of_steps"] == pytest.approx(1 / 3)


def test_a_horizon_at_which_all_diverged_has_no_best() -> None:
    """It is left out; an accuracy that is smaller is worse."""
    results = [*rows(COSINE, 0.9, 0.9), *rows(COSINE, None, None, horizon=100), *rows(LINEAR, 0.8, 0.8, horizon=300)]
    found = at_each_horizon(results, "maximize", 900, COSINE.name)
    assert [each.horizon for each in found] == [300, 900]
    assert found[0].worse == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(40))
def test_rates_out_of_reach_change_nothing(seed: int) -> None:
    """Of 4 to 30 rates, of which some diverge: those between the bounds say the same as all of them, word by word."""
    draws = random.Random(seed)
    rates = sorted(draws.uniform(0.01, 1.0) for _ in range(draws.randrange(4, 30)))
    values = {
        rate: None if draws.random() < 0.2 else math.log2(rate / 0.1) ** 2 + draws.gauss(0, 0.1) for rate in rates
    }
    low, high = reach_of({rate: [math.inf if value is None else value] for rate, value in values.items()})
    results = [each for rate, value in values.items() for each in rows(Point("cosine", peak_lr=rate), value)]
    near = [each for each in results if each.point.peak_lr is not None and low <= each.point.peak_lr <= high]
    for worth in (0.05, 1.0):
        assert rates_within(near, COSINE, 900, worth, "minimize") == rates_within(
            results, COSINE, 900, worth, "minimize"
        )
    if len([value for value in values.values() if value is not None]) > 12:
        assert len(near) < len(results)


def test_where_a_rate_has_values_and_divergences_nothing_bounds_the_best() -> None:
    """Its mean is infinite only if those were at the full horizon, which is not known here."""
    costs = {rate / 100: [abs(rate - 50.0)] for rate in range(1, 99)}
    assert reach_of(costs) == (0.46, 0.54)
    assert reach_of({**costs, 0.2: [math.inf]}) == (0.46, 0.54)
    assert reach_of({**costs, 0.5: [0.0, math.inf]}) == (0.0, math.inf)
    assert reach_of({}) == (0.0, math.inf)

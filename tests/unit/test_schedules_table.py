"""Rates that a reader can check in the head: one row is a schedule, a number of steps and all its rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrsweep.schedules import Schedule, schedule
from lrsweep.schedules.base import shared_names
from tests.drawn_schedules import TIME_DRIVEN

THIRD = 1 / 3
ROOT = math.sqrt
QUARTERS = [0.25 * (1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)]
FALLING = {"path": "tests.drawn_schedules:falling"}  # 1 - progress
JUMPING = {"path": "tests.drawn_schedules:jumping_up"}  # 0.25, and from 0.5 on 1


def logistic(x: float) -> float:
    """(1 - tanh(-x / 2)) / 2, by another way."""
    return 1 / (1 + math.exp(-x))


# family, settings, rates of a peak of 1; the number of steps is the number of rates
TABLE: list[tuple[str, dict[str, Any], list[float]]] = [
    ("constant", {}, [1, 1, 1]),
    ("constant", {"floor": 0.5}, [1, 1, 1]),
    ("constant", {"warmup": 0.5}, [THIRD, 2 * THIRD, 1, 1]),
    ("step", {}, [1, 0.1, 0.01]),
    ("step", {}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
    ("step", {"every": 0.1, "gamma": 0.5}, [1 / 2**i for i in range(10)]),
    ("step", {"every": 0.2, "gamma": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
    ("step", {"every": 0.5, "gamma": 0.2}, [1, 1, 1, 0.2, 0.2]),  # the drop lies at step 2.5
    ("step", {"every": 1.0, "gamma": 0.2}, [1, 1, 1]),  # the drop lies at the end
    ("step", {"every": 0.5, "gamma": 0.5, "floor": 0.2}, [1, 1, 0.6, 0.6]),
    ("step", {"every": 0.5, "warmup": 0.25}, [THIRD, 2 * THIRD, 1, 1, 1, 0.1, 0.1, 0.1]),
    ("exponential", {}, [1, 0.1]),
    ("exponential", {"final": 1 / 16}, [1, 0.5, 0.25, 0.125]),
    ("exponential", {"stairs": 2}, [1, 1, 0.1, 0.1]),
    ("exponential", {"stairs": 4, "final": 1 / 16}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
    ("exponential", {"stairs": 2, "final": 1 / 16}, [1, 1, 1, 0.25, 0.25]),  # the drop lies at step 2.5
    ("exponential", {"stairs": 1}, [1, 1, 1]),  # the drop lies at the end
    ("exponential", {"floor": 0.5}, [1, 0.55]),
    ("exponential", {"final": 1 / 16, "warmup": 0.2}, [0.5, 1, 0.5, 0.25, 0.125]),
    ("linear", {}, [1]),
    ("linear", {}, [1, 0.75, 0.5, 0.25]),
    ("linear", {"floor": 0.2}, [1, 0.8, 0.6, 0.4]),
    ("linear", {"warmup": 0.2}, [0.5, 1, 0.75, 0.5, 0.25]),
    ("linear", {"warmup": 0.5, "floor": 0.2}, [0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4]),
    ("cosine", {}, [1, 0.75, 0.25]),
    ("cosine", {"floor": 0.2}, [1, 0.8, 0.4]),
    ("cosine", {"warmup": 0.25}, [0.5, 1, 0.75, 0.25]),
    ("wsd", {}, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5]),
    ("wsd", {"cooldown": 0.5}, [1, 1, 1, 0.8, 0.4]),  # the cool-down begins at step 2.5
    ("wsd", {"cooldown": 1.0}, [1, 0.75, 0.5, 0.25]),
    ("wsd", {"cooldown": 0.6, "shape": "cosine"}, [1, 1, 1, 0.75, 0.25]),
    ("wsd", {"cooldown": 0.8, "shape": "1-sqrt"}, [1, 1, 0.5, 1 - ROOT(0.5), 1 - ROOT(0.75)]),
    ("wsd", {"cooldown": 0.5, "shape": "exponential"}, [1, 1, 1, ROOT(2) - 1]),
    ("wsd", {"cooldown": 0.5, "floor": 0.5}, [1, 1, 1, 0.75]),
    ("wsd", {"cooldown": 0.5, "warmup": 0.2}, [THIRD, 2 * THIRD, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
    ("one_cycle", {"rise": 0.5}, [0.04, 0.52, 1, 0.500002]),
    ("one_cycle", {"rise": 0.5, "start": 0.2, "final": 0.1}, [0.2, 0.6, 1, 0.55]),
    ("one_cycle", {"rise": 0.5, "start": 0.0, "final": 0.0, "floor": 0.5}, [0.5, 0.75, 1, 0.75]),
    ("one_cycle", {"rise": 0.5, "start": 0.0, "final": 0.0, "warmup": 0.2}, [0.5, 0, 0.5, 1, 0.5]),
    ("rex", {}, [1, 6 / 7, 2 / 3, 0.4]),
    ("rex", {"beta": 0.25}, [1, 0.8]),
    ("rex", {"beta": 1.0}, [1, 0.75, 0.5, 0.25]),
    ("rex", {"floor": 0.4}, [1, 0.8]),
    ("rex", {"warmup": 0.5}, [THIRD, 2 * THIRD, 1, 2 / 3]),
    ("polynomial", {}, [1, 9 / 16, 1 / 4, 1 / 16]),
    ("polynomial", {"power": 1.0}, [1, 0.75, 0.5, 0.25]),
    ("polynomial", {"power": 0.5}, [1, ROOT(0.75), ROOT(0.5), 0.5]),
    ("polynomial", {"power": 3.0, "floor": 0.2}, [1, 0.3]),
    ("polynomial", {"warmup": 0.2}, [0.5, 1, 9 / 16, 1 / 4, 1 / 16]),
    ("multistep", {}, [1, 1, 0.1, 0.01]),
    ("multistep", {"at": (0.25,), "gamma": 0.5}, [1, 0.5, 0.5, 0.5]),
    ("multistep", {"at": (0.3, 0.7), "gamma": 0.5}, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ("multistep", {"at": (0.5,), "gamma": 0.5}, [1, 1, 1, 0.5, 0.5]),  # the drop lies at step 2.5
    ("multistep", {"at": (0.5, 0.5), "gamma": 0.5}, [1, 0.25]),  # two drops at one place
    ("multistep", {"at": (1,), "gamma": 0.5}, [1, 1]),  # the drop lies at the end
    ("multistep", {"at": (0.5,), "gamma": 0.5, "floor": 0.2}, [1, 0.6]),
    ("multistep", {"warmup": 0.2}, [0.5, 1, 1, 0.1, 0.01]),
    ("piecewise", {}, [1, 1, 1, 1, 1, 0.3, 0.3, 0.3, 0.05, 0.05]),
    ("piecewise", {"at": (0.25,), "values": (0.2, 0.7)}, [0.2, 0.7, 0.7, 0.7]),  # it may rise
    ("piecewise", {"at": (0.5, 0.5), "values": (1, 0.7, 0.2)}, [1, 0.2]),  # an interval without length
    ("piecewise", {"at": (0.5,), "values": (1, 0.2), "floor": 0.5}, [1, 0.6]),
    ("piecewise", {"at": (0.5,), "values": (0.4, 0.2), "warmup": 0.5}, [THIRD, 2 * THIRD, 0.4, 0.2]),
    ("inverse_time", {}, [1, 1 / 3, 1 / 5, 1 / 7, 1 / 9]),
    ("inverse_time", {"d": 1}, [1, 0.8, 2 / 3, 4 / 7]),
    ("inverse_time", {"d": 0}, [1, 1]),
    ("inverse_time", {"d": 2, "floor": 0.5}, [1, 0.75]),
    ("inverse_time", {"d": 2, "warmup": THIRD}, [0.5, 1, 0.5]),
    ("inverse_sqrt", {}, [1 / ROOT(i + 1) for i in range(10)]),
    ("inverse_sqrt", {"timescale": 0.125}, [1, ROOT(1 / 2), ROOT(1 / 3), 0.5, *(1 / ROOT(i) for i in range(5, 9))]),
    ("inverse_sqrt", {"timescale": 1 / 6, "floor": 0.5}, [1, 0.75]),
    # Noam with a warm-up of 2 steps and a decay of 6: the warm-up's line, then √(2/(2 + j)) in step j after it.
    ("inverse_sqrt", {"timescale": 2 / 6, "warmup": 0.25}, [THIRD, 2 / 3, *(ROOT(2 / (2 + j)) for j in range(6))]),
    ("inverse_power", {}, [1, 2 / 7]),
    ("inverse_power", {"d": 4, "p": 2}, [1, 0.8, 0.5, 4 / 13]),
    ("inverse_power", {"d": 1, "p": 1}, [1, 0.8, 2 / 3, 4 / 7]),
    ("inverse_power", {"d": 2, "p": 0.5}, [1, 0.5, 1 / (1 + ROOT(2)), 1 / (1 + ROOT(3))]),
    ("inverse_power", {"d": 4, "floor": 0.5}, [1, 0.75]),
    ("inverse_power", {"d": 4, "warmup": THIRD}, [0.5, 1, 0.5]),
    ("tanh", {}, [logistic(14), logistic(4)]),
    ("tanh", {"low": -1, "high": 1}, [logistic(2), logistic(1), 0.5, logistic(-1)]),
    ("tanh", {"low": -1, "high": 1, "floor": 0.5}, [0.5 + logistic(2) / 2, 0.75]),
    ("tanh", {"low": -1, "high": 1, "warmup": THIRD}, [0.5, logistic(2), 0.5]),
    ("cosine_restarts", {}, [1, 0.5, 1, 0.5, 1, 0.5]),
    ("cosine_restarts", {"cycles": 1}, [1, 0.75, 0.25]),
    ("cosine_restarts", {"shrink": 0.5}, [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ("cosine_restarts", {"cycles": 2}, [1, 0.75, 0.25, 1, 0.75, 0.25]),
    ("cosine_restarts", {"cycles": 2, "multiplier": 2}, [1, 1, 0.5]),  # of 1 step and of 2
    ("cosine_restarts", {"cycles": 3, "multiplier": 2, "shrink": 0.5}, [1, 0.5, 0.25, *QUARTERS]),
    ("cosine_restarts", {"cycles": 2, "floor": 0.2}, [1, 0.8, 0.4, 1, 0.8, 0.4]),
    ("cosine_restarts", {"cycles": 2, "warmup": 0.2}, [0.5, 1, 0.5, 1, 0.5]),
    ("cyclic", {}, [0.1, 0.55, 1, 0.55] * 4),
    ("cyclic", {"cycles": 2, "low": 0.5}, [0.5, 1, 0.5, 1]),
    ("cyclic", {"cycles": 1, "low": 0.2, "rise": 0.25}, [0.2, 1, 0.2 + 0.8 * 2 / 3, 0.2 + 0.8 / 3]),
    ("cyclic", {"mode": "triangular2", "cycles": 3, "low": 0}, [0, 1, 0, 0.5, 0, 0.25]),
    ("cyclic", {"mode": "triangular2", "cycles": 2, "low": 0.5}, [0.5, 0.75, 1, 0.75, 0.5, 0.625, 0.75, 0.625]),
    ("cyclic", {"mode": "exp_range", "cycles": 1, "low": 0, "final": 1 / 16}, [0, 0.25, 0.25, 0.0625]),
    ("cyclic", {"mode": "exp_range", "cycles": 2, "low": 0, "final": 1 / 16}, [0, 0.5, 0, 0.125]),
    ("cyclic", {"cycles": 2, "low": 0, "floor": 0.2}, [0.2, 1, 0.2, 1]),
    ("cyclic", {"cycles": 2, "low": 0, "warmup": 0.2}, [0.5, 0, 1, 0, 1]),
    ("knots", {}, [1, 0.75, 0.5, 0.25]),
    ("knots", {"points": (1, 0)}, [1, 0.75, 0.5, 0.25]),
    ("knots", {"points": (0.3, 0.9)}, [0.3, 0.6]),
    # Flat between equal heights; then the end's parabola has slope -1.5, and half-way the cubic stands at 1/2 + 3/16.
    ("knots", {"points": (1, 1, 0)}, [1, 1, 1, 11 / 16]),
    ("knots", {"points": (0, 1, 0)}, [0, 0.75, 1, 0.75]),  # a turning point: the parabola itself
    ("knots", {"points": (1, 0), "floor": 0.2}, [1, 0.8, 0.6, 0.4]),
    ("knots", {"points": (1, 0), "warmup": 0.2}, [0.5, 1, 0.75, 0.5, 0.25]),
    ("table", {"values": (1, 0.7, 0.1)}, [1, 0.7, 0.1]),
    ("table", {"values": (1, 0.5, 0.25)}, [1, 0.75, 0.5, 0.375, 0.25, 0.25]),
    ("table", {"values": (1, 0.5, 0.25)}, [1, 0.375]),
    ("table", {"values": (0.4,)}, [0.4, 0.4]),
    ("table", {"values": (1, 0.5), "floor": 0.2}, [1, 0.6]),
    ("table", {"values": (0.8, 0.5), "warmup": THIRD}, [0.5, 0.8, 0.5]),
    ("function", FALLING, [1, 0.75, 0.5, 0.25]),
    ("function", JUMPING, [0.25, 0.25, 1, 1]),
    ("function", {**FALLING, "floor": 0.2}, [1, 0.8, 0.6, 0.4]),
    ("function", {**FALLING, "warmup": 0.2}, [0.5, 1, 0.75, 0.5, 0.25]),
]


@pytest.mark.parametrize(("name", "settings", "expected"), TABLE)
def test_rates_are_those_of_the_table(name: str, settings: dict[str, Any], expected: list[float]) -> None:
    """Each family gives the rates worked out by hand, with and without warm-up and floor."""
    rates = schedule(name, allow_code=True, **settings).rates(len(expected))
    assert rates.dtype == np.float64
    np.testing.assert_allclose(rates, expected, rtol=1e-14, atol=1e-15)


def test_the_table_has_every_family_plain_with_a_floor_and_with_a_warm_up() -> None:
    """A family or a setting that is missing in the table is named here."""
    names = {one.family for one in TIME_DRIVEN}
    for shared in ("floor", "warmup"):
        assert {name for name, settings, _ in TABLE if shared in settings} == names
    assert {name for name, settings, _ in TABLE if not {"floor", "warmup"} & set(settings)} == names
    own = {(one.family, each.name) for one in TIME_DRIVEN for each in one.settings() if each.name not in shared_names()}
    untested = own - {(name, key) for name, settings, _ in TABLE for key in settings}
    assert {key for _, key in untested} == {"cycle_momentum", "momentum_low", "momentum_high"}  # these move no rate


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("constant", 1.0),
        ("step", 0.001),  # the third of three drops lies at 1 and holds there
        ("exponential", 0.01),
        ("linear", 0.0),
        ("cosine", 0.0),
        ("wsd", 0.0),
        ("one_cycle", 4e-6),
        ("rex", 0.0),
        ("polynomial", 0.0),
        ("multistep", 0.01),
        ("piecewise", 0.05),
        ("inverse_time", 1 / 11),
        ("inverse_sqrt", math.sqrt(1 / 11)),
        ("inverse_power", 1 / 11),
        ("tanh", logistic(-6)),
        ("cosine_restarts", 0.0),  # the last cycle ends; no other begins
        ("cyclic", 0.1),
        ("knots", 0.0),
    ],
)
def test_the_value_at_the_end_holds_after_it(name: str, end: float) -> None:
    """At 1 stands the value after the last drop, and it holds for ever; a floor of 1/2 lifts it half the way to 1."""
    for progress in (1.0, 1.5, 1e9, np.inf):
        assert schedule(name).factor(progress) == pytest.approx(end, rel=1e-12, abs=0)
        assert schedule(name, floor=0.5).factor(progress) == pytest.approx(0.5 + end / 2, rel=1e-12)


def test_the_peak_multiplies_every_rate() -> None:
    """A peak of 0.1 gives a tenth of the factors."""
    assert schedule("linear").rates(4, peak_lr=0.1) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert schedule("linear", warmup=0.5).rates(4, peak_lr=3) == pytest.approx([1, 2, 3, 1.5])


@pytest.mark.parametrize(
    ("every", "total_steps"), [(0.1, 10), (1 / 3, 3), (0.1, 1000), (1 / 3, 999), (0.07, 100), (0.001, 1000)]
)
def test_a_drop_on_a_step_holds_from_that_step_on(every: float, total_steps: int) -> None:
    """Rounding of i/T and of k·every moves no drop: the k-th holds at step k·every·T, and not one step before."""
    between = round(every * total_steps)
    expected = [(i // between) for i in range(total_steps)]
    rates = schedule("step", every=every, gamma=0.99).rates(total_steps)
    assert np.rint(np.log(rates) / np.log(0.99)).tolist() == expected


@pytest.mark.parametrize("n", [3, 7, 10, 49, 93, 100, 187])
def test_rounding_moves_no_jump_of_any_family(n: int) -> None:
    """Borders that are worked out, such as 3·0.1, are a hair off the step where they belong; it has its new value."""
    share = 1 / n
    borders = tuple(k * share for k in range(1, n))
    drops = [0.99**k for k in range(n)]
    assert schedule("multistep", at=borders, gamma=0.99).rates(n) == pytest.approx(drops)
    assert schedule("piecewise", at=borders, values=tuple(drops)).rates(n) == pytest.approx(drops)
    assert schedule("exponential", stairs=n, final=0.99**n).rates(n) == pytest.approx(drops)
    assert schedule("cosine_restarts", cycles=n).rates(2 * n) == pytest.approx([1, 0.5] * n)
    assert schedule("cyclic", cycles=n, low=0.5).rates(2 * n) == pytest.approx([0.5, 1] * n)


@pytest.mark.parametrize("shape", ["linear", "cosine", "1-sqrt", "exponential"])
def test_a_cool_down_begins_with_the_peak(shape: str) -> None:
    """A root makes 1.5e-8 of the rounding of 1 - 4/5; the step where it begins still has the whole peak."""
    for total_steps in (5, 10, 100, 1000):
        rates = schedule("wsd", cooldown=0.2, shape=shape).rates(total_steps)
        assert rates[total_steps * 4 // 5] == pytest.approx(1, abs=1e-15)
    shortest = schedule("wsd", cooldown=1e-300, shape=shape)
    assert shortest.factor([0.5, 1 - 1e-9, 1.0]).tolist() == [1, 1, 0]


def test_a_drop_is_not_moved_to_the_next_step() -> None:
    """Just before its progress a drop is not there yet, however near; from it on it is."""
    half = schedule("step", every=0.5)
    assert half.factor(0.5 - 1e-9) == 1.0
    assert half.factor(0.5) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("warmup", "total_steps", "expected"),
    [
        (0.0, 10, 0),
        (0.01, 10, 1),  # at least one step
        (0.05, 10, 1),
        (0.24, 10, 2),
        (0.15, 10, 2),  # 1.5: half up
        (0.25, 10, 3),  # 2.5: half up, and not to the even 2
        (0.29, 50, 15),  # 14.5, though 0.29 · 50 is 14.499999999999998 in floating point
        (0.5, 1, 1),  # the only step
        (0.9, 4, 4),  # 3.6: all steps warm up
        (1 - 2**-53, 1000, 1000),
    ],
)
def test_a_warm_up_is_rounded_half_up_to_whole_steps(warmup: float, total_steps: int, expected: int) -> None:
    """The number of steps before the first one on the decay's clock."""
    warming = schedule("constant", warmup=warmup)
    assert warming.warmup_steps(total_steps) == expected
    assert np.count_nonzero(warming.rates(total_steps) < 1) == expected


def test_all_steps_may_warm_up() -> None:
    """Where the warm-up rounds to all steps, they rise evenly and none reaches the peak."""
    assert schedule("cosine", warmup=0.9).rates(4).tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_the_curve_has_the_exact_warm_up() -> None:
    """``factor`` rises as u/f, which is not rounded, and is at the peak at f."""
    rising = schedule("linear", warmup=0.2, floor=0.5)
    assert rising.factor([0.0, 0.05, 0.1, 0.2, 0.6, 1.0]) == pytest.approx([0, 0.25, 0.5, 1, 0.75, 0.5])


def test_a_number_gives_a_number_and_an_array_an_array() -> None:
    """``factor`` keeps the kind and the shape of what it was given."""
    linear: Schedule = schedule("linear")
    assert type(linear.factor(1)) is float
    assert type(linear.factor(np.float64(0.5))) is float
    assert linear.factor(np.array([[0.0, 0.25], [0.5, 1.0]])).tolist() == [[1.0, 0.75], [0.5, 0.0]]
    assert linear.factor([]).shape == (0,)

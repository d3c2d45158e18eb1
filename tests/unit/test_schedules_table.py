"""Rates that a reader can check in the head: one row is a schedule, a number of steps and all its rates."""

from __future__ import annotations

import numpy as np
import pytest

from lrsweep.schedules import Schedule, family_names, schedule

THIRD = 1 / 3

# family, settings, rates of a peak of 1; the number of steps is the number of rates
TABLE: list[tuple[str, dict[str, float], list[float]]] = [
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
]


@pytest.mark.parametrize(("name", "settings", "expected"), TABLE)
def test_rates_are_those_of_the_table(name: str, settings: dict[str, float], expected: list[float]) -> None:
    """Each family gives the rates worked out by hand, with and without warm-up and floor."""
    rates = schedule(name, **settings).rates(len(expected))
    assert rates.dtype == np.float64
    np.testing.assert_allclose(rates, expected, rtol=1e-14, atol=1e-15)


def test_the_table_has_every_family_plain_with_a_floor_and_with_a_warm_up() -> None:
    """A family that is missing in the table is named here."""
    for shared in ("floor", "warmup"):
        assert {name for name, settings, _ in TABLE if shared in settings} == set(family_names())
    assert {name for name, settings, _ in TABLE if not {"floor", "warmup"} & set(settings)} == set(family_names())


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

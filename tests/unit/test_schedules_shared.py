"""What every family shares, by hand: the five shapes of a warm-up, hold, noise, lengths in steps, and momentum."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lrsweep.errors import ScheduleError
from lrsweep.schedules import kinds, schedule
from lrsweep.schedules.kinds import UNIT, Numbers
from tests.drawn_schedules import TIME_DRIVEN

THIRD = 1 / 3

# family, settings, rates of a peak of 1; the number of steps is the number of rates
BEGINNINGS: list[tuple[str, dict[str, Any], list[float]]] = [
    # Three steps of warm-up stand at 1/4, 1/2 and 3/4 of it; two stand at 1/3 and 2/3.
    ("constant", {"warmup": 0.75, "warmup_start": 0.5}, [5 / 8, 6 / 8, 7 / 8, 1]),
    ("constant", {"warmup": 0.5, "warmup_shape": "cosine"}, [0.25, 0.75, 1, 1]),
    ("constant", {"warmup": 0.5, "warmup_shape": "cosine", "warmup_start": 0.2}, [0.4, 0.8, 1, 1]),
    ("constant", {"warmup": 0.75, "warmup_shape": "exponential", "warmup_start": 1 / 16}, [1 / 8, 1 / 4, 1 / 2, 1]),
    ("constant", {"warmup": 0.75, "warmup_shape": "polynomial"}, [1 / 16, 1 / 4, 9 / 16, 1]),
    ("constant", {"warmup": 0.75, "warmup_shape": "polynomial", "warmup_power": 1}, [0.25, 0.5, 0.75, 1]),
    ("constant", {"warmup": 0.5, "warmup_shape": "polynomial", "warmup_start": 0.1}, [0.2, 0.5, 1, 1]),
    ("constant", {"warmup": 0.75, "warmup_shape": "constant", "warmup_start": 0.3}, [0.3, 0.3, 0.3, 1]),
    ("linear", {"warmup": 0.5, "warmup_shape": "cosine", "floor": 0.2}, [0.25, 0.75, 1, 0.6]),
    # Without a warm-up its settings change nothing.
    ("linear", {"warmup_shape": "constant", "warmup_start": 0.3}, [1, 0.5]),
    # The decay waits, and then has its own clock over what is left.
    ("linear", {"hold": 0.5}, [1, 1, 1, 0.5]),
    ("linear", {"hold": 0.25, "warmup": 0.25}, [THIRD, 2 * THIRD, 1, 1, 1, 0.75, 0.5, 0.25]),
    ("linear", {"hold": 0.5, "floor": 0.5}, [1, 1, 1, 0.75]),
    ("cyclic", {"hold": 0.5, "cycles": 1}, [0.1, 0.1, 0.1, 1]),  # what is held is the decay's beginning
    ("linear", {"hold": 0.35}, [1, 1, 1, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),  # 3.5 steps: half up
    # Lengths in steps.
    ("linear", {"warmup": "2 steps"}, [THIRD, 2 * THIRD, 1, 0.5]),
    ("linear", {"warmup": "2 steps"}, [THIRD, 2 * THIRD, 1, 0.75, 0.5, 0.25]),
    ("linear", {"warmup": "1 step", "hold": "2 steps"}, [0.5, 1, 1, 1, 0.5]),
    ("linear", {"warmup": "3 steps"}, [0.25, 0.5, 0.75]),  # all steps may warm up
    ("wsd", {"cooldown": "2 steps"}, [1, 1, 1, 0.5]),
    ("wsd", {"cooldown": "2 steps"}, [1, 1, 1, 1, 1, 0.5]),
    ("wsd", {"cooldown": "4 steps"}, [1, 0.75, 0.5, 0.25]),
    ("wsd", {"cooldown": "4 steps", "warmup": "1 step", "hold": "1 step"}, [0.5, 1, 1, 0.75, 0.5, 0.25]),
    ("wsd", {"cooldown": "2 steps", "warmup": 0.5}, [THIRD, 2 * THIRD, 1, 0.5]),
]


@pytest.mark.parametrize(("name", "settings", "expected"), BEGINNINGS)
def test_rates_are_those_of_the_table(name: str, settings: dict[str, Any], expected: list[float]) -> None:
    """Each shape of warm-up, a hold and lengths in steps give the rates worked out by hand."""
    rates = schedule(name, **settings).rates(len(expected))
    np.testing.assert_allclose(rates, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential", "polynomial", "constant"])
def test_every_shape_of_warm_up_rises_from_its_start_to_the_peak(shape: str) -> None:
    """The curve begins at the start, never falls, and is at the peak where the warm-up ends."""
    s = schedule("linear", warmup=0.5, warmup_shape=shape, warmup_start=0.25)
    factors = s.factor(np.linspace(0, 0.5, 101))
    assert factors[0] == pytest.approx(0.25)
    assert (np.diff(factors) >= 0).all()
    assert factors[-1] == 1.0
    if shape != "constant":
        assert s.factor(0.5 - 1e-9) == pytest.approx(1.0)


def test_a_curve_in_steps_needs_its_horizon() -> None:
    """A factor at a progress depends on how many steps there are; with them it is the fractions' factor."""
    s = schedule("wsd", warmup="100 steps", cooldown="200 steps")
    with pytest.raises(ScheduleError, match=r"has a length in steps; .*: give total_steps as well"):
        s.factor(0.5)
    assert s.factor([0.05, 0.1, 0.8, 0.9, 1.0], total_steps=1000) == pytest.approx([0.5, 1, 1, 0.5, 0])
    assert s.factor([0.05, 0.1, 0.9, 0.95, 1.0], total_steps=2000) == pytest.approx([1, 1, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"warmup": "4 steps"}, [0, 0.5, 0]),
        ({"warmup": "2 steps", "hold": "2 steps"}, [0, 1, 0]),
        ({"warmup": "2 steps", "hold": 0.5}, [0, 1, 0]),
        ({"warmup": 0.5, "hold": "2 steps"}, [0, 1, 0]),
    ],
)
def test_counts_that_take_all_steps_leave_the_end_of_the_decay(settings: dict[str, Any], expected: list[float]) -> None:
    """No step is left for the decay; the curve has it at 1 alone, where what holds after the end stands."""
    s = schedule("linear", **settings)
    assert len(s.rates(4)) == 4
    assert s.factor([0, 0.5, 1.0], total_steps=4) == pytest.approx(expected)
    assert s.course(4).factor(4) == 0.0


@pytest.mark.parametrize(
    ("name", "settings", "total_steps", "told"),
    [
        ("linear", {"warmup": "500 steps"}, 499, "warmup '500 steps' take 500 steps, and there are 499"),
        (
            "wsd",
            {"warmup": "500 steps", "cooldown": "200 steps"},
            600,
            "warmup '500 steps', cooldown '200 steps' take 700 steps, and there are 600",
        ),
        (
            "wsd",
            {"warmup": 0.5, "hold": "10 steps", "cooldown": "41 steps"},
            100,
            "warmup 0.5 (50 steps), hold '10 steps', cooldown '41 steps' take 101 steps, and there are 100",
        ),
        (
            "linear",
            {"warmup": "9 steps", "hold": 0.5},
            10,
            "warmup '9 steps', hold 0.5 (5 steps) take 14 steps, and there are 10",
        ),
        ("wsd", {"warmup": "600 steps"}, 500, "warmup '600 steps' take 600 steps, and there are 500"),
        (
            "wsd",
            {"warmup": 0.01, "cooldown": "10 steps"},
            10,
            "warmup 0.01 (1 step), cooldown '10 steps' take 11 steps, and there are 10",
        ),
        (
            "linear",
            {"warmup": "10 steps", "hold": "1 step"},
            10,
            "warmup '10 steps', hold '1 step' take 11 steps, and there are 10",
        ),
    ],
)
def test_lengths_that_do_not_fit_are_refused_with_both_numbers(
    name: str, settings: dict[str, Any], total_steps: int, told: str
) -> None:
    """Nothing is shortened: the lengths, their sum and the horizon are told, by all that lay the schedule out."""
    s = schedule(name, **settings)
    for ask in (s.rates, s.course, s.clock, lambda steps: s.factor(0.5, steps)):
        with pytest.raises(ScheduleError) as error:
            ask(total_steps)
        assert str(error.value) == f"schedule {name!r}: {told}: a longer horizon is needed, or a shorter stretch"


# ── noise ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# What the generator SplitMix64 gives for seed 0, as its other implementations print it.
SPLITMIX = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]


def test_noise_is_splitmix_on_a_grid_of_a_hundred_cells() -> None:
    """At each hundredth of the training the published numbers are taken off; half-way between, their mean."""
    dips = [number / 2**64 for number in SPLITMIX]
    rates = schedule("constant", noise=1.0).rates(100)
    np.testing.assert_allclose(rates[:4], [1 - dip for dip in dips], rtol=1e-12)
    finer = schedule("constant", noise=0.5, floor=0.2).rates(200)
    means = [(one + two) / 2 for one, two in pairwise(dips)]
    np.testing.assert_allclose(finer[0:6:2], [0.2 + 0.8 * (1 - dip / 2) for dip in dips[:3]], rtol=1e-12)
    np.testing.assert_allclose(finer[1:7:2], [0.2 + 0.8 * (1 - mean / 2) for mean in means], rtol=1e-12)


def test_a_seed_is_another_noise() -> None:
    """Two seeds differ nearly everywhere; the same seed is the same curve."""
    one, again, two = (schedule("cosine", noise=0.3, noise_seed=seed).rates(1000) for seed in (7, 7, 8))
    assert np.array_equal(one, again)
    assert (one != two).mean() > 0.99
    assert not np.array_equal(one, schedule("cosine").rates(1000))


def test_noise_takes_half_of_its_size_off_on_average() -> None:
    """Over many seeds a noise of 0.4 leaves 0.8 of the rate: the dips are spread evenly."""
    means = [schedule("constant", noise=0.4, noise_seed=seed).rates(101).mean() for seed in range(200)]
    assert np.mean(means) == pytest.approx(0.8, abs=0.005)


def test_a_warm_up_has_no_noise_and_does_not_move_it() -> None:
    """The grid is of the whole training's progress: a warm-up hides the noise's beginning and shifts nothing."""
    plain = schedule("constant", noise=0.5).rates(100)
    warm = schedule("constant", noise=0.5, warmup=0.2).rates(100)
    assert warm[:20] == pytest.approx(np.arange(1, 21) / 21)
    np.testing.assert_allclose(warm[20:], plain[20:], rtol=1e-14)


# ── momentum ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ON = {"cycle_momentum": True}
ONE = {"rise": 0.5, **ON}

MOMENTA: list[tuple[str, dict[str, Any], list[float]]] = [
    ("one_cycle", ONE, [0.95, 0.9, 0.85, 0.9]),
    ("one_cycle", {**ONE, "momentum_low": 0.5, "momentum_high": 0.9}, [0.9, 0.7, 0.5, 0.7]),
    ("one_cycle", {**ONE, "momentum_low": 0.9, "momentum_high": 0.9}, [0.9, 0.9]),
    ("one_cycle", {**ONE, "start": 0.5, "final": 0.5, "floor": 0.5, "noise": 0.5}, [0.95, 0.9, 0.85, 0.9]),
    ("one_cycle", {**ONE, "warmup": 0.2}, [0.95, 0.95, 0.9, 0.85, 0.9]),
    ("one_cycle", {**ONE, "warmup": "1 step", "hold": "2 steps"}, [0.95, 0.95, 0.95, 0.95, 0.9, 0.85, 0.9]),
    ("one_cycle", {**ONE, "warmup": 0.9}, [0.95, 0.95, 0.95, 0.95]),
    ("cyclic", {**ON, "cycles": 2}, [0.95, 0.85, 0.95, 0.85]),
    ("cyclic", {**ON, "cycles": 1, "rise": 0.25}, [0.95, 0.85, 0.85 + 0.1 / 3, 0.85 + 0.2 / 3]),
    ("cyclic", {**ON, "cycles": 2, "mode": "triangular2"}, [0.95, 0.85, 0.95, 0.9]),
    ("cyclic", {**ON, "cycles": 1, "mode": "exp_range", "final": 1 / 16}, [0.95, 0.925, 0.925, 0.94375]),
]


@pytest.mark.parametrize(("name", "settings", "expected"), MOMENTA)
def test_momenta_run_against_the_rate(name: str, settings: dict[str, Any], expected: list[float]) -> None:
    """High at the foot of a cycle and low at its peak; during a warm-up and a hold, what it is at the beginning."""
    momenta = schedule(name, **settings).momenta(len(expected))
    assert momenta is not None
    assert momenta.dtype == np.float64
    np.testing.assert_allclose(momenta, expected, rtol=1e-14)


def test_only_two_families_move_the_momentum_and_only_when_told() -> None:
    """``None`` says that the optimizer's own momentum stays what it is."""
    cycling = {one.family for one in TIME_DRIVEN if "cycle_momentum" in {each.name for each in one.settings()}}
    assert cycling == {"one_cycle", "cyclic"}
    for one in TIME_DRIVEN:
        if one.family not in ("table", "function"):
            assert one().momenta(10) is None


def test_a_reactive_schedule_has_the_momenta_of_its_base() -> None:
    """A metric moves the rate alone; the warm-up of the whole waits at the beginning of the base."""
    base = schedule("one_cycle", rise=0.5, cycle_momentum=True)
    assert schedule("plateau").momenta(4) is None
    momenta = schedule("plateau", base=base, warmup=0.2).momenta(5)
    assert momenta == pytest.approx([0.95, 0.95, 0.9, 0.85, 0.9])


def test_a_warm_up_that_takes_all_steps_has_the_momentum_of_the_beginning() -> None:
    """Whatever counts lie inside: no step is left in which they could begin."""
    cycle = schedule("one_cycle", warmup="3 steps", cycle_momentum=True)
    for inside in (cycle.extended(2.0), cycle.cooled_down(0.5, 0.5), schedule("plateau", base=cycle)):
        momenta = inside.with_settings(warmup="2 steps").momenta(2)
        assert momenta is not None
        assert momenta.tolist() == [0.95, 0.95]


def test_rates_are_the_callers_own_and_a_course_is_nobodys() -> None:
    """Rates may be written to and change nothing; the arrays of a course refuse it."""
    s = schedule("linear")
    rates = s.rates(4)
    rates[:] = 7.0
    assert s.rates(4).tolist() == [1.0, 0.75, 0.5, 0.25]
    for course in (s.course(4), schedule("plateau", base=s).course(4)):
        for entries in (course.fixed, course.gain, course.low, course.whose):
            with pytest.raises(ValueError, match="read-only"):
                entries[0] = 7
    with pytest.raises(ValueError, match="read-only"):
        s.course(4).factors()[0] = 7.0


def test_a_long_list_is_read_as_a_short_one() -> None:
    """Python's own numbers, NumPy's and fractions give equal values; -0.0 is 0; the first wrong number is told."""
    plain = schedule("table", values=[1, 0.5, -0.0])
    assert plain == schedule("table", values=[Fraction(1), np.float32(0.5), np.int64(0)])
    assert repr(plain) == "lrsweep.schedule('table', values=(1.0, 0.5, 0.0))"
    for wrong in (2, -1e-9, math.nan, math.inf, 10**400, True, "1", None):
        with pytest.raises(ScheduleError, match=r"values must be .*; number 2 is "):
            schedule("table", values=[1.0, wrong, 3.0])
    with pytest.raises(ScheduleError, match=r"at must be .*; number 3 is 0.2 after 0.5"):
        schedule("multistep", at=[0.1, 0.5, 0.2])


def test_a_long_list_is_not_read_number_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million of Python's own numbers that are all allowed take no call of Python each."""

    def refused(given: object) -> float:
        raise AssertionError(f"{given} was read alone")

    values = Numbers(each=UNIT, ascending=True)
    monkeypatch.setattr(kinds, "as_number", refused)
    assert values.read([0, 0.25, 1]) == (0.0, 0.25, 1.0)
    with pytest.raises(AssertionError):
        values.read([0, 0.25, 2])


def test_momenta_of_no_horizon_are_refused() -> None:
    """As rates are, with the value that was given; and so is a warm-up that does not fit."""
    for cycling in ({}, ON):
        with pytest.raises(ScheduleError, match=r"^momenta: total_steps must be a whole number of 1 or more, not 0"):
            schedule("one_cycle", **cycling).momenta(0)
    with pytest.raises(ScheduleError, match="warmup '5 steps' take 5 steps, and there are 4"):
        schedule("cyclic", warmup="5 steps", **ON).momenta(4)


def test_momenta_are_at_their_lowest_where_the_rate_is_highest() -> None:
    """At every step of a long training, for any number of cycles."""
    s = schedule("cyclic", cycles=5, rise=0.3, low=0.2, **ON)
    rates, momenta = s.rates(1000), s.momenta(1000)
    assert momenta is not None
    assert np.ptp(momenta + 0.1 * (rates - 0.2) / 0.8) < 1e-12
    assert math.isclose(momenta.min(), 0.85)


def test_a_hold_to_the_end_holds_the_beginning_of_the_decay() -> None:
    """Where warm-up and hold take all steps, the held ones have the peak; the decay's end comes after them."""
    held = schedule("linear", warmup="1 step", hold="2 steps", floor=0.25)
    assert held.course(3).fixed.tolist() == [0.5, 1.0, 1.0, 0.25]
    assert schedule("linear", hold="2 steps").rates(2).tolist() == [1.0, 1.0]

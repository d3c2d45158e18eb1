"""The free form and the table: monotone between the points as SciPy has it, and exact at the steps that were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from lrsweep.errors import ScheduleError
from lrsweep.schedules import Knots, Table, schedule_from_json

heights = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])


@settings(deadline=None, max_examples=300)
@given(st.lists(heights, min_size=2, max_size=12), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_curve_is_scipys_pchip(points: list[float], progress: list[float]) -> None:
    """SciPy's monotone cubic through the same points has the same values, at the points and between them."""
    places = np.linspace(0, 1, len(points))
    u = np.array([*progress, *places])
    # SciPy divides by the slopes, and warns of subnormal ones.
    with np.errstate(all="ignore"):
        theirs = PchipInterpolator(places, points)(u)
    np.testing.assert_allclose(Knots(points=tuple(points)).decay(u), theirs, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(st.lists(heights, min_size=2, max_size=12), st.floats(0, 1))
def test_the_curve_never_leaves_the_two_points_it_is_between(points: list[float], progress: float) -> None:
    """No overshoot, to the last bit: between two points it goes one way."""
    k = len(points) - 1
    left = min(int(progress * k), k - 1)
    factor = Knots(points=tuple(points)).factor(progress)
    assert min(points[left : left + 2]) <= factor <= max(points[left : left + 2])


def test_equal_points_make_a_flat_line() -> None:
    """To the last bit, although the cubic's weights do not add up to 1 in floating point."""
    assert set(Knots(points=(0.1, 0.1, 0.7, 0.7)).rates(3000)[:1000]) == {0.1}
    assert set(Knots(points=(0.1, 0.1, 0.7, 0.7)).rates(3000)[2000:]) == {0.7}


@settings(deadline=None)
@given(st.lists(heights, min_size=2, max_size=12))
def test_falling_points_make_a_falling_curve(points: list[float]) -> None:
    """The curve through points in falling order never rises, and goes through each of them."""
    falling = sorted(points, reverse=True)
    curve = Knots(points=tuple(falling)).rates(50 * (len(points) - 1))
    assert (np.diff(curve) <= 1e-15).all()
    assert curve[::50] == pytest.approx(falling[:-1], rel=0, abs=1e-14)


def test_two_knots_are_a_straight_line_and_a_thousand_are_allowed() -> None:
    """The least and the most that the setting takes."""
    assert Knots(points=(1, 0.5)).factor([0, 0.25, 1]).tolist() == [1, 0.875, 0.5]
    many = np.linspace(1, 0, 1000)
    assert Knots(points=tuple(many)).factor(0.5) == pytest.approx(0.5)
    with pytest.raises(ScheduleError, match=r"points must be a list of 2 to 1000 numbers .*, not 1001 of them"):
        Knots(points=(0.5,) * 1001)


# ── table ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(st.lists(heights, min_size=1, max_size=200))
def test_a_table_gives_back_just_what_it_was_given(values: list[float]) -> None:
    """At as many steps as there are values, each step has its value to the last bit; after the end, the last."""
    table = Table(values=tuple(values))
    n = len(values)
    assert table.rates(n).tolist() == values
    assert [table.factor(i / n) for i in range(n)] == values
    assert table.factor(1.0) == values[-1]


@settings(deadline=None)
@given(st.lists(heights, min_size=1, max_size=50), st.integers(1, 20), st.integers(1, 300))
def test_a_resampled_table_is_the_same_curve(values: list[float], times: int, steps: int) -> None:
    """More steps go through the given values; any number of steps stays within them."""
    table = Table(values=tuple(values))
    assert table.rates(times * len(values))[::times].tolist() == values
    rates = table.rates(steps)
    assert rates[0] == values[0]
    assert min(values) <= rates.min()
    assert rates.max() <= max(values)


def test_a_table_may_be_as_long_as_a_training() -> None:
    """A hundred thousand steps, through JSON and back, to the last bit."""
    values = np.random.default_rng(0).uniform(size=100_000)
    table = schedule_from_json(Table(values=tuple(values)).to_json())
    assert np.array_equal(table.rates(len(values)), values)


def test_rates_from_elsewhere_become_a_table_and_their_peak() -> None:
    """The largest rate is the peak; times it, the table is the rates."""
    rates = [0.02, 0.08, 0.04, 0.0]
    table = Table.from_rates(rates)
    assert table == Table(values=(0.25, 1, 0.5, 0))
    assert table.rates(4, peak_lr=0.08).tolist() == rates
    assert Table.from_rates(np.array(rates, dtype=np.float32)).values == pytest.approx((0.25, 1, 0.5, 0))
    assert Table.from_rates([3], warmup=0.5, floor=0.1) == Table(values=(1.0,), warmup=0.5, floor=0.1)
    assert Table.from_rates([5e-324, 1e308]).values == (0.0, 1.0)


RATES = "rates must be a list of 1 to 10000000 finite numbers of 0 or more, one per step and one above 0"


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ([], f"{RATES}, not []"),
        ([0.0, 0], f"{RATES}; all of these 2 are 0"),
        ([0.1, -0.1], f"{RATES}; number 2 is -0.1"),
        ([0.1, 0.2, float("nan")], f"{RATES}; number 3 is nan"),
        ([float("inf")], f"{RATES}; number 1 is inf"),
        ([[0.1], [0.2]], f"{RATES}, not [[0.1], [0.2]]"),
        ([[0.1], 0.2], f"{RATES}, not [[0.1], 0.2]"),
        ("0.1", f"{RATES}, not '0.1'"),
        ([True], f"{RATES}, not [True]"),
        (None, f"{RATES}, not None"),
        (0.1, f"{RATES}, not 0.1"),
    ],
)
def test_what_are_no_rates_is_refused(rates: object, text: str) -> None:
    """What was given and what is wanted, with the place of the first wrong number."""
    with pytest.raises(ScheduleError) as error:
        Table.from_rates(rates)  # type: ignore[arg-type]
    assert str(error.value) == f"table from_rates: {text}"


def test_all_that_is_wrong_beside_the_rates_is_told_with_them() -> None:
    """Unknown settings, values out of range, and one that the rates give, in one message."""
    with pytest.raises(ScheduleError) as error:
        Table.from_rates([], floor=2, wramup=0.1, values=(1,))
    lines = str(error.value).splitlines()
    assert lines[0] == "table from_rates: 4 problems"
    assert [line.split()[0] for line in lines[1:]] == ["rates", "values", "floor", "'wramup'"]

"""The range test's reading of curves: levels and slopes that a reader can draw on squared paper."""

from __future__ import annotations

import numpy as np
import pytest

from lrsweep.engines.range_test import FEWEST_POINTS, SeedReading, growing, read_curve, read_range
from lrsweep.records import Floats

DECADES = np.linspace(-6, 1, 701)
RATES = 10.0**DECADES
NEAR = 1.3
"""A factor: half of the decades over which a curve is smoothed is a factor of 1.8."""


def bent(*corners: tuple[float, float]) -> Floats:
    """Straight lines through corners (power of ten of the rate, loss)."""
    powers, losses = zip(*corners, strict=True)
    curve: Floats = np.interp(DECADES, powers, losses)
    return curve


VALLEY = bent((-4, 2.0), (-3, 1.8), (-2, 1.0), (-1, 2.0), (1, 4.0))
"""It falls from 2 to 1, fastest between 1e-3 and 1e-2, and has lost half of that again at 10**-1.5."""


def reading(
    steepest: float | None = 0.1,
    lowest: float | None = 1.0,
    divergence: float | None = None,
    *,
    unclear: str | None = None,
    **known: bool,
) -> SeedReading:
    return SeedReading(RATES, VALLEY, VALLEY, steepest, lowest, divergence, unclear=unclear, **known)


def test_the_rates_grow_by_the_same_multiple_at_each_step() -> None:
    """From the lowest to the highest, both included."""
    rates = growing(1e-3, 10.0, 5).rates(5, peak_lr=10.0)
    assert rates == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0], rel=1e-12)


def test_a_valley_has_its_steepest_lowest_and_last_point_where_they_were_drawn() -> None:
    """The loss falls fastest on the second slope, is lowest at 1e-2, and has lost half its gain at 10**-1.5."""
    read = read_curve(RATES, VALLEY)
    assert read.unclear is None
    assert read.steepest is not None
    assert 1e-3 <= read.steepest <= 1e-2
    assert read.lowest == pytest.approx(1e-2, rel=NEAR - 1)
    assert read.divergence == pytest.approx(10**-1.5, rel=NEAR - 1)
    assert RATES[len(read.smoothed)] == read.divergence
    assert not read.falls_at_once
    assert not read.falls_to_the_end


@pytest.mark.parametrize(("times", "plus"), [(1000.0, 0.0), (1.0, -1.5), (1.0, 20.0)])
def test_neither_the_scale_nor_the_zero_of_a_loss_matters(times: float, plus: float) -> None:
    """The same points, to the last bit of rounding; a loss may be negative."""
    one, other = read_curve(RATES, VALLEY), read_curve(RATES, times * VALLEY + plus)
    assert other.lowest == pytest.approx(one.lowest, rel=0.02)
    assert other.divergence == pytest.approx(one.divergence, rel=0.02)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_where_it_diverges(broken: float) -> None:
    """The curve is read up to there, and not beyond, whatever comes after."""
    losses = bent((-4, 2.0), (-2, 1.0)).copy()
    losses[500] = broken  # at 1e-1
    read = read_curve(RATES, losses)
    assert read.divergence == pytest.approx(1e-1)
    assert read.lowest is not None
    assert read.lowest < 1e-1
    assert not read.falls_to_the_end


def test_noise_and_a_spike_move_the_points_a_little() -> None:
    """A tenth of the gain as noise, and one loss of a million: the valley is still read within half a decade."""
    losses = VALLEY + np.random.default_rng(7).normal(0, 0.1, len(VALLEY))
    losses[100] = 1e6
    read = read_curve(RATES, losses)
    assert read.steepest is not None
    assert 10**-3.5 <= read.steepest <= 10**-1.8
    assert read.lowest == pytest.approx(1e-2, rel=1.0)
    assert read.divergence == pytest.approx(10**-1.5, rel=1.0)


def test_an_explosion_is_not_smeared_over_the_rates_before_it() -> None:
    """The loss falls to 1e-1 and then jumps a thousandfold: the lowest point stays next to the jump."""
    losses = np.where(RATES < 1e-1, bent((-4, 2.0), (-1, 1.0)), 1000.0)
    read = read_curve(RATES, losses)
    assert read.lowest == pytest.approx(1e-1, rel=0.3)
    assert read.divergence == pytest.approx(1e-1, rel=0.3)


def test_noise_alone_says_nothing() -> None:
    """A level curve with noise has a lowest point too; of 200 such curves at most 6 are taken for a fall."""
    generator = np.random.default_rng(3)
    rates = np.geomspace(1e-6, 10, 300)
    readings = [read_curve(rates, 2.3 + generator.normal(0, 0.3, 300)) for _ in range(200)]
    assert sum(each.unclear is None for each in readings) <= 6
    assert readings[0].unclear is not None
    assert "the loss does not fall" in readings[0].unclear


def test_a_curve_that_rises_says_nothing() -> None:
    """It diverges without having fallen: no rate of these trains."""
    read = read_curve(RATES, bent((-1, 2.0), (1, 9.0)))
    assert read.unclear is not None
    assert read.steepest is None


def test_too_few_losses_are_too_few() -> None:
    """One less than the smallest number; with it, the curve is read."""
    few = np.linspace(0, 700, FEWEST_POINTS).astype(int)
    assert read_curve(RATES[few], VALLEY[few]).unclear is None
    assert read_curve(RATES[few][:-1], VALLEY[few][:-1]).unclear == "it has 29 losses, and 30 are needed"


def test_a_fall_at_either_end_is_seen() -> None:
    """The test began too late, or ended too early."""
    early = read_curve(RATES, bent((-6, 2.0), (-5.7, 1.3), (-5, 1.0), (0, 0.9), (1, 3.0)))
    late = read_curve(RATES, bent((0, 2.0), (1, 1.0)))
    assert (early.falls_at_once, early.falls_to_the_end) == (True, False)
    assert (late.falls_at_once, late.falls_to_the_end) == (False, True)
    broken = read_curve(RATES, np.append(bent((0, 2.0), (1, 1.0))[:-1], np.nan))
    assert not broken.falls_to_the_end


def test_the_suggestion_goes_from_below_the_steepest_to_the_lowest_point() -> None:
    """A third of the first steepest point, the last lowest point; one rate in their middle on a log scale."""
    test = read_range([reading(0.03, 1.0), reading(0.04, 0.5), reading(0.05, 0.6)])
    assert test.suggested == pytest.approx((0.01, 1.0))
    assert test.peak_lr == pytest.approx((0.04 * 0.6) ** 0.5)
    assert test.steepest is not None
    assert (test.steepest.rate, test.steepest.low, test.steepest.high) == pytest.approx((0.04, 0.03, 0.05))
    assert test.notes == ("no seed diverges up to 10",)


def test_a_seed_that_diverges_early_is_the_upper_end() -> None:
    """What is lost for one seed is not suggested to the search."""
    test = read_range([reading(0.03, 1.0, 2.0), reading(0.03, 0.5, 0.7)])
    assert test.suggested == pytest.approx((0.01, 0.7))
    assert test.notes == ()


def test_an_end_that_is_open_is_said() -> None:
    """With the option that would close it; the suggestion is what was tried."""
    test = read_range([reading(1e-5, 10.0, falls_at_once=True, falls_to_the_end=True)])
    assert test.suggested == pytest.approx((1e-5 / 3, 10.0))
    assert [note.rpartition(": ")[2] for note in test.notes] == ["--low 1e-08", "--high 1000"]


def test_a_seed_that_broke_before_any_rate_takes_part_in_no_suggestion() -> None:
    """It has no points at all."""
    none = np.empty(0)
    test = read_range([reading(0.03, 1.0), reading(0.03, 1.0), read_curve(none, none)])
    assert test.suggested == pytest.approx((0.01, 1.0))
    assert test.notes[0] == "1 of 3 seeds: it has 0 losses, and 30 are needed"


def test_seeds_that_disagree_are_said() -> None:
    """More than a decade between the steepest points."""
    test = read_range([reading(0.01), reading(0.2)])
    assert "more than a decade apart" in test.notes[-1]


def test_half_of_the_seeds_are_too_few_for_a_suggestion() -> None:
    """What the clear ones say is there, and so is the reason of the others."""
    flat = reading(None, None, unclear="it is flat")
    half = read_range([reading(), flat])
    assert (half.suggested, half.peak_lr, half.notes) == (None, None, ("1 of 2 seeds: it is flat",))
    assert half.steepest is not None
    most = read_range([reading(), reading(), flat])
    assert most.suggested is not None
    assert most.notes[0] == "1 of 3 seeds: it is flat"
    assert read_range([flat]).notes == ("the seed: it is flat",)

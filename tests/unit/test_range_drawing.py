"""A range test in the terminal and as a picture: where the marks lie, and what is drawn of a curve that ended."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lrsweep.cli.picture import draw_range
from lrsweep.cli.range import RangeOptions, RangeTest
from lrsweep.cli.range_drawing import even_curve, marked, show_range, ticks
from lrsweep.cli.target import Target
from lrsweep.engines.range_test import RangeReading, SeedReading, Spread
from lrsweep.records import OptimizerSpec, WorkloadSpec

RATES = np.geomspace(1e-4, 1.0, 41)
LOSSES = np.linspace(4.0, 0.0, 41)
SEED = SeedReading(RATES, LOSSES, LOSSES[:32], 1e-2, 1e-1, 10**-0.8)
READING = RangeReading(
    Spread(1e-2, 1e-2, 1e-2, 1),
    Spread(1e-1, 1e-1, 1e-1, 1),
    Spread(1.0, 1.0, 1.0, 1),
    suggested=(1e-3, 1e-1),
    peak_lr=0.03,
    notes=("a note",),
)
TEST = RangeTest(
    Target("digits", WorkloadSpec("digits")),
    OptimizerSpec("sgd"),
    RangeOptions(steps=41, low=1e-4, high=1.0, seeds=1),
    "train_loss",
    "cpu",
    (SEED,),
    READING,
)


def shown(test: RangeTest) -> list[str]:
    out = io.StringIO()
    show_range(Console(file=out, width=50, height=24), test)
    return out.getvalue().splitlines()


def test_marks_lie_below_their_rates() -> None:
    """Four decades on 41 columns: ten columns a decade. The letters count more than the line of the range."""
    assert marked(TEST, 41, ascii_only=True) == "          [---------S---------L         D"
    assert ticks(1e-4, 1.0, 41) == "0.0001  0.001     0.01       0.1        1"


def test_a_curve_is_spread_evenly_and_ends_where_it_diverges() -> None:
    """Beyond its last smoothed loss nothing is drawn; between two rates it is a straight line."""
    curve = even_curve(SEED, 1e-4, 1.0, 5)
    assert curve[:4] == pytest.approx([4.0, 3.0, 2.0, 1.0])
    assert np.isnan(curve[4])
    assert np.isnan(even_curve(replace(SEED, smoothed=LOSSES[:0]), 1e-4, 1.0, 5)).all()


def test_the_drawing_ends_with_the_lines_to_paste() -> None:
    """The head says what was trained, the legend what the letters mean."""
    lines = shown(TEST)
    assert lines[0] == "digits, sgd: train_loss over 41 growing rates, 1 seed, on cpu"
    assert "  S  falls fastest  0.01" in lines
    assert "     a note" in lines
    assert lines[-2:] == ["    [space.peak_lr]", "    sgd = [0.001, 0.1]"]


def test_nothing_is_suggested_where_nothing_is_known() -> None:
    """The reason stands above it, and there are no lines to paste."""
    nothing = replace(TEST, reading=RangeReading(None, None, None, None, None, ("the seed: it is flat",)))
    lines = shown(nothing)
    assert lines[-2:] == ["     the seed: it is flat", "No rate can be suggested from this."]
    assert "  S  falls fastest  in no seed" in lines


def test_the_picture_has_each_seed_twice_and_the_range() -> None:
    """Its losses, and as they were smoothed; the height is the smoothed curve's, so that a divergence flattens none."""
    [axes] = draw_range(replace(TEST, seeds=(SEED, replace(SEED, losses=np.where(RATES > 0.5, 1e9, LOSSES))))).axes
    curves = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) > 2]
    assert len(curves) == 4
    assert axes.get_ylim()[1] < 5
    assert axes.get_xscale() == "log"
    legend = axes.get_legend_handles_labels()[1]
    assert "suggested for a search" in legend
    assert "falls fastest: 0.01" in legend

"""A range test in the terminal: the smoothed losses over the rate, on a log scale, with what they say below them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from lrsweep.cli.drawing import drawn
from lrsweep.cli.preview import LETTERS, PALETTE
from lrsweep.cli.range import RangeTest
from lrsweep.cli.terminal import written_for
from lrsweep.engines.range_test import SeedReading, Spread
from lrsweep.records import Floats

WIDEST, HIGHEST = 110, 15
ROOM_ABOVE = 0.05
"""Of the height, over the level at which the losses start."""


def show_range(console: Console, test: RangeTest) -> None:
    what, where = (test.optimizer.name, f", on {test.device}") if test.target.command is None else ("a script", "")
    seeds = f"{len(test.seeds)} seed{'s' * (len(test.seeds) > 1)}"
    console.print(
        Text(f"{test.target.name}, {what}: ", style="bold")
        + Text(f"{test.metric} over {test.options.steps:,} growing rates, {seeds}{where}", style="not bold"),
        soft_wrap=True,
    )
    if any(seed.smoothed.size for seed in test.seeds):
        _show_curves(console, test)
    reading = test.reading
    rows = (
        ("falls fastest", reading.steepest, "S"),
        ("lowest loss", reading.lowest, "L"),
        ("diverges", reading.divergence, "D"),
    )
    for about, spread, mark in rows:
        console.print(Text(f"  {mark}  {about:<14} {_told(spread, len(test.seeds))}"))
    for note in reading.notes:
        console.print(Text(f"     {written_for(console, note)}", style="yellow"), soft_wrap=True)
    lines = test.for_a_study()
    if lines is None:
        console.print("No rate can be suggested from this.", style="bold", highlight=False)
        return
    console.print(Text(f"\nto begin with: {reading.peak_lr:.2g}; to search, in a study file\n", style="bold"))
    for line in lines.splitlines():
        console.print(Text(f"    {line}"))


def even_curve(seed: SeedReading, low: float, high: float, points: int) -> Floats:
    """The smoothed loss at so many rates, evenly spaced on a log scale; NaN where the curve has ended or not begun."""
    at = np.linspace(np.log(low), np.log(high), points)
    known = np.log(seed.rates[: len(seed.smoothed)])
    return np.interp(at, known, seed.smoothed, left=np.nan, right=np.nan) if known.size else np.full(points, np.nan)


def marked(test: RangeTest, width: int, *, ascii_only: bool = False) -> str:
    """A line below the axis: the suggested range, and a letter at each point that has been read."""
    cells = [" "] * width
    flat, left, right = ("-", "[", "]") if ascii_only else ("━", "┣", "┫")
    reading = test.reading
    if reading.suggested is not None:
        begin, end = (_column(rate, test, width) for rate in reading.suggested)
        cells[begin : end + 1] = [flat] * (end + 1 - begin)
        cells[begin], cells[end] = left, right
    for spread, mark in ((reading.divergence, "D"), (reading.lowest, "L"), (reading.steepest, "S")):
        if spread is not None:
            cells[_column(spread.rate, test, width)] = mark
    return "".join(cells).rstrip()


def ticks(low: float, high: float, width: int) -> str:
    """The powers of ten below the axis, as far as there is room for them."""
    line = ""
    for power in range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1):
        text = f"{10.0**power:g}"
        place = round((power - np.log10(low)) / (np.log10(high) - np.log10(low)) * (width - 1))
        begin = min(max(place - len(text) // 2, 0), width - len(text))
        if begin >= len(line) + (1 if line else 0):
            line = line.ljust(begin) + text
    return line


def _show_curves(console: Console, test: RangeTest) -> None:
    ascii_only = console.options.ascii_only
    coloured = console.is_terminal and console.color_system in ("256", "truecolor") and not console.no_color
    margin = 9
    width = max(16, min(console.width, WIDEST) - margin - 1)
    height = max(5, min(console.height - 12, HIGHEST))
    shown = test.seeds[: len(LETTERS)]
    curves = [even_curve(seed, test.options.low, test.options.high, 2 * width) for seed in shown]
    values = np.concatenate(curves)
    bottom, top = float(np.nanmin(values)), float(np.nanmax(values))
    scale = (top - bottom) * (1 + ROOM_ABOVE) or 1.0
    marks = None if coloured else (LETTERS if len(shown) > 1 else ("*" if ascii_only else None))
    rows = drawn([(curve - bottom) / scale for curve in curves], width=width, height=height, marks=marks)
    labels = {0: f"{bottom + scale:.4g}", height - 1: f"{bottom:.4g}"}
    upright, corner, flat = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    for place, row in enumerate(rows):
        line = Text(f"{labels.get(place, ''):>{margin - 2}} {upright}", style="dim")
        for cell in row:
            line.append(cell.text, style="" if cell.curve is None else f"not dim {PALETTE[cell.curve]}")
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    below: Sequence[str] = (
        f"{'':{margin - 1}}{corner}{flat * width}",
        f"{'':{margin}}{ticks(test.options.low, test.options.high, width)}",
        f"{'':{margin}}{marked(test, width, ascii_only=ascii_only)}",
    )
    for axis in below:
        console.print(Text(axis, style="dim"), no_wrap=True, overflow="crop", crop=True)


def _column(rate: float, test: RangeTest, width: int) -> int:
    low, high = np.log(test.options.low), np.log(test.options.high)
    return int(np.clip(round((np.log(rate) - low) / (high - low) * (width - 1)), 0, width - 1))


def _told(spread: Spread | None, seeds: int) -> str:
    if spread is None:
        return "in no seed"
    told = f"{spread.rate:.2g}"
    if spread.seeds > 1:
        told += f"  (seeds: {spread.low:.2g} to {spread.high:.2g})"
    return told + (f", in {spread.seeds} of {seeds}" if spread.seeds < seeds else "")

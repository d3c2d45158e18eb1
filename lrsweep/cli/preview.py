"""``lrsweep preview``: the rates of several schedules side by side, in the terminal, as JSON or as a picture.

A reactive schedule has no rates before there are metrics. It is replayed on given ones, or on an example.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsweep.cli.asked import Asked, indented, read_asked, read_metrics
from lrsweep.cli.drawing import Cell, drawn
from lrsweep.cli.terminal import written_for
from lrsweep.errors import ScheduleError, SettingsError
from lrsweep.schedules import Schedule, json_value
from lrsweep.schedules.checks import checked_horizon
from lrsweep.schedules.compositions.inner import inner_schedules
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.reactive.base import Reactive

FINEST = 20_000
"""Places at which a longer horizon is sampled: more would cost time and memory, and no eye sees it."""
MOST_RATES = 10_000_000
"""Rates of one schedule in JSON, about 200 MB of text."""
MOST_METRICS = 10_000
EVALUATIONS = 40
EXAMPLE_LOSS = (2.3, 1.5, 1.05, 0.85, 0.86, 0.87, 0.5, 0.25, 0.22, 0.22, 0.23)
"""At each tenth of the training: it falls twice, and each time stands still for a while, so that there is something to
react to."""
IN_ONE_DRAWING = 8
"""More curves than this get a small drawing each."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7e57c2", "#808080")
"""Colours that people with any colour vision tell apart (Okabe and Ito's), on a light and on a dark ground."""
LETTERS = "abcdefgh"
TIME_DRIVEN_COLOUR, REACTIVE_COLOUR = PALETTE[0], PALETTE[1]
PANEL_WIDTH, PANEL_HEIGHT = 18, 4


@dataclass(frozen=True)
class Curve:
    """A schedule and its rates; ``metrics`` are those that a reactive one was replayed on."""

    name: str
    about: str
    schedule: Schedule
    multiplier: float
    rates: Floats
    metrics: tuple[float, ...] | None

    @property
    def reactive(self) -> bool:
        return self.metrics is not None

    @property
    def title(self) -> str:
        return f"{self.name} *" if self.reactive else self.name


@dataclass(frozen=True)
class Preview:
    """What is shown. ``rates`` have an entry per step, or ``FINEST`` where it is a drawing of more steps."""

    steps: int
    peak_lr: float
    curves: tuple[Curve, ...]
    left_out: tuple[str, ...] = ()
    """families that could not be shown: they have a setting without a default"""
    example: bool = True
    """whether the metrics are the example's"""

    @property
    def top(self) -> float:
        """The largest of the peaks; no rate is above it."""
        return self.peak_lr * max(1.0, *(curve.multiplier for curve in self.curves))

    @property
    def in_panels(self) -> bool:
        """Whether each curve has a drawing of its own."""
        return len(self.curves) > IN_ONE_DRAWING

    @property
    def notes(self) -> list[str]:
        """What must be known to read the drawing."""
        notes = []
        if any(curve.reactive for curve in self.curves):
            on = "an example: a loss that falls twice and twice stands still" if self.example else "the metrics given"
            notes.append(f"* reacts to a metric; here to {on}")
        changed = [curve.name for curve in self.curves if curve.about]
        if changed and self.in_panels:
            notes.append(
                f"not at its defaults: {', '.join(changed)}"
                if len(changed) < len(self.curves)
                else "none is at its defaults"
            )
        if self.left_out:
            notes.append(f"not shown, for want of a setting without a default: {', '.join(self.left_out)}")
        return notes


def example_metrics(evaluations: int, mode: str) -> tuple[float, ...]:
    """A loss at evenly spaced evaluations, the last at the end; its mirror image where more is better (``max``)."""
    at = np.arange(1, evaluations + 1) / evaluations
    loss = np.interp(at, np.linspace(0.0, 1.0, len(EXAMPLE_LOSS)), EXAMPLE_LOSS)
    return tuple((EXAMPLE_LOSS[0] - loss if mode == "max" else loss).tolist())


def make_preview(
    names: Sequence[str],
    sets: Sequence[str],
    *,
    steps: int,
    peak_lr: float,
    metrics_file: Path | None = None,
    allow_code: bool = False,
    exact: bool = False,
) -> Preview:
    """All that is shown, or one SettingsError with everything that is wrong. ``exact`` has a rate for every step."""
    problems: list[str] = []
    for asked_by, horizon, peak in (("--steps", steps, 1.0), ("--peak-lr", 1, peak_lr)):
        try:
            checked_horizon(horizon, peak, asked_by)
        except ScheduleError as refused:
            problems.append(str(refused))
    metrics = read_metrics(metrics_file, problems) if metrics_file is not None else None
    asked, left_out = read_asked(names, sets, problems, allow_code=allow_code)
    if exact and steps > MOST_RATES:
        problems.append(f"--json writes every rate, and {steps:,} are too many; at most {MOST_RATES:,} steps")
    if metrics is not None:
        if not problems and not any(one.schedule.needs_metric for one in asked):
            problems.append("--metrics is for schedules that react to a metric, and none of these does")
        if len(metrics) > min(steps, MOST_METRICS):
            problems.append(
                f"--metrics has {len(metrics):,} evaluations, and there are {steps:,} steps; wanted at most one after "
                f"each step, and at most {MOST_METRICS:,}"
            )
    if problems:
        raise SettingsError(listing("preview", problems))

    curves = [curve for one in asked if (curve := _curve(one, steps, peak_lr, metrics, problems, exact=exact))]
    if problems:
        raise SettingsError(listing("preview", problems))
    return Preview(steps, peak_lr, tuple(curves), tuple(left_out), metrics is None)


def preview_json(preview: Preview) -> Iterator[str]:
    """One JSON object as lines of text, a schedule at a time: rates take much room."""
    yield f'{{"steps": {preview.steps}, "peak_lr": {json.dumps(preview.peak_lr)}, "schedules": ['
    for place, curve in enumerate(preview.curves, start=1):
        written = {
            "name": curve.name,
            "schedule": json.loads(curve.schedule.to_json()),
            "multiplier": curve.multiplier,
            "metrics": _json_numbers(curve.metrics),
            "rates": curve.rates.tolist(),
        }
        yield json.dumps(written, allow_nan=False) + "," * (place < len(preview.curves))
    yield "]}"


def show_preview(console: Console, preview: Preview) -> None:
    """One drawing of all, with a legend; of many, a small drawing each."""
    if preview.in_panels:
        _show_panels(console, preview)
    else:
        _show_together(console, preview)
    for note in preview.notes:
        console.print(Text(written_for(console, note), style="dim"))


def _curve(
    one: Asked, steps: int, peak_lr: float, metrics: Sequence[float] | None, problems: list[str], *, exact: bool
) -> Curve | None:
    """The rates of one schedule; None, and a problem more, where it does not fit this horizon."""
    about = repr(one.schedule) if not one.of_family else ", ".join(_changed(one.schedule))
    if one.multiplier != 1:
        about = f"× {one.multiplier:g}  {about}"
    schedule = one.schedule
    fine = exact or steps <= FINEST
    peak = peak_lr * one.multiplier
    heard = None
    try:
        if schedule.needs_metric:
            heard = tuple(metrics) if metrics is not None else example_metrics(min(EVALUATIONS, steps), _mode(schedule))
            rates = schedule.replay(heard, steps, peak) if fine else _sampled_replay(schedule, heard, steps, peak)
        elif fine:
            rates = schedule.rates(steps, peak)
        else:
            rates = peak * schedule.factor(np.arange(FINEST) / FINEST, steps)
    except ScheduleError as refused:
        told = str(refused).removeprefix(f"schedule {schedule.family!r}: ")
        problems.append(indented(f"{one.name}: {told}"))
        return None
    return Curve(one.name, about, schedule, one.multiplier, rates, heard)


def _sampled_replay(schedule: Schedule, metrics: Sequence[float], steps: int, peak_lr: float) -> Floats:
    """The same number of evaluations gives the same curve on any horizon, so a shorter one does."""
    compressed = schedule.on_horizon(steps)
    try:
        return compressed.replay(metrics, FINEST, peak_lr)
    except ScheduleError as too_short:  # a part of it has no step there
        if steps > MOST_RATES:
            raise ScheduleError(
                f"a part of it is too short to be seen on {steps:,} steps; it can be drawn on {MOST_RATES:,} or fewer"
            ) from too_short
        return schedule.replay(metrics, steps, peak_lr)[np.arange(FINEST) * steps // FINEST]


def _mode(schedule: Schedule) -> str:
    """Whether the first machine in a schedule wants a smaller or a larger metric."""
    if isinstance(schedule, Reactive):
        return schedule.mode
    return next(_mode(inner) for inner in inner_schedules(schedule) if inner.needs_metric)


def _changed(schedule: Schedule) -> list[str]:
    return [
        f"{one.name}={json.dumps(json_value(value))}"
        for one in schedule.settings()
        if (value := getattr(schedule, one.name)) != one.default
    ]


def _json_numbers(metrics: Sequence[float] | None) -> list[Any] | None:
    """JSON has no NaN: null stands for a metric that is not finite."""
    return None if metrics is None else [metric if math.isfinite(metric) else None for metric in metrics]


# ── in the terminal ──────────────────────────────────────────────────────────────────────────────────────────────────


def _show_together(console: Console, preview: Preview) -> None:
    coloured = console.is_terminal and console.color_system in ("256", "truecolor") and not console.no_color
    ascii_only = console.options.ascii_only
    one_mark = "*" if ascii_only else None
    marks = LETTERS if len(preview.curves) > 1 and not coloured else one_mark
    peak, half = f"{preview.top:.4g}", f"{preview.top / 2:.4g}"
    margin = max(len(peak), len(half)) + 2
    width = max(8, min(console.width, 110) - margin - 1)
    spare = console.height - len(preview.curves) - len(preview.notes) - 5
    height = max(5, min(spare, 17)) // 2 * 2 + 1  # odd, so that half the peak has a row of its own

    labels = {0: peak, height // 2: half, height - 1: "0"}
    upright, corner, flat = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    console.print(Text("rate", style="dim"))
    rows = drawn([curve.rates for curve in preview.curves], width=width, height=height, top=preview.top, marks=marks)
    for place, row in enumerate(rows):
        line = Text(f"{labels.get(place, ''):>{margin - 2}} {upright}", style="dim")
        console.print(line + _coloured(row, PALETTE), no_wrap=True, overflow="crop", crop=True)
    for axis in (f"{'':{margin - 1}}{corner}{flat * width}", f"{'':{margin}}{_ticks(preview.steps, width)}"):
        console.print(Text(axis, style="dim"), no_wrap=True, overflow="crop", crop=True)
    for place, curve in enumerate(preview.curves):
        sample = LETTERS[place] if marks == LETTERS else (marks or "━━")
        legend = Text.assemble((sample, PALETTE[place]), f" {written_for(console, curve.title)} ", style="")
        legend.append(written_for(console, curve.about), style="dim")
        legend.rstrip()
        console.print(legend, no_wrap=True, overflow="ellipsis" if not ascii_only else "crop")


def _ticks(steps: int, width: int) -> str:
    """The first step, the middle where there is room, and the end."""
    end, middle = f"{steps:,} step{'s' * (steps > 1)}", f"{steps // 2:,}" if steps % 2 == 0 else ""
    line = "0".ljust(width // 2 - len(middle) // 2) + middle
    if len(line) + 2 + len(end) > width:
        line = "0"
    return line + end.rjust(width - len(line))


def _show_panels(console: Console, preview: Preview) -> None:
    width = min(PANEL_WIDTH, console.width)
    across = max(1, (console.width + 2) // (width + 2))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(across):
        grid.add_column(width=width, no_wrap=True)
    panels = [_panel(console, preview, curve, width) for curve in preview.curves]
    for begin in range(0, len(panels), across):
        grid.add_row(*panels[begin : begin + across])
    console.print(grid)
    console.print(Text(f"each from step 0 to {preview.steps:,}, and from rate 0 to {preview.top:.4g}", style="dim"))


def _panel(console: Console, preview: Preview, curve: Curve, width: int) -> Text:
    ascii_only = console.options.ascii_only
    upright, corner, flat = ("|", "+", "-") if ascii_only else ("│", "└", "─")
    rows = drawn(
        [curve.rates],
        width=width - 1,
        height=PANEL_HEIGHT,
        top=preview.top,
        marks="*" if ascii_only else None,
    )
    panel = Text(written_for(console, curve.title)[:width], style="bold")
    colour = REACTIVE_COLOUR if curve.reactive else TIME_DRIVEN_COLOUR
    for row in rows:
        panel = panel + Text(f"\n{upright}", style="dim not bold") + _coloured(row, (colour,))
    return panel + Text(f"\n{corner}{flat * (width - 1)}\n", style="dim not bold")


def _coloured(row: Sequence[Cell], colours: Sequence[str]) -> Text:
    line = Text()
    for cell in row:
        line.append(cell.text, style="" if cell.curve is None else f"not bold not dim {colours[cell.curve]}")
    return line

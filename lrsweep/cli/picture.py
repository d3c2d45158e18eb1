"""Previews, range tests and comparisons as PNG or SVG files. No window opens.

The one home of matplotlib, without its global state.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from lrsweep.cli.preview import PALETTE, REACTIVE_COLOUR, TIME_DRIVEN_COLOUR, Curve, Preview
from lrsweep.errors import SettingsError

if TYPE_CHECKING:
    from lrsweep.cli.range import RangeTest

WIDTH_INCHES = 9.0
DOTS_PER_INCH = 150
PANELS_ACROSS = 5
INK, FAINT = "#1f2328", "#8c959f"
LONGEST_LABEL = 90
PICTURES = (".png", ".svg")


def checked_target(path: Path) -> None:
    """Refuses a name that would lie about what is in the file."""
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--png {path}: it writes PNG; wanted a name that ends in .png")


def write_png(preview: Preview, path: Path) -> None:
    """Draws and writes; a file that exists is replaced."""
    checked_target(path)
    _write(draw(preview), path)


def checked_picture(path: Path) -> None:
    """Refuses a name that would lie about what is in the file."""
    if path.suffix.lower() not in PICTURES:
        raise SettingsError(f"--picture {path}: wanted a name that ends in {' or '.join(PICTURES)}")


def write_picture(preview: Preview, path: Path) -> None:
    """The same as PNG or SVG, by the file's name."""
    checked_picture(path)
    _write(draw(preview), path, "--picture")


def write_range_png(test: RangeTest, path: Path) -> None:
    """Draws and writes; a file that exists is replaced."""
    checked_target(path)
    _write(draw_range(test), path)


def _write(figure: Figure, path: Path, option: str = "--png") -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower().removeprefix("."), dpi=DOTS_PER_INCH)
    try:
        path.write_bytes(picture.getvalue())
    except OSError as error:
        raise SettingsError(f"{option} {path}: cannot be written ({error.strerror}); wanted a file that can") from error


def draw(preview: Preview) -> Figure:
    """One pair of axes, or a small one for each of many curves."""
    return _panels(preview) if preview.in_panels else _together(preview)


def draw_range(test: RangeTest) -> Figure:
    """Each seed's losses, faint, and as they were smoothed; the suggested range is shaded."""
    figure = _figure(4.6)
    axes = figure.add_subplot()
    smoothed = np.concatenate([seed.smoothed for seed in test.seeds] or [np.empty(0)])
    for number, seed in enumerate(test.seeds):
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(seed.rates, seed.losses, color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(seed.rates[: len(seed.smoothed)], seed.smoothed, color=colour, linewidth=1.8, label=f"seed {number}")
    axes.set_xscale("log")
    axes.set_xlim(test.options.low, test.options.high)
    if smoothed.size:
        room = (smoothed.max() - smoothed.min()) * 0.15 or 1.0  # a loss that has diverged would flatten all others
        axes.set_ylim(smoothed.min() - room, smoothed.max() + room)
    reading = test.reading
    if reading.suggested is not None:
        axes.axvspan(*reading.suggested, color=PALETTE[1], alpha=0.12, linewidth=0, label="suggested for a search")
    for about, spread, style in (
        ("falls fastest", reading.steepest, "--"),
        ("lowest loss", reading.lowest, "-."),
        ("diverges", reading.divergence, ":"),
    ):
        if spread is not None:
            axes.axvline(spread.rate, color=INK, linewidth=1, linestyle=style, label=f"{about}: {spread.rate:.2g}")
    _plain(axes)
    axes.set_xlabel("learning rate")
    axes.set_ylabel(test.metric)
    axes.set_title(f"{test.target.name}, {test.optimizer.name}", fontsize=9.5, loc="left", pad=3, color=INK)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    _note(figure, [_shortened(note) for note in reading.notes])
    return figure


def _together(preview: Preview) -> Figure:
    figure = _figure(4.2 + 0.18 * len(preview.curves))
    axes = figure.add_subplot()
    for curve, colour in zip(preview.curves, PALETTE, strict=False):
        label = f"{curve.title}  {curve.about}".strip()
        _stairs(axes, curve, preview, colour, width=1.8, label=_shortened(label))
    _frame(axes, preview)
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate" if preview.top != 1 else "learning rate (peak = 1)")
    figure.legend(loc="outside lower left", frameon=False, fontsize=9)
    _note(figure, preview.notes)
    return figure


def _panels(preview: Preview) -> Figure:
    down = -(-len(preview.curves) // PANELS_ACROSS)
    figure = _figure(1.18 * down + 0.75)
    grid = figure.subplots(down, PANELS_ACROSS, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(preview.curves):
            axes.set_axis_off()
            continue
        curve = preview.curves[place]
        if curve.metrics is not None:
            _metric(axes, curve.metrics, preview)
        _stairs(axes, curve, preview, REACTIVE_COLOUR if curve.reactive else TIME_DRIVEN_COLOUR, width=1.6)
        _frame(axes, preview)
        axes.set_title(curve.title, fontsize=9.5, loc="left", pad=3, color=INK)
        if place + PANELS_ACROSS >= len(preview.curves):  # nothing below it
            axes.tick_params(labelbottom=True)
    figure.supxlabel("step", fontsize=9, color=INK)
    figure.supylabel("learning rate" if preview.top != 1 else "learning rate (peak = 1)", fontsize=9, color=INK)
    _key(figure, preview)
    _note(figure, [note for note in preview.notes if not note.startswith("*")])  # the key has that one
    return figure


def _key(figure: Figure, preview: Preview) -> None:
    handles = [Line2D([], [], color=TIME_DRIVEN_COLOUR, label="follows the time alone")]
    if any(curve.reactive for curve in preview.curves):
        on = "example" if preview.example else "given"
        handles += [
            Line2D([], [], color=REACTIVE_COLOUR, label="* reacts to a metric"),
            Line2D([], [], color=FAINT, linestyle=":", label=f"that metric ({on}), not to scale"),
        ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=9)


def _note(figure: Figure, lines: Sequence[str]) -> None:
    figure.text(0.995, 0.008, "\n".join(lines), ha="right", va="bottom", fontsize=7.5, color=FAINT)


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _stairs(axes: Axes, curve: Curve, preview: Preview, colour: str, *, width: float, label: str = "") -> None:
    """Step i from i to i + 1, as it is trained."""
    edges = np.linspace(0, preview.steps, len(curve.rates) + 1)
    rates = np.append(curve.rates, curve.rates[-1])
    axes.plot(edges, rates, drawstyle="steps-post", color=colour, linewidth=width, label=label, clip_on=False)


def _metric(axes: Axes, metrics: tuple[float, ...], preview: Preview) -> None:
    values = np.array(metrics)
    finite = values[np.isfinite(values)]
    if finite.size and (largest := np.abs(finite).max()) > 0:
        at = np.arange(1, len(values) + 1) * preview.steps / len(values)
        axes.plot(at, values / largest * preview.top, color=FAINT, linewidth=1, linestyle=":")


def _frame(axes: Axes, preview: Preview) -> None:
    axes.set_xlim(0, preview.steps)
    axes.set_ylim(0, preview.top * 1.04)
    axes.set_xticks([0, preview.steps / 2, preview.steps] if preview.steps > 1 else [0, 1])
    axes.set_yticks([0, preview.top / 2, preview.top])
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=8, colors=INK, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.grid(visible=True, color="#eaeef2", linewidth=0.6)
    axes.set_axisbelow(True)


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"

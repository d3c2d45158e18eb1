"""The result as one SVG file, written by hand: bars from zero, the median's number beside each, a line from min to max.

It has a background of its own, so that it reads the same on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.sweep.figures import OURS, TRIALS_OF_A_SWEEP

WIDTH = 900
MARGIN = 28
BAR_LEFT = 330
BAR_RIGHT = 715
ROW_HEIGHT = 34
BAR_HEIGHT = 16
PANEL_GAP = 30

INK, FAINT, PAPER, FRAME = "#1f2328", "#59636e", "#ffffff", "#d1d9e0"
OUR_COLOUR, PEER_COLOUR, FLOOR_COLOUR = "#0a66c2", "#a3b1bf", "#d5dde5"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Bar:
    name: str
    about: str
    low: float
    median: float
    high: float
    note: str
    colour: str


def picture(result: Mapping[str, Any]) -> str:
    """Two panels: time per step, where rungs and budgets do not matter, and time per sweep, where they do."""
    contenders: Mapping[str, Any] = result["contenders"]
    panels = [
        ("Seconds per 1,000 training steps", _bars(contenders, "seconds_per_1000_steps", "times_ours_per_step")),
        (
            f"Seconds per sweep of {TRIALS_OF_A_SWEEP} trials, start-up apart{_scaled(contenders)}",
            _bars(contenders, f"seconds_per_{TRIALS_OF_A_SWEEP}_trials", "times_ours_per_sweep"),
        ),
    ]
    machine, versions = result["machine"], result["versions"]
    about = (
        f"median and range of {_counted(result['rounds'], 'run')} each · {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']:g} GiB · {result['date']}"
    )
    stack = " · ".join(f"{name} {version}" for name, version in versions.items() if name != "numpy")

    lines = [
        _text(
            MARGIN, 40, "A sweep of learning-rate schedules on handwritten digits: less is better", 18, INK, bold=True
        ),
        _text(MARGIN, 61, about, 12, FAINT),
        _text(MARGIN, 78, stack, 12, FAINT),
    ]
    top = 78 + PANEL_GAP
    for title, bars in panels:
        lines.append(_text(MARGIN, top + 8, title, 14, INK, bold=True))
        lines += _panel(top + 22, bars)
        top += 22 + ROW_HEIGHT * len(bars) + PANEL_GAP
    height = top - PANEL_GAP + 18
    frame = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="{PAPER}" stroke="{FRAME}"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="{FONT}" role="img" aria-label="Time of a sweep per contender">'
    )
    return "\n".join([head, frame, *lines, "</svg>", ""])


def _bars(contenders: Mapping[str, Any], figure: str, ratio: str) -> list[Bar]:
    """The quickest first."""
    bars = [
        Bar(
            name=name,
            about=each["about"],
            low=each[figure]["min"],
            median=each[figure]["median"],
            high=each[figure]["max"],
            note=f"{_short(each[ratio]['median'])} × lrsweep" if ratio in each else "",
            colour=OUR_COLOUR if name == OURS else PEER_COLOUR if "seconds_per_trial" in each else FLOOR_COLOUR,
        )
        for name, each in contenders.items()
        if figure in each
    ]
    return sorted(bars, key=lambda bar: bar.median)


def _scaled(contenders: Mapping[str, Any]) -> str:
    """Who ran fewer trials than a sweep has, as a clause for the title."""
    fewer = {
        name: each["trials_per_run"]
        for name, each in contenders.items()
        if "seconds_per_trial" in each and each["trials_per_run"] != TRIALS_OF_A_SWEEP
    }
    clauses = [f"{name} scaled up from {trials}" for name, trials in fewer.items()]
    return f" ({', '.join(clauses)})" if clauses else ""


def _seconds(median: float) -> str:
    """Three digits, but no power of ten."""
    return f"{median:,.0f}" if median >= 100 else f"{median:.3g}"


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _panel(top: float, bars: Sequence[Bar]) -> list[str]:
    scale = (BAR_RIGHT - BAR_LEFT) / max(bar.high for bar in bars)
    lines = [f'<line x1="{BAR_LEFT}" x2="{BAR_LEFT}" y1="{top}" y2="{top + ROW_HEIGHT * len(bars)}" stroke="{FAINT}"/>']
    for row, bar in enumerate(bars):
        middle = top + ROW_HEIGHT * (row + 0.5)
        low, end, high = (BAR_LEFT + scale * value for value in (bar.low, bar.median, bar.high))
        lines += [
            _text(MARGIN, middle - 1, bar.name, 13, INK, bold=bar.name == OURS),
            _text(MARGIN, middle + 12, bar.about, 10.5, FAINT),
            f'<rect x="{BAR_LEFT}" y="{middle - BAR_HEIGHT / 2:g}" width="{end - BAR_LEFT:.1f}" height="{BAR_HEIGHT}" '
            f'fill="{bar.colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}" stroke="{INK}" stroke-width="1.5"/>',
            _text(max(end, high) + 8, middle + 4.5, f"{_seconds(bar.median)} s", 13, INK, bold=bar.name == OURS),
        ]
        if bar.note:
            lines.append(_text(max(end, high) + 64, middle + 4.5, bar.note, 12, FAINT))
    return lines


def _text(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'

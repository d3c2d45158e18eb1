"""The result as one SVG file: per problem and horizon trainings per hour over the number of slots.

Each way to train many at once is a line through its medians, with its extremes; each way to train one after the other
is a line across, and only the fastest and lrsweep's own have a name there. Both axes are logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.engines.arrangements import Way
from tests.benchmarks.sweep.picture import FAINT, FONT, FRAME, INK, MARGIN, PAPER, PEER_COLOUR, WIDTH

PANEL_HEIGHT = 230
PANEL_GAP = 62
LEFT, RIGHT = 96, 560
COLOURS = ("#0a66c2", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0f766e", "#be185d", "#4d7c0f")
NAMED = 11.0
"""Pixels between two names at least."""


@dataclass(frozen=True)
class Point:
    slots: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Line:
    """Of one way to train many at once; of one after the other it has no points but a level."""

    name: str
    points: tuple[Point, ...]
    level: float | None = None


def lines_of(problem: Mapping[str, Any], horizon: str) -> list[Line]:
    """The quickest first among those across."""
    across: list[Line] = []
    kinds: dict[str, list[Point]] = {}
    for each in problem["arrangements"]:
        found = each["trainings_per_hour"].get(horizon)
        if found is None:
            continue
        if each["one_after_the_other"]:
            across.append(Line(each["name"], (), found["median"]))
        else:
            point = Point(each["slots"], found["min"], found["median"], found["max"])
            kinds.setdefault(each["kind"], []).append(point)
    through = [Line(name, tuple(sorted(points, key=lambda each: each.slots))) for name, points in kinds.items()]
    return [*sorted(across, key=lambda line: -(line.level or 0)), *through]


def picture(result: Mapping[str, Any]) -> str:
    many, machine, versions = result["many"], result["machine"], result["versions"]
    device = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} cores"
    drawn = [
        _text(MARGIN, 38, "Trainings per hour, one after the other and many at once: more is better", 18, bold=True),
        _text(
            MARGIN, 58, f"median and range of {result['rounds']} windows each · {device} · {result['date']}", 12, FAINT
        ),
        _text(MARGIN, 74, " · ".join(f"{name} {version}" for name, version in versions.items() if version), 12, FAINT),
    ]
    top = 74 + PANEL_GAP
    for name, problem in many.items():
        for horizon in problem["horizons"]:
            lines = lines_of(problem, horizon)
            if lines:
                drawn += _panel(top, f"{name}, trainings of {horizon} updates", lines)
                top += PANEL_HEIGHT + PANEL_GAP
    frame = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 21}" rx="8" fill="{PAPER}" stroke="{FRAME}"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top - 20}" '
        f'viewBox="0 0 {WIDTH} {top - 20}" font-family="{FONT}" role="img" aria-label="Trainings per hour over slots">'
    )
    return "\n".join([head, frame, *drawn, "</svg>", ""])


def _panel(top: float, title: str, lines: Sequence[Line]) -> list[str]:
    values = [value for line in lines for value in _values(line)]
    low, high = math.log(min(values) * 0.9), math.log(max(values) * 1.1)
    slots = sorted({point.slots for line in lines for point in line.points}) or [1, 2]

    def x(count: float) -> float:
        span = math.log(slots[-1] / slots[0]) or 1.0
        return LEFT + (RIGHT - LEFT) * math.log(count / slots[0]) / span

    def y(value: float) -> float:
        return top + PANEL_HEIGHT * (1 - (math.log(value) - low) / (high - low))

    drawn = [
        _text(MARGIN, top - 16, title, 14, bold=True),
        f'<rect x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{PANEL_HEIGHT}" fill="none" stroke="{FRAME}"/>',
        *(_text(x(count) - 6, top + PANEL_HEIGHT + 16, str(count), 11, FAINT) for count in slots),
        _text(RIGHT + 12, top + PANEL_HEIGHT + 16, "slots in each process", 11, FAINT),
        *(_text(MARGIN, y(tick) + 4, f"{tick:,}", 11, FAINT) for tick in ticks(math.exp(low), math.exp(high))),
    ]
    names: list[tuple[float, str, str]] = []
    across = [line for line in lines if line.level is not None]
    for line in across:
        assert line.level is not None
        level = y(line.level)
        drawn.append(
            f'<line x1="{LEFT}" x2="{RIGHT}" y1="{level:.1f}" y2="{level:.1f}" stroke="{PEER_COLOUR}" '
            'stroke-dasharray="5 3"/>'
        )
        if line is across[0] or line.name == Way.ENGINE:
            names.append((level, line.name, FAINT))
    through = [line for line in lines if line.level is None]
    for line, colour in zip(through, _colours(len(through)), strict=True):
        path = " ".join(f"{x(point.slots):.1f},{y(point.median):.1f}" for point in line.points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in line.points:
            place = x(point.slots)
            drawn += [
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{y(point.low):.1f}" y2="{y(point.high):.1f}" '
                f'stroke="{colour}"/>',
                f'<circle cx="{place:.1f}" cy="{y(point.median):.1f}" r="2.5" fill="{colour}"/>',
            ]
        names.append((y(line.points[-1].median), line.name, colour))
    return drawn + [_text(RIGHT + 12, place, name, 11, colour) for place, name, colour in apart(names)]


def apart(names: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """From the top down, moved so far that none covers another.

    >>> apart([(20.0, "b", ""), (10.0, "a", ""), (12.0, "c", "")])
    [(10.0, 'a', ''), (21.0, 'c', ''), (32.0, 'b', '')]
    """
    moved: list[tuple[float, str, str]] = []
    for place, name, colour in sorted(names):
        moved.append((max(place, moved[-1][0] + NAMED) if moved else place, name, colour))
    return moved


def ticks(low: float, high: float) -> list[int]:
    """1, 2 and 5 of each power of ten that lie between.

    >>> ticks(900, 5_500)
    [1000, 2000, 5000]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10**power for power in powers if power >= 0 for digit in (1, 2, 5)]
    return [each for each in found if low <= each <= high]


def _values(line: Line) -> list[float]:
    if line.level is not None:
        return [line.level]
    return [value for point in line.points for value in (point.low, point.high)]


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]


def _text(x: float, y: float, text: str, size: float, colour: str = INK, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'

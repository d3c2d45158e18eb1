"""Canaries night by night, as SVG that needs no script: values, the limits that they are held against, and changes.

Drawn twice, for a desk and for a telephone, which shows the newest nights: a text that shrinks with its picture cannot
be read. What it shows stands in the table below it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from lrsweep.nightly.telling.nights import Point
from lrsweep.report.drawing import ticks
from lrsweep.report.numbers import between, counted, number

TOP, BOTTOM, LEFT, RIGHT = 26, 34, 58, 12
WIDE, NARROW = (760, 260, 366), (350, 220, 60)
"""width, height, and how many nights at most"""
SIGN = 7
"""room that one takes across"""


def drawn(points: Sequence[Point], name: str) -> str:
    """Empty where no night has a value."""
    if all(point.value is None for point in points):
        return ""
    return "".join(
        f'<div class="{kind}">{_picture(points[-most:], name, width, height)}</div>'
        for kind, (width, height, most) in (("wide", WIDE), ("narrow", NARROW))
    )


def _picture(points: Sequence[Point], name: str, width: int, height: int) -> str:
    label = f"Canary of {name} over {counted(len(points), 'night')}, {points[0].key} to {points[-1].key}"
    frame = Frame(points, width, height)
    body = "".join((*_axes(frame), *_limits(frame), *_restarts(frame), *_values(frame)))
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


class Frame:
    """Where nights and values are."""

    def __init__(self, points: Sequence[Point], width: int, height: int) -> None:
        self.points, self.width, self.height = points, width, height
        self.bottom = height - BOTTOM
        values = [each for point in points for each in (point.value, *(point.limits or ())) if each is not None]
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        self.low, self.high = low - room, high + room
        self.step = (width - LEFT - RIGHT) / max(1, len(points))

    def x(self, place: float) -> float:
        return LEFT + (place + 0.5) * self.step

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - TOP)


def _axes(frame: Frame) -> Iterator[str]:
    right = frame.width - RIGHT
    for at in ticks(frame.low, frame.high):
        y = frame.y(at)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(at)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{frame.bottom}" y2="{frame.bottom}"/>'
    last = len(frame.points) - 1
    most = max(8, (right - LEFT) // (2 * SIGN) - 2)
    yield _key(frame, 0, "start", LEFT, most)
    if last:
        yield _key(frame, last, "end", right, most)


def _key(frame: Frame, place: int, anchor: str, x: float, most: int) -> str:
    key = frame.points[place].key
    short = key if len(key) <= most else f"{key[: most - 1]}…"
    return f'<text x="{x}" y="{frame.height - 12}" text-anchor="{anchor}">{escape(short)}</text>'


def _limits(frame: Frame) -> Iterator[str]:
    """As wide as the night that is held against them: they move a little from night to night."""
    for place, point in enumerate(frame.points):
        if point.limits is not None:
            low, high = point.limits
            top, bottom = frame.y(high), frame.y(low)
            yield (
                f'<rect class="limits" x="{frame.x(place - 0.5):.1f}" y="{top:.1f}" width="{frame.step:.2f}" '
                f'height="{max(1.0, bottom - top):.1f}"/>'
            )


def _restarts(frame: Frame) -> Iterator[str]:
    """A line at each night on which something was new; where limits began anew with it, it says so."""
    free = 0.0
    for place, point in enumerate(frame.points):
        if not point.changed and not point.restarted:
            continue
        x = frame.x(place - 0.5)
        kind = "restart" if point.restarted else "change"
        about = "; ".join([*point.changed, *(["limits begin anew"] if point.restarted else [])])
        yield (
            f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{frame.bottom}">'
            f"<title>{escape(f'{point.key}: {about}')}</title></line>"
        )
        text = _short(point)
        if point.restarted and x >= free and x + SIGN * len(text) <= frame.width:
            free = x + SIGN * (len(text) + 2)
            yield f'<text x="{x:.1f}" y="{TOP - 10}">{escape(text)}</text>'


def _short(point: Point) -> str:
    """Of the first change, what it is."""
    return (
        "after a drift"
        if not point.changed
        else point.changed[0].removeprefix("the ").partition(" changed from")[0][:24]
    )


def _values(frame: Frame) -> Iterator[str]:
    """A diamond is a night that somebody is told of: no colour alone says it."""
    for place, point in enumerate(frame.points):
        if point.value is None:
            continue
        x, y = frame.x(place), frame.y(point.value)
        title = f"<title>{escape(about(point))}</title>"
        if point.is_told:
            path = f"M{x:.1f},{y - 6:.1f}l6,6l-6,6l-6,-6z"
            yield f'<path class="out" d="{path}">{title}</path>'
        else:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2.5 if frame.step < 6 else 3.5}">{title}</circle>'


def about(point: Point) -> str:
    """A night in a line."""
    limits = f", limits {between(point.limits)}" if point.limits is not None else ""
    return f"{point.key}: {number(point.value)} ({counted(point.seeds, 'seed')}){limits}; {point.verdict}"

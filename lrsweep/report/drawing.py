"""Charts and intervals as SVG, for a page whose script does not run: a mail, a viewer, a printer.

A chart shows the strong series of its first view. Coordinates are absolute; the page scales the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from lrsweep.report.charts import Chart, Series
from lrsweep.report.numbers import number

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 10, 38
LINE, DIGIT = 14, 7
"""room that a label takes: down, and per sign across"""
TICKS = 5
LOG_PARTS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))

Scale = Callable[[float], float]


def drawn(chart: Chart, colours: Mapping[str, int]) -> str:
    """``colours`` are the numbers of the page's colours, by family."""
    series = [each for each in chart.series if each.view in ("", chart.views[0]) and each.is_strong]
    xs = [x for each in series for x, _ in each.points] + [x for each in series for x, _ in each.crosses]
    ys = [y for each in series for _, y in each.points if y is not None]
    if not xs:
        return ""
    x_log, y_log = chart.x_log and min(xs) > 0, chart.y_log and bool(ys) and min(ys) > 0
    x_low, x_high = _limits(xs, is_log=x_log)
    y_low, y_high = _limits(ys or [0.0, 1.0], is_log=y_log)
    x = _scale(x_low, x_high, LEFT, WIDTH - RIGHT, is_log=x_log)
    y = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP, is_log=y_log)
    parts = [
        *_axes(chart, x, y, ticks(x_low, x_high, is_log=x_log), ticks(y_low, y_high, is_log=y_log)),
        *(part for each in series for part in _one(each, x, y, f"c{colours[each.family]}")),
    ]
    label = escape(f"{chart.y_label} over {chart.x_label}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def whiskers(low: float, middle: float, high: float, span: tuple[float, float]) -> str:
    """An interval with its middle on a line from ``span[0]`` to ``span[1]``, as wide as its cell."""
    first, last = span

    def place(value: float) -> str:
        share = (value - first) / (last - first) if last > first else 0.5
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    return (
        '<svg class="whisk" height="16" role="presentation">'
        f'<line x1="{place(low)}" x2="{place(high)}" y1="8" y2="8"/>'
        f'<circle cx="{place(middle)}" cy="8" r="4"/></svg>'
    )


def bar(share: float) -> str:
    """
    >>> bar(0.5)
    '<svg class="bar" height="12" role="presentation"><rect width="50.0%" height="12" rx="2"/></svg>'
    """
    return (
        f'<svg class="bar" height="12" role="presentation"><rect width="{100 * share:.1f}%" height="12" rx="2"/></svg>'
    )


def ticks(low: float, high: float, *, is_log: bool = False) -> list[float]:
    """Round numbers from ``low`` to ``high``: about five, or the powers of ten and as many parts of them as it takes to
    have three, with one near each end.

    >>> ticks(0, 600), ticks(0.001, 0.1, is_log=True)
    ([0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0], [0.001, 0.01, 0.1])
    """
    wanted = TICKS
    if is_log:
        reach = (high / low) ** 0.125
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for parts in LOG_PARTS:
            found = [float(f"{part}e{each}") for each in decades for part in parts]
            inside = [each for each in found if low * (1 - 1e-9) <= each <= high * (1 + 1e-9)]
            if len(inside) >= 3 and inside[0] <= low * reach and inside[-1] >= high / reach:
                return inside
        if len(inside) >= 3:
            return inside
        wanted += 1  # so narrow that it is all but linear
    if high <= low:
        return [low]
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 5, 10) if part * power >= 0.7 * rough)
    first = math.ceil(low / step - 1e-9)
    return [each * step for each in range(first, math.floor(high / step + 1e-9) + 1)]


def _limits(values: Sequence[float], *, is_log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if is_log:
        return (low / 1.1, high * 1.1) if low < high else (low / 2, high * 2)
    room = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    return (low - room if low < 0 or low - room > 0 else 0.0 if low else low, high + room)


def _scale(low: float, high: float, first: float, last: float, *, is_log: bool) -> Scale:
    def place(value: float) -> float:
        if is_log:
            return math.log(max(value, low) / low) / math.log(high / low)
        return (value - low) / (high - low)

    return lambda value: first + (last - first) * place(value)


def _axes(chart: Chart, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> Iterator[str]:
    bottom = HEIGHT - BOTTOM
    for at in y_ticks:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
    for at in _apart(y_ticks, y, lambda _: LINE):
        yield f'<text x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{number(at)}</text>'
    for at in _apart(x_ticks, x, lambda at: DIGIT * (2 + len(number(at)))):
        yield f'<text x="{x(at):.1f}" y="{bottom + 16}" text-anchor="middle">{number(at)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(chart.x_label)}</text>'


def _apart(found: Sequence[float], scale: Scale, room: Callable[[float], float]) -> Iterator[float]:
    """Those whose labels do not touch the one before."""
    last: float | None = None
    for at in found:
        if last is None or abs(scale(at) - scale(last)) >= room(at):
            last = at
            yield at


def _one(series: Series, x: Scale, y: Scale, colour: str) -> Iterator[str]:
    title = f"<title>{escape(series.about)}</title>"
    if series.is_line:
        for stretch in _stretches(series):
            path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in stretch)
            yield f'<polyline class="{colour}" points="{path}">{title}</polyline>'
        return
    for (at, value), about in zip(series.points, series.abouts, strict=True):
        if value is not None:
            yield (
                f'<circle class="{colour}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="4"><title>{escape(about)}</title>'
                "</circle>"
            )
    for at, about in series.crosses:
        yield (
            f'<text class="cross {colour}" x="{x(at):.1f}" y="{TOP + 10}" text-anchor="middle">×'
            f"<title>{escape(about)}</title></text>"
        )


def _stretches(series: Series) -> Iterator[list[tuple[float, float]]]:
    """Between the gaps."""
    stretch: list[tuple[float, float]] = []
    for at, value in series.points:
        if value is not None:
            stretch.append((at, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch

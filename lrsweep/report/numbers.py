"""How figures are written: as many digits as they can carry, the same on the page and in Markdown."""

from __future__ import annotations

import datetime

from lrsweep.selection.statistics import Interval

NOTHING = "–"
BIG = 100_000


def number(value: float | None) -> str:
    """
    >>> number(0.118824), number(12400.0), number(3e-05), number(None)
    ('0.1188', '12400', '3e-05', '–')
    """
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= BIG else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def rate(value: float | None) -> str:
    """
    >>> rate(0.0855929)
    '0.0856'
    """
    return NOTHING if value is None else f"{value:.3g}"


def between(interval: Interval | tuple[float, float] | None) -> str:
    """
    >>> between((0.03712, 0.0973)), between(None)
    ('0.03712 to 0.0973', '')
    """
    if interval is None:
        return ""
    low, high = (interval.low, interval.high) if isinstance(interval, Interval) else interval
    return f"{number(low)} to {number(high)}"


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "seed"), counted(1200, "training")
    ('1 seed', '1,200 trainings')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """
    >>> duration(4.24), duration(200), duration(9000)
    ('4.2 s', '3.3 min', '2.5 h')
    """
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def moment(at: float) -> str:
    """In UTC: a report is read anywhere.

    >>> moment(0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")

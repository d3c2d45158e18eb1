"""The report's charts as values: drawn on the page by a script, and without one by ``drawing``.

Each chart has series of families, so that a family that is switched off is gone from all of them. Where a chart has
several views, one of them is looked at: the figures of two would not fit on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.records import Json
from lrsweep.report.content import CurveLine, Line, PeakPoint, Report
from lrsweep.report.numbers import rate
from lrsweep.selection.rates import Rates

SHAPE, RATE = "share of the peak", "learning rate"


@dataclass(frozen=True)
class Series:
    family: str
    about: str
    points: Line
    is_strong: bool = True
    view: str = ""
    crosses: tuple[tuple[float, str], ...] = ()
    """of trainings that diverged: where they would be, and what they are"""
    abouts: tuple[str, ...] = ()
    """one for each point, where they differ; then the points are not joined"""

    @property
    def is_line(self) -> bool:
        return not (self.abouts or self.crosses)

    def to_json(self) -> dict[str, Json]:
        return {
            "family": self.family,
            "about": self.about,
            "points": [list(point) for point in self.points],
            "strong": self.is_strong,
            "view": self.view,
            "crosses": [list(cross) for cross in self.crosses],
            "abouts": list(self.abouts),
            "line": self.is_line,
        }


@dataclass(frozen=True)
class Band:
    """A stretch of the x axis that is marked."""

    low: float
    high: float
    about: str
    view: str

    def to_json(self) -> dict[str, Json]:
        return {"low": self.low, "high": self.high, "about": self.about, "view": self.view}


@dataclass(frozen=True)
class Chart:
    key: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    """how it is drawn first; the page has a switch"""
    views: tuple[str, ...] = ("",)
    band: Band | None = None

    @property
    def is_empty(self) -> bool:
        return not any(each.points or each.crosses for each in self.series)

    def to_json(self) -> dict[str, Json]:
        return {
            "key": self.key,
            "x_label": self.x_label,
            "y_label": self.y_label,
            "x_log": self.x_log,
            "y_log": self.y_log,
            "views": list(self.views),
            "band": None if self.band is None else self.band.to_json(),
            "series": [each.to_json() for each in self.series],
        }


def charts(report: Report) -> tuple[Chart, ...]:
    """Rates, losses, and what peak rates come to; one without anything to draw is empty."""
    return rates(report), values(report), sensitivity(report)


def families(report: Report) -> tuple[str, ...]:
    """In the order of their standing, by which they have their colours."""
    named = [*(each.family for each in report.families), *(each.family for each in report.curves)]
    return tuple(dict.fromkeys(named))


def rates(report: Report) -> Chart:
    """As shares of the peak first: the rates of two optimizers may differ by powers of ten, and so hide each other."""
    shapes = tuple(_series(each, _of_peak(each.rates), SHAPE) for each in report.curves)
    as_trained = tuple(_series(each, each.rates, RATE) for each in report.curves)
    return Chart("rates", "step", RATE, shapes + as_trained, views=(SHAPE, RATE))


def values(report: Report) -> Chart:
    """The metric, and the loss that was trained on."""
    named, trained = report.curve_metric, "train_loss"
    series = [
        *(_series(each, each.values, named) for each in report.curves),
        *(_series(each, each.train_losses, trained) for each in report.curves if each.train_losses),
    ]
    views = tuple(view for view in (named, trained) if any(each.view == view and each.points for each in series))
    return Chart("values", "step", "value", tuple(series), y_log=_spans_decades(series), views=views or ("",))


def sensitivity(report: Report) -> Chart:
    """A view per optimizer and horizon: the rates of one are not those of another."""
    found: dict[str, dict[str, list[PeakPoint]]] = {}
    for point in report.peaks:
        found.setdefault(_view(point), {}).setdefault(point.family, []).append(point)
    series = [
        _points(view, family, sorted(points, key=lambda each: each.peak_lr))
        for view, of_view in found.items()
        for family, points in of_view.items()
    ]
    views = tuple(found) or ("",)
    return Chart(
        "peaks",
        "peak rate",
        report.searched_metric,
        tuple(series),
        x_log=True,
        y_log=_spans_decades(series),
        views=views,
        band=_band(report, views),
    )


def _series(curve: CurveLine, points: Line, view: str = "") -> Series:
    return Series(curve.family, curve.about, points, curve.is_strong, view)


def _of_peak(line: Line) -> Line:
    peak = max((y for _, y in line if y is not None), default=0.0)
    return tuple((x, None if y is None else float(f"{y / peak:.4g}")) for x, y in line) if peak > 0 else line


def _points(view: str, family: str, points: Sequence[PeakPoint]) -> Series:
    sound = [point for point in points if point.value is not None]
    return Series(
        family,
        family,
        tuple((point.peak_lr, point.value) for point in sound),
        view=view,
        crosses=tuple((point.peak_lr, point.about) for point in points if point.value is None),
        abouts=tuple(point.about for point in sound),
    )


def _view(point: PeakPoint) -> str:
    return f"{point.optimizer}, {point.horizon:,} steps" if point.optimizer else f"{point.horizon:,} steps"


def _band(report: Report, views: Sequence[str]) -> Band | None:
    """The peak rates that lose less than is worth anything, on the view of the recommended schedule."""
    if report.choice is None or report.use is None or not isinstance(report.choice.rates, Rates):
        return None
    found, family = report.choice.rates, report.choice.recommended.point.family
    view = f"{report.use.optimizer}, {report.horizon:,} steps" if report.use.optimizer else f"{report.horizon:,} steps"
    about = f"{family}: {rate(found.low)} to {rate(found.high)} lose less than is worth a change"
    return Band(found.low, found.high, about, view) if view in views else None


def _spans_decades(series: Sequence[Series]) -> bool:
    """Whether small differences at the end would be lost under large values at the beginning."""
    known = [y for each in series for _, y in each.points if y is not None]
    return bool(known) and min(known) > 0 and max(known) > 20 * min(known)

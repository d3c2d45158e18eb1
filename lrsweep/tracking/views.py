"""Saved views of MLflow's runs page: what a study looks like when its link is opened.

MLflow keeps a view in one tag of the experiment: ``mlflow.sharedViewState.<view>`` holds its name, for the page's menu,
and its state as JSON text inside JSON. Four of them:

    by-family     each family's mean, with a band from its lowest to its highest training
    best          the ten trainings of the search that the study's value puts first
    finalists     the mean and the band of each finalist's seeds
    divergences   the rates of what diverged, and by which rule

Written for the page of MLflow 3.17. What a page does not know it ignores, and then opens plainer, not broken. A page
that knows no views at all still has filters in its address: ``filter_link``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Direction, Json, Purpose
from lrsweep.schedules import family_names
from lrsweep.study import ResolvedStudy
from lrsweep.tracking.rows import KINDS

BY_FAMILY: Final = "by-family"
BEST: Final = "best"
FINALISTS: Final = "finalists"
DIVERGENCES: Final = "divergences"
VIEWS: Final = (BY_FAMILY, BEST, FINALISTS, DIVERGENCES)

LOSSES: Final = ("val_loss", "train_loss")
"""Drawn on logarithmic axes, as the rate is: on a linear one the trial with the largest peak rate would flatten all
others. Any other metric has a linear one: it may be negative, or a share.

MLflow titles a chart of this page with the metric's name, whatever else it is given.
"""

CARD_HEIGHT: Final = 420
"""pixels; the page's own default, three cards of 360 to a row, is too small to tell eight curves apart"""

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {BY_FAMILY: "by family", BEST: "ten best", FINALISTS: "finalists", DIVERGENCES: "divergences"}
)

_TAG_PREFIX: Final = "mlflow.sharedViewState."


@dataclass(frozen=True)
class Look:
    """What the views of one study show."""

    study: str
    horizon: int | None = None
    """keeps the shorter rungs out; None: groups are split by horizon, for a mean over trainings of different lengths is
    no curve that anybody trained"""
    metric: str = "val_loss"
    """of the chart"""
    value: str | None = None
    """by which trainings are ordered; None: the metric"""
    sense: Direction = "minimize"
    """of the value"""
    is_alone: bool = True
    """whether the experiment is the study's own; in one that studies share, each has views of its own"""

    @classmethod
    def of(cls, study: ResolvedStudy, experiment: str) -> Look:
        """``experiment`` is its name."""
        return cls(study.name, study.horizon, study.metric, study.value_key, study.sense, experiment == study.name)

    def key(self, view: str) -> str:
        """
        >>> Look("digits").key("best"), Look("digits", is_alone=False).key("best")
        ('best', 'digits-best')
        """
        return view if self.is_alone else f"{self.study}-{view}"


def saved_views(look: Look) -> dict[str, str]:
    """The experiment's tags (key -> text), the same for the same arguments."""
    return {
        _TAG_PREFIX + look.key(view): _envelope(
            f"{look.study}: {name}",
            {**_filtered(look, view), **_ordered(look, view), **_state(look, view), **_columns(look, view)},
        )
        for view, name in _NAMES.items()
    }


def view_link(base_url: str, experiment_id: str, look: Look, view: str = BY_FAMILY) -> str:
    """The page's address with a view open.

    >>> view_link("http://127.0.0.1:5000/", "1", Look("digits"))
    'http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=by-family&compareRunsMode=CHART'
    """
    _check(view)
    return f"{_page(base_url, experiment_id)}?viewStateShareKey={quote(look.key(view))}&compareRunsMode=CHART"


def filter_link(base_url: str, experiment_id: str, look: Look, view: str = BY_FAMILY) -> str:
    """The page's address with the view's filter and order in it, for a page without saved views.

    >>> filter_link("", "1", Look("digits"), "divergences")  # doctest: +ELLIPSIS
    '/#/experiments/1/runs?searchFilter=tags.%60lrsweep.study%60%20%3D%20%27digits%27%20and%20...'
    """
    _check(view)
    ordered = _ordered(look, view)
    asked = {
        "searchFilter": _conditions(look, view),
        "orderByKey": ordered["orderByKey"],
        "orderByAsc": "true" if ordered["orderByAsc"] else "false",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
    }
    return f"{_page(base_url, experiment_id)}?{urlencode(asked, quote_via=quote)}"


def description(experiment_id: str, look: Look) -> str:
    """Of a sweep's run, in Markdown: MLflow has no link from a run to those below it. The links go by whatever address
    the page was opened."""
    links = " · ".join(f"[{_NAMES[view]}]({filter_link('', experiment_id, look, view)[1:]})" for view in VIEWS)
    return f"Trainings of study {look.study}: {links}."


def _page(base_url: str, experiment_id: str) -> str:
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs"


def _check(view: str) -> None:
    if view not in VIEWS:
        raise InvalidInput(f"there is no saved view {view!r}; wanted: {', '.join(VIEWS)}.{did_you_mean(view, VIEWS)}")


def _envelope(name: str, state: Json) -> str:
    # the dates are only listed; zero keeps the text, and so the tag, the same from sweep to sweep
    return _compact({"name": name, "createdAt": 0, "updatedAt": 0, "state": _compact(state)})


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _conditions(look: Look, view: str) -> str:
    """Which runs: the study's trainings, without its sweeps' own runs and without what was given up."""
    kind = KINDS[Purpose.FINAL if view == FINALISTS else Purpose.SEARCH]
    conditions = [f"tags.`lrsweep.study` = '{look.study}'"]
    if view == DIVERGENCES:
        conditions.append("tags.`lrsweep.outcome` = 'diverged'")
    else:
        conditions += [f"tags.`lrsweep.kind` = '{kind}'", "attributes.status = 'FINISHED'"]
        if look.horizon is not None:
            conditions.append(f"params.horizon = '{look.horizon}'")
    return " and ".join(conditions)


def _filtered(look: Look, view: str) -> Json:
    return {
        "searchFilter": _conditions(look, view),
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }


def _ordered(look: Look, view: str) -> dict[str, Json]:
    """The best first, and never by date: the page would fetch parents that the filter left out, and fold the trainings
    away below them; and it loads 100 runs. What diverged has no value: there the largest loss is the first.
    """
    if view == DIVERGENCES:
        return {"orderByKey": "metrics.`train_loss`", "orderByAsc": False}
    return {"orderByKey": f"metrics.`{look.value or look.metric}`", "orderByAsc": look.sense == "minimize"}


def _columns(look: Look, view: str) -> Json:
    shown = ["params.`family`", "params.`optimizer`", "params.`peak_lr`"]
    last = ["tags.`lrsweep.reason`"] if view == DIVERGENCES else [f"metrics.`{look.value or look.metric}`"]
    seeds = ["tags.`lrsweep.trial`", "params.`seed`"] if view == FINALISTS else []
    return {"selectedColumns": [*seeds, *shown, *last]}


def _state(look: Look, view: str) -> Json:
    """Grouped views have their table folded away: at 1440 pixels two charts of 570 then stand side by side, and their
    legends name the groups. Names of trainings are too long for a legend: elsewhere the table is the legend."""
    shown = {"lr": "log", look.metric: "log" if look.metric in LOSSES else "linear"} | dict.fromkeys(LOSSES, "log")
    if view == BY_FAMILY:
        keys = [("param", "family"), *([("param", "horizon")] if look.horizon is None else [])]
        return {**_grouped(keys), **_charts(shown, columns=2), "runListHidden": True}
    if view == FINALISTS:
        keys = [("param", "family"), ("tag", "lrsweep.trial")]
        return {**_grouped(keys), **_charts(shown, columns=2), "runListHidden": True}
    if view == DIVERGENCES:
        shown = {"lr": "log", "train_loss": "log"}
    return {**_first_ten(), **_charts(shown, columns=1), "runListHidden": False}


def _grouped(keys: list[tuple[str, str]]) -> Json:
    """``keys``: a kind (param or tag) and a name each."""
    return {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": mode, "groupByData": name} for mode, name in keys],
        },
        "useGroupedValuesInCharts": True,
        "groupsExpanded": {f"param.family.{name}": False for name in family_names()},
        "runsHiddenMode": "SHOW_ALL",
    }


def _first_ten() -> Json:
    return {"groupBy": None, "groupsExpanded": {}, "runsHiddenMode": "FIRST_10_RUNS"}


def _charts(shown: Mapping[str, str], *, columns: int) -> Json:
    """One section with a line chart per metric, by step; ``shown`` has the scale of each."""
    section = "curves"
    return {
        "compareRunSections": [
            {
                "uuid": section,
                "name": "Learning rate and loss by step",
                "display": True,
                "isReordered": False,
                "columns": columns,
                "cardHeight": CARD_HEIGHT,
            }
        ],
        "compareRunCharts": [
            {
                "type": "LINE",
                "uuid": metric,
                "metricSectionId": section,
                "isGenerated": False,
                "deleted": False,
                "metricKey": metric,
                "selectedMetricKeys": [metric],
                "scaleType": scale,
                "xAxisKey": "step",
                "xAxisScaleType": "linear",
                "selectedXAxisMetricKey": "",
                "lineSmoothness": 0,
            }
            for metric, scale in shown.items()
        ],
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "isAccordionReordered": False,
        "hideEmptyCharts": True,
        "viewMaximized": True,
    }

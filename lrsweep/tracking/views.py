"""Saved views of MLflow's runs page: what a study looks like when its link is opened.

MLflow keeps a view in one tag of the experiment: ``mlflow.sharedViewState.<view>`` holds its name, for the page's menu,
and its state as JSON text inside JSON. Two views, both of completed trainings alone: ``by-family`` draws each family's
mean with a band from its lowest to its highest training; ``best`` draws the ten trainings that the study's metric puts
first.

Written for the page of MLflow 3.17. What a page does not know it ignores, and then opens plainer, not broken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Direction, Json
from lrsweep.schedules import family_names

BY_FAMILY: Final = "by-family"
BEST: Final = "best"

LOSSES: Final = ("val_loss", "train_loss")
"""Drawn on logarithmic axes, as the rate is: on a linear one the trial with the largest peak rate would flatten all
others. Any other metric has a linear one: it may be negative, or a share.

MLflow titles a chart of this page with the metric's name, whatever else it is given.
"""

CARD_HEIGHT: Final = 420
"""pixels; the page's own default, three cards of 360 to a row, is too small to tell eight curves apart"""

_TAG_PREFIX: Final = "mlflow.sharedViewState."


def saved_views(
    study: str, *, horizon: int | None = None, metric: str = "val_loss", direction: Direction = "minimize"
) -> dict[str, str]:
    """The experiment's tags (key -> text), the same for the same arguments.

    ``horizon`` keeps the shorter rungs out; without it, groups are split by horizon, for a mean over trainings of
    different lengths is no curve that anybody trained.
    """
    groups = ["family"] if horizon is not None else ["family", "horizon"]
    shown = {"lr": "log", metric: "log" if metric in LOSSES else "linear"} | dict.fromkeys(LOSSES, "log")
    views = {
        # the table is folded away: at 1440 pixels two charts of 570 then stand side by side, and legends name families
        BY_FAMILY: (f"{study} by family", {**_grouped(groups), **_charts(shown, columns=2), "runListHidden": True}),
        # names of trainings are too long for a legend: here the table is the legend
        BEST: (f"{study}: ten best", {**_first_ten(), **_charts(shown, columns=1), "runListHidden": False}),
    }
    return {
        _TAG_PREFIX + view: _envelope(
            name, {**_completed(horizon), **_ordered(metric, direction), **state, **_columns(metric)}
        )
        for view, (name, state) in views.items()
    }


def view_link(base_url: str, experiment_id: str, view: str = BY_FAMILY) -> str:
    """The page's address with a view open.

    >>> view_link("http://127.0.0.1:5000/", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=by-family&compareRunsMode=CHART'
    """
    known = (BY_FAMILY, BEST)
    if view not in known:
        raise InvalidInput(f"there is no saved view {view!r}; wanted: {' or '.join(known)}.{did_you_mean(view, known)}")
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs?viewStateShareKey={view}&compareRunsMode=CHART"


def _envelope(name: str, state: Json) -> str:
    # the dates are only listed; zero keeps the text, and so the tag, the same from sweep to sweep
    return _compact({"name": name, "createdAt": 0, "updatedAt": 0, "state": _compact(state)})


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _completed(horizon: int | None) -> Json:
    """Which runs: trainings (the sweep's own run has no training's tag) that ended well, the best first.

    The order matters: sorted by date, the page would fetch parents that the filter left out; and it loads 100 runs.
    """
    conditions = ["tags.`lrsweep.training` != ''", "attributes.status = 'FINISHED'"]
    if horizon is not None:
        conditions.append(f"params.horizon = '{horizon}'")
    return {
        "searchFilter": " and ".join(conditions),
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }


def _ordered(metric: str, direction: Direction) -> Json:
    return {"orderByKey": f"metrics.`{metric}`", "orderByAsc": direction == "minimize"}


def _columns(metric: str) -> Json:
    shown = ["params.`family`", "params.`optimizer`", "params.`peak_lr`", f"metrics.`{metric}`"]
    return {"selectedColumns": shown}


def _grouped(params: list[str]) -> Json:
    return {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": param} for param in params],
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

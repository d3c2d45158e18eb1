"""Somebody's runs in an MLflow experiment, as points with values: for ``lrsweep import`` and ``lrsweep choose``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.errors import InvalidInput
from lrsweep.tracking.connection import load_mlflow, ready, translated, usable
from lrsweep.tracking.rows import NIGHT, SUPERSEDED

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE_SIZE = 1_000
TIMEOUT_SECONDS = 10.0
SCHEDULE_TAG = "lrsweep.schedule"
OUTCOME_TAG = "lrsweep.outcome"
SCALE_PARAM = "rate_scale"


@dataclass(frozen=True)
class StrangeRun:
    run_id: str
    params: Mapping[str, str]
    value: float | None
    """the metric's last value; None where the run has none that is finite"""
    logged: Mapping[str, str] = field(default_factory=dict)
    """all params, also those that say of a run of lrsweep's what its schedule's JSON says"""
    tags: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    has_diverged: bool = False
    """whether lrsweep says so, or the metric's last value is no finite number"""
    metrics: tuple[str, ...] = ()
    """the names of all that it has"""


def strange_runs(uri: str, experiment: str, metric: str, *, artifact_root: Path | None) -> list[StrangeRun]:
    """The experiment's finished runs, newest first.

    Of runs that lrsweep itself wrote, only trainings at their trial's own rate: a rung's raised rate is no point.
    Raises InvalidInput where there is no such experiment, TrackingUnavailable where MLflow does not answer.
    """
    return _read(uri, experiment, metric, ["attributes.status = 'FINISHED'"], artifact_root)


def ended_runs(uri: str, experiment: str, metric: str, *, artifact_root: Path | None) -> list[StrangeRun]:
    """The same, with the trainings of lrsweep that diverged, which MLflow shows as killed."""
    wanted = ["attributes.status = 'FINISHED'", "tags.`lrsweep.outcome` = 'diverged'"]
    return _read(uri, experiment, metric, wanted, artifact_root)


def _read(
    uri: str, experiment: str, metric: str, wanted: Sequence[str], artifact_root: Path | None
) -> list[StrangeRun]:
    uri = usable(uri)
    load_mlflow(TIMEOUT_SECONDS)
    from mlflow import MlflowClient

    with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=TIMEOUT_SECONDS) as opened:
        client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            names = ", ".join(repr(each.name) for each in client.search_experiments(max_results=20)) or "none"
            raise InvalidInput(f"MLflow has no experiment {experiment!r}. It has {names}. Name one of these.")
        runs = (run for each in wanted for run in _pages(client, found.experiment_id, each))
        return [_strange(run, metric) for run in runs if _is_point(run)]


def _pages(client: MlflowClient, experiment_id: str, wanted: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], filter_string=wanted, max_results=PAGE_SIZE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_point(run: Run) -> bool:
    kind = run.data.tags.get("lrsweep.kind")
    if kind in ("sweep", NIGHT, SUPERSEDED):
        return False
    return kind is None or float(run.data.params.get(SCALE_PARAM, 1.0)) == 1.0


def _strange(run: Run, metric: str) -> StrangeRun:
    params, tags = dict(run.data.params), dict(run.data.tags)
    if SCHEDULE_TAG in tags:
        params = {**_without_settings(params), SCHEDULE_TAG: tags[SCHEDULE_TAG]}
    value = run.data.metrics.get(metric)
    is_known = value is not None and math.isfinite(value)
    began, ended = run.info.start_time, run.info.end_time
    return StrangeRun(
        run.info.run_id,
        params,
        value if is_known else None,
        logged=dict(run.data.params),
        tags=tags,
        seconds=None if began is None or ended is None else (ended - began) / 1000,
        has_diverged=tags.get(OUTCOME_TAG) == "diverged" or (value is not None and not is_known),
        metrics=tuple(run.data.metrics),
    )


def _without_settings(params: Mapping[str, str]) -> dict[str, str]:
    """The schedule's JSON says them all, and more exactly."""
    return {name: value for name, value in params.items() if name in ("optimizer", "peak_lr", "weight_decay", "family")}

"""Somebody's runs in an MLflow experiment, read as points with values: for ``lrsweep import``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import InvalidInput
from lrsweep.tracking.connection import load_mlflow, ready, translated, usable

PAGE_SIZE = 1_000
TIMEOUT_SECONDS = 10.0
SCHEDULE_TAG = "lrsweep.schedule"
SCALE_PARAM = "rate_scale"


@dataclass(frozen=True)
class StrangeRun:
    run_id: str
    params: Mapping[str, str]
    value: float | None
    """the metric's last value; None where the run has none that is finite"""


def strange_runs(uri: str, experiment: str, metric: str, *, artifact_root: Path | None) -> list[StrangeRun]:
    """The experiment's finished runs, newest first.

    Of runs that lrsweep itself wrote, only trainings at their trial's own rate: a rung's raised rate is no point.
    Raises InvalidInput where there is no such experiment, TrackingUnavailable where MLflow does not answer.
    """
    uri = usable(uri)
    load_mlflow(TIMEOUT_SECONDS)
    from mlflow import MlflowClient

    with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=TIMEOUT_SECONDS) as opened:
        client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            names = ", ".join(repr(each.name) for each in client.search_experiments(max_results=20)) or "none"
            raise InvalidInput(f"MLflow has no experiment {experiment!r}. It has {names}. Name one: mlflow:EXPERIMENT.")
        runs: list[StrangeRun] = []
        token = None
        while True:
            page = client.search_runs(
                [found.experiment_id],
                filter_string="attributes.status = 'FINISHED'",
                max_results=PAGE_SIZE,
                page_token=token,
            )
            for run in page:
                kind, params = run.data.tags.get("lrsweep.kind"), dict(run.data.params)
                if kind == "sweep" or (kind is not None and float(params.get(SCALE_PARAM, 1.0)) != 1.0):
                    continue
                if SCHEDULE_TAG in run.data.tags:
                    params = {**_without_settings(params), SCHEDULE_TAG: run.data.tags[SCHEDULE_TAG]}
                value = run.data.metrics.get(metric)
                is_known = value is not None and math.isfinite(value)
                runs.append(StrangeRun(run.info.run_id, params, value if is_known else None))
            token = page.token
            if not token:
                return runs


def _without_settings(params: Mapping[str, str]) -> dict[str, str]:
    """The schedule's JSON says them all, and more exactly."""
    return {name: value for name, value in params.items() if name in ("optimizer", "peak_lr", "weight_decay", "family")}

"""A night as a run of MLflow, beside its study's sweeps: verdict and figures, and the night's page as an artifact.

``nights`` says which are there, and ``send`` adds one; a run that was begun and not ended is sent again in its place.
It has no tag of a sweep, so that nothing that counts a sweep's runs counts it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrsweep.tracking.calls import Calls
from lrsweep.tracking.connection import translated
from lrsweep.tracking.permissions import Permissions, Right
from lrsweep.tracking.points import Point, metric_name
from lrsweep.tracking.rows import LONGEST_TAG, NIGHT, milliseconds

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NIGHT_FILE = "night.html"
ID_TAG = "lrsweep.night_id"
AT_A_TIME = 1_000


@dataclass(frozen=True)
class NightShown:
    identity: str
    """of this night alone, in all results that share an MLflow"""
    study: str
    key: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    began_at: float
    ended_at: float
    page: Callable[[], str]

    def all_tags(self) -> dict[str, str]:
        own = {
            "mlflow.source.name": "lrsweep",
            "lrsweep.kind": NIGHT,
            "lrsweep.study": self.study,
            "lrsweep.night": self.key,
            ID_TAG: self.identity,
        }
        return {key: text[:LONGEST_TAG] for key, text in {**self.tags, **own}.items()}


class NightRuns:
    """By a tracker's connection; every method raises TrackingUnavailable where MLflow does not answer."""

    def __init__(self, client: MlflowClient, calls: Calls, permissions: Permissions, uri: str) -> None:
        self._client = client
        self._calls = calls
        self._permissions = permissions
        self._uri = uri

    def nights(self, experiment: str, study: str) -> Mapping[str, str | None]:
        """By their identities: the run to go on with, None for one that is complete, or that somebody has deleted."""
        with translated(self._uri):
            return {run.data.tags[ID_TAG]: _unfinished(run) for run in self._found(experiment, study)}

    def send(self, experiment: str, night: NightShown, run_id: str | None) -> str:
        """The end last: a run that has ended is complete."""
        started = milliseconds(night.began_at)
        with translated(self._uri):
            if run_id is None:
                run = self._client.create_run(
                    experiment, start_time=started, run_name=f"night {night.key}", tags=night.all_tags()
                )
                run_id = str(run.info.run_id)
            points = [Point(metric_name(name), value, 0) for name, value in night.metrics.items()]
            self._calls.log(run_id, points=points, started=started, tags=night.all_tags())
            if Right.STORE_ARTIFACTS not in self._permissions.denied:
                with self._permissions.using(Right.STORE_ARTIFACTS):
                    self._client.log_text(run_id, night.page(), NIGHT_FILE)
            self._client.set_terminated(run_id, "FINISHED", end_time=milliseconds(night.ended_at or time.time()))
        return run_id

    def _found(self, experiment: str, study: str) -> list[Run]:
        """In its bin too: what somebody has deleted there stays deleted."""
        from mlflow.entities import ViewType

        wanted = f"tags.`lrsweep.kind` = '{NIGHT}' AND tags.`lrsweep.study` = '{study}'"
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [experiment], wanted, run_view_type=ViewType.ALL, max_results=AT_A_TIME, page_token=token
            )
            found += [run for run in page if ID_TAG in run.data.tags]
            token = page.token
            if not token:
                return found


def _unfinished(run: Run) -> str | None:
    is_open = run.info.lifecycle_stage == "active" and run.info.status == "RUNNING"
    return str(run.info.run_id) if is_open else None

"""The calls to MLflow that runs of both kinds, a sweep's own and a training's, are made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lrsweep.tracking.naming import Data
from lrsweep.tracking.permissions import Permissions, Right, is_denied
from lrsweep.tracking.points import Point, metric_name
from lrsweep.tracking.rows import SUPERSEDED, milliseconds

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class Calls:
    """Of one connection; errors are MLflow's own, for the caller to translate."""

    def __init__(self, client: MlflowClient, permissions: Permissions) -> None:
        self._client = client
        self._permissions = permissions

    def log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        started: int = 0,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One ``log_batch``, which MLflow's client cuts into calls of at most 1,000 entities."""
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_batch(
            run_id,
            metrics=[Metric(point.key, point.value, started + point.step, point.step) for point in points],
            params=[Param(key, value) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            synchronous=True,  # MLFLOW_ENABLE_ASYNC_LOGGING would say "sent" of what may be lost
        )

    def log_changed(self, run_id: str, metrics: Mapping[str, float], *, tags: Mapping[str, str]) -> None:
        """Of the sweep's own run, whose metrics have no steps: one that is logged anew is another point."""
        known = self._client.get_run(run_id).data.metrics
        points = [Point(metric_name(key), value, 0) for key, value in metrics.items()]
        changed = [point for point in points if known.get(point.key) != point.value]
        self.log(run_id, points=changed, started=milliseconds(time.time()), tags=tags)

    def delete(self, run_id: str) -> None:
        if self.living(run_id) is None:
            return
        # in MLflow's bin, too, nothing is left RUNNING
        self._client.set_terminated(run_id, "KILLED")
        if Right.DELETE_RUNS not in self._permissions.denied:
            with self._permissions.using(Right.DELETE_RUNS):
                self._client.delete_run(run_id)
        if Right.DELETE_RUNS in self._permissions.denied:
            self._client.set_tag(run_id, "lrsweep.kind", SUPERSEDED)  # no search of ours finds it again

    def living(self, run_id: str | None) -> Run | None:
        """The run, or None where it is deleted or was never there."""
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def has(self, run_id: str) -> bool:
        """Living or deleted, or not to be seen by this user."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            if not is_denied(error):
                raise
        return True

    def name_data(self, run_id: str, data: Data | None) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if data is None or Right.NAME_DATA in self._permissions.denied:
            return
        dataset = Dataset(data.name, data.digest, source_type="lrsweep", source=data.source)
        with self._permissions.using(Right.NAME_DATA):
            self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def search(self, experiments: list[str], wanted: str, *, page_size: int) -> Iterator[Run]:
        """Living runs, oldest first, page by page."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                experiments,
                wanted,
                max_results=page_size,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

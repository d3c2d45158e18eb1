"""Sweeps and trainings as runs in MLflow.

    experiment     one per study; its tags hold the saved views
    └── sweep      the parent run, tag lrsweep.sweep
        └── training   a nested run, tag lrsweep.training; it belongs to one attempt, tag lrsweep.attempt

A run is known by its tags: after a crash they say which run is whose. Everything here may be done twice. The time of a
point follows from the training's start and the step, so a point that is sent again is the same point to MLflow.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from lrsweep.errors import TrackingUnavailable
from lrsweep.records import Curve, Direction, Json, OptimizerSpec, Status, StudyRow, SweepRow, TrainingRow
from lrsweep.redaction import shown
from lrsweep.schedules import Schedule
from lrsweep.tracking.connection import load_mlflow, ready, translated, usable
from lrsweep.tracking.points import Point, curve_points, curve_table, final_points, metric_name
from lrsweep.tracking.rows import last_line, milliseconds, started_at, training_params, training_tags
from lrsweep.tracking.views import saved_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURVE_FILE = "curve.csv"
PAGE_SIZE = 1_000
REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes where a run or an experiment was deleted"""

RunEnd = Literal["FINISHED", "FAILED", "KILLED"]

# FAILED is what somebody must look at. A training that diverged or was stopped was ended on purpose and its result
# counts in the search: KILLED, as MLflow shows a trial that Optuna pruned.
RUN_ENDS: Mapping[Status, RunEnd] = {
    Status.COMPLETED: "FINISHED",
    Status.DIVERGED: "KILLED",
    Status.STOPPED: "KILLED",
    Status.FAILED: "FAILED",
}


@dataclass(frozen=True)
class FoundRun:
    """A run that MLflow holds for a training, and the attempt that made it."""

    run_id: str
    attempt: int


@dataclass(frozen=True)
class Sent:
    """What MLflow holds of a training now; ``status`` once its outcome was sent."""

    run_id: str
    attempt: int
    steps: int
    status: Status | None


class Tracker:
    """One connection to MLflow, for one thread. Every method raises TrackingUnavailable when MLflow does not answer."""

    def __init__(self, client: MlflowClient, uri: str, artifact_root: Path | None) -> None:
        self._client = client
        self._uri = uri
        self._artifact_root = artifact_root
        self.uri_shown = shown(uri)
        """the URI without its password"""
        self._experiments: dict[str, str] = {}
        self._asked_for: set[str] = set()
        """trainings whose run was asked for: it may be there although the answer was lost or the caller forgot"""
        self._folders: dict[str, Path] = {}

    @classmethod
    def connect(cls, uri: str, *, artifact_root: Path | None, timeout_seconds: float = 10) -> Tracker:
        """Opens the tracking server or database; raises TrackingUnavailable with what to check.

        ``artifact_root`` makes a database ours: it and its tables are made when there are none (2 s). Without it (a
        server, or a database that ``MLFLOW_TRACKING_URI`` names) nothing is made or migrated. Raises SettingsError for
        a URI that cannot be read.
        """
        uri = usable(uri)
        load_mlflow(timeout_seconds)
        from mlflow import MlflowClient

        with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=timeout_seconds) as opened:
            client = MlflowClient(tracking_uri=opened, registry_uri=opened)
            client.search_experiments(max_results=1)
        return cls(client, uri, artifact_root)

    # ── the study and the sweep ──────────────────────────────────────────────────────────────────────────────────
    def experiment(
        self,
        study: str,
        *,
        horizon: int | None = None,
        metric: str = "val_loss",
        direction: Direction = "minimize",
    ) -> str:
        """The id of the study's experiment, made or found by name; its saved views are brought up to date.

        ``horizon`` keeps the trainings at shorter rungs out of the views; ``metric`` is what they are ordered by.
        """
        if study not in self._experiments:
            views = saved_views(study, horizon=horizon, metric=metric, direction=direction)
            with self._translated():
                self._experiments[study] = self._open_experiment(study, views)
        return self._experiments[study]

    def open_sweep(self, sweep: SweepRow, study: StudyRow, *, params: Mapping[str, str]) -> str:
        """The sweep's parent run, RUNNING: the one it remembers, else the one with its tag, else a new one.

        ``params`` are for reading; ``horizon``, ``metric`` and ``direction`` among them say what the experiment's views
        show.
        """
        experiment = self.experiment(
            sweep.study,
            horizon=int(params["horizon"]) if "horizon" in params else None,
            metric=params.get("metric", "val_loss"),
            direction="maximize" if params.get("direction") == "maximize" else "minimize",
        )
        with self._translated():
            run = self._living(sweep.mlflow_run_id) or next(self._search_sweep(experiment, sweep.sweep_id), None)
            if run is None:
                run = self._client.create_run(
                    experiment,
                    start_time=milliseconds(sweep.created_at or time.time()),
                    run_name=f"sweep {sweep.sweep_id[:8]}",
                    tags={
                        "lrsweep.kind": "sweep",
                        "lrsweep.sweep": sweep.sweep_id,
                        "lrsweep.study": study.name,
                        "lrsweep.meaning": study.meaning,
                        "lrsweep.generation": study.generation,
                        "mlflow.source.name": "lrsweep",
                        "mlflow.note.content": f"Its trainings: search for `tags.lrsweep.sweep = '{sweep.sweep_id}'`.",
                    },
                )
            elif run.info.status != "RUNNING":
                self._client.update_run(run.info.run_id, status="RUNNING")
            # A param of MLflow never changes. What differs when a sweep goes on (a larger budget) becomes a tag.
            known = run.data.params
            self._log(
                run.info.run_id,
                params={key: value for key, value in params.items() if key not in known},
                tags={f"lrsweep.{key}": value for key, value in params.items() if known.get(key, value) != value},
            )
        return str(run.info.run_id)

    def close_sweep(
        self, run_id: str, *, status: RunEnd, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Ends the parent run with what came out; a sweep that goes on later may be closed again."""
        with self._translated():
            known = self._client.get_run(run_id).data.metrics
            now = milliseconds(time.time())
            points = [Point(metric_name(key), value, 0) for key, value in metrics.items()]
            changed = [point for point in points if known.get(point.key) != point.value]
            self._log(run_id, points=changed, started=now, tags=tags)
            self._client.set_terminated(run_id, status, end_time=now)

    def end_running(self, sweep: SweepRow, *, others: bool) -> int:
        """Ends, as KILLED, the runs that nobody will end any more, and says how many there were.

        ``others``: all runs of the study's other sweeps, parents and trainings; a study has one driver, so theirs is
        gone. Else the trainings of this sweep, when its driver leaves early. Runs without our tags are left alone.
        """
        experiment = self.experiment(sweep.study)
        whose = f"tags.`lrsweep.sweep` {'!=' if others else '='} '{sweep.sweep_id}'"
        if not others:
            whose += " AND tags.`lrsweep.kind` = 'training'"
        with self._translated():
            # all of them before the first is ended: each end would shift the pages that are still to come
            running = list(self._search(experiment, f"attributes.status = 'RUNNING' AND {whose}", page_size=PAGE_SIZE))
            now = milliseconds(time.time())
            for run in running:
                self._client.set_terminated(run.info.run_id, "KILLED", end_time=now)
        return len(running)

    def find_runs(self, sweep: SweepRow, *, page_size: int = PAGE_SIZE) -> Mapping[str, tuple[FoundRun, ...]]:
        """All living runs of the sweep's trainings, by training id, the latest attempt first."""
        experiment = self.experiment(sweep.study)
        found: dict[str, list[FoundRun]] = defaultdict(list)
        with self._translated():
            wanted = f"tags.`lrsweep.kind` = 'training' AND tags.`lrsweep.sweep` = '{sweep.sweep_id}'"
            for run in self._search(experiment, wanted, page_size=page_size):
                found[run.data.tags["lrsweep.training"]].append(
                    FoundRun(run.info.run_id, int(run.data.tags["lrsweep.attempt"]))
                )
        return {
            training: tuple(sorted(runs, key=lambda run: (-run.attempt, run.run_id)))
            for training, runs in found.items()
        }

    # ── trainings ────────────────────────────────────────────────────────────────────────────────────────────────
    def send(
        self,
        training: TrainingRow,
        curve: Curve,
        *,
        parent: str,
        schedule: Schedule,
        peak_lr: float,
        optimizer: OptimizerSpec,
        extra: Mapping[str, Json] = MappingProxyType({}),
    ) -> Sent:
        """Sends what MLflow lacks of a training, and ends its run once the training has an outcome.

        ``peak_lr`` is the trial's; this training's is that times its rate scale. The run of an earlier attempt is
        deleted and a fresh one made: its points have other times, and the new attempt went through its steps again.
        """
        params = training_params(training, schedule=schedule, peak_lr=peak_lr, optimizer=optimizer, extra=extra)
        with self._translated():
            run_id, since = training.mlflow_run_id, training.mirrored_steps
            if run_id is not None and training.mirrored_attempt != training.attempt:
                self._delete(run_id)
                run_id = None
            if run_id is not None:
                from mlflow.exceptions import MlflowException

                try:
                    self._send_to(run_id, training, curve, since=since, params=params)
                except MlflowException as error:
                    if error.error_code not in REFUSALS or self._living(run_id) is not None:
                        raise
                    run_id = None  # deleted in the UI; the store is the truth, so its mirror gets the run again
            if run_id is None:
                run_id = self._find_or_make_run(training, parent=parent, schedule=schedule, params=params)
                self._send_to(run_id, training, curve, since=0, params=params)
        return Sent(run_id, training.attempt, curve.steps, training.status if training.status.is_outcome else None)

    def delete_run(self, run_id: str) -> None:
        """Deletes a run, or does nothing where it is gone."""
        with self._translated():
            self._delete(run_id)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._uri):
            yield

    def _open_experiment(self, study: str, views: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(study)
        if found is None:
            place = (self._artifact_root.absolute() / study).as_uri() if self._artifact_root else None
            try:
                return str(self._client.create_experiment(study, artifact_location=place, tags=dict(views)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(study)  # another process made it meanwhile
                assert found is not None
        if found.lifecycle_stage != "active":
            raise self._deleted_experiment(study, found.experiment_id)
        for key, value in views.items():
            if found.tags.get(key) != value:
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)

    def _deleted_experiment(self, study: str, experiment: str) -> TrackingUnavailable:
        return TrackingUnavailable(
            f"the experiment {study!r} (id {experiment}) of MLflow at {self.uri_shown} was deleted, and MLflow takes "
            f"no runs for it. Bring it back with `mlflow experiments restore --experiment-id {experiment}` (with "
            "MLFLOW_TRACKING_URI set to this MLflow), or give the study another name."
        )

    def _find_or_make_run(
        self, training: TrainingRow, *, parent: str, schedule: Schedule, params: Mapping[str, str]
    ) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self.experiment(training.study)
        if training.training_id in self._asked_for:
            wanted = (
                f"tags.`lrsweep.training` = '{training.training_id}' AND tags.`lrsweep.attempt` = '{training.attempt}'"
            )
            for found in self._search(experiment, wanted, page_size=1):
                return str(found.info.run_id)
        self._asked_for.add(training.training_id)
        try:
            run = self._client.create_run(
                experiment,
                start_time=milliseconds(started_at(training)),
                run_name=f"{training.trial:04d} {params['family']} {params['optimizer']} @{training.horizon}",
                tags=training_tags(training, parent=parent, schedule=schedule),
            )
        except MlflowException as error:
            if error.error_code not in REFUSALS or self._client.get_experiment(experiment).lifecycle_stage == "active":
                raise
            raise self._deleted_experiment(training.study, experiment) from None
        place = urlsplit(run.info.artifact_uri)
        if self._artifact_root is not None and place.scheme == "file":
            self._folders[run.info.run_id] = Path(unquote(place.path))
        return str(run.info.run_id)

    def _send_to(
        self, run_id: str, training: TrainingRow, curve: Curve, *, since: int, params: Mapping[str, str]
    ) -> None:
        """All in one call, then the table, and the end last: a run that has ended is complete."""
        ended = training.status.is_outcome
        points = list(curve_points(curve, training.horizon, since=since, ended=ended))
        tags = {}
        if ended:
            points += final_points(training.metrics, training.steps, curve)
            tags["lrsweep.outcome"] = training.status.value
            tags["lrsweep.engine"] = training.engine or "unknown"  # memory that ran out has made its slots fewer
            if training.error:
                tags["lrsweep.error"] = last_line(training.error)
            if training.reason:
                tags["lrsweep.reason"] = last_line(training.reason)
        start = milliseconds(started_at(training))
        self._log(run_id, points=points, started=start, params={} if since else params, tags=tags)
        if ended:
            if curve.steps:
                self._send_table(run_id, curve_table(curve))
            end = milliseconds(started_at(training) + training.seconds)
            self._client.set_terminated(run_id, RUN_ENDS[training.status], end_time=end)

    def _send_table(self, run_id: str, table: str) -> None:
        folder = self._folders.pop(run_id, None)
        if folder is None:
            self._client.log_text(run_id, table, CURVE_FILE)
        else:  # the same file in the same place, without a look-up of the run and a copy: 0.3 ms for 9
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CURVE_FILE).write_text(table)

    def _log(
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

    def _delete(self, run_id: str) -> None:
        if self._living(run_id) is not None:
            # in MLflow's bin, too, nothing is left RUNNING
            self._client.set_terminated(run_id, "KILLED")
            self._client.delete_run(run_id)

    def _living(self, run_id: str | None) -> Run | None:
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

    def _search_sweep(self, experiment: str, sweep_id: str) -> Iterator[Run]:
        wanted = f"tags.`lrsweep.kind` = 'sweep' AND tags.`lrsweep.sweep` = '{sweep_id}'"
        return self._search(experiment, wanted, page_size=1)

    def _search(self, experiment: str, wanted: str, *, page_size: int) -> Iterator[Run]:
        """Living runs, oldest first, page by page."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [experiment],
                wanted,
                max_results=page_size,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

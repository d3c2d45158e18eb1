"""Sweeps and trainings as runs in MLflow.

    experiment     one per study, or one that several share; its tags hold the saved views
    └── sweep      the parent run, tag lrsweep.sweep
        └── training   a nested run, tag lrsweep.training; it belongs to one attempt, tag lrsweep.attempt

A run is known by its tags: after a crash they say which run is whose. Everything here may be done twice. The time of a
point follows from the training's start and the step, so a point that is sent again is the same point to MLflow.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from lrsweep.records import Curve, Floats, Json, OptimizerSpec, Purpose, Status, SweepRow, TrainingRow
from lrsweep.redaction import masked, masked_values, shown
from lrsweep.schedules import Schedule
from lrsweep.study import ResolvedStudy
from lrsweep.tracking.calls import Calls
from lrsweep.tracking.connection import load_mlflow, ready, translated, usable
from lrsweep.tracking.experiments import REFUSALS, Experiments
from lrsweep.tracking.naming import Naming
from lrsweep.tracking.nights import NightRuns
from lrsweep.tracking.permissions import Permissions, Right
from lrsweep.tracking.points import (
    curve_points,
    curve_table,
    final_points,
    is_as_planned,
    planned_points,
)
from lrsweep.tracking.rows import (
    FAMILY_TABLE,
    SUPERSEDED,
    FamilyBest,
    family_metrics,
    family_table,
    family_tags,
    last_line,
    milliseconds,
    started_at,
    training_params,
)
from lrsweep.tracking.surroundings import Surroundings, look_around
from lrsweep.tracking.sweeps import RaceShown
from lrsweep.tracking.views import Look, description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

CURVE_FILE = "curve.csv"
REPORT_FILE = "report.html"
PAGE_SIZE = 1_000
TRAININGS = f"tags.`lrsweep.kind` != 'sweep' AND tags.`lrsweep.kind` != '{SUPERSEDED}'"
"""MLflow's filter for runs of ours that are one training each"""

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


class Opened(NamedTuple):
    """A sweep whose parent run there is: where its runs go, and what they are called."""

    experiment: str
    naming: Naming


class Tracker:
    """One connection to MLflow, for one thread. Every method raises TrackingUnavailable when MLflow does not answer."""

    def __init__(self, client: MlflowClient, uri: str, artifact_root: Path | None, say: Callable[[str], None]) -> None:
        self._client = client
        self._uri = uri
        self._artifact_root = artifact_root
        self.uri_shown = shown(uri)
        """the URI without its password"""
        self.permissions = Permissions(self.uri_shown, say)
        self._calls = Calls(client, self.permissions)
        self._experiments = Experiments(client, self.uri_shown, artifact_root, self.permissions)
        self._opened: dict[str, Opened] = {}
        self._asked_for: set[str] = set()
        """trainings whose run was asked for: it may be there although the answer was lost or the caller forgot"""
        self._folders: dict[str, Path] = {}

    @classmethod
    def connect(
        cls,
        uri: str,
        *,
        artifact_root: Path | None,
        timeout_seconds: float = 10,
        say: Callable[[str], None] = lambda _: None,
    ) -> Tracker:
        """Opens the tracking server or database; raises TrackingUnavailable with what to check.

        ``artifact_root`` makes a database ours: it and its tables are made when there are none (2 s). Without it (a
        server, or a database that ``MLFLOW_TRACKING_URI`` names) nothing is made or migrated. Raises SettingsError for
        a URI that cannot be read. ``say`` gets a sentence for each kind of thing that the server forbids this user.
        """
        uri = usable(uri)
        load_mlflow(timeout_seconds)
        from mlflow import MlflowClient

        with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=timeout_seconds) as opened:
            client = MlflowClient(tracking_uri=opened, registry_uri=opened)
            client.search_experiments(max_results=1)
        return cls(client, uri, artifact_root, say)

    @property
    def denied(self) -> Mapping[Right, str]:
        """What the server has forbidden so far and was done without, each with a sentence."""
        return self.permissions.denied

    # ── the study and the sweep ──────────────────────────────────────────────────────────────────────────────────
    def experiment(self, study: ResolvedStudy, sweep: SweepRow) -> Experiment:
        """The one that holds the sweep, or would: made or found by name, its saved views brought up to date."""
        with self._translated():
            return self._experiment_of(Naming(study, sweep, look_around(with_user=False)), sweep.mlflow_run_id)

    def open_sweep(
        self, sweep: SweepRow, study: ResolvedStudy, *, params: Mapping[str, str], is_driven: bool = True
    ) -> str:
        """The sweep's parent run: the one it remembers, else the one with its tag, else a new one, RUNNING.

        ``params`` are for reading. A sweep that is not driven, but sent later, keeps its run's status and what that run
        says of commit and versions.
        """
        here = look_around(with_user=study.tracking.user) if is_driven else Surroundings()
        naming = Naming(study, sweep, here)
        with self._translated():
            found = self._experiment_of(naming, sweep.mlflow_run_id)
            experiment = str(found.experiment_id)
            run = self._calls.living(sweep.mlflow_run_id) or next(self._search_sweep(experiment, sweep.sweep_id), None)
            tags = naming.sweep_tags()
            if run is None:
                run = self._client.create_run(
                    experiment,
                    start_time=milliseconds(sweep.created_at or time.time()),
                    run_name=f"sweep {sweep.sweep_id[:8]}",
                    tags={**tags, "mlflow.note.content": description(experiment, Look.of(study, found.name))},
                )
                tags = {}
                self._calls.name_data(run.info.run_id, naming.data)
            elif not is_driven:
                naming, tags = replace(naming, surroundings=Surroundings.from_tags(run.data.tags)), {}
            elif run.info.status != "RUNNING":
                self._client.update_run(run.info.run_id, status="RUNNING")
            # A param of MLflow never changes. What differs when a sweep goes on (a larger budget) becomes a tag.
            known = run.data.params
            self._calls.log(
                run.info.run_id,
                params={key: value for key, value in params.items() if key not in known},
                tags={
                    **{key: text for key, text in tags.items() if run.data.tags.get(key) != text},
                    **{f"lrsweep.{key}": value for key, value in params.items() if known.get(key, value) != value},
                },
            )
        self._opened[sweep.sweep_id] = Opened(experiment, naming)
        return str(run.info.run_id)

    def show_families(self, parent: str, families: Sequence[FamilyBest], *, value_key: str) -> None:
        """The best of each family on the sweep's own run, as metrics, tags and a table; again when it goes on."""
        with self._translated():
            self._calls.log_changed(parent, family_metrics(families, value_key), tags=family_tags(families))
            with self.permissions.using(Right.STORE_ARTIFACTS):
                self._client.log_text(parent, family_table(families, value_key), FAMILY_TABLE)

    def show_race(self, parent: str, race: RaceShown) -> None:
        """What the finals may claim, and whether they have ended, on the sweep's own run, if that is there still."""
        with self._translated():
            if self._calls.living(parent) is not None:
                self._calls.log(parent, tags=race.tags())

    def show_report(self, parent: str, page: str) -> bool:
        """The report as an artifact of the sweep's own run, in the place of an earlier one. Whether it is there now:
        not where the run was deleted, or where this user may store no artifacts."""
        with self._translated():
            if self._calls.living(parent) is None:
                return False
            with self.permissions.using(Right.STORE_ARTIFACTS):
                self._client.log_text(parent, page, REPORT_FILE)
            return Right.STORE_ARTIFACTS not in self.denied

    def commit_of(self, parent: str) -> str | None:
        """Which commit the sweep's own run says it was trained from, and whether files of it were changed."""
        with self._translated():
            run = self._calls.living(parent)
        here = Surroundings() if run is None else Surroundings.from_tags(run.data.tags)
        return f"{here.commit}, with changes" if here.commit and here.is_changed else here.commit

    def close_sweep(
        self, run_id: str, *, status: RunEnd, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Ends the parent run with what came out; a sweep that goes on later may be closed again."""
        with self._translated():
            self._calls.log_changed(run_id, metrics, tags=tags)
            self._client.set_terminated(run_id, status, end_time=milliseconds(time.time()))

    def is_open(self, run_id: str) -> bool:
        """Whether it is there and has not ended."""
        with self._translated():
            run = self._calls.living(run_id)
            return run is not None and run.info.status == "RUNNING"

    def has(self, run_id: str) -> bool:
        """Whether this MLflow has the run, living or deleted; one that this user may not see counts as there."""
        with self._translated():
            return self._calls.has(run_id)

    def end_running(self, sweep: SweepRow, *, others: bool) -> int:
        """Ends, as KILLED, the runs that nobody will end any more, and says how many there were.

        ``others``: all runs of the study's other sweeps, parents and trainings; a study has one driver, so theirs is
        gone. Else the trainings of this sweep, when its driver leaves early. Runs without our tags are left alone.
        """
        opened = self._opened[sweep.sweep_id]
        whose = f"tags.`lrsweep.sweep` {'!=' if others else '='} '{sweep.sweep_id}'"
        if others:  # several studies may share an experiment
            whose += f" AND tags.`lrsweep.study` = '{sweep.study}'"
        else:
            whose += f" AND {TRAININGS}"
        with self._translated():
            # all of them before the first is ended: each end would shift the pages that are still to come
            where = [opened.experiment]
            where += [each for each in (self._experiments.of_study(sweep.study) if others else ()) if each not in where]
            running = list(self._calls.search(where, f"attributes.status = 'RUNNING' AND {whose}", page_size=PAGE_SIZE))
            now = milliseconds(time.time())
            for run in running:
                self._client.set_terminated(run.info.run_id, "KILLED", end_time=now)
        return len(running)

    def find_runs(self, sweep: SweepRow, *, page_size: int = PAGE_SIZE) -> Mapping[str, tuple[FoundRun, ...]]:
        """All living runs of the sweep's trainings, by training id, the latest attempt first."""
        opened = self._opened[sweep.sweep_id]
        found: dict[str, list[FoundRun]] = defaultdict(list)
        with self._translated():
            wanted = f"{TRAININGS} AND tags.`lrsweep.sweep` = '{sweep.sweep_id}'"
            for run in self._calls.search([opened.experiment], wanted, page_size=page_size):
                found[run.data.tags["lrsweep.training"]].append(
                    FoundRun(run.info.run_id, int(run.data.tags["lrsweep.attempt"]))
                )
        return {
            training: tuple(sorted(runs, key=lambda run: (-run.attempt, run.run_id)))
            for training, runs in found.items()
        }

    def tagged_runs(self, sweep: SweepRow, known: Iterable[str]) -> Mapping[str, str | None]:
        """All living runs with a sweep's tag, superseded ones too, each with its training; the sweep's own has none.

        The sweep need not be open: it is looked for where the first of its ``known`` runs that lives is, and in all
        experiments of its study.
        """
        with self._translated():
            where = {*self._experiments.of_study(sweep.study)}
            where |= {str(run.info.experiment_id) for run in islice(filter(None, map(self._calls.living, known)), 1)}
            wanted = f"tags.`lrsweep.sweep` = '{sweep.sweep_id}'"
            found = self._calls.search([*where], wanted, page_size=PAGE_SIZE) if where else ()
            return {run.info.run_id: run.data.tags.get("lrsweep.training") for run in found}

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
        params = training_params(
            training, schedule=schedule, peak_lr=peak_lr, optimizer=optimizer, extra=masked_values(extra)
        )
        planned = None
        if not schedule.needs_metric:
            planned = schedule.rates(training.horizon, peak_lr=peak_lr * training.rate_scale)
        with self._translated():
            run_id, since = training.mlflow_run_id or None, training.mirrored_steps
            if run_id is not None and training.mirrored_attempt != training.attempt:
                self._calls.delete(run_id)
                run_id = None
            if run_id is not None:
                from mlflow.exceptions import MlflowException

                try:
                    self._send_to(run_id, training, curve, planned, since=since, params=params)
                except MlflowException as error:
                    if error.error_code not in REFUSALS or self._calls.living(run_id) is not None:
                        raise
                    run_id = None  # deleted in the UI; the store is the truth, so its mirror gets the run again
            if run_id is None:
                run_id = self._find_or_make_run(training, parent=parent, schedule=schedule, params=params)
                self._send_to(run_id, training, curve, planned, since=0, params=params)
        return Sent(run_id, training.attempt, curve.steps, training.status if training.status.is_outcome else None)

    def delete_run(self, run_id: str) -> bool:
        """Whether it is gone, now or before; one that may not be deleted stays, as KILLED and superseded."""
        with self._translated():
            self._calls.delete(run_id)
            return Right.DELETE_RUNS not in self.denied or self._calls.living(run_id) is None

    def nights(self) -> NightRuns:
        """Runs of nights, by this connection."""
        return NightRuns(self._client, self._calls, self.permissions, self._uri)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self._uri):
            yield

    def _experiment_of(self, naming: Naming, parent: str | None) -> Experiment:
        """A sweep stays where it began, although the study's template may have changed since."""
        run = self._calls.living(parent)
        if run is not None:
            return self._experiments.known(run.info.experiment_id, naming.study)
        return self._experiments.open(naming.experiment, naming.study)

    def _find_or_make_run(
        self, training: TrainingRow, *, parent: str, schedule: Schedule, params: Mapping[str, str]
    ) -> str:
        from mlflow.exceptions import MlflowException

        experiment, naming = self._opened[training.sweep_id]
        if training.training_id in self._asked_for:
            wanted = (
                f"tags.`lrsweep.training` = '{training.training_id}' AND tags.`lrsweep.attempt` = '{training.attempt}'"
            )
            for found in self._calls.search([experiment], wanted, page_size=1):
                return str(found.info.run_id)
        self._asked_for.add(training.training_id)
        try:
            run = self._client.create_run(
                experiment,
                start_time=milliseconds(started_at(training)),
                run_name=naming.run_name(training, params["family"], params["optimizer"]),
                tags=naming.training_tags(training, parent=parent, schedule=schedule, optimizer=params["optimizer"]),
            )
        except MlflowException as error:
            if error.error_code in REFUSALS:
                self._experiments.check_living(experiment)
            raise
        if training.purpose is Purpose.FINAL:  # for a search's hundreds of runs, each one a call more, a tag says it
            self._calls.name_data(run.info.run_id, naming.data)
        place = urlsplit(run.info.artifact_uri)
        if self._artifact_root is not None and place.scheme == "file":
            self._folders[run.info.run_id] = Path(unquote(place.path))
        return str(run.info.run_id)

    def _send_to(
        self,
        run_id: str,
        training: TrainingRow,
        curve: Curve,
        planned: Floats | None,
        *,
        since: int,
        params: Mapping[str, str],
    ) -> None:
        """All in one call, then the table, and the end last: a run that has ended is complete.

        The planned rates are sent where they are not the applied ones: 100 points more cost a third more.
        """
        ended = training.status.is_outcome
        points = list(curve_points(curve, training.horizon, since=since, ended=ended))
        tags = {}
        if planned is not None:
            tags["lrsweep.rates"] = "as planned"
            if is_as_planned(curve, planned):
                planned = None
            else:
                tags["lrsweep.rates"] = "not as planned"
                points += planned_points(curve, planned, ended=ended)
        if ended:
            points += final_points(training.metrics, training.steps, curve)
            tags["lrsweep.outcome"] = training.status.value
            tags["lrsweep.engine"] = training.engine or "unknown"  # memory that ran out has made its slots fewer
            if training.error:
                tags["lrsweep.error"] = last_line(masked(training.error))
            if training.reason:
                tags["lrsweep.reason"] = last_line(masked(training.reason))
        start = milliseconds(started_at(training))
        self._calls.log(run_id, points=points, started=start, params={} if since else params, tags=tags)
        if ended:
            if curve.steps:
                self._send_table(run_id, curve_table(curve, planned))
            end = milliseconds(started_at(training) + training.seconds)
            self._client.set_terminated(run_id, RUN_ENDS[training.status], end_time=end)

    def _send_table(self, run_id: str, table: str) -> None:
        folder = self._folders.pop(run_id, None)
        if folder is None:
            if Right.STORE_ARTIFACTS not in self.denied:
                with self.permissions.using(Right.STORE_ARTIFACTS):
                    self._client.log_text(run_id, table, CURVE_FILE)
        else:  # the same file in the same place, without a look-up of the run and a copy: 0.3 ms for 9
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CURVE_FILE).write_text(table)

    def _search_sweep(self, experiment: str, sweep_id: str) -> Iterator[Run]:
        wanted = f"tags.`lrsweep.kind` = 'sweep' AND tags.`lrsweep.sweep` = '{sweep_id}'"
        return self._calls.search([experiment], wanted, page_size=1)

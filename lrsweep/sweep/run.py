"""Opens everything that a sweep needs, finds out which sweep to drive, drives it, and leaves all in order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from lrsweep.errors import DeadlinePassed, Interrupted, SweepFailed, TrackingUnavailable
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import StudyRow, SweepRow, SweepStatus
from lrsweep.selection import by_family
from lrsweep.store import open_store
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy, Study
from lrsweep.sweep.driver import LEASE_SECONDS, RENEW_EVERY, Driver, Stop, best_of
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.optuna_copy import open_copy
from lrsweep.sweep.owner import is_dead, this_owner
from lrsweep.sweep.progress import Best, Progress, SweepResult
from lrsweep.tracking import RunEnd, Tracker

STARTUP_LEASE_SECONDS = 120.0
"""The first start creates MLflow's 71 tables, and nothing renews the lease meanwhile."""

PATIENCE_AT_THE_END = 20.0
PATIENCE_WHEN_LEAVING = 3.0
"""How long an outage of the tracking server may hold up the end; what is left is sent by the next start."""


@dataclass(frozen=True)
class Homes:
    """Where results, copies and artifacts live; made by ``lrsweep.settings``."""

    folder: Path
    results_url: str
    optuna_url: str
    mlflow_uri: str
    artifact_root: Path | None
    """None where a tracking server decides"""


@dataclass(frozen=True)
class Options:
    device: str = "auto"
    new: bool | None = False
    """True: another sweep in any case; None: another one only where the last is finished"""
    deadline_seconds: float | None = None
    faults: Faults = field(default_factory=Faults)


def run_sweep(
    study: Study,
    homes: Homes,
    options: Options,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[Stop], None] = lambda _: None,
) -> SweepResult:
    """Continues the study's unfinished sweep, or starts one; a finished sweep of the same generation is only read.

    ``say`` gets a sentence where what happens is not what the bare command suggests. ``on_ready`` gets the ``Stop``
    that a signal handler may set.
    """
    began = time.monotonic()
    stop = Stop(began + options.deadline_seconds if options.deadline_seconds is not None else None)
    on_ready(stop)
    with ExitStack() as stack:
        store = open_store(homes.results_url)
        stack.callback(store.close)
        lease = store.acquire_lease(study.name, this_owner(), seconds=STARTUP_LEASE_SECONDS, is_dead=is_dead)
        stack.callback(store.release_lease, lease)
        executor = LocalExecutor(options.device)
        stack.callback(executor.close)
        resolved, tracker, copy = _open_rest(study, homes, executor)
        stop.check()
        sweep = _choose(store, lease, resolved, options.new, say)
        if _is_finished(store, sweep, resolved):
            say("this sweep is finished; `--new` starts another, a larger budget in the study file continues it")
            return _result(store, resolved, sweep, homes, startup_seconds=time.monotonic() - began)
        sweep = _open_sweep(store, lease, tracker, resolved, sweep)
        assert sweep.mlflow_run_id is not None
        mirror = Mirror(
            store=store,
            lease=lease,
            study=resolved,
            sweep=sweep,
            tracker=tracker,
            parent=sweep.mlflow_run_id,
            copy=copy,
            faults=options.faults,
        )
        mirror.adopt()
        mirror.start()
        driver = Driver(
            study=resolved,
            sweep=sweep,
            store=store,
            lease=lease,
            executor=executor,
            mirror=mirror,
            stop=stop,
            faults=options.faults,
            observe=observe,
        )
        startup_seconds = time.monotonic() - began
        try:
            driver.run()
        except (Interrupted, DeadlinePassed) as leaving:
            driver.queue_running_again(reason=type(leaving).__name__)
            _leave(store, lease, tracker, mirror, driver, sweep, None, "KILLED")
            raise
        except SweepFailed:
            driver.queue_running_again(reason="the sweep was stopped")
            _leave(store, lease, tracker, mirror, driver, sweep, SweepStatus.STOPPED, "FAILED")
            raise
        mirrored = mirror.finish(_renewing(store, lease), patience_seconds=PATIENCE_AT_THE_END)
        sweep = store.update_sweep(lease, sweep.sweep_id, add_seconds=driver.seconds)
        driver.show()
        result = _result(store, resolved, sweep, homes, startup_seconds=startup_seconds)
        if mirrored:
            mirrored = _close_parent(tracker, sweep, "FINISHED", result.best)
        if mirrored:  # only now: a sweep is finished when all that it found can be seen
            sweep = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED)
        return _result(
            store,
            resolved,
            sweep,
            homes,
            startup_seconds=startup_seconds,
            outage=None if mirrored else mirror.outage or "the tracking server did not answer",
        )


def _open_rest(study: Study, homes: Homes, executor: LocalExecutor) -> tuple[ResolvedStudy, Tracker, optuna.Study]:
    """The child imports torch while this process imports MLflow: seconds each."""
    executor.start()
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    resolved = study.resolved(executor.describe(study.workload))
    return resolved, tracker, open_copy(homes.optuna_url, resolved)


def _choose(store: Store, lease: Lease, study: ResolvedStudy, new: bool | None, say: Callable[[str], None]) -> SweepRow:
    """The newest sweep of the file's generation, or a new one whose id is committed before the first ask."""
    sweeps = store.sweeps(study.name)
    same = [sweep for sweep in sweeps if sweep.generation == study.generation]
    store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    if same and (new is False or (new is None and not _is_finished(store, same[-1], study))):
        return same[-1]
    if sweeps and not same:
        say(
            f"the study's meaning or space has changed since its last sweep (generation {sweeps[-1].generation[:8]}, "
            f"now {study.generation[:8]}): this is a new sweep; the earlier results stay"
        )
    for unfinished in [sweep for sweep in same if sweep.status is SweepStatus.RUNNING]:
        store.update_sweep(lease, unfinished.sweep_id, status=SweepStatus.STOPPED)
    return store.create_sweep(lease, SweepRow(secrets.token_hex(8), study.name, study.generation))


def _open_sweep(store: Store, lease: Lease, tracker: Tracker, study: ResolvedStudy, sweep: SweepRow) -> SweepRow:
    row = next(row for row in store.studies(study.name) if row.generation == study.generation)
    params = {
        "workload": study.workload.name,
        "horizon": str(study.horizon),
        "families": ", ".join(study.space.families),
        "optimizers": ", ".join(study.space.optimizers),
        "trials": str(study.trials),
    }
    parent = tracker.open_sweep(sweep, row, params=params)
    return store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.RUNNING, mlflow_run_id=parent)


def _leave(
    store: Store,
    lease: Lease,
    tracker: Tracker,
    mirror: Mirror,
    driver: Driver,
    sweep: SweepRow,
    status: SweepStatus | None,
    mlflow_status: RunEnd,
) -> None:
    """Leaves early and in order; what MLflow does not hear now it hears at the next start."""
    mirror.finish(_renewing(store, lease), patience_seconds=PATIENCE_WHEN_LEAVING)
    store.update_sweep(lease, sweep.sweep_id, status=status, add_seconds=driver.seconds)
    _close_parent(tracker, sweep, mlflow_status, None)


def _close_parent(tracker: Tracker, sweep: SweepRow, status: RunEnd, best: Best | None) -> bool:
    assert sweep.mlflow_run_id is not None
    tags = {} if best is None else {"lrsweep.best": best.schedule.to_json(), "lrsweep.best_trial": str(best.trial)}
    metrics = {} if best is None else {"best_val_loss": best.value}
    try:
        tracker.close_sweep(sweep.mlflow_run_id, status=status, metrics=metrics, tags=tags)
    except TrackingUnavailable:
        return False
    return True


def _renewing(store: Store, lease: Lease) -> Callable[[], None]:
    """Renews the lease when it is called often, but not each time."""
    renewed_at = 0.0

    def renew() -> None:
        nonlocal renewed_at
        if time.monotonic() - renewed_at > RENEW_EVERY:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
            renewed_at = time.monotonic()

    return renew


def _is_finished(store: Store, sweep: SweepRow, study: ResolvedStudy) -> bool:
    """Finished, and not because of a smaller budget than the file has now."""
    trials = store.trials(sweep.study, sweep_id=sweep.sweep_id)
    told = sum(trial.is_told for trial in trials)
    return sweep.status is SweepStatus.FINISHED and told >= study.trials


def _result(
    store: Store,
    study: ResolvedStudy,
    sweep: SweepRow,
    homes: Homes,
    *,
    startup_seconds: float,
    outage: str | None = None,
) -> SweepResult:
    trials = list(store.trials(study.name, sweep_id=sweep.sweep_id))
    trainings = list(store.trainings(study.name, sweep_id=sweep.sweep_id))
    return SweepResult(
        sweep=sweep,
        metric=study.metric,
        trials=trials,
        trainings=trainings,
        families=by_family(trials),
        best=best_of(trials, trainings, study),
        home=str(homes.folder),
        startup_seconds=startup_seconds,
        not_mirrored=sum(not training.is_mirrored for training in trainings),
        outage=outage,
    )

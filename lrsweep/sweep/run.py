"""Opens everything that a sweep needs, finds out which sweep to drive, drives it, and leaves all in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace

from lrsweep.engines.versions import versions, with_versions
from lrsweep.errors import DeadlinePassed, Interrupted, LrsweepError, SweepFailed, TrackingUnavailable
from lrsweep.executors.chosen import rest_of
from lrsweep.executors.opening import open_executor
from lrsweep.records import StudyRow, SweepRow, SweepStatus
from lrsweep.scripts import command
from lrsweep.selection import by_family
from lrsweep.store import open_store
from lrsweep.store.base import Lease, Store
from lrsweep.store.rules import Removed
from lrsweep.study import Examined, ResolvedStudy, Study
from lrsweep.sweep import events
from lrsweep.sweep.beginning import (
    Course,
    continued_or_new,
    course_of,
    driven_out,
    newest_sweep,
    paced,
    resolved_in,
    say_of_another_seed,
    settled,
    trials_left,
    used_up,
)
from lrsweep.sweep.checkpoints import Checkpoints, refuse_remote, tidy_scratch
from lrsweep.sweep.closing import MakeReport, close_parent, send_report
from lrsweep.sweep.delivery import TOLD, forget_lost, owed, sent_again, shown_params
from lrsweep.sweep.driver import Driver
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.failures import STOPPED_KEY, to_try_again, trials_of, tried_again_sentence, try_again
from lrsweep.sweep.finals import standings
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.homes import Homes, Options
from lrsweep.sweep.meter import spent_by
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.optuna_copy import close_copy, copy_name, open_copy, without_trials
from lrsweep.sweep.owner import RENEW_EVERY, is_dead, this_owner
from lrsweep.sweep.progress import Best, Cost, Progress, SweepResult, best_of
from lrsweep.sweep.recovery import goes_on_sentence
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.remembering import remember
from lrsweep.sweep.script_settings import with_agreed_settings
from lrsweep.sweep.silence import Silence, obeying
from lrsweep.sweep.stopping import Cancelled, Stop
from lrsweep.sweep.trust import calibrating, rung_trusts
from lrsweep.sweep.waiting import most_in_flight
from lrsweep.sweep.warm_start import points_of
from lrsweep.tracking import RunEnd, Tracker, load_mlflow

STARTUP_LEASE_SECONDS = 120.0
"""The first start makes MLflow's 71 tables, in one call during which nothing renews the lease."""

PATIENCE_AT_THE_END = 20.0
PATIENCE_WHEN_LEAVING = 3.0
"""How long an outage of a copy may hold up the end; what is left is sent by the next start."""
LIMIT_WHEN_LEAVING = 10.0
"""How long the mirror may go on sending after a signal or the deadline."""


def run_sweep(
    study: Study,
    homes: Homes,
    options: Options,
    *,
    observe: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    on_ready: Callable[[Stop], None] = lambda _: None,
    tell: events.Tell = events.nobody,
    make_report: MakeReport | None = None,
) -> SweepResult:
    """Continues the study's unfinished sweep, or starts one; a finished sweep of the same generation is only read.

    ``say`` gets a sentence where what happens is not what the bare command suggests, ``tell`` all events of the sweep.
    ``make_report`` makes the page that is kept beside the sweep's own run in MLflow; without one there is none.
    ``on_ready`` gets the ``Stop`` that a signal handler may set. A sweep that is cancelled meanwhile comes back as what
    it had come to.
    """
    began = time.monotonic()
    stop = Stop(began + options.deadline_seconds if options.deadline_seconds is not None else None)
    on_ready(stop)
    options.engine.check(study.workload)
    refuse_remote(homes.checkpoints, study.workload)
    with ExitStack() as stack:
        stack.enter_context(obeying(stop))
        store = open_store(homes.results_url, patience=Silence(stop, say))
        stack.callback(store.close)
        lease = store.acquire_lease(study.name, this_owner(), seconds=STARTUP_LEASE_SECONDS, is_dead=is_dead)
        stack.callback(_give_back, store, lease)
        executor = open_executor(homes.place(options.device, options.executor), say)
        stack.callback(executor.close)
        keep = _keeping(store, lease, stop)
        executor.start(study.workload)  # it imports torch while this process imports MLflow: seconds each
        before = store.sweeps(study.name)
        if options.another != "never" or not before or before[-1].status is not SweepStatus.FINISHED:
            load_mlflow()  # else it is most likely only read
        keep()
        resolved = completed(Examined(study), lambda workload: executor.describe(workload, keep))
        if study.workload.name == command.NAME:
            resolved = with_agreed_settings(store, replace(resolved, scripts_at_once=executor.free), say)
        found = newest_sweep(store, resolved)
        if options.sweep_id is not None:
            another = settled(store, resolved, found, options.sweep_id, options.another, generation=options.generation)
        else:
            another = options.another
            remember(store, study, resolved, say)
        if found is not None and another == "never":
            say_of_another_seed(store, resolved, say)
            if course_of(store, resolved, found, another) is Course.NOTHING:
                say("this sweep is finished; `--new` starts another, a larger budget in the study file continues it")
                resolved = resolved_in(found, resolved)
                return _result(store, resolved, found, homes, startup_seconds=0.0)
        if study.workload.name != command.NAME:
            resolved = replace(resolved, devices_at_once=executor.device_count)
        resolved = paced(resolved, store, executor, keep, say, pace_factor=executor.pace_factor)
        store.register_study(lease, StudyRow(study.name, resolved.meaning, resolved.generation, resolved.spec()))
        checkpoints = Checkpoints(homes.checkpoints)
        checkpoints.tidy(store)
        tidy_scratch(homes.scratch)
        copy = open_copy(homes.optuna_url, resolved)
        tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
        keep()
        sweep = continued_or_new(store, lease, resolved, found, another, say, sweep_id=options.sweep_id)
        options.faults.passing("after-create")
        resolved = resolved_in(sweep, resolved)
        left = math.inf if options.deadline_seconds is None else options.deadline_seconds - (time.monotonic() - began)
        trainings = store.trainings(resolved.name, sweep_id=sweep.sweep_id)
        if (told := goes_on_sentence(trainings)) is not None:
            say(told)
        rest = rest_of(
            resolved,
            trials_left=trials_left(store, resolved, sweep),
            at_once=most_in_flight(resolved.trials),
            seconds=left,
            trainings=trainings,
        )
        executor.fit(options.engine, resolved, rest, tick=keep)
        sweep = _open_sweep(store, lease, tracker, resolved, sweep, say)
        failed = to_try_again(store, sweep)
        if failed:
            say(tried_again_sentence(failed))
            # before they are opened again: the next start of a driver that is killed here copies them anew
            close_copy(copy)
            without_trials(homes.optuna_url, copy_name(resolved), trials_of(failed), keep)
            copy = open_copy(homes.optuna_url, resolved)
        sweep = try_again(store, lease, sweep, failed)
        stack.callback(close_copy, copy)
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
        stack.callback(mirror.abandon)
        mirror.adopt()
        mirror.start()
        driver = Driver(
            study=resolved,
            sweep=sweep,
            store=store,
            lease=lease,
            executor=executor,
            checkpoints=checkpoints,
            mirror=mirror,
            stop=stop,
            faults=options.faults,
            observe=observe,
            say=say,
            tell=tell,
            points=points_of(sweep),
        )
        startup_seconds = time.monotonic() - began

        def keep_on() -> None:
            stop.check()
            driver.keep()

        try:
            driver.run()
            store.update_sweep(lease, sweep.sweep_id, settings=driven_out(resolved.spec()))
            mirrored = mirror.finish(keep_on, patience_seconds=PATIENCE_AT_THE_END)
            checkpoints.finish(keep_on)
        except (Interrupted, DeadlinePassed) as leaving:
            driver.queue_running_again(reason=type(leaving).__name__)
            _leave(tracker, mirror, driver, sweep, "KILLED")
            raise
        except Cancelled:
            driver.queue_running_again(reason="the sweep was cancelled")
            options.faults.passing("mid-cancel")
            _leave(tracker, mirror, driver, sweep, "KILLED")
            sweep = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.CANCELLED)
            say("the sweep was cancelled; what was finished is kept, and the same command starts another")
            return _result(store, resolved, sweep, homes, startup_seconds=startup_seconds)
        except SweepFailed:
            store.update_sweep(lease, sweep.sweep_id, settings={STOPPED_KEY: True})
            driver.queue_running_again(reason="the sweep was stopped")
            _leave(tracker, mirror, driver, sweep, "FAILED")
            store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.STOPPED)
            raise
        sweep = driver.count_seconds()
        driver.show()
        result = _result(store, resolved, sweep, homes, startup_seconds=startup_seconds)
        if mirrored:
            if make_report is not None and sweep.mlflow_run_id is not None:
                send_report(tracker, sweep.mlflow_run_id, store, study.name, make_report, say, driver.keep)
            outage = _close_parent(tracker, sweep, "FINISHED", result.best)
        else:
            outage = mirror.outage or "it was away for too long."
        if outage is None:  # only now: a sweep is finished when all that it found can be seen
            sweep = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED, settings=used_up(resolved))
        engine = None if study.workload.name == command.NAME else executor.arrangement
        return replace(result, sweep=sweep, outage=outage, occupancy=driver.occupancy, engine=engine)


def _keeping(store: Store, lease: Lease, stop: Stop) -> Callable[[], None]:
    """What to call while the parts are opened: it obeys signals, and keeps the lease."""
    renewed_at = time.monotonic()

    def keep() -> None:
        nonlocal renewed_at
        stop.check()
        if time.monotonic() - renewed_at > RENEW_EVERY:
            store.renew_lease(lease, seconds=STARTUP_LEASE_SECONDS)
            renewed_at = time.monotonic()

    return keep


def _give_back(store: Store, lease: Lease) -> None:
    """Releases the lease; where the database is gone it expires by itself, and the first error is the one to show."""
    with suppress(LrsweepError):
        store.release_lease(lease)


def _open_sweep(
    store: Store, lease: Lease, tracker: Tracker, study: ResolvedStudy, sweep: SweepRow, say: Callable[[str], None]
) -> SweepRow:
    if told := sent_again(forget_lost(store, lease, tracker, study, sweep), sweep):
        say(told)
    parent = tracker.open_sweep(sweep, study, params=shown_params(study))
    tracker.end_running(sweep, others=True)  # the lease says that nobody works on what an earlier sweep left
    return store.update_sweep(
        lease,
        sweep.sweep_id,
        status=SweepStatus.RUNNING,
        mlflow_run_id=parent,
        settings={**with_versions(sweep.settings, versions()), **({} if owed(sweep) is None else TOLD)},
    )


def _leave(tracker: Tracker, mirror: Mirror, driver: Driver, sweep: SweepRow, status: RunEnd) -> None:
    """Leaves early and in order, within seconds; what MLflow does not hear now it hears at the next start."""
    if mirror.finish(driver.keep, patience_seconds=PATIENCE_WHEN_LEAVING, limit_seconds=LIMIT_WHEN_LEAVING):
        with suppress(TrackingUnavailable):
            tracker.end_running(sweep, others=False)
        _close_parent(tracker, sweep, status, None)
    driver.count_seconds()


def _close_parent(tracker: Tracker, sweep: SweepRow, status: RunEnd, best: Best | None) -> str | None:
    """Ends the sweep's run; comes back with the reason where MLflow does not answer."""
    assert sweep.mlflow_run_id is not None
    try:
        close_parent(tracker, sweep.mlflow_run_id, status, best)
    except TrackingUnavailable as error:
        return str(error)
    return None


def _result(
    store: Store, study: ResolvedStudy, sweep: SweepRow, homes: Homes, *, startup_seconds: float
) -> SweepResult:
    generation = store.trials(study.name, generation=study.generation)
    of_generation = store.trainings(study.name, generation=study.generation)
    sweeps = [row for row in store.sweeps(study.name) if row.generation == study.generation]
    trials = [trial for trial in generation if trial.sweep_id == sweep.sweep_id]
    trainings = [row for row in of_generation if row.sweep_id == sweep.sweep_id]
    steady = calibrating(generation)
    steps = Removed.of(sweep).all_steps + sum(row.steps for row in trainings)
    used = study.rate_exponents
    return SweepResult(
        sweep=sweep,
        trials=trials,
        trainings=trainings,
        families=by_family(trials, study.sense),
        best=best_of(trials, trainings, study, store),
        home=str(homes.folder),
        startup_seconds=startup_seconds,
        not_mirrored=sum(not training.is_mirrored for training in trainings),
        finals=standings(study, trials, trainings),
        rungs=rung_trusts(study, steady, of_generation, OtherRules(study, sweeps)),
        cost=Cost.of(study, steps=steps, device_seconds=spent_by(sweep, study).device_seconds),
        exponents={
            "used": {name: used.get(name, study.default_exponent(name)) for name in study.space.optimizers},
            "fitted": sweep.settings.get(FITTED_KEY, {}),
        },
    )

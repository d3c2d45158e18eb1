"""What a sweep left unsent, sent later and without driving: ``lrsweep sync``.

A sweep's own run that nobody has ended is ended too, with the best and the table of families, and a sweep whose driver
had only the copies left to wait for is finished.

Where this MLflow has none of a sweep's runs, as after a restore beside another one, all of them are sent again. Such
sweeps are noted before the first is sent, and told of when the last one is: a sync that is killed in between sends the
rest when it is called again, and tells of all. Whoever holds such a study and runs no sweep of it, as a worker that was
restored beside and reads what is finished, will soon have gone: it is waited for.

The store is the spool: rows that MLflow lacks are found in it, whichever process ended before they were sent. A sweep
that is being driven sends its own; every other one is taken under its study's lease, so that no driver starts beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from lrsweep.errors import LeaseHeld, LrsweepError, ScheduleError, Unavailable
from lrsweep.records import Json, StudyRow, SweepRow, SweepStatus, TrainingRow
from lrsweep.store import open_store
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.beginning import is_driven_out, used_up
from lrsweep.sweep.closing import MakeReport, close_parent, send_report
from lrsweep.sweep.delivery import forget_lost, is_lost, note_lost, note_told, owed, shown_params
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.optuna_copy import open_copy
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY, driver_shown, is_dead, this_owner
from lrsweep.sweep.progress import Best, best_of
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import RunEnd, Tracker, is_sent

PATIENCE = 20.0
"""How long the server may be silent before the rest is left for the next time."""

LOOK_SECONDS = 60.0
"""How long somebody who runs no sweep of a lost study is waited for: a worker takes so long to start and read one."""
LOOK_EVERY = 0.5

ENDS: Mapping[SweepStatus, RunEnd] = {
    SweepStatus.FINISHED: "FINISHED",
    SweepStatus.STOPPED: "FAILED",
    SweepStatus.CANCELLED: "KILLED",
    SweepStatus.RUNNING: "KILLED",  # nobody drives it: so its own driver leaves it when it is interrupted
}


@dataclass(frozen=True)
class Synced:
    """What became of one sweep that had rows to send, or a run to end."""

    study: str
    sweep_id: str
    sent: int = 0
    left: int = 0
    outage: str | None = None
    """why rows are left"""
    driver: str | None = None
    """who drives the sweep, and so sends its rows"""
    is_closed: bool = False
    """whether its own run was ended"""
    is_finished: bool = False
    """whether that was all that the sweep lacked"""
    was_lost: bool = False
    """whether MLflow had none of its runs, and so was to get all of them again"""
    is_unasked: bool = False
    """whether nothing is known to be left, and MLflow could not be asked if it still has what was sent"""
    unknown: int = 0
    """of what is left: trainings of an earlier release's trials, whose points this one cannot read"""

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.study,
            "sweep": self.sweep_id,
            "sent": self.sent,
            "left": self.left,
            "outage": self.outage,
            "driver": self.driver,
            "closed": self.is_closed,
            "finished": self.is_finished,
            "unknown": self.unknown,
            "was_lost": self.was_lost,
            "unasked": self.is_unasked,
        }


def sync(
    homes: Homes,
    study: str | None,
    *,
    sweep_id: str | None = None,
    say: Callable[[str], None],
    show: Callable[[str], None],
    make_report: MakeReport | None = None,
) -> list[Synced]:
    """Of one sweep, one study, or all; sweeps that lack nothing are not in the answer, and all are of which an MLflow
    that is away could not say it. ``show`` gets a line that changes. ``make_report`` makes the page of a study's newest
    sweep where this finishes it, as its driver would have.
    """
    with ExitStack() as stack:
        store = open_store(homes.results_url)
        stack.callback(store.close)
        known = {(row.name, row.generation): row for row in store.studies(study)}
        sweeps = [
            (known[sweep.study, sweep.generation], sweep)
            for name in dict.fromkeys(name for name, _ in known)
            for sweep in store.sweeps(name)
            if sweep_id is None or sweep.sweep_id == sweep_id
        ]
        driven = _drivers(store)
        waiting = [each for each in sweeps if _is_waiting(store, *each, is_driven=each[0].name in driven)]
        mirrored = [each for each in sweeps if each not in waiting and each[1].mlflow_run_id]
        if not waiting and not mirrored:
            return []
        try:
            tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
            held = [each for each in mirrored if each[1].study in driven and is_lost(tracker, each[1])]
            driven = _without_onlookers(store, driven, {row.name for row, _ in held}, show)
            sent = [each for each in mirrored if each[1].study not in driven]
            lost = [each for each in sent if is_lost(tracker, each[1])]
            others = [each for each in sweeps if each not in lost and each[1].mlflow_run_id]
            has_none = not any(tracker.has(str(each[1].mlflow_run_id)) for each in others)
            if study is not None or has_none:
                _under_leases(store, lost, lambda lease, row, sweep: _note(store, lease, row, sweep))
                waiting += lost
            elif lost:  # it has others: these may have been deleted there for good
                say(_of_lost(lost))
            waiting += [each for each in sent if each not in lost and _is_open(tracker, each[1])]
            # a driver sends what is new, and not what an MLflow has lost: it is to be known that this still waits
            kept = [each for each in mirrored if each not in sent and is_lost(tracker, each[1])]
        except Unavailable as error:
            asked = [each for each in mirrored if each not in waiting and each[1].study not in driven]
            unasked = [Synced(row.name, sweep.sweep_id, outage=str(error), is_unasked=True) for row, sweep in asked]
            return [*(_left(store, row, sweep, str(error)) for row, sweep in waiting), *unasked]
        found = [_sync_one(homes, store, tracker, row, sweep, say, show, make_report) for row, sweep in waiting]
        left = {each.sweep_id: None if each.outage is None else each.left for each in found if each.was_lost}
        told = [each for each in waiting if each[1].sweep_id in left]
        _under_leases(store, told, lambda lease, _, sweep: note_told(store, lease, sweep, left=left[sweep.sweep_id]))
        return [*found, *(_kept(store, row, sweep, driven[row.name]) for row, sweep in kept)]


def _drivers(store: Store) -> dict[str, str]:
    """By study."""
    return {name: held.owner for name, held in store.holders().items() if not is_dead(held.owner)}


def _without_onlookers(
    store: Store, driven: dict[str, str], studies: Collection[str], show: Callable[[str], None]
) -> dict[str, str]:
    """Who drives now, once whoever holds one of the studies without a sweep that runs has gone, or has had its time."""
    give_up = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < give_up:
        looking = [name for name in studies if name in driven and not _runs(store, name)]
        if not looking:
            break
        show(f"{looking[0]}: {driver_shown(driven[looking[0]])} is at work on it and is waited for")
        time.sleep(LOOK_EVERY)
        driven = _drivers(store)
    return driven


def _runs(store: Store, study: str) -> bool:
    return any(sweep.status is SweepStatus.RUNNING for sweep in store.sweeps(study))


def _under_leases(
    store: Store,
    sweeps: Sequence[tuple[StudyRow, SweepRow]],
    write: Callable[[Lease, StudyRow, SweepRow], None],
) -> None:
    """A study that somebody has begun to drive meanwhile is left to its driver."""
    for name in dict.fromkeys(row.name for row, _ in sweeps):
        try:
            lease = store.acquire_lease(name, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
        except LeaseHeld:
            continue
        try:
            for row, sweep in sweeps:
                if row.name == name:
                    write(lease, row, sweep)
        finally:
            with suppress(LrsweepError):
                store.release_lease(lease)


def _note(store: Store, lease: Lease, row: StudyRow, sweep: SweepRow) -> None:
    note_lost(store, lease, resolved_from(row, sweep), sweep)


def _of_lost(lost: Sequence[tuple[StudyRow, SweepRow]]) -> str:
    names = list(dict.fromkeys(row.name for row, _ in lost))
    return (
        f"this MLflow has sweeps of these results, and not {len(lost)} of {', '.join(names)}: deleted there, or never "
        f"sent to it. `lrsweep sync {names[0]}` sends it again"
    )


def _is_waiting(store: Store, row: StudyRow, sweep: SweepRow, *, is_driven: bool) -> bool:
    """Whether MLflow is known to lack something of it, or nobody was told yet that it did."""
    is_untold = owed(sweep) is not None and not is_driven
    return is_untold or is_driven_out(sweep, row.spec) or _lacking(store, row, sweep) > 0


def _is_open(tracker: Tracker, sweep: SweepRow) -> bool:
    """Whether its own run was never ended; that of a finished one was."""
    return sweep.status is not SweepStatus.FINISHED and tracker.is_open(str(sweep.mlflow_run_id))


def _sync_one(
    homes: Homes,
    store: Store,
    tracker: Tracker,
    row: StudyRow,
    sweep: SweepRow,
    say: Callable[[str], None],
    show: Callable[[str], None],
    make_report: MakeReport | None,
) -> Synced:
    try:
        lease = store.acquire_lease(row.name, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
    except LeaseHeld as held:
        return Synced(row.name, sweep.sweep_id, left=_lacking(store, row, sweep), driver=held.owner)
    renewed_at = time.monotonic()

    def keep() -> None:
        nonlocal renewed_at
        show(f"{row.name}: {mirror.behind} trainings to send")
        if time.monotonic() - renewed_at > RENEW_EVERY:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
            renewed_at = time.monotonic()

    try:
        sweep = store.sweep(sweep.sweep_id)
        study, noted = resolved_from(row, sweep), owed(sweep)
        before = _lacking(store, row, sweep) if noted is None else noted
        is_closed = is_finished = has_begun = False
        was_lost = noted is not None
        unknown = 0
        try:
            was_lost = forget_lost(store, lease, tracker, study, sweep) is not None or was_lost
            before = _lacking(store, row, sweep) if noted is None else noted
            has_begun = True
            params = shown_params(study) if was_lost else {}
            parent = tracker.open_sweep(sweep, study, params=params, is_driven=False)
            sweep = store.update_sweep(lease, sweep.sweep_id, mlflow_run_id=parent)
            mirror = Mirror(
                store=store,
                lease=lease,
                study=study,
                sweep=sweep,
                tracker=tracker,
                parent=parent,
                copy=open_copy(homes.optuna_url, study),
                faults=Faults(),
            )
            mirror.adopt()
            mirror.start()
            try:
                is_done = mirror.finish(keep, patience_seconds=PATIENCE)
            finally:
                mirror.abandon()
            tracker.end_running(sweep, others=False)
            outage, unknown = None if is_done else mirror.outage, mirror.unknown
            is_complete = is_done and is_driven_out(sweep, row.spec) and not unknown
            if is_done and (is_complete or tracker.is_open(parent)):
                is_newest = store.sweeps(row.name)[-1].sweep_id == sweep.sweep_id
                if make_report is not None and is_complete and is_newest:
                    send_report(tracker, parent, store, row.name, make_report, say, keep)
                end = "FINISHED" if is_complete else ENDS[sweep.status]
                close_parent(tracker, parent, end, _best(store, study, sweep))
                is_closed = True
            if is_complete:
                store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED, settings=used_up(study))
                is_finished = True
        except Unavailable as error:
            outage = str(error)
        left = _lacking(store, row, sweep) if has_begun else before
        return Synced(
            row.name,
            sweep.sweep_id,
            sent=max(0, before - left),
            left=left,
            outage=outage,
            is_closed=is_closed,
            is_finished=is_finished,
            was_lost=was_lost,
            unknown=unknown,
        )
    finally:
        with suppress(LrsweepError):
            store.release_lease(lease)


def _best(store: Store, study: ResolvedStudy, sweep: SweepRow) -> Best | None:
    """None as well where an earlier release drew it, and this one cannot read it."""
    trials = list(store.trials(sweep.study, sweep_id=sweep.sweep_id))
    trainings = list(store.trainings(sweep.study, sweep_id=sweep.sweep_id))
    try:
        return best_of(trials, trainings, study, store)
    except (KeyError, ScheduleError):
        return None


def _kept(store: Store, row: StudyRow, sweep: SweepRow, driver: str) -> Synced:
    """Its driver has the study's lease, and so keeps the runs from being sent again."""
    runs = resolved_from(row, sweep).tracking.runs
    left = sum(is_sent(each.purpose, runs) for each in store.trainings(row.name, sweep_id=sweep.sweep_id))
    return Synced(row.name, sweep.sweep_id, left=left, driver=driver, was_lost=True)


def _left(store: Store, row: StudyRow, sweep: SweepRow, outage: str) -> Synced:
    return Synced(row.name, sweep.sweep_id, left=_lacking(store, row, sweep), outage=outage)


def _lacking(store: Store, row: StudyRow, sweep: SweepRow) -> int:
    """Trainings that MLflow lacks and is to have."""
    runs = resolved_from(row, sweep).tracking.runs
    rows: Sequence[TrainingRow] = store.unmirrored(sweep.sweep_id)
    return sum(is_sent(each.purpose, runs) for each in rows)

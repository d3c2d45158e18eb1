"""What a sweep left unsent, sent later and without driving: ``lrsweep sync``.

The store is the spool: rows that MLflow lacks are found in it, whichever process ended before they were sent. A sweep
that is being driven sends its own; every other one is taken under its study's lease, so that no driver starts beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from lrsweep.errors import LeaseHeld, LrsweepError, Unavailable
from lrsweep.records import Json, StudyRow, SweepRow, SweepStatus, TrainingRow
from lrsweep.store import open_store
from lrsweep.store.base import Store
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.optuna_copy import open_copy
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY, is_dead, this_owner
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import RunEnd, Tracker, is_sent

PATIENCE = 20.0
"""How long the server may be silent before the rest is left for the next time."""

ENDS: Mapping[SweepStatus, RunEnd] = {
    SweepStatus.FINISHED: "FINISHED",
    SweepStatus.STOPPED: "FAILED",
    SweepStatus.CANCELLED: "KILLED",
    SweepStatus.RUNNING: "KILLED",  # nobody drives it: so its own driver leaves it when it is interrupted
}


@dataclass(frozen=True)
class Synced:
    """What became of one sweep that had rows to send."""

    study: str
    sweep_id: str
    sent: int = 0
    left: int = 0
    outage: str | None = None
    """why rows are left"""
    driver: str | None = None
    """who drives the sweep, and so sends its rows"""

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.study,
            "sweep": self.sweep_id,
            "sent": self.sent,
            "left": self.left,
            "outage": self.outage,
            "driver": self.driver,
        }


def sync(homes: Homes, study: str | None, *, say: Callable[[str], None], show: Callable[[str], None]) -> list[Synced]:
    """Of one study, or of all; sweeps that lack nothing are not in the answer. ``show`` gets a line that changes."""
    with ExitStack() as stack:
        store = open_store(homes.results_url)
        stack.callback(store.close)
        known = {(row.name, row.generation): row for row in store.studies(study)}
        waiting = [
            (known[sweep.study, sweep.generation], sweep)
            for name in dict.fromkeys(name for name, _ in known)
            for sweep in store.sweeps(name)
            if _lacking(store, known[name, sweep.generation], sweep)
        ]
        if not waiting:
            return []
        try:
            tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
        except Unavailable as error:
            return [_left(store, row, sweep, str(error)) for row, sweep in waiting]
        return [_sync_one(homes, store, tracker, row, sweep, show) for row, sweep in waiting]


def _sync_one(
    homes: Homes, store: Store, tracker: Tracker, row: StudyRow, sweep: SweepRow, show: Callable[[str], None]
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
        study = resolved_from(row, sweep)
        before = _lacking(store, row, sweep)
        try:
            parent = tracker.open_sweep(sweep, study, params={}, is_driven=False)
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
            tracker.close_left(parent, ENDS[sweep.status])
            outage = None if is_done else mirror.outage
        except Unavailable as error:
            outage = str(error)
        left = _lacking(store, row, sweep)
        return Synced(row.name, sweep.sweep_id, sent=before - left, left=left, outage=outage)
    finally:
        with suppress(LrsweepError):
            store.release_lease(lease)


def _left(store: Store, row: StudyRow, sweep: SweepRow, outage: str) -> Synced:
    return Synced(row.name, sweep.sweep_id, left=_lacking(store, row, sweep), outage=outage)


def _lacking(store: Store, row: StudyRow, sweep: SweepRow) -> int:
    """Trainings that MLflow lacks and is to have."""
    runs = resolved_from(row, sweep).tracking.runs
    rows: Sequence[TrainingRow] = store.unmirrored(sweep.sweep_id)
    return sum(is_sent(each.purpose, runs) for each in rows)

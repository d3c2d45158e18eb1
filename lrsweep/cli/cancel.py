"""``lrsweep cancel``: ends what is newest of a study for good.

a request for a sweep that has not begun    it leaves the queue; where a worker begins it just now, by that worker
a sweep that somebody drives                by its driver
a sweep that was left                       by this command, under the study's lease
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from lrsweep.errors import LeaseHeld, SettingsError, TryAgain
from lrsweep.findings.reading import chosen_sweep, drivers, name_of
from lrsweep.records import Json, Status, SweepRow, SweepStatus
from lrsweep.store.base import Lease, Store
from lrsweep.store.queue import Queued, QueueState
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.owner import driver_shown, is_dead, this_owner
from lrsweep.sweep.syncing import sync

LOOK_EVERY = 0.2
LEASE_SECONDS = 30.0
REASON = "the sweep was cancelled"
OVER = (SweepStatus.FINISHED, SweepStatus.CANCELLED)
ASKED = "is asked to end the sweep; it saves what runs first"
WAITED_FOR = "is still starting: its sweep is asked to end as soon as it is there"


@dataclass(frozen=True)
class Cancelled:
    study: str
    sweep: str
    status: SweepStatus
    by: Literal["driver", "command", "queue"]
    """who ended it: its driver, or this command as nobody drove it; ``queue``: it was asked for, and had not begun"""

    def to_json(self) -> dict[str, Json]:
        return {"study": self.study, "sweep": self.sweep, "status": self.status.value, "by": self.by}


def cancel(
    store: Store,
    study: str,
    *,
    patience_seconds: float,
    say: Callable[[str], None] = lambda _: None,
) -> Cancelled:
    """Asks the driver to end the sweep, and waits until it has left; where nobody drives it, ends it under the lease.

    A driver that still starts is waited for, and asked once its sweep is there, which may be another than the newest.
    A request that waits for a worker is taken back first; then nothing else is ended. Raises SettingsError for a sweep
    that has ended, TryAgain where the driver has not obeyed in time: a wish stays.
    """
    name = name_of(study)
    give_up = time.monotonic() + patience_seconds
    asked: set[str] = set()
    told = ""
    request: Queued | None = None
    while True:
        before = request
        request, worker = _taken_back(store, name, before)
        if request is not None and worker is None:
            return _of_request(store, request, say)
        if request is None and before is not None:  # it has begun, and its worker has heard of the wish
            asked.add(before.sweep_id)
        # before the sweep: one who leaves in between has brought it to its end
        driver = worker or drivers(store).get(name)
        sweep = None if request is not None else _meant(store, name, is_driven=driver is not None)
        is_late = time.monotonic() > give_up
        if sweep is not None and sweep.status not in OVER:
            with suppress(ValueError):  # it has ended just now
                store.ask_to_cancel(sweep.sweep_id)
                asked.add(sweep.sweep_id)
            if driver is None:
                with suppress(LeaseHeld):  # somebody was faster
                    return _ended(store, _lease(store, name), sweep)
                continue
        elif sweep is not None and sweep.sweep_id in asked and (driver is None or is_late):
            return Cancelled(name, sweep.sweep_id, sweep.status, "driver")
        elif sweep is not None and driver is None:
            raise SettingsError(
                f"the newest sweep of study {name!r}, {sweep.sweep_id}, is {sweep.status.value} already: there is "
                "nothing to cancel."
            )
        if is_late:
            assert driver is not None  # else one of the cases above
            raise TryAgain(_not_in_time(driver, patience_seconds, was_asked=bool(asked) or request is not None))
        wish = ASKED if asked else WAITED_FOR
        if wish != told:
            say(f"{driver} {wish}")
            told = wish
        time.sleep(LOOK_EVERY)


def end_left(store: Store, sweep: SweepRow) -> Cancelled:
    """That one alone, whichever is its study's newest, where nobody drives the study. Raises LeaseHeld where somebody
    does: the wish stays in the sweep's row."""
    with suppress(ValueError):  # it has ended just now
        store.ask_to_cancel(sweep.sweep_id)
    return _ended(store, _lease(store, sweep.study), sweep)


def close_run(homes: Homes, ended: Cancelled, say: Callable[[str], None]) -> None:
    """What a driver would have done at the end: MLflow gets what it lacks, and the sweep's run there is ended."""
    for each in sync(homes, ended.study, sweep_id=ended.sweep, say=say, show=lambda _: None):
        if each.outage is not None:
            say(f"MLflow has not heard of it: {each.outage} `lrsweep sync` sends the rest and ends the sweep's run.")


def _not_in_time(driver: str, seconds: float, *, was_asked: bool) -> str:
    if was_asked:
        return (
            f"{driver} has not ended the sweep within {seconds:.0f} s. The wish stays, and it ends as soon as its "
            "driver looks; where that hangs, end that process and give the same command again."
        )
    return (
        f"{driver} has not begun its sweep within {seconds:.0f} s, so nobody could be asked to end it. Give the same "
        "command again, or end that process: it has nothing to lose yet."
    )


def _meant(store: Store, study: str, *, is_driven: bool) -> SweepRow | None:
    """The one that is driven or is to go on, which may be an earlier generation's; else the newest."""
    newest_first = list(reversed(store.sweeps(study)))
    if not is_driven:
        to_go_on = {row.sweep_id for row in store.queue.waiting()}
        queued = (each for each in newest_first if each.sweep_id in to_go_on and each.status not in OVER)
        return next(queued, None) or chosen_sweep(store, study)
    running = (each for each in newest_first if each.status is SweepStatus.RUNNING)
    return next(running, newest_first[0] if newest_first else None)


# ── a request for a sweep that has not begun ─────────────────────────────────────────────────────────────────────────
def _taken_back(store: Store, study: str, before: Queued | None) -> tuple[Queued | None, str | None]:
    """What is asked for, with the wish that it ends, and the worker that begins it just now; ``before``: the same at
    the last look. Nothing once its sweep is there to be ended, unless that has ended and was to go on."""
    if before is not None:
        row = store.queue.row(before.sweep_id)
    else:
        waiting = [row for row in store.queue.rows(study) if not row.state.is_over]
        if not waiting:
            return None, None
        [row] = waiting
    begun = _sweep(store, row)
    if begun is not None and begun.status is not SweepStatus.FINISHED:
        return None, None
    if not row.state.is_over and not (row.is_cancelled and row.state is QueueState.CLAIMED):
        try:
            row = store.queue.cancel(row.sweep_id)
        except ValueError:  # it is over just now
            row = store.queue.row(row.sweep_id)
    if row.state is not QueueState.CLAIMED or row.owner is None or is_dead(row.owner):
        return row, None
    return row, driver_shown(row.owner)


def _of_request(store: Store, request: Queued, say: Callable[[str], None]) -> Cancelled:
    if request.state in (QueueState.ENDED, QueueState.FAILED):
        why = "" if request.error is None else f": {request.error}"
        raise SettingsError(
            f"the request for sweep {request.sweep_id} of study {request.study!r} has {request.state.value} just "
            f"now{why}. There is nothing to cancel."
        )
    left = next((each for each in reversed(store.sweeps(request.study)) if each.status not in OVER), None)
    if left is not None:
        say(f"sweep {left.sweep_id} of the study, which has begun before, is as it was: the same command ends it")
    begun = _sweep(store, request)
    status = SweepStatus.CANCELLED if begun is None else begun.status
    return Cancelled(request.study, request.sweep_id, status, "queue")


def _sweep(store: Store, request: Queued) -> SweepRow | None:
    return next((each for each in store.sweeps(request.study) if each.sweep_id == request.sweep_id), None)


# ── a sweep that nobody drives ───────────────────────────────────────────────────────────────────────────────────────
def _lease(store: Store, study: str) -> Lease:
    return store.acquire_lease(study, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)


def _ended(store: Store, lease: Lease, sweep: SweepRow) -> Cancelled:
    """Under the lease: its driver may have obeyed, or finished, just before."""
    try:
        now = store.sweep(sweep.sweep_id)
        if now.status in OVER:
            return Cancelled(sweep.study, sweep.sweep_id, now.status, "driver")
        for row in store.trainings(sweep.study, sweep_id=sweep.sweep_id):
            if row.status is Status.RUNNING:
                store.queue_again(lease, row.training_id, reason=REASON)
        ended = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.CANCELLED)
        with suppress(KeyError, ValueError):  # nobody has asked for it over HTTP; else that request is over with it
            store.queue.cancel(sweep.sweep_id)
        return Cancelled(sweep.study, sweep.sweep_id, ended.status, "command")
    finally:
        with suppress(TryAgain):
            store.release_lease(lease)

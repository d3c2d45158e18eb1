"""``lrsweep cancel``: ends a study's newest sweep for good, by its driver where one lives, else by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from lrsweep.cli.reading import chosen_sweep
from lrsweep.errors import LeaseHeld, SettingsError, TryAgain
from lrsweep.records import Json, Status, SweepRow, SweepStatus
from lrsweep.store.base import Lease, Store
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.owner import driver_shown, is_dead, this_owner
from lrsweep.sweep.syncing import sync

LOOK_EVERY = 0.2
LEASE_SECONDS = 30.0
REASON = "the sweep was cancelled"


@dataclass(frozen=True)
class Cancelled:
    study: str
    sweep: str
    status: SweepStatus
    by: Literal["driver", "command"]
    """who ended it: its driver, or this command as nobody drove it"""

    def to_json(self) -> dict[str, Json]:
        return {"study": self.study, "sweep": self.sweep, "status": self.status.value, "by": self.by}


def cancel(
    store: Store,
    study: str,
    *,
    patience_seconds: float,
    say: Callable[[str], None] = lambda _: None,
) -> Cancelled:
    """Asks the driver to end the sweep, and waits until it has; where nobody drives it, ends it under the lease.

    Raises SettingsError for a sweep that has ended, TryAgain where the driver has not obeyed in time: the wish stays.
    """
    sweep = chosen_sweep(store, study)
    try:
        store.ask_to_cancel(sweep.sweep_id)
    except ValueError:
        raise SettingsError(
            f"the newest sweep of study {sweep.study!r}, {sweep.sweep_id}, is {sweep.status.value} already: there is "
            "nothing to cancel."
        ) from None
    give_up = time.monotonic() + patience_seconds
    told = False
    while True:
        holder = store.holders().get(sweep.study)
        if holder is None or is_dead(holder.owner):
            with suppress(LeaseHeld):  # somebody was faster
                return _ended(store, _lease(store, sweep.study), sweep)
            continue
        now = store.sweep(sweep.sweep_id)
        if now.status is not sweep.status and now.status is not SweepStatus.RUNNING:
            return Cancelled(sweep.study, sweep.sweep_id, now.status, "driver")
        driver = driver_shown(holder.owner)
        if not told:
            say(f"{driver} is asked to end the sweep; it saves what runs first")
            told = True
        if time.monotonic() > give_up:
            raise TryAgain(
                f"{driver} has not ended the sweep within {patience_seconds:.0f} s. The wish stays, and it ends as "
                "soon as its driver looks; where that hangs, end that process and give the same command again."
            )
        time.sleep(LOOK_EVERY)


def close_run(homes: Homes, ended: Cancelled, say: Callable[[str], None]) -> None:
    """What a driver would have done at the end: MLflow gets what it lacks, and the sweep's run there is ended."""
    for each in sync(homes, ended.study, sweep_id=ended.sweep, say=say, show=lambda _: None):
        if each.outage is not None:
            say(f"MLflow has not heard of it: {each.outage} `lrsweep sync` sends the rest and ends the sweep's run.")


def _lease(store: Store, study: str) -> Lease:
    return store.acquire_lease(study, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)


def _ended(store: Store, lease: Lease, sweep: SweepRow) -> Cancelled:
    """Under the lease: its driver may have obeyed, or finished, just before."""
    try:
        now = store.sweep(sweep.sweep_id)
        if now.status in (SweepStatus.FINISHED, SweepStatus.CANCELLED):
            return Cancelled(sweep.study, sweep.sweep_id, now.status, "driver")
        for row in store.trainings(sweep.study, sweep_id=sweep.sweep_id):
            if row.status is Status.RUNNING:
                store.queue_again(lease, row.training_id, reason=REASON)
        ended = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.CANCELLED)
        return Cancelled(sweep.study, sweep.sweep_id, ended.status, "command")
    finally:
        with suppress(TryAgain):
            store.release_lease(lease)

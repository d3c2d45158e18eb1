"""``lrsweep cancel``: ends a study's newest sweep for good, by its driver where one lives, else by itself."""

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
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.owner import is_dead, this_owner
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
    """Asks the driver to end the sweep, and waits until it has left; where nobody drives it, ends it under the lease.

    A driver that still starts is waited for, and asked once its sweep is there, which may be another than the newest.
    Raises SettingsError for a sweep that has ended, TryAgain where the driver has not obeyed in time: a wish stays.
    """
    name = name_of(study)
    give_up = time.monotonic() + patience_seconds
    asked: set[str] = set()
    told = ""
    while True:
        driver = drivers(store).get(name)  # before the sweep: one who leaves in between has brought it to its end
        sweep = next(reversed(store.sweeps(name)), None) if driver else chosen_sweep(store, name)
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
            raise TryAgain(_not_in_time(driver, patience_seconds, was_asked=bool(asked)))
        wish = ASKED if asked else WAITED_FOR
        if wish != told:
            say(f"{driver} {wish}")
            told = wish
        time.sleep(LOOK_EVERY)


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
        return Cancelled(sweep.study, sweep.sweep_id, ended.status, "command")
    finally:
        with suppress(TryAgain):
            store.release_lease(lease)

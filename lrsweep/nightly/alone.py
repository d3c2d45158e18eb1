"""One process at a time runs a study's nights: a lease of their own, renewed in a thread while it trains.

The study's own lease would keep its sweep out for a night that only trains a few canaries. Of a process that is known
to have died the lease goes to the next at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from lrsweep.errors import LeaseHeld, LeaseLost, LrsweepError
from lrsweep.nightly.asked import OnLocked
from lrsweep.store import Lease, Store
from lrsweep.store.nights import night_lease
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY, driver_shown, is_dead, this_owner

LOOK_EVERY = 0.5
"""Seconds between two tries of who waits."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Right:
    """To write what this study's nights come to."""

    store: Store
    lease: Lease

    def confirm(self) -> None:
        """Right before a result is written: a process that was stopped for long has lost it. Raises LeaseLost."""
        self.store.renew_lease(self.lease, seconds=LEASE_SECONDS)


@contextmanager
def nights_alone(
    store: Store, study: str, on_locked: OnLocked, check: Callable[[], None], say: Callable[[str], None]
) -> Iterator[Right]:
    """Raises LeaseHeld where somebody who lives has it and nobody is to wait. ``check`` is called while it waits."""

    def taken() -> Lease:
        return store.acquire_lease(night_lease(study), this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)

    lease = once_free(taken, f"a night of {study}", on_locked, check, say)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(store, lease, over), name="lrsweep-night", daemon=True)
    keeper.start()
    try:
        yield Right(store, lease)
    finally:
        over.set()
        keeper.join()
        with suppress(LrsweepError):
            store.release_lease(lease)


def once_free(
    attempt: Callable[[], Value],
    what: str,
    on_locked: OnLocked,
    check: Callable[[], None],
    say: Callable[[str], None],
) -> Value:
    """What the attempt gives; where another holds what it needs it is tried again until that has ended."""
    heard: str | None = None
    while True:
        try:
            return attempt()
        except LeaseHeld as held:
            if on_locked == "skip":
                raise
            if held.owner != heard:
                say(f"waiting: {driver_shown(held.owner)} is at work on {what}")
            heard = held.owner
        check()
        time.sleep(LOOK_EVERY)


def _keep(store: Store, lease: Lease, over: threading.Event) -> None:
    """A database that is away for a moment is asked again; one that gave the lease to another is not."""
    while not over.wait(RENEW_EVERY):
        try:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
        except LeaseLost:
            return
        except LrsweepError:
            continue

"""One process at a time runs a study's nights: a lease of their own, renewed in a thread while it trains.

The study's own lease would keep its sweep out for a night that only trains a few canaries. Of a process that is known
to have died the lease goes to the next at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from lrsweep.errors import LeaseHeld
from lrsweep.nightly.asked import OnLocked
from lrsweep.store import Lease, Store
from lrsweep.store.nights import night_lease
from lrsweep.sweep.kept_lease import kept
from lrsweep.sweep.owner import LEASE_SECONDS, driver_shown, is_dead, this_owner

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
    with kept(store, lease):
        yield Right(store, lease)


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

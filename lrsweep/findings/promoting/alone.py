"""One promotion of a name at a time reads the test set: the second waits, and finds what the first has read.

    a lease of its own, taken ──> what is known by now, or a read (counted) ──> the row committed ──> given back

The study's own lease would keep a driver out, and a driver all promotions. Whoever holds this one renews it in a thread
of its own, for trainings take as long as they take; it goes to the next at once where its process is known to have
died, and else when it has expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lrsweep.errors import LeaseHeld, LeaseLost, TryAgain
from lrsweep.store import Lease, Store
from lrsweep.store.champions import reading_lease
from lrsweep.sweep.kept_lease import kept
from lrsweep.sweep.owner import LEASE_SECONDS, driver_shown, is_dead, this_owner

LOOK_EVERY = 0.5
"""Seconds between two tries of who waits."""


@dataclass(frozen=True)
class Claim:
    """The right to read the test set for choices of this name."""

    store: Store
    lease: Lease
    name: str

    def confirm(self) -> None:
        """Right before a read is counted: a process that was stopped for long has lost it to another. Raises
        TryAgain."""
        try:
            self.store.renew_lease(self.lease, seconds=LEASE_SECONDS)
        except LeaseLost as error:
            raise TryAgain(
                f"this promotion of {self.name!r} was stopped for so long that another may read the test set in its "
                "place; nothing was read or written here. The same command takes what it has found."
            ) from error


@contextmanager
def reading_alone(store: Store, name: str, say: Callable[[str], None]) -> Iterator[Claim]:
    """Waits as long as a process that lives reads for this name, and has said so once."""
    lease = _taken(store, name, say)
    with kept(store, lease):
        yield Claim(store, lease, name)


def _taken(store: Store, name: str, say: Callable[[str], None]) -> Lease:
    heard: str | None = None
    while True:
        try:
            return store.acquire_lease(reading_lease(name), this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
        except LeaseHeld as held:
            if held.owner != heard:
                say(
                    f"waiting: {driver_shown(held.owner)} reads the test set for a promotion of {name}, and what it "
                    "finds counts for this one too"
                )
            heard = held.owner
        time.sleep(LOOK_EVERY)

"""A lease that is held while something takes as long as it takes: renewed in a thread of its own, and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lrsweep.errors import LeaseLost, LrsweepError
from lrsweep.store import Lease, Store
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY


@contextmanager
def kept(store: Store, lease: Lease) -> Iterator[None]:
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(store, lease, over), name="lrsweep-lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        with suppress(LrsweepError):
            store.release_lease(lease)


def _keep(store: Store, lease: Lease, over: threading.Event) -> None:
    """A database that is away for a moment is asked again; one that gave the lease to another is not."""
    while not over.wait(RENEW_EVERY):
        try:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
        except LeaseLost:
            return
        except LrsweepError:
            continue

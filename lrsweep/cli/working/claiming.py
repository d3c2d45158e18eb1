"""One claim while it is worked on: renewed in a thread, whatever the driver does.

The thread also hears what others want: a sweep that is to be cancelled is told so in its own row, where its driver
looks; a claim that has gone to another worker ends the driver. A database that is away costs nothing here: the driver
notices by itself, and a claim that nobody took is renewed when it is back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lrsweep.errors import LeaseLost, LrsweepError
from lrsweep.store import Store
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import LEASE_SECONDS

RENEW_EVERY = 2.0


class Claim:
    """``leave`` ends whoever works on it, in order."""

    def __init__(self, store: Store, claimed: Queued, leave: Callable[[int], None]) -> None:
        self.row = claimed
        self._store = store
        self._leave = leave
        self._ended = threading.Event()

    @contextmanager
    def kept(self) -> Iterator[None]:
        renewing = threading.Thread(target=self._renew, name="claim", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._ended.set()
            renewing.join()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_EVERY):
            try:
                row = self._store.queue.renew(self.row, seconds=LEASE_SECONDS)
                if row.is_cancelled:
                    self._cancel()
            except LeaseLost:
                if not self._ended.is_set():  # else it is not the driver of this claim that would be ended
                    self._leave(signal.SIGTERM)
                return
            except LrsweepError:
                continue

    def _cancel(self) -> None:
        """KeyError: its driver still starts, and is asked the next time. ValueError: it has just ended."""
        with suppress(KeyError, ValueError):
            self._store.ask_to_cancel(self.row.sweep_id)

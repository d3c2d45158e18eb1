"""A results database that goes silent while a sweep is driven: it is said, and a signal cuts the waiting short.

A signal cannot end a statement, only the waiting for its answer (``lrsweep.store.patience``). What the driver then
still writes on its way out is not waited for again: the lease runs out by itself, and what was committed is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lrsweep.errors import Interrupted, StoreUnavailable, TryAgain
from lrsweep.store.patience import ANSWER_SECONDS
from lrsweep.sweep.stopping import Stop

SAID_AFTER, SAID_EVERY = 5.0, 60.0
LEAVING_SECONDS = 3.0
"""After a signal: for a server that only has much to do."""


class Silence:
    """The ``Patience`` of a driver, whose threads share it."""

    def __init__(self, stop: Stop, say: Callable[[str], None]) -> None:
        self._stop = stop
        self._say = say
        self._say_again_at = 0.0
        self._is_given_up = False

    def __call__(self, silent_seconds: float) -> bool:
        if self._is_given_up:
            return False
        if silent_seconds >= SAID_AFTER and time.monotonic() >= self._say_again_at:
            self._say_again_at = time.monotonic() + SAID_EVERY
            self._say(
                f"the results database has not answered for {silent_seconds:.0f} s; it is waited for until that is "
                f"{ANSWER_SECONDS:.0f} s, and Ctrl-C ends the waiting"
            )
        is_leaving = self._stop.signum is not None
        if silent_seconds < (LEAVING_SECONDS if is_leaving else ANSWER_SECONDS):
            return True
        self._is_given_up = is_leaving
        return False


@contextmanager
def obeying(stop: Stop) -> Iterator[None]:
    """A database that has failed after a signal, for it was waited for no longer, does not hide the signal."""
    try:
        yield
    except (TryAgain, StoreUnavailable) as error:
        if stop.signum is None:
            raise
        raise Interrupted(stop.signum, f"interrupted while the results database was waited for. {error}") from error

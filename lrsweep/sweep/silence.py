"""A results database that goes silent while a sweep is driven: it is said, and a signal cuts the waiting short.

A signal cannot end a statement, only the waiting for its answer (``lrsweep.store.patience``). What the driver then
still writes on its way out is not waited for again: the lease runs out by itself, and what was committed is safe.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from lrsweep.errors import Interrupted, StoreUnavailable, TryAgain
from lrsweep.store.patience import ANSWER_SECONDS

SAID_AFTER, SAID_EVERY = 5.0, 60.0
LEAVING_SECONDS = 3.0
"""After a signal: for a server that only has much to do."""
REST_SECONDS = 300.0
"""For which a night's run asks a database no more that was silent for too long."""


class Stopped(Protocol):
    """Of one sweep, or of a whole night's run."""

    @property
    def signum(self) -> int | None: ...


class Silence:
    """The ``Patience`` of a driver, whose threads share it. With ``rests`` a database that was silent for too long
    is not asked for a while: what would come next, as each further study of a night, would wait as long again. What
    still trains then finds it again if it is back."""

    def __init__(self, stop: Stopped, say: Callable[[str], None], *, rests: bool = False) -> None:
        self._stop = stop
        self._say = say
        self._rests = rests
        self._say_again_at = 0.0
        self._ask_again_at = 0.0
        """by the monotonic clock"""

    def __call__(self, silent_seconds: float) -> bool:
        if time.monotonic() < self._ask_again_at:
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
        if is_leaving:
            self._ask_again_at = math.inf
        elif self._rests:
            self._rest(silent_seconds)
        return False

    def _rest(self, silent_seconds: float) -> None:
        self._ask_again_at = time.monotonic() + REST_SECONDS
        self._say_again_at = 0.0
        since = time.time()
        self._say(
            f"the results database has not answered for {silent_seconds:.0f} s; since {_clock(since)} it is not asked "
            f"any more, and from {_clock(since + REST_SECONDS)} on it is again"
        )


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))


@contextmanager
def obeying(stop: Stopped) -> Iterator[None]:
    """A database that has failed after a signal, for it was waited for no longer, does not hide the signal."""
    try:
        yield
    except (TryAgain, StoreUnavailable) as error:
        if stop.signum is None:
            raise
        raise Interrupted(stop.signum, f"interrupted while the results database was waited for. {error}") from error

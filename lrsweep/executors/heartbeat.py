"""What an engine's process says while it works without a record: a download, an evaluation of a large model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lrsweep.engines.command.engine import ALIVE_EVERY

LONGEST_WORK = 4 * 3600.0
"""Seconds of one piece of work after which it is taken for hung, and nothing more is said: the driver kills then."""


class Heartbeat:
    """``with heartbeat():`` around work that takes as long as it takes; ``alive`` is called by a thread meanwhile.

    One thread for all of them: to start one would cost a short evaluation more than the evaluation itself.
    """

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self._begun_at: float | None = None
        threading.Thread(target=self._beat, daemon=True).start()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self._begun_at = time.monotonic()
        try:
            yield
        finally:
            self._begun_at = None

    def _beat(self) -> None:
        while True:
            time.sleep(ALIVE_EVERY)
            begun_at = self._begun_at
            if begun_at is not None and time.monotonic() - begun_at < LONGEST_WORK:
                self._alive()

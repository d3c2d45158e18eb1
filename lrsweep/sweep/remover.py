"""What is removed in the background, one after the other: a disk or an object store may take minutes for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class Remover:
    """It has a thread while there is something to remove."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removals: deque[Callable[[], object]] = deque()
        self._runs = False

    @property
    def is_done(self) -> bool:
        """Also where no thread was to be had: nothing is being removed then, and nobody has to wait."""
        with self._lock:
            return not self._runs

    def begin(self, removal: Callable[[], object]) -> None:
        """Returns at once, and raises nothing: results are committed right before. What the removal raises is its own
        affair."""
        with self._lock:
            self._removals.append(removal)
            if self._runs:
                return
            self._runs = True
        try:
            # a daemon: who leaves early does not wait for it
            threading.Thread(target=self._work, name="removing", daemon=True).start()
        except (RuntimeError, MemoryError):  # no more threads here: it goes with the next one
            with self._lock:
                self._runs = False

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._removals:
                    self._runs = False
                    return
                removal = self._removals.popleft()
            with suppress(Exception):
                removal()

"""What is removed in the background, one after the other: a disk or an object store may take minutes for each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Remover:
    """It has a thread while there is something to remove."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removals: deque[Callable[[], object]] = deque()
        self._runs = False

    @property
    def is_done(self) -> bool:
        with self._lock:
            return not self._runs

    def begin(self, removal: Callable[[], object]) -> None:
        """Returns at once. The removal must not raise."""
        with self._lock:
            self._removals.append(removal)
            if self._runs:
                return
            self._runs = True
        # a daemon: who leaves early does not wait for it
        threading.Thread(target=self._work, name="removing", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._removals:
                    self._runs = False
                    return
                removal = self._removals.popleft()
            removal()

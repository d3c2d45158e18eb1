"""What ``--json`` prints of a running sweep: an object per line on standard output, and nothing else there.

The kinds are those of ``lrsweep.sweep.events``. The last line is the result, unless the sweep was left early; then the
exit code says why.
"""

from __future__ import annotations

import json
import time
from typing import TextIO

from lrsweep.sweep.events import Event
from lrsweep.sweep.progress import Progress, SweepResult

PROGRESS_EVERY = 5.0


class Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._progress_at = 0.0
        self._is_heard = True

    def tell(self, event: Event) -> None:
        """Whole at once, for who reads line by line. A reader that is gone hears nothing more, and ends no sweep."""
        if not self._is_heard:
            return
        try:
            self._out.write(f"{json.dumps(event, allow_nan=False)}\n")
            self._out.flush()
        except OSError:
            self._is_heard = False

    def show(self, progress: Progress) -> None:
        """A word on how things stand, every few seconds."""
        now = time.monotonic()
        if now - self._progress_at > PROGRESS_EVERY:
            self._progress_at = now
            self.tell(progress.to_json())

    def end(self, result: SweepResult) -> None:
        self.tell({"event": "finished", **result.to_json()})

"""Named points at which a test may kill the process, to see that nothing is lost there.

``LRSWEEP_FAULT=after-commit:3`` sends SIGKILL to this process when it passes ``after-commit`` for the third time.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field

from lrsweep.errors import SettingsError, did_you_mean

POINTS = (
    "after-create",  # of the sweep, with all that it takes over
    "after-ask",
    "after-commit",  # of a training's outcome
    "after-phase",  # the finals are queued, or a design that is fitted
    "before-mirror",
    "mid-mirror",  # MLflow has it, and the store does not know that
    "mid-drain",  # after each message of a training that gives way
    "mid-cancel",  # before the sweep is marked as cancelled
)


@dataclass
class Faults:
    point: str | None = None
    time: int = 1
    _passed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def parsed(cls, text: str | None) -> Faults:
        if not text:
            return cls()
        point, _, time = text.partition(":")
        time = time or "1"
        if point not in POINTS or not time.isdecimal() or int(time) < 1:
            raise SettingsError(
                f"LRSWEEP_FAULT is {text!r}; wanted POINT, or POINT:N for the N-th time from 1, with POINT of "
                f"{', '.join(POINTS)}.{did_you_mean(point, POINTS)}"
            )
        return cls(point, int(time))

    def passing(self, point: str) -> None:
        """Called at every named point; ends the process where a test asked for it."""
        assert point in POINTS, point
        if point == self.point:
            self._passed[point] += 1
            if self._passed[point] == self.time:
                os.kill(os.getpid(), signal.SIGKILL)

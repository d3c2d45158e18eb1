"""Why a driver leaves before its budget is used up, and the word by which it is asked to."""

from __future__ import annotations

import time

from lrsweep.errors import DeadlinePassed, Interrupted


class Cancelled(Exception):
    """`lrsweep cancel` was asked for this sweep."""


class Stop:
    """A signal came, the deadline, or somebody has cancelled the sweep."""

    def __init__(self, deadline: float | None = None) -> None:
        self.signum: int | None = None
        self.is_cancelled = False
        self._deadline = deadline

    def signal(self, signum: int) -> None:
        self.signum = signum

    def check(self) -> None:
        if self.signum is not None:
            raise Interrupted(self.signum, "interrupted; what was finished is kept, and the same command continues")
        if self.is_cancelled:
            raise Cancelled
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise DeadlinePassed("the deadline passed before the budget was used up; the same command continues")

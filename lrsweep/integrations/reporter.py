"""What a script in a sweep says of its training: appended to the reports, by one process of it.

A full disk or a lost folder ends no training: what could not be written is told on standard error, kept, and written
with the next report or at the end. If that fails too, the sweep finds the metric missing and fails the training.
"""

from __future__ import annotations

import atexit
import os
import platform
import sys
import time

from lrsweep.scripts.plan_file import PlanFile
from lrsweep.scripts.processes import is_first, is_helper, is_started_by_script
from lrsweep.scripts.reports import Begin, End, Line, Writer, Wrong, append


class Reporter:
    """Silent in all processes but the first of those that train, and in the workers of loaders and pools."""

    def __init__(self, plan: PlanFile) -> None:
        self._path = plan.reports
        self._writer = Writer(plan.attempt, f"{platform.node()}:{os.getpid()}:{time.time_ns()}")
        self._unsaid: list[Line] = [Begin(plan.attempt)]
        self._is_in_trouble = False
        self._is_wrong = False
        self._updates: int | None = None
        self._ends_in: int | None = None
        """the process whose end is this training's; one that inherits this object by a fork is another"""
        self._silent_in: int | None = None
        """a process that was found to be another than the first: once they part, nobody knows that any more"""
        if not is_started_by_script():  # else it may be about to help, or to train as another than the first
            self.say()

    def say(self, *lines: Line) -> None:
        if not self._may_speak():
            return
        self._unsaid += lines
        try:
            append(self._path, self._unsaid, self._writer)
        except OSError as error:
            if not self._is_in_trouble:
                _tell(f"what this script reports cannot be written to {self._path}, and is kept for now: {error}")
            self._is_in_trouble = True
            return
        self._is_in_trouble = False
        self._unsaid = []

    def wrong(self, text: str) -> None:
        """The training is not what the plan says: told once, as it is wrong in every update that follows."""
        if not self._is_wrong:
            self._is_wrong = True
            _tell(text)
            self.say(Wrong(text))

    def count(self, updates: int) -> None:
        """So many are done, one of them by this process, which tells the last number when it ends."""
        self._updates = updates
        if self._ends_in is None:
            self._ends_in = os.getpid()
            if self._may_speak():
                atexit.register(self._end)

    def _may_speak(self) -> bool:
        if is_helper() or not is_first():
            self._silent_in = os.getpid()
        return self._silent_in != os.getpid()

    def _end(self) -> None:
        if os.getpid() != self._ends_in:
            return
        self.say(End(self._updates))
        if self._unsaid and self._is_in_trouble:
            _tell(f"{len(self._unsaid)} lines of what this script reports could not be written to {self._path}")


def _tell(text: str) -> None:
    sys.stderr.write(f"lrsweep: {text}\n")

"""When a script should stop: at once where one process trains, at the same update where several train together.

Processes that train together wait for each other in every update, so one that left an update earlier than another would
hang it. The first sees the file ``stop`` and writes into ``stop_at`` after which update all leave, far enough ahead for
the others to have seen it. Nobody waits for anybody: looks are calls to the file system, and they are spread.

A plan of another attempt means stop, too: this process has outlived its own.
"""

from __future__ import annotations

import json
import time

from lrsweep.scripts.plan_file import PlanFile, write_whole
from lrsweep.scripts.processes import is_first, trains_with_others

ALONE_PAUSE = 1.0
"""Seconds between two looks of a process that trains alone."""
TOGETHER_PAUSE = 0.05
TOGETHER_UPDATES = 16
"""Together with others a process looks again after this time or so many updates, whichever comes first. So a file that
is there now is seen by all in less than 17 updates, as they are at most one apart, and in 2 where an update is slow."""
SLOW = 1.0
"""Seconds of an update, from where on every process looks at each; 20 times the pause, as speed varies."""


class StopSign:
    """Asked at each update; says so from one update on."""

    def __init__(self, plan: PlanFile) -> None:
        self._plan = plan
        self._stops_at: int | None = None
        self._together = False
        self._looked = -1
        self._looked_at = 0.0
        self._quickest: float | None = None
        """seconds per update between two looks"""
        self._plan_seen: tuple[int, int] | None = None
        """which file it is: a plan is only ever replaced, and reading it costs more than asking that"""

    def is_up(self, updates: int) -> bool:
        if self._stops_at is None and self._is_time(updates):
            self._look(updates)
        return self._stops_at is not None and updates >= self._stops_at

    def _is_time(self, updates: int) -> bool:
        if self._looked < 0:
            return True
        waited = time.monotonic() - self._looked_at
        if not self._together:
            return waited >= ALONE_PAUSE
        return waited >= TOGETHER_PAUSE or updates - self._looked >= TOGETHER_UPDATES

    def _look(self, updates: int) -> None:
        now = time.monotonic()
        if 0 <= self._looked < updates:
            pace = (now - self._looked_at) / (updates - self._looked)
            self._quickest = pace if self._quickest is None else min(pace, self._quickest)
        self._looked, self._looked_at = updates, now
        self._together = trains_with_others()
        try:
            if self._together and not is_first():
                self._stops_at = int(self._plan.stop_at.read_text(encoding="ascii"))
            elif self._is_asked():
                self._stops_at = self._announced(updates) if self._together else updates
        except (OSError, ValueError):
            return  # not there; and a file system with a fault, or a full one, is looked at again

    def _is_asked(self) -> bool:
        if self._plan.stop.exists():
            return True
        found = self._plan.path.stat()
        seen = found.st_ino, found.st_mtime_ns
        if seen == self._plan_seen:
            return False
        read = json.loads(self._plan.path.read_text(encoding="utf-8"))
        self._plan_seen = seen
        return bool(read["attempt"] != self._plan.attempt)

    def _announced(self, updates: int) -> int:
        is_slow = self._quickest is not None and self._quickest > SLOW
        stops_at = updates + (2 if is_slow else TOGETHER_UPDATES + 2)
        write_whole(self._plan.stop_at, str(stops_at))
        return stops_at

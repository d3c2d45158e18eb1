"""How long a sweep has had its devices, which come and go while it is driven.

    the seconds since the last look x the devices that it has now ──> device seconds, of which money is made

They are kept in the sweep's settings: a sweep that goes on with fewer devices, or more, has paid for those it had.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lrsweep.records import SweepRow
from lrsweep.scripts import command
from lrsweep.study import ResolvedStudy

DEVICE_SECONDS_KEY = "device_seconds"
"""Where a sweep's settings hold them, over all its drivers."""


@dataclass(frozen=True)
class Spent:
    """By all drivers of a sweep."""

    seconds: float
    """of the clock"""
    device_seconds: float
    devices: int = 1
    """that it has now"""


def spent_by(sweep: SweepRow, study: ResolvedStudy) -> Spent:
    """Until its row was written. In an earlier release all of a sweep but a script's had one device."""
    each = study.devices if study.workload.name == command.NAME else 1
    device_seconds = sweep.settings.get(DEVICE_SECONDS_KEY, sweep.seconds * each)
    return Spent(sweep.seconds, device_seconds, study.devices)


def mean_devices(sweep: SweepRow, study: ResolvedStudy) -> float:
    """Over all the time that the sweep was driven; 1 where that was no time."""
    spent = spent_by(sweep, study)
    return spent.device_seconds / spent.seconds if spent.seconds > 0 and spent.device_seconds > 0 else 1.0


class Meter:
    """Counts for one driver, from ``begin`` on. Each look charges the time since the one before it: look often."""

    def __init__(self, before: Spent, devices: Callable[[], int]) -> None:
        self._before = before
        self._devices = devices
        self._began = self._looked = 0.0
        self._device_seconds = 0.0

    def begin(self) -> None:
        self._began = self._looked = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of this driver alone."""
        return time.monotonic() - self._began if self._began else 0.0

    def look(self) -> Spent:
        """What is spent now, by earlier drivers too."""
        devices, before = self._devices(), self._before
        if self._began:
            now = time.monotonic()
            self._device_seconds += (now - self._looked) * devices
            self._looked = now
        return Spent(before.seconds + self.seconds, before.device_seconds + self._device_seconds, devices)

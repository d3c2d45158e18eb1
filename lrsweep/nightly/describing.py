"""What workloads say of themselves, asked once in a run: loading one takes seconds, and most nights need no more of it.

known in this run           no process
another of the same name    the process that told of it, if nothing has taken that to train with
else                        a new process, in the place of the last
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lrsweep.executors.base import OpenedExecutor
from lrsweep.records import WorkloadFacts, WorkloadSpec
from lrsweep.scripts import command

Make = Callable[[], OpenedExecutor]


@dataclass
class Describing:
    """Of one run. The user's own scripts are asked each time: their answers hang on more than their settings."""

    _known: list[tuple[str, WorkloadSpec, WorkloadFacts]] = field(default_factory=list)
    """by device"""
    _idle: tuple[str, str, OpenedExecutor] | None = None
    """device, the workload's name, and the process that loaded it, which has nothing to do"""
    _far: dict[str, str] = field(default_factory=dict)
    """by device, what a cluster gives for it"""

    def facts(self, device: str, workload: WorkloadSpec, make: Make, tick: Callable[[], None]) -> WorkloadFacts:
        """Raises what ``OpenedExecutor.describe`` does, and whatever ``tick`` does."""
        for at, spec, facts in self._known:
            if (at, spec) == (device, workload):
                return facts
        executor = self._executor(device, workload, make)
        try:
            executor.start(workload)
            facts = executor.describe(workload, tick)
            if executor.far_device is not None:
                self._far[device] = executor.far_device
        except BaseException:
            self.close()  # whatever it was asked may still be under way
            raise
        if workload.name != command.NAME:
            self._known.append((device, workload, facts))
        return facts

    def far_device(self, device: str) -> str | None:
        """What trainings get on other machines, right after ``facts``; None: they have this machine's."""
        return self._far.get(device)

    def free(self, device: str, workload: WorkloadSpec, make: Make) -> int:
        """How many of a script's trainings run side by side here, right after ``facts``."""
        return self._executor(device, workload, make).free

    def taken(self, device: str, workload: WorkloadSpec, make: Make) -> OpenedExecutor:
        """To train with: whoever takes it closes it."""
        executor = self._executor(device, workload, make)
        self._idle = None
        executor.start(workload)
        return executor

    def close(self) -> None:
        if self._idle is not None:
            self._idle[2].close()
            self._idle = None

    def _executor(self, device: str, workload: WorkloadSpec, make: Make) -> OpenedExecutor:
        if self._idle is None or self._idle[:2] != (device, workload.name):
            self.close()
            self._idle = (device, workload.name, make())
        return self._idle[2]

"""What all studies of a run share: the results, the homes, what workloads say, and how a run is ended early."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.engine_option import DEFAULT, EngineOption
from lrsweep.executors.executor_option import HERE, ExecutorOption
from lrsweep.executors.opening import open_executor
from lrsweep.nightly.describing import Describing
from lrsweep.store import Store
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.remover import Remover
from lrsweep.sweep.stopping import Stop

Say = Callable[[str], None]


class Stops:
    """Every ``Stop`` of a run hears of a signal: those of its nights, and those of the sweeps that they drive."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._stops: list[Stop] = []

    def add(self, stop: Stop) -> None:
        stop.signum = self.signum
        self._stops.append(stop)

    def signal(self, signum: int) -> None:
        self.signum = signum
        for stop in self._stops:
            stop.signum = signum


@dataclass(frozen=True)
class Workplace:
    store: Store
    homes: Homes
    say: Say
    engine: EngineOption = DEFAULT
    """the environment's"""
    faults: Faults = field(default_factory=Faults)
    stops: Stops = field(default_factory=Stops)
    describing: Describing = field(default_factory=Describing)
    removing: Remover = field(default_factory=Remover)
    """of checkpoints, of all nights: it goes on while the next one trains"""
    clock: Callable[[], float] = time.time
    """seconds since 1970"""
    where: ExecutorOption = HERE

    def executor(self, device: str, say: Say) -> OpenedExecutor:
        return open_executor(self.homes.place(device, self.where), say)

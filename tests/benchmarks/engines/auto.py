"""What ``--engine auto`` would take for such trainings: lrsweep's own measurement, with its own processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrsweep.engines.machine import available_cores
from lrsweep.errors import LrsweepError
from tests.benchmarks.engines.arrangements import Arrangement, Way
from tests.benchmarks.engines.loops import Plans
from tests.benchmarks.engines.workers import Stage


@dataclass(frozen=True)
class Auto:
    """What it would take, or why that is not known."""

    taken: Arrangement | None = None
    seconds: float | None = None
    """that the choice took: what a sweep waits for it, once per workload and machine"""
    reason: str = ""

    @property
    def name(self) -> str:
        return self.taken.name if self.taken else self.reason


def arrangement_of_auto(stage: Stage, horizon: int, at_once: int) -> Auto:
    """For a search that keeps so many trainings of that length in flight."""
    try:
        from lrsweep.executors.choosing import Chooser, Rest
        from lrsweep.executors.local import LocalExecutor
    except ModuleNotFoundError as missing:
        return Auto(reason=f"cannot be asked: {missing}")
    plans = Plans(stage.opened(), stage.recipes, first_seed=1)
    asked = tuple(plans.next(horizon) for _ in range(at_once))
    executor = LocalExecutor(device=stage.device)
    try:
        chooser = Chooser(executor, asked, Rest(steps=math.inf, at_once=at_once), cores=available_cores())
        chooser.first()
        choice = chooser.choose()
    except LrsweepError as reason:
        return Auto(reason=f"cannot be asked: {reason}")
    finally:
        executor.close()
    crew = choice.crew
    way = Way.FUSED if crew.slots else Way.ENGINE
    return Auto(Arrangement(way, processes=crew.processes, slots=crew.slots), choice.seconds)

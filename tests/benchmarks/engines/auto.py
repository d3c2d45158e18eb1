"""What ``--engine auto`` would take for such trainings: lrsweep's own measurement, with its own processes."""

from __future__ import annotations

import math
import os

from lrsweep.errors import LrsweepError
from tests.benchmarks.engines.arrangements import Arrangement, Way
from tests.benchmarks.engines.loops import Plans
from tests.benchmarks.engines.workers import Stage


def arrangement_of_auto(stage: Stage, horizon: int, at_once: int) -> Arrangement | str:
    """For a search that keeps so many trainings in flight; why not, where it cannot be asked."""
    try:
        from lrsweep.executors.choosing import Chooser, Rest
        from lrsweep.executors.local import LocalExecutor
    except ModuleNotFoundError as missing:
        return f"cannot be asked: {missing}"
    plans = Plans(stage.opened(), stage.recipes, first_seed=1)
    asked = tuple(plans.next(horizon) for _ in range(at_once))
    executor = LocalExecutor(device=stage.device)
    try:
        chooser = Chooser(executor, asked, Rest(steps=math.inf, at_once=at_once), cores=os.cpu_count() or 1)
        chooser.first()
        crew = chooser.choose().crew
    except LrsweepError as reason:
        return f"cannot be asked: {reason}"
    finally:
        executor.close()
    return Arrangement(Way.FUSED if crew.slots else Way.ENGINE, processes=crew.processes, slots=crew.slots)

"""The real driver with its search and an SQLite store, while nothing is trained: every training's curve is at hand.

    python -m tests.benchmarks.driver.simulated TRIALS

The last line of its output is a ``Simulated`` as JSON. Nothing is copied to MLflow or Optuna: what that costs is the
same for each training, and ``swept`` has it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import EVALUATIONS_PER_TRAINING, Outcome, Record, Status, TrainingPlan
from lrsweep.schedules import Schedule
from lrsweep.store import MemoryStore, open_store
from tests.benchmarks.driver.swept import cpu_seconds
from tests.scripted import Bench, value_of
from tests.sweeps import a_study

HORIZON = 600
IN_FLIGHT = 2
LAST_SHARE = 10
"""The window at the end is a tenth of the trials."""


@dataclass(frozen=True)
class Simulated:
    trials: int
    trainings: int
    cpu_seconds: float
    """from the first ask to the end"""
    wall_seconds: float
    last_cpu_seconds: float
    """of the last tenth of the trials, from the first of them on"""
    memory_mib: float
    """the most that it ever held"""


class Ready:
    """An executor whose trainings have ended before they are asked for."""

    busy: Busy | None = None
    device_count: int = 1

    def __init__(self, rungs: Sequence[int], trials: int) -> None:
        self._last_from = trials - trials // LAST_SHARE
        self._waiting: list[TrainingPlan] = []
        self._curves = {horizon: _curve(horizon, numbers=np.random.default_rng(horizon)) for horizon in rungs}
        self._seen: set[tuple[int, Schedule]] = set()
        """of each trial what all its trainings share, whichever rung it begins at: the first may be dropped"""
        self.trainings = 0
        self.cpu_before_last = 0.0

    @property
    def trials(self) -> int:
        return len(self._seen)

    @property
    def free(self) -> int:
        return IN_FLIGHT - len(self._waiting)

    @property
    def in_flight(self) -> Sequence[str]:
        return tuple(plan.training_id for plan in self._waiting)

    def submit(self, plan: TrainingPlan) -> None:
        trial = (plan.seed, plan.schedule)
        if trial not in self._seen:
            self._seen.add(trial)
            if self.trials == self._last_from:
                self.cpu_before_last = cpu_seconds()
        self._waiting.append(plan)

    def stop(self, training_id: str) -> None:
        raise NotImplementedError(training_id)

    def poll(self, seconds: float) -> list[Record | Lost]:
        del seconds
        if not self._waiting:
            return []
        plan = self._waiting.pop(0)
        self.trainings += 1
        rates, losses, evaluated_at, evaluations = self._curves[plan.horizon]
        loss = value_of(plan)
        return [
            Record(
                training_id=plan.training_id,
                attempt=plan.attempt,
                device="simulated",
                first_step=0,
                rates=rates,
                train_losses=losses,
                evaluation_steps=evaluated_at,
                evaluations={"val_loss": evaluations},
                outcome=Outcome(Status.COMPLETED, plan.horizon, 0.1, {"val_loss": loss, "decide_loss": loss}),
            )
        ]

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        tick()
        return []

    def close(self) -> None:
        self._waiting.clear()


def _curve(horizon: int, *, numbers: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A smooth rate and a noisy loss: as large in a database as a real one."""
    steps = np.arange(horizon)
    losses = np.exp(-steps / horizon) + 0.1 * numbers.random(horizon)
    evaluated_at = np.arange(1, EVALUATIONS_PER_TRAINING + 1) * horizon // EVALUATIONS_PER_TRAINING
    return np.cos(steps / horizon), losses, evaluated_at, losses[evaluated_at - 1]


def most_memory_mib() -> float:
    """Of this program alone: ``ru_maxrss`` begins with what the process held that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main(trials: str) -> None:
    study = a_study(trials=int(trials), horizon=HORIZON)
    store = open_store(f"sqlite:///{Path.cwd() / 'results.db'}")
    bench = Bench(study, store=cast(MemoryStore, store))  # the store of a bench may be any that keeps the contract
    executor = Ready(study.rungs, study.trials)
    driver = bench.driver(executor)  # type: ignore[arg-type]
    began, cpu_before = time.perf_counter(), cpu_seconds()
    driver.run()
    end = cpu_seconds()
    if executor.trials != study.trials:
        raise RuntimeError(f"{executor.trials} of {study.trials} trials were trained")
    simulated = Simulated(
        trials=study.trials,
        trainings=executor.trainings,
        cpu_seconds=end - cpu_before,
        wall_seconds=time.perf_counter() - began,
        last_cpu_seconds=end - executor.cpu_before_last,
        memory_mib=most_memory_mib(),
    )
    print(json.dumps(asdict(simulated)))


if __name__ == "__main__":
    main(*sys.argv[1:])

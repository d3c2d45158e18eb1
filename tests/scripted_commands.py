"""Trainings by the small scripts of ``tests/scripts``: plans for them, and what the command engine makes of them."""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrsweep.engines.command import CommandEngine
from lrsweep.engines.command.endings import Cut
from lrsweep.records import Curve, OptimizerSpec, Outcome, Record, TrainingPlan
from lrsweep.schedules import Schedule, schedule
from lrsweep.scripts.command import OPTIMIZER, Command

SCRIPTS = Path(__file__).with_name("scripts")
PATIENCE = 300.0


def python(script: str, *arguments: object) -> str:
    """A command that runs one of the scripts with this interpreter."""
    return " ".join([sys.executable, str(SCRIPTS / script), *map(str, arguments)])


def inline(code: str) -> str:
    """A command that runs these lines, in 20 ms: without site-packages."""
    return f"{sys.executable} -I -S -c '{code}'"


def a_plan(command: Command, folder: Path | None = None, **changes: Any) -> TrainingPlan:
    """40 updates of a cosine from 0.1."""
    values: dict[str, Any] = {
        "training_id": "t",
        "attempt": 1,
        "workload": command.spec(),
        "schedule": schedule("cosine"),
        "peak_lr": 0.1,
        "optimizer": OptimizerSpec(OPTIMIZER),
        "horizon": 40,
        "seed": 3,
        "checkpoint_url": None if folder is None else str(folder),
    }
    return TrainingPlan(**values | changes)


@dataclass
class Ran:
    """What came of one attempt."""

    records: list[Record] = field(default_factory=list)
    cut: Cut | None = None

    @property
    def outcome(self) -> Outcome:
        outcome = self.records[-1].outcome
        assert outcome is not None
        return outcome

    @property
    def curve(self) -> Curve:
        curve = Curve.empty()
        for record in self.records:
            curve = curve.extended(record)
        return curve


class Bench:
    """A command engine in this process, as in its own: what it says comes from other threads."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.said: queue.SimpleQueue[Record | tuple[TrainingPlan, Cut] | None] = queue.SimpleQueue()
        self.engine = CommandEngine(
            os.environ if environ is None else environ,
            emit=self.said.put,
            lose=lambda plan, cut: self.said.put((plan, cut)),
            alive=lambda: self.said.put(None),
        )

    def run(self, plan: TrainingPlan) -> Ran:
        return self.run_all([plan])[plan.training_id]

    def run_all(self, plans: Sequence[TrainingPlan]) -> dict[str, Ran]:
        """All are submitted at once; until each has ended."""
        for plan in plans:
            self.engine.submit(plan)
        ran = {plan.training_id: Ran() for plan in plans}
        left = set(ran)
        give_up = time.monotonic() + PATIENCE
        while left:
            said = self.said.get(timeout=max(0.0, give_up - time.monotonic()))
            if isinstance(said, Record):
                ran[said.training_id].records.append(said)
                if said.outcome is not None:
                    left.remove(said.training_id)
            elif said is not None:
                ran[said[0].training_id].cut = said[1]
                left.remove(said[0].training_id)
        return ran


def run(command: Command, folder: Path | None = None, **changes: Any) -> Ran:
    return Bench().run(a_plan(command, folder, **changes))


def constant() -> Schedule:
    return schedule("constant")


def lives(pid: int) -> bool:
    """A zombie does not: nobody may be there to wait for it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(is_so: Any, what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)

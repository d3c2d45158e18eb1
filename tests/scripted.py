"""A driver's surroundings without processes: an executor whose trainings end by a script, and a mirror that copies
nothing; with a store in memory a whole sweep takes milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Outcome, Record, Status, StudyRow, SweepRow, TrainingPlan, TrainingRow, TrialState
from lrsweep.store import MemoryStore
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.driver import Driver
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.progress import Progress
from lrsweep.sweep.stopping import Stop
from tests.sweeps import a_record, a_study


@dataclass(frozen=True)
class Dies:
    """The process dies with this training: after its first record, or before any."""

    begun: bool = True


class Stays:
    """The training begins, makes ten steps, and goes on for ever."""


End = Outcome | Dies | Stays
Script = Callable[[TrainingPlan], End]


def value_of(plan: TrainingPlan) -> float:
    """The loss that a training comes to where a test says nothing else: the best peak rate is 0.1."""
    return abs(float(np.log10(plan.peak_lr)) + 1) + 0.001 * len(plan.schedule.family)


def completed(plan: TrainingPlan, value: float | None = None) -> Outcome:
    loss = value_of(plan) if value is None else value
    return Outcome(Status.COMPLETED, plan.horizon, 0.5, {"val_loss": loss, "decide_loss": loss + 1})


def diverged(_: TrainingPlan) -> Outcome:
    return Outcome(Status.DIVERGED, 10, 0.1, {})


def failed(_: TrainingPlan) -> Outcome:
    return Outcome(Status.FAILED, 10, 0.1, {}, "Traceback …\nRuntimeError: no data")


class ScriptedExecutor:
    """A test double of ``LocalExecutor`` without a process: each poll ends the oldest training as the script says.

    It keeps the plans that it was given, and like the real one it loses all that is in flight with its process.
    """

    busy: Busy | None = None
    device_count = 1
    pace_factor = 1

    def __init__(self, script: Script) -> None:
        self._script = script
        self._waiting: list[TrainingPlan] = []
        self.begun: list[TrainingPlan] = []
        self.late: Callable[[TrainingPlan], Sequence[Record]] = lambda _: ()
        """what comes from earlier attempts before the last record of a training"""
        self.is_closed = False
        self.drained: list[str] = []
        """what was in flight when the driver let it end"""
        self.last_words: list[Record | Lost] = []
        """what comes while it is drained"""
        self._stays = False

    @property
    def free(self) -> int:
        return 2 - len(self._waiting)

    @property
    def in_flight(self) -> Sequence[str]:
        return tuple(plan.training_id for plan in self._waiting)

    def submit(self, plan: TrainingPlan) -> None:
        assert self.free > 0
        assert plan.training_id not in self.in_flight
        self._waiting.append(plan)

    def stop(self, training_id: str) -> None:
        raise NotImplementedError("a driver stops no training")

    def poll(self, _seconds: float) -> list[Record | Lost]:
        plan = self._waiting[0]
        if self._stays:
            return []
        self.begun.append(plan)
        end = self._script(plan)
        self._stays = isinstance(end, Stays)
        begin = a_record(training_id=plan.training_id, attempt=plan.attempt)
        if isinstance(end, Dies):
            lost = [Lost(each, "the process died", position == 0) for position, each in enumerate(self.in_flight)]
            self._waiting.clear()
            return [begin, *lost] if end.begun else [*lost]
        steps = end.steps if isinstance(end, Outcome) else 10
        rates = plan.schedule.replay((), plan.horizon, plan.peak_lr)[:steps].tolist()
        stretch = a_record(0, rates, training_id=plan.training_id, attempt=plan.attempt)
        records = [begin, stretch, *self.late(plan)]
        if isinstance(end, Outcome):
            loss = end.metrics.get(plan.metric)
            last = {} if loss is None else {steps: {plan.metric: loss}}
            records.append(
                a_record(steps, evaluations=last, outcome=end, training_id=plan.training_id, attempt=plan.attempt)
            )
            self._waiting.pop(0)
        return [*records]

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        assert not self.is_closed
        self.drained += self.in_flight
        tick()
        return [*self.last_words]

    def close(self) -> None:
        self._waiting.clear()
        self.is_closed = True


class ManyAtOnce(ScriptedExecutor):
    """Sixteen begin together; each poll ends the last of them that is left, in an order of its own."""

    most = 0

    @property
    def free(self) -> int:
        return 16 - len(self._waiting)

    def poll(self, seconds: float) -> list[Record | Lost]:
        self.most = max(self.most, len(self._waiting))
        fresh = [plan for plan in self._waiting if plan not in self.begun]
        begins = [a_record(training_id=plan.training_id, attempt=plan.attempt) for plan in fresh]
        self._waiting.insert(0, self._waiting.pop())
        return [*begins, *super().poll(seconds)]


@dataclass
class NoMirror:
    """A test double of ``Mirror`` that copies nothing."""

    behind: int = 0
    outage: str | None = None
    error: Exception | None = None
    told: list[int | None] = field(default_factory=list)

    def wake(self, told: int | None = None) -> None:
        self.told.append(told)

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Bench:
    """A store with one study under lease, and drivers on it, one after the other."""

    study: ResolvedStudy
    store: MemoryStore = field(default_factory=MemoryStore)
    mirror: NoMirror = field(default_factory=NoMirror)
    checkpoints: Checkpoints = Checkpoints(Path("no-such-folder"))  # noqa: RUF009 (it is a frozen value)
    seen: list[Progress] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = self.store.acquire_lease(self.study.name, "a test", seconds=600)
        self.begin_sweep("sweep-1")

    def begin_sweep(self, sweep_id: str) -> None:
        generation = self.study.generation
        self.store.register_study(self.lease, StudyRow(self.study.name, self.study.meaning, generation, {}))
        self.sweep = self.store.create_sweep(self.lease, SweepRow(sweep_id, self.study.name, generation))

    def driver(self, executor: ScriptedExecutor, *, stop: Stop | None = None) -> Driver:
        return Driver(
            study=self.study,
            sweep=self.sweep,
            store=self.store,
            lease=self.lease,
            executor=executor,
            checkpoints=self.checkpoints,
            mirror=cast(Mirror, self.mirror),
            stop=stop or Stop(),
            faults=Faults(),
            observe=self.seen.append,
            say=self.said.append,
        )

    def drive(self, script: Script = completed, *, stop: Stop | None = None) -> ScriptedExecutor:
        """One driver to its end; the executor, for what it was given."""
        executor = ScriptedExecutor(script)
        self.driver(executor, stop=stop).run()
        return executor

    @property
    def trials(self) -> Any:
        return self.store.trials(self.study.name, sweep_id=self.sweep.sweep_id)

    def trainings(self, trial: int | None = None) -> list[TrainingRow]:
        rows = self.store.trainings(self.study.name, sweep_id=self.sweep.sweep_id)
        return [row for row in rows if trial in (None, row.trial)]

    def assert_done(self, trials: int) -> None:
        """The budget is used, every training has ended, and the search was told of each trial once."""
        rows = self.trials
        assert len(rows) == trials
        assert all(row.state is not TrialState.RUNNING for row in rows)
        assert all(row.status.is_outcome for row in self.trainings())
        told = Counter(
            event.data["trial"]
            for event in self.store.events(self.study.name)
            if event.kind == "trial_told" and event.sweep_id == self.sweep.sweep_id
        )
        assert told == Counter(row.number for row in rows)


def in_turn(*ends: Script) -> Script:
    """The n-th training to begin ends as the n-th says, and all later ones as the last."""
    left = list(ends)

    def script(plan: TrainingPlan) -> End:
        end = left.pop(0) if len(left) > 1 else left[0]
        return end(plan)

    return script


def late(stop: Stop) -> Script:
    """A training that goes on for ever, and the deadline passes as it begins."""

    def script(_: TrainingPlan) -> End:
        stop._deadline = 0.0
        return Stays()

    return script


def only_sgd(**changes: Any) -> ResolvedStudy:
    """One family, one optimizer: rung 0 is trained at √3 times the peak rate."""
    return a_study(families=("cosine",), optimizers=("sgd",), **changes)

"""What is asked of an executor: by the driver, and by who opens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Busy, Lost, Measured
from lrsweep.records import Crew, Record, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.study import ResolvedStudy


class Executor(Protocol):
    @property
    def free(self) -> int:
        """How many more plans it takes now."""

    @property
    def in_flight(self) -> Sequence[str]:
        """Training ids in the order in which they run."""

    @property
    def busy(self) -> Busy | None:
        """What the slots have done so far; None where no engine has slots."""

    @property
    def device_count(self) -> int:
        """How many devices the sweep has now, for whose time it is charged: GPUs, else machines. It may take seconds
        to find them, and until ``fit`` it is how many are expected. What scripts have, their study says."""

    def submit(self, plan: TrainingPlan) -> None:
        """Takes the plan; what comes of it comes from ``poll``."""

    def stop(self, training_id: str) -> None:
        """The training is to end as ``stopped``, a user's script within its grace; nothing happens if it is not in
        flight."""

    def poll(self, seconds: float) -> list[Record | Lost]:
        """What has come within that time, in order: all that is there, or nothing."""

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        """Lets all trainings save what they have and give way; comes back with what they said by then, in order.

        It takes one step of a training, and of a user's script the grace that the study gives it. What was in flight
        and has no outcome then goes on in another attempt. ``tick`` is called meanwhile, and may raise.
        """

    def close(self) -> None:
        """Ends all engines at once; what was in flight is lost, and it is for the driver to queue it again."""


class OpenedExecutor(Executor, Protocol):
    """With what is asked before there is a driver."""

    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Begins to start engines, which load what the workload needs, and returns at once."""

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        """What the workload says of itself; ``tick`` is called while it loads, and may raise.

        Raises InvalidInput where the study or an option is wrong, SweepFailed where loading fails.
        """

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        """How fast each process of one such crew trains the plans. Nothing may be in flight."""

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Chooses how trainings run side by side, where that is measured, and uses it. Nothing may be in flight."""

    @property
    def pace_factor(self) -> int:
        """How many crews, of which ``measure`` asks one, are expected to train side by side; asked after
        ``describe``."""

    @property
    def far_device(self) -> str | None:
        """What trainings get on other machines, with the models as far as they are known, such as ``cuda (H200)``;
        asked after ``describe``. None: they have this machine's."""

    @property
    def arrangement(self) -> str:
        """How they run, as a user asks for it: ``fused:16x2``."""

"""What the driver asks of an executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Record, TrainingPlan


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

"""A few trainings that no sweep keeps: all of them to their ends, for a command that waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.errors import TryAgain
from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Outcome, Status, TrainingPlan
from lrsweep.study import ResolvedStudy

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Trained:
    curve: Curve
    outcome: Outcome
    device: str
    engine: str


def value_of(study: ResolvedStudy, trained: Trained, horizon: int) -> float | None:
    """By the study's objective; None where it came to none, as where it diverged."""
    if trained.outcome.status is not Status.COMPLETED:
        return None
    return study.objective.value(trained.curve, study.metric, study.direction, horizon)


def train(executor: Executor, plans: Sequence[TrainingPlan]) -> Mapping[str, Trained]:
    """By training id. Raises TryAgain where a process ends meanwhile."""
    waiting, curves, ended = list(plans), {plan.training_id: Curve.empty() for plan in plans}, dict[str, Trained]()
    while len(ended) < len(plans):
        while waiting and executor.free > 0:
            executor.submit(waiting.pop(0))
        for message in executor.poll(POLL_SECONDS):
            if isinstance(message, Lost):
                raise TryAgain(f"the process that trained ended: {message.reason}. Give the same command again.")
            curve = curves[message.training_id] = curves[message.training_id].extended(message)
            if message.outcome is not None:
                ended[message.training_id] = Trained(curve, message.outcome, message.device, message.engine)
    return ended

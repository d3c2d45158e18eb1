"""A training in a slot of the bank: what the sequential engine keeps in its local variables."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lrsweep.engines import divergence
from lrsweep.engines.applied import Applied
from lrsweep.engines.checkpoints import Checkpoint, Checkpoints, generators, identity
from lrsweep.engines.recording import Emit, Recorder
from lrsweep.engines.sequential import evaluation_steps
from lrsweep.records import Curve, Losses, Status, TrainingPlan


class Occupant:
    """From its first update, or the one after its newest checkpoint, to its outcome."""

    def __init__(
        self, plan: TrainingPlan, model: nn.Module, device: torch.device, emit: Emit, engine: str, turn: int
    ) -> None:
        self.plan = plan
        self.turn = turn
        """which one it was to begin in its engine"""
        self.recorder = Recorder(plan, str(device), emit, engine)
        self.applied = Applied(plan)
        self.checkpoints = Checkpoints(plan.checkpoint_url, identity(plan, model))
        self.done = 0
        """updates"""
        self.metrics: dict[str, float] = {}
        """of the last evaluation"""
        self.loss_before = -math.inf
        """the validation loss before the first update, of a training that begins with a checkpoint (``init``)"""
        self._points = evaluation_steps(plan.horizon, plan.evaluations)
        self._next = 0
        self._first_loss = math.nan
        self._val_losses: list[float] = []
        self._generators = generators(device)
        """as the new model leaves them: no fused one draws from them, and the sequential engine asks for them"""

    def begin(self, found: Checkpoint | None) -> None:
        """Now it runs: from its first step, or from where an earlier attempt was."""
        if found is None:
            self.recorder.begin(Curve.empty(), 0.0)
            return
        self.recorder.begin(found.curve, found.seconds)
        self.applied.resume(found.states, found.curve.rates)
        self.done = found.curve.steps
        self._generators = found.generators
        if self.done:
            self._first_loss = float(found.curve.train_losses[0])
        if len(found.curve.evaluation_steps):
            evaluated = int(found.curve.evaluation_steps[-1])
            self._next = sum(point <= evaluated for point in self._points)
            self._val_losses = found.curve.evaluations["val_loss"].tolist()

    @property
    def point(self) -> int:
        """After how many updates it is evaluated next."""
        return self._points[self._next]

    @property
    def is_over(self) -> bool:
        return self._next == len(self._points)

    def add(self, losses: Tensor) -> bool:
        """Sends the losses of the updates since the last call; False where it has diverged, and has ended."""
        if math.isnan(self._first_loss) and len(losses):
            self._first_loss = losses[0].item()
        return self._goes_on(self.recorder.add(losses, self.applied.rates))

    def evaluated(self, metrics: Mapping[str, float]) -> bool:
        """Sends the metrics of the evaluation that was due; False where it has diverged, and has ended."""
        self.recorder.evaluated(metrics)
        self.metrics = dict(metrics)
        self._val_losses.append(metrics["val_loss"])
        self._next += 1
        start = max(self._first_loss, self.loss_before)
        if not self._goes_on(divergence.of_validation_losses(self._val_losses, start, self.done)):
            return False
        self.applied.hear(metrics[self.plan.metric], self.done)
        return True

    @property
    def due(self) -> float:
        """When, by the monotonic clock, its losses are to be sent, or a checkpoint is to be written."""
        return min(self.recorder.due, self.checkpoints.due)

    def save(self, model: nn.Module, optimizer: dict[int, dict[str, Tensor]]) -> None:
        """A checkpoint of all that was sent."""
        recorder = self.recorder
        self.checkpoints.save(
            Checkpoint(
                recorder.seconds, recorder.curve, self.applied.states, model.state_dict(), optimizer, self._generators
            )
        )

    def end(
        self,
        status: Status,
        metrics: Mapping[str, float] | None = None,
        *,
        reason: str | None = None,
        error: str | None = None,
        example_losses: Losses | None = None,
    ) -> None:
        told = self.recorder.outcome(status, metrics, reason=reason, error=error, example_losses=example_losses)
        self.recorder.end(told)

    def _goes_on(self, reason: str | None) -> bool:
        if reason is not None:
            self.end(Status.DIVERGED, reason=reason)
        return reason is None

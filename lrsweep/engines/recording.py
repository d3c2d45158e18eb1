"""What an engine says of a training while it runs: records in order and without gaps, the last with the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from lrsweep.engines import divergence
from lrsweep.records import SEQUENTIAL, Curve, Floats, Losses, Outcome, Record, Status, TrainingPlan

Emit = Callable[[Record], None]

LONGEST_SILENCE = 5.0
"""Seconds without a record. The driver commits a curve every 30 s, and kills an engine that says nothing for long."""


class Recorder:
    """Counts the updates done and sends each new stretch of them as a record."""

    def __init__(self, plan: TrainingPlan, device: str, emit: Emit, engine: str = SEQUENTIAL) -> None:
        self._plan = plan
        self._device = device
        self._engine = engine
        self._emit = emit
        self._begun_at = time.monotonic()
        self._curve = Curve.empty()
        self._unjoined: list[Record] = []
        self.due = 0.0
        """when, by the monotonic clock, the driver must hear of the steps done, or it commits too little"""
        self.steps = 0
        """of which the losses have been sent"""

    @property
    def curve(self) -> Curve:
        """All that was sent; joined only when it is asked for, because that copies it."""
        for record in self._unjoined:
            self._curve = self._curve.extended(record)
        self._unjoined.clear()
        return self._curve

    @property
    def seconds(self) -> float:
        """Of training, those of the attempts that this one goes on from with them."""
        return time.monotonic() - self._begun_at

    def begin(self, curve: Curve, seconds: float) -> None:
        """What an earlier attempt has done, from step 0 on; nothing at all in a first one. Now it runs."""
        self._begun_at -= seconds
        self._send(0, curve.rates, curve.train_losses, curve.evaluation_steps.tolist(), curve.evaluations)
        self.steps = curve.steps

    def add(self, new: Tensor, rates: Sequence[float]) -> str | None:
        """Sends the training losses of the updates since the last call; the reason where it has diverged.

        ``rates`` are those of all steps: what was applied so far, and what is to come.

        This copies from the device to the host: at an evaluation, and every few seconds.
        """
        stretch = new.cpu().double().numpy()
        finite = np.isfinite(stretch)
        reason = None
        if not finite.all():
            stretch = stretch[: int(np.argmin(finite)) + 1]
            reason = divergence.of_training_loss(float(stretch[-1]), self.steps + len(stretch) - 1)
        begin, self.steps = self.steps, self.steps + len(stretch)
        self._send(begin, np.array(rates[begin : self.steps]), stretch)
        return reason

    def evaluated(self, evaluation: Mapping[str, float]) -> None:
        """Sends the values after the steps so far."""
        values = {name: np.array([value]) for name, value in evaluation.items()}
        self._send(self.steps, np.empty(0), np.empty(0), [self.steps], values)

    def outcome(
        self,
        status: Status,
        metrics: Mapping[str, float] | None = None,
        *,
        reason: str | None = None,
        error: str | None = None,
        example_losses: Losses | None = None,
    ) -> Outcome:
        return Outcome(status, self.steps, self.seconds, metrics or {}, error, reason, example_losses)

    def end(self, outcome: Outcome) -> None:
        self._send(self.steps, np.empty(0), np.empty(0), outcome=outcome)

    def _send(
        self,
        begin: int,
        rates: Floats,
        losses: Floats,
        evaluation_steps: Sequence[int] = (),
        evaluations: Mapping[str, Floats] | None = None,
        *,
        outcome: Outcome | None = None,
    ) -> None:
        record = Record(
            training_id=self._plan.training_id,
            attempt=self._plan.attempt,
            device=self._device,
            first_step=begin,
            rates=rates,
            train_losses=losses,
            evaluation_steps=np.array(evaluation_steps, dtype=np.int64),
            evaluations=evaluations or {},
            outcome=outcome,
            engine=self._engine,
        )
        self._emit(record)
        self._unjoined.append(record)
        self.due = time.monotonic() + LONGEST_SILENCE

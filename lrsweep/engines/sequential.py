"""The sequential engine: one training after the other, readable from top to bottom. It is the meaning of a plan."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lrsweep.records import Floats, OptimizerSpec, Outcome, Record, Status, TrainingPlan
from lrsweep.workloads.base import Workload

Emit = Callable[[Record], None]

LONGEST_SILENCE = 5.0
"""Seconds without a record. The driver commits a curve every 30 s, and kills an engine that says nothing for long."""
CLOCK_EVERY = 16
"""Steps between two looks at the clock, so that they cost nothing."""

EXPLODED_FACTOR = 4.0
EXPLODED_EVALUATIONS = 3
"""A validation loss above 4 times the first training loss, 3 evaluations in a row, does not come back in time."""


def train(plan: TrainingPlan, workload: Workload, emit: Emit) -> None:
    """Runs the plan from its first step; the last record it emits has the outcome. Exceptions become ``failed``.

    A training diverges when a training or validation loss is not finite, or when the validation loss has exploded.
    """
    begin = time.perf_counter()
    recorder = _Recorder(plan, str(workload.device), emit)
    try:
        recorder.begin()
        status, metrics = _train(plan, workload, recorder)
        error = None
    except Exception:
        status, metrics, error = Status.FAILED, {}, traceback.format_exc()
    recorder.end(Outcome(status, recorder.steps, time.perf_counter() - begin, metrics, error))


def _train(plan: TrainingPlan, workload: Workload, recorder: _Recorder) -> tuple[Status, dict[str, float]]:
    model = workload.model(plan.seed)
    optimizer = make_optimizer(plan.optimizer, model.parameters())
    applied = _Applied(plan)
    losses = torch.empty(plan.horizon, dtype=torch.float32, device=workload.device)
    exploded = 0
    search: dict[str, float] = {}

    done = 0
    for point in evaluation_steps(plan.horizon, plan.evaluations):
        for step in range(done, point):
            for group in optimizer.param_groups:
                group["lr"] = applied.rates[step]
                if applied.momenta is not None:
                    set_momentum(group, applied.momenta[step])
            inputs, targets = workload.batch(plan.seed, step)
            loss = workload.loss(model(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses[step] = loss.detach()
            if step % CLOCK_EVERY == 0 and recorder.is_due() and not recorder.add(losses[: step + 1], applied.rates):
                return Status.DIVERGED, {}

        if not recorder.add(losses[:point], applied.rates):
            return Status.DIVERGED, {}
        search = {f"val_{name}": value for name, value in workload.evaluate(model, "search").items()}
        recorder.evaluated(search)
        exploded = exploded + 1 if search["val_loss"] > EXPLODED_FACTOR * losses[0].item() else 0
        if exploded == EXPLODED_EVALUATIONS or not math.isfinite(search["val_loss"]):
            return Status.DIVERGED, {}
        applied.hear(search[plan.metric], point)
        done = point

    decide = {f"decide_{name}": value for name, value in workload.evaluate(model, "decide").items()}
    return Status.COMPLETED, search | decide


class _Applied:
    """What the plan's schedule gives each step: known before the first one, or changed by what it hears."""

    def __init__(self, plan: TrainingPlan) -> None:
        self._course = plan.schedule.course(plan.horizon)
        self._states = self._course.begin()
        self._peak_lr = plan.peak_lr
        # lists: an element of a numpy array would cost a conversion at each step
        self.rates = self._rates(0)
        momenta = plan.schedule.momenta(plan.horizon)
        self.momenta: list[float] | None = None if momenta is None else momenta.tolist()

    def hear(self, metric: float, done: int) -> None:
        """An evaluation after ``done`` updates: a reactive schedule may change the rates from there on."""
        if self._course.reactors:
            self._states = self._course.heard(self._states, metric, done)
            self.rates[done:] = self._rates(done)

    def _rates(self, begin: int) -> list[float]:
        """Of the steps from ``begin`` on, as far as metrics are known now."""
        factors = self._course.factors(self._states, begin, self._course.total_steps)
        rates: list[float] = (self._peak_lr * factors).tolist()
        return rates


class _Recorder:
    """Counts the updates done and sends each new stretch of them as a record."""

    def __init__(self, plan: TrainingPlan, device: str, emit: Emit) -> None:
        self._plan = plan
        self._device = device
        self._emit = emit
        self._sent_at = time.monotonic()
        self.steps = 0

    def begin(self) -> None:
        """An empty record: now it runs, and no longer waits."""
        self._send(self.steps, np.empty(0), np.empty(0), {})

    def is_due(self) -> bool:
        """Whether the driver has heard nothing for so long that it may commit too little, or think that we hang."""
        return time.monotonic() - self._sent_at > LONGEST_SILENCE

    def add(self, losses: Tensor, rates: Sequence[float]) -> bool:
        """Sends what is new among ``losses``, the training losses so far; False where one of them is not finite.

        ``rates`` are those of all steps: what was applied so far, and what is to come.

        This copies from the device to the host: at an evaluation, and every few seconds.
        """
        stretch = losses[self.steps :].cpu().double().numpy()
        finite = np.isfinite(stretch)
        if not finite.all():
            stretch = stretch[: int(np.argmin(finite)) + 1]
        begin, self.steps = self.steps, self.steps + len(stretch)
        self._send(begin, np.array(rates[begin : self.steps]), stretch, {})
        return bool(finite.all())

    def evaluated(self, evaluation: Mapping[str, float]) -> None:
        """Sends the values after the steps so far."""
        self._send(self.steps, np.empty(0), np.empty(0), evaluation)

    def end(self, outcome: Outcome) -> None:
        self._send(self.steps, np.empty(0), np.empty(0), {}, outcome)

    def _send(
        self,
        begin: int,
        rates: Floats,
        losses: Floats,
        evaluation: Mapping[str, float],
        outcome: Outcome | None = None,
    ) -> None:
        end = begin + len(losses)
        self._emit(
            Record(
                training_id=self._plan.training_id,
                attempt=self._plan.attempt,
                device=self._device,
                first_step=begin,
                rates=rates,
                train_losses=losses,
                evaluation_steps=np.array([end] if evaluation else [], dtype=np.int64),
                evaluations={name: np.array([value]) for name, value in evaluation.items()},
                outcome=outcome,
            )
        )
        self._sent_at = time.monotonic()


def warm_up(workload: Workload) -> None:
    """One step for nothing: PyTorch imports 900 modules at the first, which takes seconds that are no training's."""
    model = workload.model(0)
    optimizer = make_optimizer(OptimizerSpec("sgd", {"momentum": 0.0, "weight_decay": 0.0}), model.parameters())
    inputs, targets = workload.batch(0, 0)
    workload.loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def evaluation_steps(horizon: int, evaluations: int) -> list[int]:
    """After how many updates to evaluate: evenly spaced, the last one at the end; fewer where the steps are fewer.

    >>> evaluation_steps(600, 20)[:3], evaluation_steps(200, 20)[-1], evaluation_steps(3, 20)
    ([30, 60, 90], 200, [1, 2, 3])
    """
    return sorted({max(1, horizon * k // evaluations) for k in range(1, evaluations + 1)})


def make_optimizer(spec: OptimizerSpec, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """PyTorch's own optimizer in its fused form; rates, and momenta that cycle, are overwritten before every update."""
    settings = spec.settings
    if spec.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=0.0,
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )
    if spec.name == "adamw":
        return torch.optim.AdamW(
            parameters,
            lr=0.0,
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["eps"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )
    raise ValueError(f"no engine knows the optimizer {spec.name!r}; there are 'sgd' and 'adamw'")


def set_momentum(group: MutableMapping[str, Any], momentum: float) -> None:
    """The momentum of SGD, and what plays its part in Adam: the first beta."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum

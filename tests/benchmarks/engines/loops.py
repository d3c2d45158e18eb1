"""Trainings one after the other: the loops that one writes oneself, and lrsweep's engine.

Each trains plans of one problem, with the evaluations that a sweep has, and asks its clock after every update whether
to go on. The loops keep one loss per update and look at them at the end; nothing is checked and nothing is sent.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lrsweep.engines import graphed, sequential
from lrsweep.engines.sequential import evaluation_steps
from lrsweep.records import EVALUATIONS_PER_TRAINING, EngineSettings, OptimizerSpec, Record, Status, TrainingPlan
from lrsweep.schedules import schedule
from tests.benchmarks.engines.arrangements import Way
from tests.benchmarks.engines.problem import RECIPES, Opened
from tests.benchmarks.engines.rungs import CannotRun

WARM_UP_UPDATES = 5


@dataclass(frozen=True)
class Counted:
    """What was done while the clock ran."""

    updates: int
    """of single trainings"""
    seconds: float


class Trainer(Protocol):
    """One way to train, in one process."""

    def begin(self, horizon: int) -> None:
        """All that is to be done before a clock starts. Raises CannotRun where this machine cannot do it."""

    def run(self, seconds: float) -> Counted: ...


class Clock:
    """Is asked after every update of a single training."""

    def __init__(self, seconds: float = float("inf"), updates: float = float("inf")) -> None:
        self._begin = time.perf_counter()
        self._end = self._begin + seconds
        self._most = updates
        self.updates = 0

    def is_over(self) -> bool:
        self.updates += 1
        return self.updates >= self._most or time.perf_counter() >= self._end

    def counted(self, device: torch.device) -> Counted:
        """The device may be behind the host, and its work counts only when it is done."""
        synchronize(device)
        return Counted(self.updates, time.perf_counter() - self._begin)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


IsOver = Callable[[], bool]
Training = Callable[[TrainingPlan, IsOver], bool]
"""Trains the plan until its end (False), or until the clock says so (True)."""


class Plans:
    """Trainings of one problem without end: every one with a seed of its own, the recipes in turn."""

    def __init__(self, opened: Opened, recipes: Sequence[str], first_seed: int) -> None:
        self._opened = opened
        self._recipes = recipes
        self._numbers = itertools.count(first_seed)

    def next(
        self, horizon: int, evaluations: int = EVALUATIONS_PER_TRAINING, *, compiled: bool = False
    ) -> TrainingPlan:
        number = next(self._numbers)
        optimizer, peak_lr = RECIPES[self._recipes[number % len(self._recipes)]]
        return TrainingPlan(
            training_id=f"many-{number}",
            attempt=1,
            workload=self._opened.problem.spec(self._opened.device),
            schedule=schedule("cosine"),
            peak_lr=peak_lr,
            optimizer=optimizer,
            horizon=horizon,
            seed=number,
            evaluations=min(evaluations, horizon),
            engine=EngineSettings(compile=compiled),
        )


class OneByOne:
    def __init__(self, training: Training, plans: Plans, device: torch.device) -> None:
        self._training = training
        self._plans = plans
        self._device = device
        self._horizon = 0

    def begin(self, horizon: int) -> None:
        self._horizon = horizon
        for _ in RECIPES:  # each optimizer makes its state, and a graph is recorded for each
            self._training(self._plans.next(horizon, horizon), Clock(updates=WARM_UP_UPDATES).is_over)
        synchronize(self._device)

    def run(self, seconds: float) -> Counted:
        clock = Clock(seconds)
        while not self._training(self._plans.next(self._horizon), clock.is_over):
            pass
        return clock.counted(self._device)


def training_by(way: Way, opened: Opened) -> Training:
    match way:
        case Way.DATALOADER:
            return partial(tutorial, opened)
        case Way.FOR_LOOP:
            return partial(eager, opened, foreach=False, fused=False)
        case Way.FOREACH:
            return partial(eager, opened, foreach=True)
        case Way.TORCH_FUSED:
            return partial(eager, opened, fused=True)
        case Way.GRAPH:
            return GraphOfOne(opened)
        case Way.ENGINE:
            return partial(engine, opened, EngineSettings())
        case Way.ENGINE_GRAPHS:
            if opened.device.type != "cuda":
                raise CannotRun("a CUDA graph needs a GPU")
            return partial(engine, opened, EngineSettings(graphs=True))
        case _:
            raise ValueError(f"{way} does not train one after the other")


def torch_optimizer(spec: OptimizerSpec, parameters: Iterator[nn.Parameter], **how: Any) -> torch.optim.Optimizer:
    settings = spec.settings
    if spec.name == "sgd":
        how.pop("capturable", None)  # it always is
        return torch.optim.SGD(parameters, **{"lr": 0.0, "momentum": settings["momentum"], **how})
    betas = settings["beta1"], settings["beta2"]
    return torch.optim.AdamW(
        parameters,
        **{"lr": 0.0, "betas": betas, "eps": settings["eps"], "weight_decay": settings["weight_decay"], **how},
    )


def eager(opened: Opened, plan: TrainingPlan, is_over: IsOver, **how: bool) -> bool:
    """Data on the device, and one look at the losses: after the last update."""
    workload = opened.workload
    model = workload.model(plan.seed)
    optimizer = torch_optimizer(plan.optimizer, model.parameters(), **how)
    rates = rates_of(plan)
    points = set(evaluation_steps(plan.horizon, plan.evaluations))
    losses = torch.empty(plan.horizon, device=opened.device)
    for step in range(plan.horizon):
        optimizer.param_groups[0]["lr"] = rates[step]
        inputs, targets = workload.batch(plan.seed, step)
        loss = workload.loss(model(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses[step] = loss.detach()
        if step + 1 in points:
            workload.evaluate(model, "search")
        if is_over():
            return True
    losses.tolist()
    return False


def tutorial(opened: Opened, plan: TrainingPlan, is_over: IsOver) -> bool:
    """As tutorials write it: batches from host memory, and the device waits for the host at every step."""
    workload, device = opened.workload, opened.device
    loader = DataLoader(opened.dataset, workload.facts.batch_size, shuffle=True, drop_last=True)
    model = workload.model(plan.seed)
    optimizer = torch_optimizer(plan.optimizer, model.parameters())
    rates = rates_of(plan)
    points = set(evaluation_steps(plan.horizon, plan.evaluations))
    losses: list[float] = []
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for rate, (inputs, targets) in zip(rates, batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = workload.loss(model(inputs.to(device)), targets.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        if len(losses) in points:
            workload.evaluate(model, "search")
        if is_over():
            return True
    return False


def engine(opened: Opened, settings: EngineSettings, plan: TrainingPlan, is_over: IsOver) -> bool:
    """``lrsweep.engines.sequential``: with divergence rules and records, and an evaluation more, on the other half."""
    outcomes: list[Status] = []

    def keep(record: Record) -> None:
        if record.outcome is not None:
            check(record)
            outcomes.append(record.outcome.status)

    sequential.train(replace(plan, engine=settings), opened.workload, keep, stopped=is_over)
    return outcomes == [Status.STOPPED]


def check(record: Record) -> None:
    """A training that fails or explodes is fast for nothing."""
    outcome = record.outcome
    if outcome is not None and outcome.status in (Status.FAILED, Status.DIVERGED):
        said = outcome.error or outcome.reason or "it gives no reason"
        raise CannotRun(f"a training is {outcome.status}: {said.strip().splitlines()[-1]}")


class GraphOfOne:
    """Forward, backward and update of one training as a CUDA graph, recorded once per optimizer; a new training is
    written into the same tensors."""

    def __init__(self, opened: Opened) -> None:
        if opened.device.type != "cuda":
            raise CannotRun("a CUDA graph needs a GPU")
        self._opened = opened
        self._recorded: dict[str, Recorded] = {}

    def __call__(self, plan: TrainingPlan, is_over: IsOver) -> bool:
        workload = self._opened.workload
        name = plan.optimizer.name
        if name not in self._recorded:
            self._recorded[name] = Recorded(self._opened, plan.optimizer)
        one = self._recorded[name]
        one.reset(plan.seed)
        rates = torch.tensor(rates_of(plan), device=self._opened.device)
        points = set(evaluation_steps(plan.horizon, plan.evaluations))
        losses = torch.empty(plan.horizon, device=self._opened.device)
        for step in range(plan.horizon):
            one.rate.copy_(rates[step])
            for static, new in zip((one.inputs, one.targets), workload.batch(plan.seed, step), strict=True):
                static.copy_(new)
            one.graph.replay()
            losses[step] = one.loss
            if step + 1 in points:
                workload.evaluate(one.model, "search")
            if is_over():
                return True
        losses.tolist()
        return False


class Recorded:
    """A model and its optimizer, and their update as a graph: alone, or as a branch of a larger one."""

    def __init__(self, opened: Opened, optimizer: OptimizerSpec, *, alone: bool = True) -> None:
        self._workload = workload = opened.workload
        self.model = workload.model(0)
        self.rate = torch.zeros((), device=opened.device)
        self._optimizer = torch_optimizer(optimizer, self.model.parameters(), lr=self.rate, fused=True, capturable=True)
        self.inputs, self.targets = (each.clone() for each in workload.batch(0, 0))
        self.loss = torch.empty(0)
        stream = graphed.first_updates_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(graphed.EAGER_UPDATES):  # gradients, state and handles are made outside of a recording
                self.update()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        if alone:
            with torch.cuda.graph(self.graph):
                self.update()

    def update(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        loss: Tensor = self._workload.loss(self.model(self.inputs), self.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.loss = loss.detach()

    def reset(self, seed: int) -> None:
        """A new training, in the same tensors."""
        self.model.load_state_dict(self._workload.model(seed).state_dict())
        for state in self._optimizer.state.values():
            for each in state.values():
                if isinstance(each, Tensor):
                    each.zero_()


def rates_of(plan: TrainingPlan) -> list[float]:
    rates: list[float] = plan.schedule.rates(plan.horizon, plan.peak_lr).tolist()
    return rates

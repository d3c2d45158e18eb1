"""The ladder: one training, from a tutorial's loop to the whole update as one CUDA graph, and by lrsweep's engine.

A rung trains a new model for so many updates and says how long that took, from the empty hands to the last loss on the
host; evaluations are not on its clock. All start from the same weights, take the same batches (the tutorial's loop,
when it does not shuffle, in the first epoch) and follow the same rates, so their losses can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from lrsweep.engines.sequential import train
from lrsweep.records import EngineSettings, Record, Status, TrainingPlan
from lrsweep.schedules import schedule
from tests.benchmarks.engines.problem import OPTIMIZER, PEAK_LR, SEED, Opened

GRAPH_WARM_UP = 3
"""Updates before a capture: cuDNN chooses its kernels, and the optimizer makes its state."""


class CannotRun(Exception):
    """Why a rung is not there on this machine."""


@dataclass(frozen=True)
class Training:
    losses: list[float]
    """one per update"""
    seconds: float


@dataclass(frozen=True)
class Rung:
    name: str
    about: str
    run: Callable[[Opened, int, bool], Training]
    """of the problem, the updates, and whether the tutorial's loop shuffles"""


def tutorial(opened: Opened, steps: int, shuffle: bool) -> Training:
    """As PyTorch's tutorials write it: the device waits for the host at every step, and the host for the device."""
    device = opened.device
    loader = DataLoader(opened.dataset, opened.workload.facts.batch_size, shuffle=shuffle, drop_last=True)
    begin = time.perf_counter()
    model = opened.workload.model(SEED)
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK_LR, momentum=OPTIMIZER.settings["momentum"])
    scheduler = CosineAnnealingLR(optimizer, T_max=steps)
    criterion = nn.CrossEntropyLoss()
    losses: list[float] = []
    while len(losses) < steps:
        for batch in loader:
            inputs, targets = (each.to(device) for each in batch)
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
    return Training(losses, time.perf_counter() - begin)


def resident(opened: Opened, steps: int, _shuffle: bool, *, compile_model: bool = False) -> Training:
    """Data on the device, a fused optimizer, and one look at the losses: after the last update."""
    workload = opened.workload
    begin = time.perf_counter()
    rates = _rates(steps)
    model = workload.model(SEED)
    forward = torch.compile(model) if compile_model else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=OPTIMIZER.settings["momentum"], fused=True)
    losses = torch.empty(steps, device=opened.device)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rates[step]
        inputs, targets = workload.batch(SEED, step)
        loss = workload.loss(forward(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses[step] = loss.detach()
    return Training(losses.tolist(), time.perf_counter() - begin)


def compiled(opened: Opened, steps: int, shuffle: bool) -> Training:
    """``torch.compile`` writes C++ or Triton, and needs a compiler for it."""
    try:
        return resident(opened, steps, shuffle, compile_model=True)
    except TorchDynamoException as error:
        raise CannotRun(f"torch.compile: {str(error).strip().splitlines()[0]}") from error


def graphed(opened: Opened, steps: int, _shuffle: bool) -> Training:
    """Forward, backward and update are recorded once and then started by one call; the capture is on the clock."""
    workload = opened.workload
    if opened.device.type != "cuda":
        raise CannotRun("a CUDA graph needs a GPU")
    begin = time.perf_counter()
    rates = torch.tensor(_rates(steps), device=opened.device)
    rate = torch.zeros((), device=opened.device)
    model = workload.model(SEED)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=OPTIMIZER.settings["momentum"], fused=True)
    inputs, targets = (each.clone() for each in workload.batch(SEED, 0))

    def update() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = workload.loss(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    side = torch.cuda.Stream(opened.device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(opened.device))
    with torch.cuda.stream(side):
        for _ in range(GRAPH_WARM_UP):  # at rate 0 the weights stay; only the momentum is to be put back
            update()
    torch.cuda.current_stream(opened.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured_loss = update()
    for state in optimizer.state.values():
        state["momentum_buffer"].zero_()

    losses = torch.empty(steps, device=opened.device)
    for step in range(steps):
        rate.copy_(rates[step])
        next_inputs, next_targets = workload.batch(SEED, step)
        inputs.copy_(next_inputs)
        targets.copy_(next_targets)
        graph.replay()
        losses[step] = captured_loss
    return Training(losses.tolist(), time.perf_counter() - begin)


def engine(opened: Opened, steps: int, _shuffle: bool, *, settings: EngineSettings) -> Training:
    """``lrsweep.engines.sequential``, with all that belongs to it: divergence rules, records, the clock."""
    plan = TrainingPlan(
        training_id="ladder",
        attempt=1,
        workload=opened.problem.spec(opened.device),
        schedule=schedule("cosine"),
        peak_lr=PEAK_LR,
        optimizer=OPTIMIZER,
        horizon=steps,
        seed=SEED,
        evaluations=1,
        engine=settings,
    )
    losses: list[float] = []
    finished = begin = time.perf_counter()

    def keep(record: Record) -> None:
        nonlocal finished
        losses.extend(record.train_losses.tolist())
        if len(record.train_losses) and len(losses) == steps:
            finished = time.perf_counter()
        if record.outcome is not None and record.outcome.status is not Status.COMPLETED:
            said = record.outcome.error or record.outcome.reason or "it gives no reason"
            raise CannotRun(f"the engine's training is {record.outcome.status}: {said.strip().splitlines()[-1]}")

    train(plan, opened.workload, keep)
    return Training(losses, finished - begin)


def _rates(steps: int) -> list[float]:
    rates: list[float] = schedule("cosine").rates(steps, PEAK_LR).tolist()
    return rates


TUTORIAL, RESIDENT = "tutorial", "resident"

RUNGS = (
    Rung(TUTORIAL, "DataLoader, .item() at every step, PyTorch's own scheduler", tutorial),
    Rung(RESIDENT, "data on the device, eager, fused optimizer, one look at the losses", resident),
    Rung("compiled", "the same, the model by torch.compile", compiled),
    Rung("graphed", "the whole update as one CUDA graph", graphed),
    Rung("lrsweep", "lrsweep's sequential engine", partial(engine, settings=EngineSettings())),
    Rung("lrsweep compiled", "the same, compile = true", partial(engine, settings=EngineSettings(compile=True))),
    Rung("lrsweep graphed", "the same, graphs = true", partial(engine, settings=EngineSettings(graphs=True))),
)

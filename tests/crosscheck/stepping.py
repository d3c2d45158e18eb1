"""PyTorch optimizers and schedulers, stepped as in a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from lrsweep.schedules.course import Floats
from tests.crosscheck.compare import PEAK

Build = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def an_optimizer(*peaks: float, momentum: float = 0.9) -> torch.optim.Optimizer:
    """SGD with one parameter group per peak; one of ``PEAK`` unless others are given."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": peak} for peak in peaks or (PEAK,)]
    return torch.optim.SGD(groups, lr=(peaks or (PEAK,))[0], momentum=momentum)


def rate_of(optimizer: torch.optim.Optimizer, group: int = 0) -> float:
    return float(optimizer.param_groups[group]["lr"])


def stepped(build: Build, *, asked: str = "lr") -> Callable[[int], Floats]:
    """The rates (or the momenta) of the first so many updates, when the scheduler is stepped after each."""

    def first(count: int) -> Floats:
        optimizer = an_optimizer()
        scheduler = build(optimizer)
        found = []
        for step in range(count):
            found.append(float(optimizer.param_groups[0][asked]))
            optimizer.step()
            if step < count - 1:  # OneCycleLR refuses a step after its last
                scheduler.step()
        return np.array(found)

    return first


def heard(build: Callable[[torch.optim.Optimizer], Any], metrics: Sequence[float], steps_between: int) -> Floats:
    """The rate of every update when a metric-driven scheduler is stepped with each metric, after so many updates."""
    optimizer = an_optimizer()
    scheduler = build(optimizer)
    rates = []
    for metric in metrics:
        for _ in range(steps_between):
            rates.append(rate_of(optimizer))
            optimizer.step()
        scheduler.step(metric)
    return np.array(rates)

"""Small optimizers for tests of the PyTorch bridge, and what they hold at each update of a training."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import torch

Seen = list[dict[str, float]]
"""What the groups of an optimizer hold at one update."""


def parameter(size: int = 2) -> torch.nn.Parameter:
    """With a gradient of ones, so that an update of any optimizer moves it."""
    made = torch.nn.Parameter(torch.zeros(size))
    made.grad = torch.ones(size)
    return made


def sgd(*groups: dict[str, Any], **options: Any) -> torch.optim.SGD:
    """One parameter for each group; without groups, one group with the options."""
    return torch.optim.SGD([{"params": [parameter()], **group} for group in (groups or ({},))], **options)


def adamw(*groups: dict[str, Any], **options: Any) -> torch.optim.AdamW:
    """The same for AdamW."""
    return torch.optim.AdamW([{"params": [parameter()], **group} for group in (groups or ({},))], **options)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """The rate of each group."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def seen(optimizer: torch.optim.Optimizer) -> Seen:
    """Rate, momentum and weight decay of each group, as far as it has them."""
    found = []
    for group in optimizer.param_groups:
        held = {key: float(group[key]) for key in ("lr", "momentum", "weight_decay") if key in group}
        found.append(held | ({"beta1": float(group["betas"][0])} if "betas" in group else {}))
    return found


def updates(optimizer: torch.optim.Optimizer, scheduler: Any, metrics: Sequence[float | None]) -> Iterator[Seen]:
    """A training of as many updates as there are metrics; None is an update without an evaluation."""
    for metric in metrics:
        optimizer.step()
        yield seen(optimizer)
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)


def through_a_file(state: Any) -> Any:
    """What ``torch.load`` reads back of a checkpoint, with nothing but plain data allowed in it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)

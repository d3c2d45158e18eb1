"""A schedule from the name and the arguments of one of PyTorch's schedulers, as a study file has them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import lr_scheduler as theirs

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.integrations.from_torch import rates_from_torch, schedule_from_torch
from lrsweep.schedules import Schedule


def schedule_by_name(name: str, arguments: Mapping[str, Any], lr: float, total_steps: int) -> tuple[Schedule, float]:
    """The schedule that the scheduler gives an optimizer with this rate, stepped after each update, and its peak rate.

    >>> schedule_by_name("ExponentialLR", {"gamma": 0.5}, 0.4, total_steps=3)
    (lrsweep.schedule('table', values=(1.0, 0.5, 0.25)), 0.4)
    """
    kind = _kind(name)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    try:
        scheduler = kind(optimizer, **arguments)
    except (TypeError, ValueError, AttributeError) as refused:
        takes = [each for each in inspect.signature(kind).parameters if each != "optimizer"]
        raise ScheduleError(
            f"torch.optim.lr_scheduler.{name} cannot be made of {dict(arguments)!r}: {refused}. It takes "
            f"{', '.join(takes)}, and counts updates."
        ) from refused
    found = schedule_from_torch(scheduler, total_steps)
    assert isinstance(found, Schedule), "the optimizer has one group"
    return found, lr if found.needs_metric else float(rates_from_torch(scheduler, total_steps).max())


def _kind(name: str) -> type[theirs.LRScheduler]:
    known = {
        each: kind
        for each, kind in vars(theirs).items()
        if inspect.isclass(kind) and issubclass(kind, theirs.LRScheduler) and kind is not theirs.LRScheduler
    }
    if name.startswith("_") or name not in known:
        names = sorted(each for each in known if not each.startswith("_"))
        raise ScheduleError(
            f"torch.optim.lr_scheduler has no {name!r}.{did_you_mean(name, names)} It has {', '.join(names)}."
        )
    return known[name]

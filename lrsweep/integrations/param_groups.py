"""An optimizer's parameter groups: what is read from them, and what is written into them in place.

A rate may be a tensor, which ``capturable`` optimizers, CUDA graphs and compiled steps read by its address. So a tensor
is never replaced but once, when two groups share one; after that it is only filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from reprlib import repr as shortened
from typing import Any

from torch import Tensor, no_grad
from torch.optim import Optimizer

Group = dict[str, Any]

RATE = "lr"
WEIGHT_DECAY = "weight_decay"
MOMENTUM = "momentum"
BETAS = "betas"
WRITTEN = (RATE, WEIGHT_DECAY, MOMENTUM, BETAS)

PEAK = "initial_lr"
"""PyTorch's own name for the rate that a scheduler begins with; it travels in the optimizer's state."""
WEIGHT_DECAY_PEAK = "initial_weight_decay"
OWN_MOMENTUM = "initial_momentum"
"""What a group had before a schedule moved it; both travel in the optimizer's state too."""


def as_float(given: object) -> float:
    """A number or a tensor with one element, as a float; NaN for anything else."""
    if isinstance(given, Tensor):
        return float(given.item()) if given.numel() == 1 else math.nan
    return float(given) if isinstance(given, Real) and not isinstance(given, bool) else math.nan


def name_of(group: Group) -> str | None:
    name = group.get("name")
    return name if isinstance(name, str) else None


def told_names(groups: Sequence[Group]) -> str:
    """The names of groups for a message, with the place of one that has none."""
    names = [name_of(group) for group in groups]
    return ", ".join(f"(no name: group {place})" if name is None else repr(name) for place, name in enumerate(names))


def momentum_key(group: Group) -> str | None:
    """Where a group has its momentum: SGD's own, or Adam's beta1."""
    return next((key for key in (MOMENTUM, BETAS) if key in group), None)


def write(group: Group, key: str, value: float) -> None:
    """Sets one number of a group; a tensor is filled, which on a GPU does not wait for it."""
    old = _held(group, key)
    if isinstance(old, Tensor):
        with no_grad():
            old.fill_(value)
    else:
        _hold(group, key, value)


def keep_own(group: Group, key: str, own: str) -> None:
    """Remembers a number of the group before a schedule moves it."""
    group.setdefault(own, as_float(_held(group, key)))


def give_back_own(group: Group, key: str | None, own: str) -> None:
    """What a schedule has moved, and this one does not, is again what it was: else it would stay as it stood there."""
    if key is not None and own in group:
        write(group, key, group.pop(own))


def give_own_tensors(optimizer: Optimizer) -> None:
    """No group then shares a tensor with another group, nor with the optimizer's defaults.

    Optimizers give one ``lr`` tensor to all their groups and keep it as the default of later ones. The first group
    keeps that tensor, so that an address which somebody has taken stays good.
    """
    for key in WRITTEN:
        taken: list[Tensor] = []
        for holder in (*optimizer.param_groups, optimizer.defaults):
            held = _held(holder, key)
            if not isinstance(held, Tensor):
                continue
            if any(_same_memory(held, other) for other in taken):
                _hold(holder, key, held.detach().clone())
            else:
                taken.append(held)


def _held(holder: Group, key: str) -> Any:
    held = holder.get(key)
    return held[0] if key == BETAS and held is not None else held


def _hold(holder: Group, key: str, value: Any) -> None:
    holder[key] = (value, *holder[BETAS][1:]) if key == BETAS else value


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.device == other.device and one.data_ptr() == other.data_ptr() != 0)


def told(value: object) -> str:
    """A value from a group or from the user, for a message."""
    return f"{as_float(value):g}" if isinstance(value, Tensor) and value.numel() == 1 else shortened(value)

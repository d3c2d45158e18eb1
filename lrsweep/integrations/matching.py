"""A PyTorch optimizer and the one that a choice was found with: the same class, settings that differ, and a new one.

    missed_class(spec, optimizer)       a sentence, where the optimizer is of another class
    differing(spec, optimizer)          a sentence for each setting that is not as it was
    scales_of(optimizer)                what each group's rate is, as a multiple of the optimizer's
    new_optimizer(spec, params, lr)     PyTorch's own, with the settings

What PyTorch has no name for, as a script's own optimizer, is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any, TypeGuard

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lrsweep.errors import InvalidInput
from lrsweep.integrations.param_groups import (
    BETAS,
    MOMENTUM,
    OWN_MOMENTUM,
    PEAK,
    RATE,
    WEIGHT_DECAY,
    WEIGHT_DECAY_PEAK,
    Group,
    as_float,
    told,
)
from lrsweep.records import OptimizerSpec

CLASSES: Mapping[str, Any] = {
    "sgd": torch.optim.SGD,
    "sgd_plain": torch.optim.SGD,
    "sgd_dampened": torch.optim.SGD,
    "nesterov": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
FLAGS: Mapping[type[Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("nesterov", "maximize"),
    torch.optim.RMSprop: ("centered", "maximize"),
    torch.optim.Adam: ("amsgrad", "maximize"),
    torch.optim.AdamW: ("amsgrad", "maximize"),
}
"""Settings that no study searches; false but for ``nesterov``."""
SCALE = "lr_scale"
"""In a parameter group: its rate as a multiple of the optimizer's. Exported code reads the same key."""
NEARLY = 1e-9
"""Settings closer than this, relatively, are the same: 0.9 may have been float32 on its way."""


WANTED = "wanted are the parameters, model.parameters(), or a list of groups such as {'params': model.parameters()}"


def is_optimizer(given: object) -> TypeGuard[Optimizer]:
    return isinstance(given, Optimizer)


def missed_class(spec: OptimizerSpec, optimizer: object) -> str | None:
    """Where the optimizer is not of the choice's class: what was found with which, and what was given."""
    wanted = CLASSES.get(spec.name)
    given = _unwrapped(optimizer)
    if wanted is None or _kind(given) is wanted:
        return None
    return f"it was found with {spec.name} (torch.optim.{wanted.__name__}), and the optimizer is {_path(type(given))}"


def differing(spec: OptimizerSpec, optimizer: Optimizer) -> list[str]:
    """Settings of the groups that are not those of the choice. A group without weight decay beside one that has it, as
    biases and norms often are, is as it should be."""
    if CLASSES.get(spec.name) is None:
        return []
    found = []
    groups = _unwrapped(optimizer).param_groups
    for key, wanted in _arguments(spec).items():
        own = [_own(group, key) for group in groups]
        if key == WEIGHT_DECAY and any(_same(one, wanted) for one in own):
            own = [one for one in own if not _same(one, 0.0)]
        others = [one for one in own if not _same(one, wanted)]
        if others:
            found.append(f"{key} is {told(others[0])}, and was {told(wanted)}")
    return found


def scales_of(optimizer: Optimizer) -> list[float]:
    """A factor for each group: its own ``lr_scale``; else, where the groups' rates differ, its rate by the
    optimizer's default rate; else 1. Found ones are kept in the groups, so that a scheduler made later finds them too.
    """
    groups = optimizer.param_groups
    if any(SCALE in group for group in groups):
        return [as_float(group.get(SCALE, 1.0)) for group in groups]
    own = [as_float(group.get(PEAK, group[RATE])) for group in groups]
    if len(set(own)) == 1:
        return [1.0] * len(groups)
    default = as_float(optimizer.defaults.get(RATE))
    if not 0 < default < math.inf:
        listed = ", ".join(f"{one:g}" for one in own)
        raise InvalidInput(
            f"the optimizer's groups have the rates {listed}, and its default rate is {default:g}: in what proportion "
            f"they are to be is not known. Give each group its factor, as in {{'params': ..., {SCALE!r}: 0.1}}"
        )
    scales = [one / default for one in own]
    for group, scale in zip(groups, scales, strict=True):
        group[SCALE] = scale
    return scales


def new_optimizer(spec: OptimizerSpec, params: ParamsT, lr: float) -> Optimizer:
    """PyTorch's own optimizer of the choice on parameters, or on groups of them."""
    kind = CLASSES.get(spec.name)
    if kind is None:
        raise InvalidInput(
            f"the choice was found with an optimizer {spec.name!r}, which lrsweep cannot make; "
            f"make it as your script does. It makes {', '.join(CLASSES)}"
        )
    settings = _arguments(spec)
    if isinstance(params, torch.nn.Module):
        raise InvalidInput(f"choice.make_optimizer: {WANTED}, not the model itself, a {type(params).__name__}.")
    try:
        made: Optimizer = kind(params, lr=lr, **settings)
    except (TypeError, ValueError, KeyError) as error:  # KeyError: a group without params
        raise InvalidInput(
            f"choice.make_optimizer: torch.optim.{kind.__name__} does not take {shortened(params)} ({error}); {WANTED}."
        ) from error
    return made


def _arguments(spec: OptimizerSpec) -> dict[str, Any]:
    """What PyTorch calls the settings; all that the class has and the choice does not name is off."""
    settings: dict[str, Any] = dict(spec.settings)
    kind = CLASSES[spec.name]
    if "beta1" in settings and "beta2" in settings:
        settings[BETAS] = (settings.pop("beta1"), settings.pop("beta2"))
    settings |= {flag: flag == spec.name for flag in FLAGS[kind]}
    if kind is torch.optim.SGD:
        settings.setdefault("dampening", 0.0)
    known = kind([torch.zeros(1)], lr=0.1).defaults
    if unknown := sorted(set(settings) - set(known)):
        raise InvalidInput(
            f"the choice's optimizer {spec.name!r} has the settings {', '.join(unknown)}, which torch.optim."
            f"{kind.__name__} does not have; was its file edited?"
        )
    return settings


def _unwrapped(optimizer: Any) -> Any:
    """Accelerate and others put a wrapper around the optimizer that trains."""
    inner = getattr(optimizer, "optimizer", None)
    return optimizer if isinstance(optimizer, tuple(FLAGS)) or not isinstance(inner, Optimizer) else inner


def _kind(optimizer: object) -> type[Optimizer] | None:
    """The nearest of the known classes that it is of: AdamW is an Adam as well."""
    return next((kind for kind in type(optimizer).__mro__ if kind in FLAGS), None)


def _path(kind: type) -> str:
    return kind.__name__ if kind.__module__.startswith("torch.optim") else f"{kind.__module__}.{kind.__qualname__}"


def _own(group: Group, key: str) -> Any:
    """A setting of a group as it was before a schedule moved it."""
    if key == WEIGHT_DECAY:
        return group.get(WEIGHT_DECAY_PEAK, group.get(key))
    if OWN_MOMENTUM in group and key == MOMENTUM:
        return group[OWN_MOMENTUM]
    if OWN_MOMENTUM in group and key == BETAS:
        return (group[OWN_MOMENTUM], *group[key][1:])
    return group.get(key)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one) == len(other) and all(map(_same, one, other))
    return math.isclose(as_float(_number(one)), as_float(_number(other)), rel_tol=NEARLY, abs_tol=0.0)


def _number(one: object) -> object:
    return float(one) if isinstance(one, bool) else one

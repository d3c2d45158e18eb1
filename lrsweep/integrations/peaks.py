"""The peak of each parameter group: from ``peak_lr``, or from the group itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import PEAK, RATE, Group, as_float, name_of, told, told_names
from lrsweep.schedules.kinds import listing

PeakRates: TypeAlias = float | Sequence[float] | Mapping[str, float] | None
"""One rate for all groups, one per group, one per group's name, or None: the group's own."""


def plain(peak_lr: PeakRates | NDArray[Any] | Tensor) -> PeakRates:
    """An array or a tensor as the number or the list that it holds."""
    if isinstance(peak_lr, (np.ndarray, Tensor)):
        listed: float | list[float] = peak_lr.tolist()
        return listed
    return peak_lr


def peaks_of(groups: Sequence[Group], peak_lr: PeakRates) -> list[float]:
    """The peak of every group; all that is wrong is told at once."""
    if _is_one(peak_lr) and not 0 < as_float(peak_lr) < math.inf:
        raise ScheduleError(f"peak_lr must be a finite number above 0, not {told(peak_lr)}: the largest rate")
    given, problems = _given(groups, peak_lr)
    problems += [
        f"the peak of {_group(place, group)} must be a finite number above 0, not {told(value)}"
        + (_OF_ITS_OWN.format(key=PEAK if PEAK in group else RATE) if peak_lr is None else "")
        for place, (group, value) in enumerate(zip(groups, given, strict=False))
        if not 0 < as_float(value) < math.inf
    ]
    if problems:
        raise ScheduleError(listing("peak_lr", problems))
    return [as_float(value) for value in given]


_OF_ITS_OWN = (
    ", its own {key!r}, which counts where no peak_lr is given. An optimizer whose rate has decayed to 0 "
    "recovers with a peak: s.torch(optimizer, total_steps, peak_lr=0.1)"
)


def later_peak(place: int, group: Group, default: object, peak_lr: PeakRates) -> float:
    """The peak of a group that was added later: the one that a checkpoint says, the one that ``peak_lr`` has for its
    name, its own rate where that is not the optimizer's default, and else the one ``peak_lr`` for all."""
    own = group.get(PEAK, group.get(RATE))
    found: object = own
    if PEAK not in group:
        if isinstance(peak_lr, Mapping):
            found = peak_lr.get(name_of(group) or "", own)
        elif peak_lr is not None and _is_one(peak_lr) and as_float(own) == as_float(default):
            found = peak_lr
    if not 0 < as_float(found) < math.inf:
        raise ScheduleError(
            f"{_group(place, group)}, added to the optimizer after its schedule, must have a finite rate above 0 as "
            f"its peak, not {told(found)}: give it one, as in "
            "optimizer.add_param_group({'params': ..., 'lr': 0.01})"
        )
    return as_float(found)


def _given(groups: Sequence[Group], peak_lr: PeakRates) -> tuple[list[object], list[str]]:
    """One value per group, and what is wrong with their number or names."""
    if peak_lr is None:
        return [group.get(PEAK, group.get(RATE)) for group in groups], []
    if _is_one(peak_lr):
        return [peak_lr] * len(groups), []
    if isinstance(peak_lr, Mapping):
        return _named(groups, peak_lr)
    if isinstance(peak_lr, Sequence) and not isinstance(peak_lr, str):
        values: list[object] = [*peak_lr]
        if len(values) == len(groups):
            return values, []
        return [], [f"{len(values)} peaks for {len(groups)} parameter groups; wanted one each"]
    return [], [f"must be a number, a list with one per group, or a mapping by the groups' names, not {told(peak_lr)}"]


def _named(groups: Sequence[Group], peak_lr: Mapping[str, float]) -> tuple[list[object], list[str]]:
    names = [name_of(group) for group in groups]
    if set(names) == set(peak_lr):
        return [peak_lr[name] for name in names if name is not None], []
    return [], [
        f"the peaks are for {', '.join(map(repr, peak_lr)) or 'no group'}, and the optimizer's groups are "
        f"{told_names(groups)}; wanted the same names: a group has its name in group['name']"
    ]


def _is_one(peak_lr: object) -> bool:
    return isinstance(peak_lr, Real) and not isinstance(peak_lr, bool)


def _group(place: int, group: Group) -> str:
    name = name_of(group)
    return f"group {place} ({name!r})" if name else f"group {place}"

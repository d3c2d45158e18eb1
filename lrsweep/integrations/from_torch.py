"""What a scheduler of PyTorch does, as a schedule: run through on a stand-in of its optimizer, and written down.

The user's scheduler and optimizer are left as they are. The scheduler is copied; in the copy, the optimizer's place is
taken by one that has the same groups with one number each for parameters, and functions, modules and data sets are
the user's own, not copies: whatever a scheduler refers to, no model is copied.
"""

from __future__ import annotations

import io
import pickle
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import Module, Parameter
from torch.optim import Optimizer
from torch.optim import lr_scheduler as theirs
from torch.utils.data import DataLoader, Dataset

from lrsweep.errors import NeedsMetric, ScheduleError
from lrsweep.integrations.param_groups import RATE, as_float, name_of
from lrsweep.integrations.torch_scheduler import TorchScheduler
from lrsweep.schedules import Plateau, Schedule, Table
from lrsweep.schedules.checks import checked_horizon
from lrsweep.schedules.groups import Grouped, grouped

SAME_CURVE = 1e-9
"""Two groups whose factors differ by less have one curve: PyTorch multiplies rates step by step, and rounding grows."""


def schedule_from_torch(scheduler: theirs.LRScheduler, total_steps: SupportsIndex) -> Schedule | Grouped:
    """The rates that a scheduler of PyTorch's gives the next ``total_steps`` updates, as a ``table``.

    It begins where the scheduler stands: give it one that has not been stepped for the whole curve. Its peak is the
    largest rate, ``rates_from_torch(scheduler, total_steps).max()``. Groups whose curves differ in more than their
    height become ``lrsweep.grouped``, by ``group["name"]``, or ``group 0``… where there is none.

    ReduceLROnPlateau becomes ``plateau`` with its settings, which counts evaluations from the beginning; its ``min_lr``
    becomes the floor, a fraction of the present rate, and its ``eps`` has no counterpart. Rates are all that is taken
    over: momenta that OneCycleLR moves are not in a table. A scheduler that ``s.torch`` made gives its ``s``.

    >>> import lrsweep, torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    >>> lrsweep.schedule_from_torch(torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5), total_steps=3)
    lrsweep.schedule('table', values=(1.0, 0.5, 0.25))
    """
    steps = _checked(scheduler, total_steps, "schedule_from_torch")
    if isinstance(scheduler, TorchScheduler):
        return scheduler.schedule
    if isinstance(scheduler, theirs.ReduceLROnPlateau):
        return _plateau(scheduler)
    rates = _rates(scheduler, steps)
    peaks = rates.max(axis=1)
    if (curves := _curves(rates, peaks)) is None:
        return Table.from_rates(rates[0])
    names = _names(scheduler.optimizer)
    return grouped({name: (curve, peak / peaks.max()) for name, curve, peak in zip(names, curves, peaks, strict=True)})


def rates_from_torch(scheduler: theirs.LRScheduler, total_steps: SupportsIndex) -> NDArray[np.float64]:
    """The rates that a scheduler of PyTorch's gives the next ``total_steps`` updates, an array of groups × steps."""
    steps = _checked(scheduler, total_steps, "rates_from_torch")
    if isinstance(scheduler, theirs.ReduceLROnPlateau) or (
        isinstance(scheduler, TorchScheduler) and scheduler.needs_metric
    ):
        raise NeedsMetric(
            f"rates_from_torch: {type(scheduler).__name__} reacts to a metric, and has no rates before there are some. "
            "schedule_from_torch gives its schedule, whose s.replay(metrics, total_steps) has those that metrics give"
        )
    return _rates(scheduler, steps)


def _checked(scheduler: object, total_steps: SupportsIndex, asked: str) -> int:
    if not isinstance(scheduler, theirs.LRScheduler):
        raise ScheduleError(
            f"{asked}: wanted a torch.optim.lr_scheduler.LRScheduler, not a {type(scheduler).__name__}; "
            "where a library wraps one, give what is inside, such as wrapper.scheduler"
        )
    steps, _ = checked_horizon(total_steps, 1.0, asked)
    if isinstance(scheduler, theirs.OneCycleLR) and steps > (left := scheduler.total_steps - scheduler.last_epoch):
        raise ScheduleError(
            f"{asked}: total_steps is {steps}, and this OneCycleLR has {left} of its {scheduler.total_steps} steps "
            "left; it raises an error after them. Give it the horizon that is wanted, or ask for no more than it has"
        )
    return steps


def _plateau(scheduler: theirs.ReduceLROnPlateau) -> Schedule | Grouped:
    rates = [as_float(group[RATE]) for group in scheduler.optimizer.param_groups]
    lowest = scheduler.min_lrs
    if len(lowest) < len(rates) and (same := getattr(scheduler, "default_min_lr", None)) is not None:
        lowest = [same] * len(rates)  # groups were added since; it does the same at its next drop
    if not all(rate > 0 for rate in rates):
        raise ScheduleError(
            f"schedule_from_torch: the rates are {rates}; wanted each above 0, as the peak of its group"
        )
    curves = [
        Plateau(
            mode=scheduler.mode,
            gamma=scheduler.factor,
            patience=scheduler.patience,
            threshold=scheduler.threshold,
            threshold_mode=scheduler.threshold_mode,
            cooldown=scheduler.cooldown,
            floor=min(1.0, low / rate),
        )
        for low, rate in zip(lowest, rates, strict=True)
    ]
    if len(set(curves)) == 1:
        return curves[0]
    names = _names(scheduler.optimizer)
    return grouped({name: (curve, rate / max(rates)) for name, curve, rate in zip(names, curves, rates, strict=True)})


def _rates(scheduler: theirs.LRScheduler, steps: int) -> NDArray[np.float64]:
    """Groups × steps, each rate a finite number of 0 or more, and each group's largest above 0."""
    if isinstance(scheduler, TorchScheduler):
        begin = scheduler.last_epoch
        return np.array([scheduler.rates_at(step) for step in range(begin, begin + steps)]).T
    copied = _copied(scheduler)
    groups = copied.optimizer.param_groups
    rates = np.empty((len(groups), steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs are about how a training calls them, and this is none
        for step in range(steps):
            if step:
                _step(copied, step, steps)
            rates[:, step] = [as_float(group[RATE]) for group in groups]
    for place, row in enumerate(rates):
        wrong = np.flatnonzero(~(np.isfinite(row) & (row >= 0)))
        if wrong.size or not row.max() > 0:
            told = f"{row[wrong[0]]} at step {wrong[0]}" if wrong.size else "0 at every step"
            raise ScheduleError(
                f"{type(scheduler).__name__}: the rate of group {place} is {told}; "
                "wanted finite numbers of 0 or more, with one above 0"
            )
    return rates


def _step(scheduler: theirs.LRScheduler, step: int, steps: int) -> None:
    try:
        scheduler.step()
    except Exception as error:  # whatever a scheduler of the user's own may raise
        raise ScheduleError(
            f"{type(scheduler).__name__} was asked for {steps} steps and raised {type(error).__name__} at step {step}: "
            f"{error}"
        ) from error


def _curves(rates: NDArray[np.float64], peaks: NDArray[np.float64]) -> list[Table] | None:
    """One table per group; None where all groups have one curve."""
    factors = rates / peaks[:, None]
    if np.abs(factors - factors[0]).max() < SAME_CURVE:
        return None
    return [Table.from_rates(row) for row in rates]


def _names(optimizer: Optimizer) -> list[str]:
    """The groups' own names where each has one of its own."""
    names = [name_of(group) or f"group {place}" for place, group in enumerate(optimizer.param_groups)]
    return names if len(set(names)) == len(names) else [f"group {place}" for place in range(len(names))]


# ── a copy without the model ─────────────────────────────────────────────────────────────────────────────────────────


class _StandIn(Optimizer):
    """An optimizer with the same groups, each with one number to optimize, which nobody does."""

    def __init__(self, original: Optimizer) -> None:
        groups = [
            {key: _own(value) for key, value in group.items() if key not in ("params", "param_names")}
            for group in original.param_groups
        ]
        super().__init__([{**group, "params": [torch.zeros(1)]} for group in groups], dict(original.defaults))

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        del closure


def _own(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


_SHARED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    weakref.ref,
    Module,
    Parameter,
    Dataset,
    DataLoader,
)
"""Not copied: code, and what may be large."""


class _Pickler(pickle.Pickler):
    """Copies by pickling, which asks about each object on the way whether it is to be copied. ``copy.deepcopy`` does
    not ask, and would copy a model that a scheduler holds."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.shared: list[Any] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if not (isinstance(obj, (*_SHARED, Optimizer)) or _is_foreign_method(obj)):
            return None
        if id(obj) not in self._places:
            self._places[id(obj)] = len(self.shared)
            self.shared.append(_StandIn(obj) if isinstance(obj, Optimizer) else obj)
        return self._places[id(obj)]


def _is_foreign_method(obj: object) -> bool:
    """Of an object that is no scheduler: of the user's trainer, say, which is not to be copied."""
    return isinstance(obj, types.MethodType) and not isinstance(obj.__self__, theirs.LRScheduler)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[Any]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: Any) -> Any:
        return self._shared[pid]


def _copied(scheduler: theirs.LRScheduler) -> theirs.LRScheduler:
    written = io.BytesIO()
    pickler = _Pickler(written)
    try:
        pickler.dump(scheduler)
        written.seek(0)
        copied = _Unpickler(written, pickler.shared).load()
    except Exception as error:
        raise ScheduleError(
            f"{type(scheduler).__name__} cannot be copied ({type(error).__name__}: {error}). "
            "Write its rates down in a run of your own; lrsweep.schedule('table', values=...) takes rates / max(rates)"
        ) from error
    assert isinstance(copied, theirs.LRScheduler)
    return copied

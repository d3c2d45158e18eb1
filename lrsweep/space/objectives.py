"""``lrsweep.suggest``: a schedule and its peak rate inside somebody's own Optuna objective.

The parameters have the names of a study of ours (``family``, ``cosine.sgd.peak_lr``, ``wsd.cooldown``), so that what
was found so can be read by eye beside ours, and come into a study by ``lrsweep import``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.trial import BaseTrial

from lrsweep.errors import InvalidInput
from lrsweep.records import Direction, Floats
from lrsweep.schedules import Schedule, core_names, family, schedule
from lrsweep.space.points import distribution, draw, peak_lr_name
from lrsweep.study import Range, mode_of
from lrsweep.study.spaces import rises_by_itself

PEAK = "peak_lr"


@dataclass(frozen=True)
class Suggested:
    """What a trial is to train with."""

    schedule: Schedule
    peak_lr: float
    optimizer: str | None = None
    """one of those that were offered; None where none were"""

    def rates(self, total_steps: int) -> Floats:
        """One rate for each update."""
        return self.schedule.rates(total_steps, peak_lr=self.peak_lr)

    def torch(self, optimizer: Any, total_steps: int) -> Any:
        """PyTorch's ``LRScheduler`` with these rates, the same for all parameter groups."""
        return self.schedule.torch(optimizer, total_steps, peak_lr=self.peak_lr)


def suggest(
    trial: BaseTrial,
    *,
    families: Sequence[str] | None = None,
    peak_lr: Range | Mapping[str, Range],
    optimizers: Sequence[str] | None = None,
    warmup: float | Range = 0.0,
    floor: float | Range = 0.0,
    direction: Direction = "minimize",
) -> Suggested:
    """A schedule of one of the families (the core ones unless given), its settings and its peak rate, asked of an
    Optuna trial of any kind.

    ``peak_lr`` is searched on a log scale: one range, or one for each of the ``optimizers``, whose names are the
    caller's own. ``warmup`` and ``floor`` are shares, or ranges that are searched. ``direction`` says which way the
    metric is better that a reactive family will hear.

    >>> import optuna
    >>> fixed = optuna.trial.FixedTrial({"family": "linear", "linear.peak_lr": 0.5})
    >>> suggest(fixed, peak_lr=(0.01, 1.0)).rates(2).tolist()
    [0.5, 0.25]
    """
    offered = tuple(core_names() if families is None else families)
    _check(offered, optimizers, peak_lr)
    name = trial.suggest_categorical("family", offered)
    optimizer = trial.suggest_categorical("optimizer", tuple(optimizers)) if optimizers else None
    low, high = peak_lr[optimizer or ""] if isinstance(peak_lr, Mapping) else peak_lr
    rate_name = peak_lr_name(name, optimizer) if optimizer else f"{name}.{PEAK}"
    rate = draw(trial, rate_name, FloatDistribution(low, high, log=True))
    settings: dict[str, Any] = {}
    for each in family(name).settings():
        drawn = {own: draw(trial, f"{name}.{own}", distribution(search)) for own, search in each.searched().items()}
        if drawn:
            settings[each.name] = each.drawn(drawn)
    shared = {"warmup": 0.0 if rises_by_itself(name) else warmup, "floor": floor}
    for own, given in shared.items():
        settings[own] = draw(trial, own, FloatDistribution(*given)) if isinstance(given, tuple) else given
    return Suggested(schedule(name, **settings, **mode_of(name, direction)), rate, optimizer)


def _check(families: Sequence[str], optimizers: Sequence[str] | None, peak_lr: Range | Mapping[str, Range]) -> None:
    problems = []
    for name in families:
        try:
            schedule(name)
        except InvalidInput as error:
            problems.append(f"families: {error}")
    if not families:
        problems.append("families is empty; leave it out for the core ones, or name some")
    if isinstance(peak_lr, Mapping):
        lacking = [name for name in optimizers or () if name not in peak_lr]
        if not optimizers:
            problems.append("peak_lr has a range per optimizer, but no optimizers are given; give optimizers=[...] too")
        if lacking:
            problems.append(f"peak_lr has no range for {', '.join(lacking)}; add one, such as (1e-3, 1e-1)")
        ranges = [(f"peak_lr[{name!r}]", each) for name, each in peak_lr.items()]
    else:
        ranges = [("peak_lr", peak_lr)]
    for place, each in ranges:
        if len(each) != 2 or not 0 < each[0] <= each[1]:
            problems.append(f"{place} is {each!r}; wanted is (low, high) with 0 < low <= high")
    if problems:
        raise InvalidInput("lrsweep.suggest: " + "; ".join(problems))

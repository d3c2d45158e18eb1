"""The text for parameter groups: one curve per different schedule, and which group follows which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import SupportsIndex

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.checks import checked_horizon
from lrsweep.schedules.code.draft import Code, Names, constant, described, function, mapping, number
from lrsweep.schedules.code.emitter import PEAK_LR, laid_out, refuse_reactive, target_problems
from lrsweep.schedules.code.factors import TOTAL_STEPS, factor_code
from lrsweep.schedules.code.momenta import momentum_code
from lrsweep.schedules.code.targets import SET_MOMENTUM, TORCH_IMPORTS, Target
from lrsweep.schedules.groups import Group, Grouped

RATE = function(
    "rate(group: str, step: int) -> float",
    "The learning rate of a parameter group in update ``step``, counted from 0.",
    "return PEAK_LR * MULTIPLIERS[group] * FACTORS[group](step)",
)

SCHEDULER = '''\
def scheduler(optimizer: Optimizer, first_step: int = 0) -> LambdaLR:
    """A PyTorch scheduler; call its ``step()`` after each ``optimizer.step()``.

    Each parameter group needs its name, as in {"params": …, "name": "head"}. Learning
    rates of the optimizer's own count no more. To go on from a checkpoint, load the
    optimizer's state first and then give the number of updates that were made as
    ``first_step``; the scheduler has no state of its own to load.
    """
    names = [group.get("name") for group in optimizer.param_groups]
    if unknown := [name for name in names if name not in FACTORS]:
        raise ValueError(f"groups must be named {list(FACTORS)}, not {unknown}")
    factors: list[Callable[[int], float]] = []
    for group in optimizer.param_groups:
        group["initial_lr"] = PEAK_LR * MULTIPLIERS[group["name"]]
        factors.append(FACTORS[group["name"]])
    return LambdaLR(optimizer, factors, last_epoch=first_step - 1)'''

MOVING = '''\
class RateAndMore(LambdaLR):
    """LambdaLR that sets what else moves."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:'''

MOMENTUM = """\
            if group["name"] in MOMENTA:
                set_momentum(group, MOMENTA[group["name"]](self.last_epoch))"""

WEIGHT_DECAY = """\
            peak = group.setdefault("initial_weight_decay", group["weight_decay"])
            group["weight_decay"] = peak * weight_decay_factor(self.last_epoch)"""


def grouped_to_code(grouped: Grouped, target: str, total_steps: SupportsIndex, peak_lr: float = 1.0) -> str:
    """The text; see ``Grouped.to_code``."""
    steps, peak = checked_horizon(total_steps, peak_lr, "to_code", target_problems(target, GROUPED_TARGETS))
    for group in grouped.groups:
        refuse_reactive(group.schedule, f"to_code of group {group.name!r}")
    curves = _curves(grouped)
    momenta = {one: momentum_code(one, steps, names) for one, names in curves.items()}
    cycled = [group for group in grouped.groups if momenta[group.schedule].functions]
    codes = [
        constant(TOTAL_STEPS, steps),
        constant(PEAK_LR, peak),
        Code(constants=(mapping("MULTIPLIERS", {name: number(one) for name, one in grouped.multipliers.items()}),)),
        RATE,
        *(factor_code(one, steps, names, guarded=True) + momenta[one] for one, names in curves.items()),
        Code(functions=(_of_groups("FACTORS", "factor", grouped.groups, curves),)),
    ]
    if cycled:
        codes.append(Code(functions=(_of_groups("MOMENTA", "momentum", cycled, curves),)))
    if grouped.weight_decay:
        codes.append(factor_code(grouped.weight_decay, steps, Names("weight_decay_"), guarded=True))
    made = GROUPED_TARGETS[target](momentum=bool(cycled), weight_decay=grouped.weight_decay is not None)
    return laid_out(described(grouped), Code.of(*codes), made)


def _curves(grouped: Grouped) -> dict[Schedule, Names]:
    """Each different schedule once: layers often share theirs. Curves are numbered, since a group may have any name."""
    curves = list(dict.fromkeys(grouped.schedules.values()))
    if len(curves) == 1:
        return {curves[0]: Names()}
    return {one: Names(f"curve_{place}_") for place, one in enumerate(curves, start=1)}


def _of_groups(name: str, piece: str, groups: Iterable[Group], curves: Mapping[Schedule, Names]) -> str:
    return mapping(name, {group.name: curves[group.schedule].function(piece) for group in groups})


def _python(*, momentum: bool, weight_decay: bool) -> Target:
    del momentum, weight_decay
    return Target("the standard library")


def _torch(*, momentum: bool, weight_decay: bool) -> Target:
    callable_type = "from collections.abc import Callable"
    if not (momentum or weight_decay):
        return Target("PyTorch", TORCH_IMPORTS, (callable_type,), (SCHEDULER,))
    moving = "\n".join([MOVING, *([MOMENTUM] if momentum else []), *([WEIGHT_DECAY] if weight_decay else [])])
    made = SCHEDULER.replace("return LambdaLR(", "return RateAndMore(")
    if not momentum:
        return Target("PyTorch", TORCH_IMPORTS, (callable_type,), (made, moving))
    return Target("PyTorch", TORCH_IMPORTS, (callable_type, "from typing import Any"), (made, moving, SET_MOMENTUM))


GROUPED_TARGETS: Mapping[str, Callable[..., Target]] = {"python": _python, "torch": _torch}
"""The other libraries have no groups that are known by name."""

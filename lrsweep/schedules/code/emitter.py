"""A whole text: what it is, what it imports, its constants and functions, and what joins them to one library."""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import repr as shortened
from typing import SupportsIndex

from lrsweep.errors import NeedsMetric, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.checks import checked_horizon
from lrsweep.schedules.code.draft import Code, Names, constant, described, function, quoted
from lrsweep.schedules.code.factors import TOTAL_STEPS, factor_code
from lrsweep.schedules.code.momenta import momentum_code
from lrsweep.schedules.code.targets import TARGETS, Target

PEAK_LR = "PEAK_LR"

RATE = function(
    "rate(step: int) -> float",
    "The learning rate of update ``step``, counted from 0.",
    "return PEAK_LR * factor(step)",
)

CONVENTION = (
    "Update i is counted from 0. A warm-up of w updates comes before the decay, whose own clock runs from update w to "
    "the end; after the end the last value holds."
)
YOURS = "The code needs {}, and no lrsweep. It is yours: change it and pass it on as you like."


def to_code(schedule: Schedule, target: str, total_steps: SupportsIndex, peak_lr: float = 1.0) -> str:
    """The text; see ``Schedule.to_code``."""
    steps, peak = checked_horizon(total_steps, peak_lr, "to_code", target_problems(target, TARGETS))
    refuse_reactive(schedule, "to_code")
    names = Names()
    momentum = momentum_code(schedule, steps, names)
    code = Code.of(
        constant(TOTAL_STEPS, steps),
        constant(PEAK_LR, peak),
        RATE,
        factor_code(schedule, steps, names, guarded=True),
        momentum,
    )
    return laid_out(described(schedule), code, TARGETS[target](momentum=bool(momentum.functions)))


def target_problems(target: object, known: Iterable[str]) -> list[str]:
    targets = list(known)
    if target in targets:
        return []
    near = did_you_mean(target.lower(), targets) if isinstance(target, str) else ""
    return [f"target must be one of {', '.join(map(repr, targets))}, not {shortened(target)}.{near}"]


def refuse_reactive(schedule: Schedule, asked: str) -> None:
    if schedule.needs_metric:
        raise NeedsMetric(
            f"{asked}: {schedule.family!r} reacts to a metric, so that no function of the step has its rates. "
            "For the rates that known metrics gave: rates = s.replay(metrics, total_steps), then "
            "lrsweep.schedules.Table.from_rates(rates).to_code(target, total_steps, peak_lr=rates.max())"
        )


def laid_out(subject: str, code: Code, target: Target) -> str:
    """The module."""
    pieces = [*dict.fromkeys(code.functions), *target.text]
    standard = [*(["import math"] if any("math." in piece for piece in pieces) else []), *target.standard_imports]
    imports = ["\n".join(block) for block in (standard, target.imports) if block]
    constants = sorted(dict.fromkeys(code.constants), key=lambda one: "\n" in one)  # long ones last
    doc = quoted(
        f"The learning rate of every update.\n\n{subject}\n\n{CONVENTION}\n\n{YOURS.format(target.needs)}", indent=0
    )
    return "\n\n".join([doc, *imports, "\n".join(constants)]) + "\n\n\n" + "\n\n\n".join(pieces) + "\n"

"""``momentum(step)``, where a schedule cycles the momentum: from the same ``height(u)`` as its rate, or a table."""

from __future__ import annotations

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.code.draft import NOTHING, Code, Names, constant, function
from lrsweep.schedules.code.factors import GUARD, Layout
from lrsweep.schedules.momentum import MomentumCycling


def momentum_code(schedule: Schedule, steps: int, names: Names) -> Code:
    """Constants and the function, to be added to those of ``factor_code``; nothing where the momentum is left alone."""
    momenta = schedule.momenta(steps)
    if momenta is None:
        return NOTHING
    head = f"{names.function('momentum')}(step: int) -> float"
    doc = "The momentum of update ``step``; for Adam it is beta1."
    layout = Layout.of(schedule, steps, names, guarded=True)
    if isinstance(schedule, MomentumCycling) and layout.clock.decay:
        low, high = names.constant("momentum_low"), names.constant("momentum_high")
        lines = [
            *layout.lines,
            f"low, high = {low}, {high}",
            f"return high - (high - low) * {names.function('height')}({layout.progress(waiting=True)})",
        ]
        values = constant(low, schedule.momentum_low) + constant(high, schedule.momentum_high)
    else:
        table = names.constant("momentum_table")
        lines = [f"return {table}[min(step, TOTAL_STEPS - 1)]"]
        values = constant(table, tuple(momenta))
    return values + function(head, doc, "\n".join([GUARD, *lines]))

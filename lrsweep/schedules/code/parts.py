"""Schedules that are made of others: a ``factor`` for each on its own horizon, and a ``decay(step)`` that picks one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.code.decays import FALLS, filled
from lrsweep.schedules.code.draft import Code, Names, function, indented
from lrsweep.schedules.compositions.cooled_down import CooledDown, step_at
from lrsweep.schedules.compositions.extended import Extended
from lrsweep.schedules.compositions.sequence import Sequence

FactorCode = Callable[[Schedule, int, Names], Code]
"""``factor_code``, which writes the parts; handed in, since it calls what is here."""


def _sequence(schedule: Sequence, steps: int, names: Names, factor_code: FactorCode) -> Code:
    lines: list[str] = []
    codes: list[Code] = []
    lengths = schedule.steps_of_parts(steps)
    for place, (part, own) in enumerate(zip(schedule.inner(), lengths, strict=True), start=1):
        inner = names.part(place)
        codes.append(factor_code(part, own, inner))
        call = f"return {inner.function('factor')}(step)"
        if place == len(lengths):
            lines.append(call)
        else:
            own_steps = inner.constant("steps")
            lines += [f"if step < {own_steps}:", *indented(call), f"step -= {own_steps}"]
    return _decay(names, "One part after the other, each on its own clock.", "\n".join(lines)) + Code.of(*codes)


def _extended(schedule: Extended, steps: int, names: Names, factor_code: FactorCode) -> Code:
    inner = names.part(1)
    body = f"return {inner.function('factor')}(min(step, {inner.constant('steps')}))"
    doc = "The schedule's own steps, and then its last value."
    return _decay(names, doc, body) + factor_code(schedule.schedule, schedule.own_steps(steps), inner)


def _cooled_down(schedule: CooledDown, steps: int, names: Names, factor_code: FactorCode) -> Code:
    inner = names.part(1)
    start, over = schedule.in_steps(steps)
    last = step_at(start, steps)
    top = float(schedule.schedule.course(steps).fixed[last])
    values = {"branch_step": last, "start_step": start, "over_steps": over, "lowest": min(schedule.lowest(), top)}
    code, body = filled(
        f"""\
if step <= {{branch_step}}:
    return {inner.function("factor")}(step)
top = {inner.function("factor")}({{branch_step}})
x = (step - {{start_step}}) / {{over_steps}}
fallen = {FALLS[schedule.shape]} if x <= 1.0 - {{tie}} else 0.0
return min(top, {{lowest}} + (top - {{lowest}}) * fallen)""",
        values,
        names,
    )
    doc = "Until the branch the schedule's own, then down from there; the lowest holds."
    return code + _decay(names, doc, body) + factor_code(schedule.schedule, steps, inner)


def _decay(names: Names, doc: str, body: str) -> Code:
    return function(f"{names.function('decay')}(step: int) -> float", doc, body)


PARTS: Mapping[str, Callable[[Any, int, Names, FactorCode], Code]] = {
    Sequence.family: _sequence,
    Extended.family: _extended,
    CooledDown.family: _cooled_down,
}
"""By the composition's name in JSON."""

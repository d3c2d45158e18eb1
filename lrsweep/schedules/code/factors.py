"""``factor(step)``: warm-up, hold, noise and floor around a decay, as ``Schedule.course`` lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import Clock
from lrsweep.schedules.code.decays import filled, formula_code
from lrsweep.schedules.code.draft import NOTHING, Code, Names, constant, described, function, indented, number
from lrsweep.schedules.code.parts import PARTS
from lrsweep.schedules.noise import GRID, dip

TOTAL_STEPS = "TOTAL_STEPS"

GUARD = """\
if step < 0 or step % 1:
    raise ValueError(f"step must be a whole number of 0 or more, not {step!r}")
step = min(int(step), TOTAL_STEPS)"""
"""``step % 1`` is true for 0.5, NaN and infinity."""

RISES: Mapping[str, str] = {
    "linear": "x",
    "cosine": "0.5 * (1.0 - math.cos(math.pi * x))",
    "polynomial": "math.pow(x, {warmup_power})",
    "exponential": "math.pow({warmup_start}, 1.0 - x)",
    "constant": "{warmup_start}",
}
FROM_ZERO = ("linear", "cosine", "polynomial")
"""These go from 0 to 1 as written."""

BETWEEN = function(
    "between(heights: tuple[float, ...], place: float) -> float",
    "The height at a place on the straight lines through heights at 0, 1, 2, …",
    """\
left = min(int(place), len(heights) - 2)
return heights[left] + (place - left) * (heights[left + 1] - heights[left])""",
)


def factor_code(schedule: Schedule, steps: int, names: Names, *, guarded: bool = False) -> Code:
    """The constants of a schedule on a horizon of ``steps``, and its functions, ``factor`` first.

    ``factor`` takes the whole steps from 0 to the horizon; that one stands for all that follow. A guarded one is for
    callers: it takes those that follow too, refuses what is no step, and finds its horizon in ``TOTAL_STEPS``.
    """
    layout = Layout.of(schedule, steps, names, guarded=guarded)
    rise = _rise(schedule, names) if schedule.warmup else Piece()
    decay = _decay(schedule, names, layout)
    value = _with_noise_and_floor(decay, schedule, names, layout.horizon)
    doc = f"The fraction of the peak: {described(schedule)}." if names.prefix else "The rate as a fraction of the peak."
    guard = GUARD if guarded else ""
    own_step = layout.lines if layout.clock.decay else ()
    lines = "\n".join(line for line in (guard, rise.text, *own_step, value.text) if line)
    factor = function(f"{names.function('factor')}(step: int) -> float", doc, lines)
    return Code.of(layout.constants, factor, rise.code, value.code)


@dataclass(frozen=True)
class Layout:
    """The clock of a schedule in names: constants for its lengths, and where a step stands on the decay's own clock."""

    clock: Clock
    horizon: str
    own_horizon: str
    before: tuple[str, ...]
    """the lengths of what comes before the decay"""
    constants: Code

    @classmethod
    def of(cls, schedule: Schedule, steps: int, names: Names, *, guarded: bool) -> Layout:
        clock = schedule.clock(steps).laid_out
        horizon = TOTAL_STEPS if guarded else names.constant("steps")
        lengths = {names.constant(f"{name}_steps"): getattr(clock, name) for name in ("warmup", "hold")}
        before = {name: length for name, length in lengths.items() if length}
        constants = Code.of(
            *([] if guarded else [constant(horizon, steps)]),
            *(constant(name, length) for name, length in before.items()),
        )
        if not (before and clock.decay):
            return cls(clock, horizon, horizon, tuple(before), constants)
        own_horizon = names.constant("decay_steps")
        constants += constant(own_horizon, " - ".join([horizon, *before]) if guarded else clock.decay)
        return cls(clock, horizon, own_horizon, tuple(before), constants)

    @property
    def lines(self) -> tuple[str, ...]:
        """What works out the step on the decay's own clock."""
        return (" - ".join(["own_step = step", *self.before]),) if self.before else ()

    def own_step(self, *, waiting: bool) -> str:
        """That step; ``waiting`` where it may come before the decay's first, whose place it then has."""
        if not self.before:
            return "step"
        return "max(0, own_step)" if waiting or self.clock.hold else "own_step"

    def progress(self, *, waiting: bool = False) -> str:
        """``u``."""
        return f"{self.own_step(waiting=waiting)} / {self.own_horizon}"


@dataclass(frozen=True)
class Piece:
    """An expression or lines in the body of ``factor``, and what they need."""

    text: str = ""
    code: Code = NOTHING


def _rise(schedule: Schedule, names: Names) -> Piece:
    warmup = names.constant("warmup_steps")
    rising = RISES[schedule.warmup_shape]
    if schedule.warmup_shape in FROM_ZERO and schedule.warmup_start:
        rising = f"{{warmup_start}} + (1.0 - {{warmup_start}}) * {rising}"
    code, rising = filled(rising, schedule.settings_dict(), names)
    place = f"x = (step + 1) / ({warmup} + 1)"
    if rising == "x":
        inner = f"return {place.removeprefix('x = ')}"
    elif schedule.warmup_shape != "constant":
        inner = f"{place}\nreturn {rising}"
    else:
        inner = f"return {rising}"
    return Piece("\n".join([f"if step < {warmup}:", *indented(inner)]), code)


def _decay(schedule: Schedule, names: Names, layout: Layout) -> Piece:
    """The expression for the decay without noise and floor."""
    decay, steps = names.function("decay"), layout.clock.decay
    if not steps:  # the warm-up has all steps, and what is left is the end
        return Piece(number(schedule.decay_course(0).fixed[-1]))
    own_step = layout.own_step(waiting=False)
    if schedule.family in PARTS:
        return Piece(f"{decay}({own_step})", PARTS[schedule.family](schedule, steps, names, factor_code))
    code = formula_code(schedule, names, layout.own_horizon)
    if code is not None:
        return Piece(f"{decay}({layout.progress()})", code)
    table = names.constant("decay_table")
    return Piece(f"{table}[{own_step}]", constant(table, tuple(schedule.decay_course(steps).fixed)))


def _with_noise_and_floor(decay: Piece, schedule: Schedule, names: Names, horizon: str) -> Piece:
    """The lines that return the factor."""
    lines, code = [f"value = {decay.text}"], decay.code
    if schedule.noise:
        noise, dips = names.constant("noise"), names.constant("noise_dips")
        lines += [f"dip = between({dips}, {GRID} * step / {horizon})", f"value *= 1.0 - {noise} * dip"]
        heights = dip(np.linspace(0.0, 1.0, GRID + 1), schedule.noise_seed)
        code += constant(noise, schedule.noise) + constant(dips, tuple(heights)) + BETWEEN
    if schedule.floor:
        floor = names.constant("floor")
        lines.append(f"return {floor} + (1.0 - {floor}) * value")
        code += constant(floor, schedule.floor)
    elif len(lines) == 1:
        lines = [f"return {decay.text}"]
    else:
        lines.append("return value")
    return Piece("\n".join(lines), code)

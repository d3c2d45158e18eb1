"""One formula per family, as the body of ``decay(u)``; ``{name}`` stands for the constant of a setting.

Each is the arithmetic of the family's ``decay`` with ``math`` in place of NumPy: the same comparisons of the same
numbers, so that a jump comes at the same step. ``math.pow`` says to a type checker what ``**`` does not: a float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.code.draft import Code, Names, constant, function
from lrsweep.schedules.families.cosine_restarts import CosineRestarts, cycle_lengths
from lrsweep.schedules.families.cyclic import Cyclic
from lrsweep.schedules.families.exponential import Exponential
from lrsweep.schedules.families.knots import Knots, slopes_of
from lrsweep.schedules.families.wsd import Wsd
from lrsweep.schedules.kinds import Length, steps_in

FALLS: Mapping[str, str] = {
    "linear": "1.0 - x",
    "cosine": "0.5 * (1.0 + math.cos(math.pi * x))",
    "1-sqrt": "1.0 - math.sqrt(x)",
    "exponential": "2.0 * math.pow(0.5, x) - 1.0",
}
"""The shapes of ``cooldowns.py``, from 1 at ``x`` = 0 to 0 at 1."""


@dataclass(frozen=True)
class Formula:
    """A body that returns the factor, and the constants in it that are no settings."""

    body: str
    constants: Mapping[str, object] = field(default_factory=dict)
    height: str = ""
    """the body of ``height(u)``, where ``momentum`` needs it as well"""


def formula_code(schedule: Schedule, names: Names, horizon: str) -> Code | None:
    """``decay(u)`` and its constants; None where a family has no formula here. ``horizon`` is the decay's own."""
    if schedule.family not in FORMULAS:
        return None
    formula = FORMULAS[schedule.family](schedule)
    values = {**in_fractions(schedule, horizon), **formula.constants}
    code, body = filled(formula.body, values, names)
    head = f"{names.function('decay')}(u: float) -> float"
    code += function(head, f"{schedule.formula}; u runs from 0 to 1.", body)
    if formula.height:
        more, body = filled(formula.height, values, names)
        head = f"{names.function('height')}(u: float) -> float"
        code += more + function(head, "How high the cycle stands: 0 is its foot, 1 its full height.", body)
    return code


def in_fractions(schedule: Schedule, horizon: str) -> dict[str, Any]:
    """The settings; a length in steps as the expression for the fraction of the horizon that it is."""
    values = schedule.settings_dict()
    lengths = [one.name for one in schedule.settings() if isinstance(one.allowed, Length)]
    counts = {name: steps_in(values[name]) for name in lengths}
    return {**values, **{name: f"{count} / {horizon}" for name, count in counts.items() if count is not None}}


def filled(body: str, values: Mapping[str, object], names: Names) -> tuple[Code, str]:
    """A body with its names, and the constants among them with their values."""
    used = dict.fromkeys(name for _, name, _, _ in Formatter().parse(body) if name)
    code = Code.of(
        *(constant(names.constant(name), value) for name, value in values.items() if name in used),
        *([constant("TIE", TIE, "what is this near to a border has reached it")] if "tie" in used else []),
    )
    written = {name: names.constant(name) if name in values else names.function(name) for name in used}
    return code, body.format(**{**written, "tie": "TIE"})


# ── the formulas ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _exponential(schedule: Exponential) -> Formula:
    if schedule.stairs:
        return Formula("return math.pow({final}, math.floor((u + {tie}) * {stairs}) / {stairs})")
    return Formula("return math.pow({final}, u)")


def _wsd(schedule: Wsd) -> Formula:
    if schedule.shape == "linear":
        return Formula("return min(1.0 - u, {cooldown}) / {cooldown}")
    begins = "if x < 0.5 and x * {cooldown} < {tie}:\n    return 1.0\n" if schedule.shape == "1-sqrt" else ""
    return Formula(f"x = 1.0 - min(1.0 - u, {{cooldown}}) / {{cooldown}}\n{begins}return {FALLS[schedule.shape]}")


def _cosine_restarts(schedule: CosineRestarts) -> Formula:
    lengths = cycle_lengths(schedule.cycles, schedule.multiplier)
    return Formula(
        """\
k = sum(start <= u + {tie} for start in {starts}) - 1
x = min(max((u - {starts}[k]) / {lengths}[k], 0.0), 1.0)
return math.pow({shrink}, k) * 0.5 * (1.0 + math.cos(math.pi * x))""",
        {"starts": tuple(np.cumsum(lengths) - lengths), "lengths": tuple(lengths)},
    )


def _cyclic(schedule: Cyclic) -> Formula:
    heights = {"triangular": "1.0", "triangular2": "math.pow(0.5, k)", "exp_range": "math.pow({final}, u)"}
    return Formula(
        "return {low} + (1.0 - {low}) * {height}(u)",
        height=f"""\
k = math.floor(u * {{cycles}})
x = u * {{cycles}} - k
high = {heights[schedule.mode]}
if x < {{rise}}:
    return high * x / {{rise}}
return high * (1.0 - x) / (1.0 - {{rise}})""",
    )


def _knots(schedule: Knots) -> Formula:
    return Formula(
        """\
place = u * (len({points}) - 1)
k = min(int(place), len({points}) - 2)
t = place - k
s = 1.0 - t
before, after = {points}[k], {points}[k + 1]
cubic = before * s * s * (1.0 + 2.0 * t) + after * t * t * (3.0 - 2.0 * t)
cubic += t * s * ({slopes}[k] * s - {slopes}[k + 1] * t)
return min(max(cubic, min(before, after)), max(before, after))""",
        {"slopes": tuple(slopes_of(np.asarray(schedule.points)))},
    )


def _plain(body: str, height: str = "") -> Callable[[Any], Formula]:
    """The formula of a family whose settings are numbers in it and no more."""
    return lambda _: Formula(body, height=height)


FORMULAS: Mapping[str, Callable[[Any], Formula]] = {
    "constant": _plain("del u  # the same everywhere\nreturn 1.0"),
    "step": _plain("return math.pow({gamma}, math.floor((u + {tie}) / {every}))"),
    "exponential": _exponential,
    "linear": _plain("return 1.0 - u"),
    "cosine": _plain("return 0.5 * (1.0 + math.cos(math.pi * u))"),
    "wsd": _wsd,
    "one_cycle": _plain(
        "foot = {start} if u < {rise} else {final}\nreturn foot + (1.0 - foot) * {height}(u)",
        height="""\
if u < {rise}:
    return 0.5 * (1.0 - math.cos(math.pi * u / {rise}))
return 0.5 * (1.0 + math.cos(math.pi * (u - {rise}) / (1.0 - {rise})))""",
    ),
    "rex": _plain("return (1.0 - u) / (1.0 - u + {beta} * u)"),
    "polynomial": _plain("return math.pow(1.0 - u, {power})"),
    "multistep": _plain("return math.pow({gamma}, sum(at <= u + {tie} for at in {at}))"),
    "piecewise": _plain("return {values}[sum(at <= u + {tie} for at in {at})]"),
    "inverse_time": _plain("return 1.0 / (1.0 + {d} * u)"),
    "inverse_sqrt": _plain("return math.sqrt({timescale} / ({timescale} + u))"),
    "inverse_power": _plain("return 1.0 / (1.0 + {d} * math.pow(u, {p}))"),
    "tanh": _plain("return 0.5 * (1.0 - math.tanh({low} * (1.0 - u) + {high} * u))"),
    "cosine_restarts": _cosine_restarts,
    "cyclic": _cyclic,
    "knots": _knots,
}
"""The others, ``table`` and ``function``, have no formula, and get a number per step."""

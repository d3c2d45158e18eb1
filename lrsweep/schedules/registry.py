"""All families by name, and a schedule by its family's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.compositions.cooled_down import CooledDown
from lrsweep.schedules.compositions.extended import Extended
from lrsweep.schedules.compositions.sequence import Sequence
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.families.cosine import Cosine
from lrsweep.schedules.families.cosine_restarts import CosineRestarts
from lrsweep.schedules.families.cyclic import Cyclic
from lrsweep.schedules.families.exponential import Exponential
from lrsweep.schedules.families.function import Function
from lrsweep.schedules.families.inverse_power import InversePower
from lrsweep.schedules.families.inverse_sqrt import InverseSqrt
from lrsweep.schedules.families.inverse_time import InverseTime
from lrsweep.schedules.families.knots import Knots
from lrsweep.schedules.families.linear import Linear
from lrsweep.schedules.families.multistep import MultiStep
from lrsweep.schedules.families.one_cycle import OneCycle
from lrsweep.schedules.families.piecewise import Piecewise
from lrsweep.schedules.families.polynomial import Polynomial
from lrsweep.schedules.families.rex import Rex
from lrsweep.schedules.families.step import Step
from lrsweep.schedules.families.table import Table
from lrsweep.schedules.families.tanh import Tanh
from lrsweep.schedules.families.wsd import Wsd
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.reactive.greedy import Greedy
from lrsweep.schedules.reactive.plateau import Plateau
from lrsweep.schedules.reactive.slope import Slope
from lrsweep.schedules.reactive.threshold import Threshold

CORE: tuple[type[Schedule], ...] = (Constant, Step, Exponential, Linear, Cosine, Wsd, OneCycle, Rex)
"""What a study searches unless it says otherwise: few enough that each gets trials enough."""

TIME_DRIVEN: tuple[type[Schedule], ...] = (
    *CORE,
    Polynomial,
    MultiStep,
    Piecewise,
    InverseTime,
    InverseSqrt,
    InversePower,
    Tanh,
    CosineRestarts,
    Cyclic,
    Knots,
    Table,
    Function,
)

FAMILIES: tuple[type[Schedule], ...] = (*TIME_DRIVEN, Plateau, Threshold, Slope, Greedy)

COMPOSITIONS: dict[str, type[Schedule]] = {one.family: one for one in (Sequence, Extended, CooledDown)}
"""What is made of other schedules, and what JSON calls it."""

_MADE_BY = {
    Sequence.family: "a composition, made by lrsweep.sequence((schedule, length), …)",
    Extended.family: "a composition, made by s.extended(ratio)",
    CooledDown.family: "a composition, made by s.cooled_down(at, over, shape)",
    "grouped": "a schedule for each parameter group, made by lrsweep.grouped({name: schedule}) and read by "
    "lrsweep.grouped_from_json(text)",
}

_BY_NAME = {one.family: one for one in FAMILIES}


def family_names() -> tuple[str, ...]:
    """All names that ``schedule`` takes, in the order of the registry."""
    return tuple(_BY_NAME)


def core_names() -> tuple[str, ...]:
    """The families that a study searches unless it names others."""
    return tuple(one.family for one in CORE)


def family(name: str) -> type[Schedule]:
    """The class of a family; an unknown name raises a ScheduleError that lists the known ones."""
    if not isinstance(name, str):
        raise ScheduleError(f"a schedule family is named by a string, such as 'cosine', not by {name!r}")
    if name in _MADE_BY:
        raise ScheduleError(f"{name!r} is not a family but {_MADE_BY[name]}")
    if name not in _BY_NAME:
        raise ScheduleError(
            f"there is no schedule family {name!r}.{did_you_mean(name.lower(), _BY_NAME)} "
            f"The families: {', '.join(_BY_NAME)}"
        )
    return _BY_NAME[name]


def kind_of_schedule(name: str) -> type[Schedule]:
    """The class of a family or of a composition, as a JSON text names it."""
    return COMPOSITIONS[name] if isinstance(name, str) and name in COMPOSITIONS else family(name)


def made(name: str, settings: Mapping[str, Any], *, allow_code: bool = False) -> Schedule:
    """The schedule of a family or a composition by its settings, which have been checked."""
    chosen = kind_of_schedule(name)
    permission: dict[str, Any] = {"allow_code": allow_code} if chosen.runs_code else {}
    return chosen(**settings, **permission)


def schedule(name: str, /, *, allow_code: bool = False, **settings: Any) -> Schedule:
    """The schedule of this family; every setting that is not given has its default.

    ``allow_code`` is for the family ``function``, which imports and calls the function that it names.

    >>> schedule("wsd", cooldown=0.5).rates(4).tolist()
    [1.0, 1.0, 1.0, 0.5]
    """
    chosen = family(name)
    if problems := chosen.problems_with(settings):
        raise ScheduleError(listing(f"schedule {name!r}", problems))
    return made(name, settings, allow_code=allow_code)

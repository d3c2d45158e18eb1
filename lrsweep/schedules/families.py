"""The list of families, and a schedule by its family's name."""

from __future__ import annotations

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.constant import Constant
from lrsweep.schedules.cosine import Cosine
from lrsweep.schedules.exponential import Exponential
from lrsweep.schedules.linear import Linear
from lrsweep.schedules.one_cycle import OneCycle
from lrsweep.schedules.rex import Rex
from lrsweep.schedules.setting import listing
from lrsweep.schedules.step import Step
from lrsweep.schedules.wsd import Wsd

FAMILIES: tuple[type[Schedule], ...] = (Constant, Step, Exponential, Linear, Cosine, Wsd, OneCycle, Rex)

_BY_NAME = {one.family: one for one in FAMILIES}


def family_names() -> tuple[str, ...]:
    """All names that ``schedule`` takes, in the order of the registry."""
    return tuple(_BY_NAME)


def family(name: str) -> type[Schedule]:
    """The class of a family; an unknown name raises a ScheduleError that lists the known ones."""
    if not isinstance(name, str):
        raise ScheduleError(f"a schedule family is named by a string, such as 'cosine', not by {name!r}")
    if name not in _BY_NAME:
        raise ScheduleError(
            f"there is no schedule family {name!r}.{did_you_mean(name.lower(), _BY_NAME)} "
            f"The families: {', '.join(_BY_NAME)}"
        )
    return _BY_NAME[name]


def schedule(name: str, /, **settings: float) -> Schedule:
    """The schedule of this family; every setting that is not given has its default.

    >>> schedule("wsd", cooldown=0.5).rates(4).tolist()
    [1.0, 1.0, 1.0, 0.5]
    """
    chosen = family(name)
    if problems := chosen.problems_with(settings):
        raise ScheduleError(listing(f"schedule {name!r}", problems))
    return chosen(**settings)

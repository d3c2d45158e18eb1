from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from reprlib import repr as shortened
from typing import Any, ClassVar

import numpy as np

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import UNIT, NotOfThisKind, as_number
from lrsweep.schedules.setting import REQUIRED, setting

NAME = r"[^\W\d]\w*"
EXAMPLE = "package.module:name"


@dataclass(frozen=True)
class FunctionPath:
    """The place of a function: a module and, after a colon, its name there."""

    def __str__(self) -> str:
        return f"a text such as {EXAMPLE!r}"

    def read(self, given: object) -> str:
        if not (isinstance(given, str) and re.fullmatch(rf"{NAME}(\.{NAME})*:{NAME}", given)):
            raise NotOfThisKind
        return str(given)


@dataclass(frozen=True, kw_only=True, repr=False)
class Function(Schedule):
    """Your own pure function of progress. It runs code, so it is made only with ``allow_code=True``.

    The function takes one float, progress on the decay's own clock from 0 to 1, and gives the factor there; it is
    called at 0 and 1 when the schedule is made, so that what cannot work is told at once.
    """

    family: ClassVar[str] = "function"
    formula: ClassVar[str] = "what the function at `path` gives for u"
    source: ClassVar[str] = "your own code; as PyTorch's LambdaLR, but of progress instead of epochs"
    use: ClassVar[str] = "When no family has the curve and code is shorter than a table of numbers."
    simplicity: ClassVar[int] = 100
    runs_code: ClassVar[bool] = True

    # Not searched: names of functions have no range.
    path: str = setting(
        REQUIRED,
        allowed=FunctionPath(),
        meaning="the module and the name of a function of progress that gives the factor",
    )
    allow_code: bool = field(default=False, compare=False)
    """no setting: a permission that whoever makes the schedule gives, and that no JSON text can hold"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.allow_code is not True:
            raise ScheduleError(
                f"schedule 'function': to import and call {self.path!r} is to run code, and nothing allows that; "
                "give allow_code=True if you trust it and where it came from"
            )
        self.decay(np.array([0.0, 1.0]))

    def decay(self, u: Floats) -> Floats:
        function = _function_at(self.path)
        factors = [_factor(function, self.path, float(progress)) for progress in np.ravel(u)]
        return np.array(factors).reshape(np.shape(u))

    def _changed(self) -> list[str]:
        return [*super()._changed(), "allow_code=True"]


def _function_at(path: str) -> Callable[[float], Any]:
    module_name, name = path.split(":")
    try:
        module = import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may do anything while it is imported, even leave
        raise ScheduleError(
            f"schedule 'function': {path!r}: importing {module_name!r} raised {type(error).__name__}: {error}; "
            f"wanted {EXAMPLE!r} that Python can import here, its folder on PYTHONPATH for example"
        ) from error
    function: Any = getattr(module, name, None)
    if not callable(function):
        found = f"{name!r} there is {shortened(function)}" if hasattr(module, name) else f"it has no {name!r}"
        raise ScheduleError(
            f"schedule 'function': {path!r}: {module_name!r} was imported, but {found}; "
            "wanted a function of progress that gives the factor"
        )
    found_function: Callable[[float], Any] = function
    return found_function


def _factor(function: Callable[[float], Any], path: str, progress: float) -> float:
    try:
        value = function(progress)
    except Exception as error:
        raise ScheduleError(
            f"schedule 'function': {path!r} raised {type(error).__name__} at progress {progress:g}: {error}; "
            f"wanted {UNIT} at every progress from 0 to 1"
        ) from error
    factor = as_number(value)
    if factor not in UNIT:
        raise ScheduleError(
            f"schedule 'function': {path!r} gave {shortened(value)} at progress {progress:g}; "
            f"wanted {UNIT} at every progress from 0 to 1: the rate as a fraction of the peak"
        )
    return factor

"""The values of a study file that need more than a type: each reader gives the value, or says what is wrong with it.

A reader raises a plain ValueError where the field's own description says enough, and ``refuse`` where several things
are wrong inside one value or the message has to name a part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from pydantic import ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from lrsweep.errors import did_you_mean
from lrsweep.records import WorkloadSpec
from lrsweep.schedules import family, family_names
from lrsweep.schedules.setting import REQUIRED
from lrsweep.study.lines import Place
from lrsweep.study.values import OPTIMIZERS, Range
from lrsweep.workloads import catalog

REFUSED = "refused"
"""The type of the errors whose text is ready to be shown."""


def refuse(problems: Iterable[tuple[Place, str]]) -> NoReturn:
    """Hands several problems of one value to pydantic, which puts the value's own place before theirs."""
    raise ValidationError.from_exception_data(
        REFUSED,
        [
            # A template has to be a literal, so the text travels as its value.
            InitErrorDetails(type=PydanticCustomError(REFUSED, "{text}", {"text": text}), loc=place, input=None)
            for place, text in problems
        ],
    )


def read_workload(given: object) -> WorkloadSpec:
    """``"digits"``, or a table with ``name`` and the workload's settings; comes back with every setting."""
    if isinstance(given, str):
        spec = WorkloadSpec(given)
        if problems := catalog.check(spec):
            refuse(((), text) for _, text in problems)
        return catalog.complete(spec)
    if not isinstance(given, dict):
        raise ValueError
    settings = {key: value for key, value in given.items() if key != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        wrong = f"{shown(name)} is not" if "name" in given else "missing: wanted is"
        refuse([(("name",), f"{wrong} the name of a workload. Known: {listed(catalog.workload_names())}.")])
    spec = WorkloadSpec(name, settings)
    if problems := catalog.check(spec):
        refuse(((key,), text) for key, text in problems)
    return catalog.complete(spec)


def read_families(given: object) -> tuple[str, ...]:
    needs = {name: [one.name for one in family(name).settings() if one.default is REQUIRED] for name in family_names()}
    unfit = {
        name: f"{name!r} cannot be searched: only you can give its {listed(settings)}, and a search draws numbers. "
        "Take it out."
        for name, settings in needs.items()
        if settings
    }
    return _read_names(given, "family", [name for name in needs if name not in unfit], unfit)


def read_optimizers(given: object) -> tuple[str, ...]:
    return _read_names(given, "optimizer", tuple(OPTIMIZERS))


def _read_names(
    given: object, kind: str, known: Sequence[str], unfit: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """``unfit``: what is said of names that exist, but not for this."""
    if not isinstance(given, list) or not given:
        raise ValueError
    problems: list[tuple[Place, str]] = []
    for index, name in enumerate(given):
        if isinstance(name, str) and name in unfit:
            problems.append(((index,), unfit[name]))
        elif name not in known:
            problems.append(((index,), _unknown(kind, name, known)))
        elif name in given[:index]:
            problems.append(((index,), f"{shown(name)} is in the list twice. Take one out."))
    if problems:
        refuse(problems)
    return tuple(given)


def read_peak_lr(given: object, info: ValidationInfo) -> Mapping[str, Range]:
    """A table with one range per optimizer, each of them searched by this study."""
    if not isinstance(given, dict):
        raise ValueError
    searched = info.data.get("optimizers", OPTIMIZERS)  # it is absent where the list has problems of its own
    problems: list[tuple[Place, str]] = []
    for name, limits in given.items():
        if name not in OPTIMIZERS:
            problems.append(((name,), _unknown("optimizer", name, tuple(OPTIMIZERS))))
            continue
        if name not in searched:
            problems.append(((name,), f"{name} is not in space.optimizers. Add it there, or take this line out."))
        if not (_is_range(limits) and limits[0] > 0):
            wanted = f"a range of rates [low, high] with 0 < low < high, such as {name} = [0.001, 0.1]"
            problems.append(((name,), f"{shown(limits)} is not {wanted}."))
    if problems:
        refuse(problems)
    return {name: _range(limits) for name, limits in given.items()}


def read_warmup(given: object) -> float | Range:
    return _read_share(given, lambda share: 0 <= share < 1)


def read_floor(given: object) -> float | Range:
    return _read_share(given, lambda share: 0 <= share <= 1)


def _read_share(given: object, is_allowed: Callable[[float], bool]) -> float | Range:
    numbers: list[Any] = given if isinstance(given, list) else [given]
    if not all(_is_number(number) and is_allowed(number) for number in numbers):
        raise ValueError
    if not isinstance(given, list):
        return _number(numbers[0])
    if not _is_range(given):
        raise ValueError
    return _range(given)


def _is_number(given: Any) -> bool:
    # Compared rather than converted: an integer may be too large for a float.
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= sys.float_info.max


def _is_range(given: Any) -> bool:
    return isinstance(given, list) and len(given) == 2 and all(map(_is_number, given)) and given[0] < given[1]


def _range(given: Sequence[float]) -> Range:
    low, high = given
    return _number(low), _number(high)


def _number(given: float) -> float:
    """One form for 0, 0.0 and -0.0: equal spaces then have equal hashes."""
    return float(given) + 0.0


def _unknown(kind: str, name: object, known: Sequence[str]) -> str:
    guess = did_you_mean(name.lower(), known) if isinstance(name, str) else ""
    return f"unknown {kind} {shown(name)}.{guess} Known: {listed(known)}."


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def shown(value: object) -> str:
    """The value much as the file has it, cut where it is long."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = repr(value)
        case list():
            text = f"[{listed(map(shown, value))}]"
        case dict():
            text = "a table"
        case _:
            text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

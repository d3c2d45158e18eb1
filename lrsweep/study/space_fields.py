"""The values of [space] that need more than a type, but for single families' settings (``adjusted.py``)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn, TypeGuard

from pydantic import ValidationInfo

from lrsweep.schedules import core_names, family, family_names
from lrsweep.schedules.kinds import BELOW_ONE, Length, NotOfThisKind
from lrsweep.schedules.setting import REQUIRED
from lrsweep.scripts import command as scripts
from lrsweep.study.commands import PLACES, SHARED, around_of, in_braces, unheard
from lrsweep.study.extra import WANTED, Extra, read_extra
from lrsweep.study.lines import Place
from lrsweep.study.optimizers import OPTIMIZERS
from lrsweep.study.problems import listed, refuse, shown, unknown
from lrsweep.study.spaces import Range, hears, is_count


def read_families(given: object, info: ValidationInfo) -> tuple[str, ...]:
    needs = {name: [one.name for one in family(name).settings() if one.default is REQUIRED] for name in family_names()}
    unfit = {
        name: f"{name!r} cannot be searched: only you can give its {listed(settings)}, and a search draws numbers. "
        "Take it out."
        for name, settings in needs.items()
        if settings
    }
    searched = [name for name in needs if name not in unfit]
    command = around_of(info).command
    if command is not None:
        if reason := unheard(command):
            unfit |= {name: f"{name!r} cannot be searched here: {reason}" for name in searched if hears(name)}
        if command.families:
            unmapped = [name for name in searched if name not in command.families and name not in unfit]
            unfit |= {
                name: f"{name!r} has no flags under [study.workload.families]. Add them there, or take it out."
                for name in unmapped
            }
        searched = [name for name in searched if name not in unfit]
    if given == "all":
        return tuple(searched)
    if given == "core":
        return tuple(name for name in core_names() if name in searched) or _no_core(searched)
    return _read_names(given, "family", searched, unfit)


def _no_core(searched: Sequence[str]) -> NoReturn:
    refuse([((), f"none of the core has flags under [study.workload.families]. Name some of {listed(searched)}.")])


def read_optimizers(given: object, info: ValidationInfo) -> tuple[str, ...]:
    if around_of(info).is_command:
        refuse([((), "a script has an optimizer of its own. Take this line out.")])
    return _read_names(given, "optimizer", tuple(OPTIMIZERS))


def read_extra_table(given: object, info: ValidationInfo) -> Mapping[str, Extra]:
    if not isinstance(given, dict):
        raise ValueError
    around = around_of(info)
    if not around.is_command:
        refuse([((), "only a script (`command` under [study.workload]) takes parameters of yours. Take it out.")])
    reserved = {*PLACES, *SHARED}
    reached = None
    if around.command is not None:
        reserved |= {one.name for name in around.command.families for one in family(name).settings()}
        reached = in_braces(around.command) if around.command.follows != "attach" else None
    problems: list[tuple[Place, str]] = []
    extra: dict[str, Extra] = {}
    for name, value in given.items():
        if not name.isidentifier() or name in reserved:
            taken = "is taken" if name in reserved else "is no name of letters, digits and _"
            problems.append(((name,), f"{name!r} {taken}. Give the parameter another name."))
        elif reached is not None and name not in reached:
            problems.append(((name,), f"the command has no {{{name}}}, so the script would not hear it. Add it there."))
        if (read := read_extra(value)) is None:
            problems.append(((name,), f"{shown(value)} is not {WANTED}."))
        else:
            extra[name] = read
    if problems:
        refuse(problems)
    return extra


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
            problems.append(((index,), unknown(kind, name, known)))
        elif name in given[:index]:
            problems.append(((index,), f"{shown(name)} is in the list twice. Take one out."))
    if problems:
        refuse(problems)
    return tuple(given)


def read_peak_lr(given: object, info: ValidationInfo) -> Mapping[str, Range]:
    """A table with one range per optimizer, each of them searched by this study; for a script, its one range."""
    if around_of(info).is_command:
        if not (_is_range(given) and given[0] > 0):
            wanted = "a range of rates [low, high] with 0 < low < high, such as [0.001, 0.1]"
            refuse([((), f"{shown(given)} is not {wanted}: a script has one optimizer.")])
        return {scripts.OPTIMIZER: _range(given)}
    if not isinstance(given, dict):
        raise ValueError
    searched = info.data.get("optimizers", OPTIMIZERS)  # it is absent where the list has problems of its own
    problems: list[tuple[Place, str]] = []
    for name, limits in given.items():
        if name not in OPTIMIZERS:
            problems.append(((name,), unknown("optimizer", name, tuple(OPTIMIZERS))))
            continue
        if name not in searched:
            problems.append(((name,), f"{name} is not in space.optimizers. Add it there, or take this line out."))
        if not (_is_range(limits) and limits[0] > 0):
            wanted = f"a range of rates [low, high] with 0 < low < high, such as {name} = [0.001, 0.1]"
            problems.append(((name,), f"{shown(limits)} is not {wanted}."))
    if problems:
        refuse(problems)
    return {name: _range(limits) for name, limits in given.items()}


def read_warmup(given: object) -> float | str | Range:
    if isinstance(given, str) and is_count(given):
        try:
            length: float | str = Length(BELOW_ONE).read(given)
        except NotOfThisKind:
            raise ValueError from None
        return length
    return _read_share(given, lambda share: 0 <= share < 1)


def read_floor(given: object) -> float | Range:
    return _read_share(given, lambda share: 0 <= share <= 1)


def read_weight_decay(given: object, info: ValidationInfo) -> Mapping[str, float | Range]:
    """One number or range for all optimizers of the space, or a table of them; what is the optimizer's own is left
    out."""
    if around_of(info).is_command:
        refuse([((), "a script has an optimizer of its own. Let it take the weight decay from [space.extra].")])
    searched = info.data.get("optimizers", tuple(OPTIMIZERS))  # it is absent where the list has problems of its own
    table: Mapping[str, Any] = given if isinstance(given, dict) else dict.fromkeys(searched, given)
    problems: list[tuple[Place, str]] = []
    for name, decay in table.items():
        place = (name,) if isinstance(given, dict) else ()
        if name not in OPTIMIZERS:
            problems.append((place, unknown("optimizer", name, tuple(OPTIMIZERS))))
            continue
        if name not in searched:
            problems.append((place, f"{name} is not in space.optimizers. Add it there, or take this line out."))
        if not (_is_range(decay) and decay[0] >= 0) and not (_is_number(decay) and decay >= 0):
            problems.append((place, f"{shown(decay)} is not a number from 0, or a rising range such as [1e-5, 0.1]."))
    if problems:
        refuse(problems if isinstance(given, dict) else problems[:1])
    decays = {name: _range(each) if isinstance(each, list) else _number(each) for name, each in table.items()}
    return {name: each for name, each in decays.items() if each != OPTIMIZERS[name].settings["weight_decay"]}


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


def _is_range(given: Any) -> TypeGuard[list[float]]:
    return isinstance(given, list) and len(given) == 2 and all(map(_is_number, given)) and given[0] < given[1]


def _range(given: Sequence[float]) -> Range:
    low, high = given
    return _number(low), _number(high)


def _number(given: float) -> float:
    """One form for 0, 0.0 and -0.0: equal spaces then have equal hashes."""
    return float(given) + 0.0

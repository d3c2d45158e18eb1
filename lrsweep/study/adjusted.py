"""``[space.settings.FAMILY]``: another range than a family's own, or one fixed value.

cooldown = [0.1, 0.3]                       a range; on a log scale, and of whole numbers, where the family's own is
cooldown = {low = 1e-3, high = 1.0, log = true}
shape    = {choices = ["linear", "1-sqrt"]}  one of these, also of what the family does not search by itself
shape    = "1-sqrt"                          always this
points.1 = [0.5, 1.0]                        of a list, each number by its place
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationInfo

from lrsweep.records import Json
from lrsweep.schedules import Options, Search, Setting, family
from lrsweep.schedules.kinds import Choice, Flag, Kind, NotOfThisKind
from lrsweep.study.extra import Choices, read_extra
from lrsweep.study.lines import Place
from lrsweep.study.problems import listed, refuse, shown, unknown
from lrsweep.study.spaces import OWN_TABLE, SEARCHABLE, Drawn, Range, SpaceSpec, adjustable

Adjusted = Mapping[str, Drawn | Json]
FORMS = ("choices", "low", "high", "log", "whole")
ADVICE = "A trial could get this: change a value or a range here or under [space]"


def read_settings(given: object, info: ValidationInfo) -> Mapping[str, Adjusted]:
    """By family and drawn name. What is the family's own by itself is left out."""
    if not isinstance(given, dict):
        raise ValueError
    searched = info.data.get("families", SEARCHABLE)  # it is absent where the list has problems of its own
    problems: list[tuple[Place, str]] = []
    found: dict[str, Adjusted] = {}
    for name, table in given.items():
        if name not in searched:
            text = unknown("family of this space", name, searched)
            problems.append(((name,), f"{text} Or add it to space.families."))
        if not isinstance(table, dict):
            problems.append(((name,), f"{shown(table)} is not a table [space.settings.{name}]."))
        elif name in SEARCHABLE:
            told, adjusted = _read_family(name, table, info.data.get("warmup", 0.0))
            problems += (((name, *place), text) for place, text in told)
            found[name] = adjusted
    if problems:
        refuse(problems)
    return {name: adjusted for name, adjusted in found.items() if adjusted}


def _read_family(
    name: str, table: Mapping[str, Any], warmup: float | str | Range
) -> tuple[list[tuple[Place, str]], Adjusted]:
    known = adjustable(name)
    problems: list[tuple[Place, str]] = []
    found: dict[str, Drawn | Json] = {}
    for place, key, value in _flat(table):
        if key not in known:
            problems.append((place, _unknown(name, key, known)))
            continue
        setting, kind = known[key]
        try:
            found[key] = _read_value(value, setting, kind)
        except NotOfThisKind as refused:
            problems.append((place, _told(value, setting, kind, refused)))
    if not problems:
        space = SpaceSpec((name,), optimizers=(), warmup=warmup, settings={name: found})
        # A metric that is better large allows more, and which way it is may only be known with the workload.
        if misfit := space.misfit(name, "maximize"):
            problems.append(((), f"{misfit}. {ADVICE}."))
    own = {drawn: search for one in family(name).settings() for drawn, search in one.searched().items()}
    own |= {one.name: one.default for one, _ in known.values() if not one.search}
    return problems, {key: value for key, value in found.items() if value != own[key]}


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[Place, str, Any]]:
    """``points.1`` is a table in a table for TOML."""
    for key, value in table.items():
        if isinstance(value, dict) and value and all(part.isdigit() for part in value):
            yield from (((key, part), f"{key}.{part}", each) for part, each in value.items())
        else:
            yield (key,), key, value


def _read_value(given: Any, setting: Setting, kind: Kind) -> Drawn | Json:
    """Raises NotOfThisKind."""
    is_drawn = isinstance(given, list) or (isinstance(given, dict) and given.keys() <= set(FORMS))
    if not is_drawn:
        return kind.read(given)
    match read_extra(given):
        case Search(low, high) as search:
            ends = kind.read(low), kind.read(high)
            is_whole = all(isinstance(end, int) for end in ends)
            if isinstance(given, list):
                is_log = isinstance(setting.search, Search) and setting.search.log and low > 0
                return Search(*ends, log=is_log, whole=is_whole)
            return search if search.whole else Search(*ends, log=search.log, whole=is_whole)
        case Choices(values):
            read = tuple(kind.read(value) for value in values)
            return Options(read) if all(isinstance(each, str) for each in read) else Choices(read)
    raise NotOfThisKind(
        "must be a range [low, high] with low < high, a table {low, high, log, whole} or {choices}, or one value"
    )


def _told(given: Any, setting: Setting, kind: Kind, refused: NotOfThisKind) -> str:
    or_range = "" if isinstance(kind, Choice | Flag) else ", a rising range of these"
    wanted = str(refused).removeprefix("must be ") or f"{kind}{or_range} or {{choices = [...]}}"
    return f"{shown(given)} is not {wanted}. This is {setting.meaning}."


def _unknown(name: str, key: str, known: Mapping[str, object]) -> str:
    if key in OWN_TABLE:
        return f"{key} is the same for all families. Write it under [space]."
    if key == "mode":
        return "which way the metric is better is study.direction. Take this line out."
    if places := [each for each in known if each.startswith(f"{key}.")]:
        return f"{key} is a list. Say each of its numbers by its place: {listed(places)}."
    return unknown(f"setting of {name}", key, tuple(known))

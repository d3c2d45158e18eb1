"""The schedules that a command line asks for: families by name, files, and settings for the families.

Everything that is wrong with it is collected, so that one look at the answer mends all of it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules import Schedule, family, family_names, grouped_from_json
from lrsweep.schedules.groups import is_grouped
from lrsweep.schedules.reading import parsed_object, read_json, schedule_from_dict
from lrsweep.schedules.setting import REQUIRED

STDIN = "-"


@dataclass(frozen=True)
class Asked:
    """One schedule, and what it is called in a drawing."""

    name: str
    schedule: Schedule
    multiplier: float = 1.0
    """its own peak as a multiple of the peak: a group of ``lrsweep.grouped`` has one"""
    of_family: bool = True


@dataclass(frozen=True)
class Given:
    """One ``--set``: for one family, or with ``family`` None for all that have the setting."""

    family: str | None
    setting: str
    value: Any

    @property
    def key(self) -> str:
        return self.setting if self.family is None else f"{self.family}.{self.setting}"


def read_asked(
    names: Sequence[str], sets: Sequence[str], problems: list[str], *, allow_code: bool = False
) -> tuple[list[Asked], list[str]]:
    """The schedules in the order in which they were named, and the families that were left out because a setting of
    theirs has no default and none was given. Without names it is all families."""
    named = list(names) or list(family_names())
    problems += [f"{name!r} is named twice; once is enough" for name in dict.fromkeys(names) if names.count(name) > 1]
    families = [name for name in dict.fromkeys(named) if name in family_names()]
    settings, given = settings_of(families, sets, problems)

    asked, left_out = [], []
    for name in dict.fromkeys(named):
        if name not in families:
            asked += _from_file(name, problems, allow_code=allow_code)
        elif not names and _missing(name, settings[name]):
            left_out.append(name)
        else:
            asked += _of_family(name, settings[name], problems, allow_code=allow_code)
    if not families and given:
        problems.append(
            f"--set {given[0].key}: it is for families, and none is named; a file is drawn as it is written"
        )
    return asked, left_out


def settings_of(
    families: Sequence[str], sets: Sequence[str], problems: list[str]
) -> tuple[dict[str, dict[str, Any]], list[Given]]:
    """By family what was set for it. What is set for one family counts more than what is set for all."""
    given = [one for text in sets if (one := _given(text, problems)) is not None]
    keys = [one.key for one in given]
    problems += [f"--set {key} is given more than once; keep one" for key in dict.fromkeys(keys) if keys.count(key) > 1]

    has = {name: [one.name for one in family(name).settings()] for name in families}
    settings: dict[str, dict[str, Any]] = {name: {} for name in families}
    for one in sorted(given, key=lambda one: one.family is not None):
        if one.family is None:
            for_whom = [name for name in families if one.setting in has[name]]
            known = dict.fromkeys(setting for names in has.values() for setting in names)
            if families and not for_whom:
                problems.append(
                    f"--set {one.key}: no family that is named has this setting.{did_you_mean(one.setting, known)} "
                    f"They have: {', '.join(known)}"
                )
        else:
            for_whom = [one.family] if one.setting in has.get(one.family, ()) else []
            if families and not for_whom:
                problems.append(_nobody_has(one, has))
        for name in for_whom:
            settings[name][one.setting] = one.value
    return settings, given


def _nobody_has(one: Given, has: Mapping[str, Sequence[str]]) -> str:
    assert one.family is not None
    if one.family not in has:
        return (
            f"--set {one.key}: {one.family!r} is none of the families that are named."
            f"{did_you_mean(one.family, has)} They are: {', '.join(has)}"
        )
    known = has[one.family]
    return (
        f"--set {one.key}: {one.setting!r} is not a setting.{did_you_mean(one.setting, known)} "
        f"{one.family} has: {', '.join(known)}"
    )


def _given(text: str, problems: list[str]) -> Given | None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        problems.append(f"--set {text!r}: wanted NAME=VALUE or FAMILY.NAME=VALUE, such as --set warmup=0.1")
        return None
    of, dot, setting = key.strip().partition(".")
    try:
        read = read_value(value.strip(), f"--set {key.strip()}")
    except ScheduleError as refused:
        problems.append(str(refused))
        return None
    return Given(of, setting, read) if dot else Given(None, of, read)


def read_value(text: str, place: str) -> Any:
    """What JSON makes of the text, or Python of a number (``.1``); else the text itself: a name, or ``500 steps``."""
    if text.startswith("{"):  # nothing but an object begins so: a mistake in it is told as one
        found, problems = parsed_object(text, place)
        if problems:
            raise ScheduleError(f"{place}: {'; '.join(problems)}")
        return found
    for read in (json.loads, float):
        try:
            return read(text)
        except (ValueError, RecursionError):
            continue
    return text


def _missing(name: str, settings: Mapping[str, Any]) -> bool:
    return any(one.default is REQUIRED and one.name not in settings for one in family(name).settings())


def _of_family(name: str, settings: Mapping[str, Any], problems: list[str], *, allow_code: bool) -> list[Asked]:
    if family(name).runs_code and not allow_code:
        problems.append(f"{name}: it imports and calls the function that `path` names; --allow-code lets it")
        return []
    made = schedule_from_dict({"family": name, **settings}, problems, allow_code=allow_code, place=f"{name}.")
    return [Asked(name, made)] if made is not None else []


def _from_file(name: str, problems: list[str], *, allow_code: bool) -> list[Asked]:
    """What ``to_json`` wrote, of a schedule or of a ``grouped``, which has one for each group; ``-`` is standard
    input."""
    if not (name == STDIN or Path(name).exists()):
        problems.append(_unknown(name))
        return []
    text = text_of(name, problems)
    if text is None:
        return []
    subject = "standard input" if name == STDIN else name
    try:
        if is_grouped(text):
            groups = grouped_from_json(text, allow_code=allow_code).groups
            return [
                Asked(f"{subject}: {group.name}", group.schedule, group.multiplier, of_family=False) for group in groups
            ]
        found = read_json(text, subject, lambda given, told: schedule_from_dict(given, told, allow_code=allow_code))
    except ScheduleError as refused:
        told = str(refused).replace("grouped JSON", subject, 1)
        problems.append(indented(told.replace("allow_code=True", "--allow-code")))
        return []
    return [Asked(subject, found, of_family=False)]


def indented(told: str) -> str:
    """A text that may list problems, as one entry in a list of problems."""
    return told.replace("\n", "\n  ")


def text_of(name: str, problems: list[str]) -> str | None:
    """What a file holds; ``-`` is standard input."""
    path = Path(name)
    try:
        if name == STDIN:
            return sys.stdin.buffer.read().decode("utf-8")
        if not path.exists():
            problems.append(f"there is no file {name}")
        elif path.is_dir():
            problems.append(f"{name} is a folder; wanted a file")
        else:
            return path.read_bytes().decode("utf-8")
    except OSError as error:
        problems.append(f"{name} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{name} is not a text in UTF-8; wanted JSON")
    return None


def _unknown(name: str) -> str:
    if "=" in name:
        return f"{name!r} looks like a setting: each needs a --set of its own"
    if name.endswith(".json") or Path(name).name != name:
        return f"there is no file {name}"
    try:
        family(name)
    except ScheduleError as unknown:
        return f"{unknown}. Nor is there a file of that name"
    return ""


def read_metrics(path: Path, problems: list[str]) -> list[float] | None:
    """A JSON list of numbers; NaN and infinities may be among them, as in a training that diverges, and null, which is
    how JSON that knows no NaN writes one."""
    text = text_of(str(path), problems)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        problems.append(f"--metrics {path} is not JSON ({error}); wanted a list of numbers such as [2.3, 1.1, 0.7]")
        return None
    if isinstance(found, list) and found and all(one is None or type(one) in (int, float) for one in found):
        return [math.nan if one is None else float(one) for one in found]
    problems.append(f"--metrics {path}: wanted a list of numbers such as [2.3, 1.1, 0.7], not {shortened(found)}")
    return None

"""Schedules from their JSON texts. Only data is read: nothing in a text can run code.

A schedule may lie inside another (the ``base`` of a reactive one, the parts of a sequence): any object that names a
family is one. What is wrong inside is told with its place, as in ``parts[1].schedule: floor must be …``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from reprlib import repr as shortened
from typing import Any, TypeVar

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import JSON_VERSION, Schedule
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.registry import kind_of_schedule, made

SMALLEST = '{"family": "cosine"}'
STANDS_IN = Constant()
MOST_ENTRIES = 1000
"""Of an object, and objects in a list: more are no schedule, and to judge them all would take long."""
TOO_DEEP = "is nested deeper than a schedule can be"

Found = TypeVar("Found")


def schedule_from_json(text: str, *, allow_code: bool = False) -> Schedule:
    """The schedule that ``to_json`` wrote; ``family`` alone is enough. All problems of a text are told at once.

    ``allow_code`` lets it hold the family ``function``, which imports and calls the function that it names.

    >>> schedule_from_json('{"family": "rex", "warmup": 0.1}')
    lrsweep.schedule('rex', warmup=0.1)
    """
    return read_json(
        text,
        "schedule JSON",
        lambda given, problems: schedule_from_dict(given, problems, allow_code=allow_code),
    )


def read_json(
    text: str, subject: str, read: Callable[[dict[str, Any], list[str]], Found | None], smallest: str = SMALLEST
) -> Found:
    """What ``read`` makes of the one object in a text; it appends what is wrong to a list."""
    given, problems = parsed_object(text, subject, smallest)
    if told := newer_version(given, subject):
        raise ScheduleError(told)
    found = read(given, problems)
    if problems or found is None:
        raise ScheduleError(listing(subject, problems))
    return found


def schedule_from_dict(
    given: Mapping[str, Any], problems: list[str], *, allow_code: bool = False, place: str = ""
) -> Schedule | None:
    """The schedule in a parsed object, inner schedules too; what is wrong is appended to ``problems`` with its place,
    and then there is none."""
    try:
        return _from_dict(given, problems, allow_code=allow_code, place=place)
    except RecursionError:
        problems.append(f"{_where(place)}{shortened(given)} {TOO_DEEP}; wanted {SMALLEST}")
        return None


def _from_dict(given: Mapping[str, Any], problems: list[str], *, allow_code: bool, place: str) -> Schedule | None:
    before = len(problems)
    if len(given) > MOST_ENTRIES:
        problems.append(f"{_where(place)}a schedule cannot have {len(given)} settings; wanted {SMALLEST}")
        return None
    settings = dict(given)
    told = version_problems(settings.pop("version", JSON_VERSION))
    name = settings.pop("family", None)
    if name is None:
        told.append(f"family is missing; the smallest schedule is {SMALLEST}")
    inner: list[str] = []
    settings = {
        key: _with_schedules(value, inner, allow_code=allow_code, place=f"{place}{key}")
        for key, value in settings.items()
    }
    if name is not None:
        try:
            told += kind_of_schedule(name).problems_with(settings)
        except ScheduleError as unknown:
            told.append(str(unknown))
    where = _where(place)
    problems += [*(f"{where}{problem}" for problem in told), *inner]
    if len(problems) > before:
        return None
    try:
        return made(name, settings, allow_code=allow_code)
    except ScheduleError as refused:
        problems.append(f"{where}{refused}")
        return None


def _with_schedules(value: Any, problems: list[str], *, allow_code: bool, place: str) -> Any:
    """The value with every object in it that names a family turned into the schedule.

    One that cannot be read is told, and a schedule stands in for it, so that what is around it is judged as well.
    """
    if isinstance(value, Mapping):
        if "family" in value:
            found = _from_dict(value, problems, allow_code=allow_code, place=f"{place}.")
            return STANDS_IN if found is None else found
        return {
            key: _with_schedules(one, problems, allow_code=allow_code, place=f"{place}.{key}")
            for key, one in value.items()
        }
    if isinstance(value, list) and any(isinstance(one, (list, Mapping)) for one in value):
        if len(value) > MOST_ENTRIES:
            problems.append(f"{place}: {len(value)} entries are too many; wanted {MOST_ENTRIES} at most")
            return []
        return [
            _with_schedules(one, problems, allow_code=allow_code, place=f"{place}[{at}]")
            for at, one in enumerate(value)
        ]
    return value


def _where(place: str) -> str:
    return f"{place.rstrip('.')}: " if place else ""


def version_problems(version: object) -> list[str]:
    """What is wrong with the version that a text names."""
    if type(version) is int and version == JSON_VERSION:
        return []
    return [f"version must be {JSON_VERSION} or left out, not {shortened(version)}"]


def newer_version(given: Mapping[str, Any], subject: str) -> str | None:
    """The refusal of a text from a newer lrsweep: whatever else looks wrong in it may be right in that version."""
    version = given.get("version")
    if type(version) is not int or version <= JSON_VERSION:
        return None
    return (
        f"{subject}: version {shortened(version)} was written by a newer lrsweep; "
        f"this one reads version {JSON_VERSION}. Upgrade lrsweep, or write the schedule again with this one"
    )


def parsed_object(text: str, subject: str, smallest: str = SMALLEST) -> tuple[dict[str, Any], list[str]]:
    """The object in ``text``, and what JSON readers let pass but a schedule must not hold."""
    problems: list[str] = []

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                problems.append(f"{shortened(key)} is given more than once; keep one")
            found[key] = value
        return found

    if not isinstance(text, str):
        raise ScheduleError(f"{subject}: wanted a text such as {smallest}, not {shortened(text)}")
    try:
        parsed = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise ScheduleError(f"{subject}: {shortened(text)} is not JSON ({error}); wanted {smallest}") from error
    if not isinstance(parsed, dict):
        raise ScheduleError(f"{subject}: wanted one object such as {smallest}, not {shortened(parsed)}")
    return parsed, problems

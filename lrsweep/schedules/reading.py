"""A schedule from its JSON text. Only data is read: nothing in a text can run code."""

from __future__ import annotations

import json
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import JSON_VERSION, Schedule
from lrsweep.schedules.families import family, schedule
from lrsweep.schedules.setting import listing

SMALLEST = '{"family": "cosine"}'


def schedule_from_json(text: str) -> Schedule:
    """The schedule that ``to_json`` wrote; ``family`` alone is enough. All problems of a text are told at once.

    >>> schedule_from_json('{"family": "rex", "warmup": 0.1}')
    lrsweep.schedule('rex', warmup=0.1)
    """
    given, problems = _parsed(text)
    version, name = given.pop("version", JSON_VERSION), given.pop("family", None)
    if type(version) is int and version > JSON_VERSION:
        # Whatever else looks wrong may be right in that version.
        raise ScheduleError(
            f"schedule JSON: version {version} was written by a newer lrsweep; this one reads version {JSON_VERSION}. "
            "Upgrade lrsweep, or write the schedule again with this one"
        )
    if type(version) is not int or version != JSON_VERSION:
        problems.append(f"version must be {JSON_VERSION} or left out, not {shortened(version)}")
    if name is None:
        problems.append(f"family is missing; the smallest schedule is {SMALLEST}")
    else:
        try:
            problems += family(name).problems_with(given)
        except ScheduleError as unknown:
            problems.append(str(unknown))
    if problems:
        raise ScheduleError(listing("schedule JSON", problems))
    return schedule(name, **given)


def _parsed(text: str) -> tuple[dict[str, Any], list[str]]:
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
        raise ScheduleError(f"schedule JSON: wanted a text such as {SMALLEST}, not {shortened(text)}")
    try:
        parsed = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise ScheduleError(f"schedule JSON: {shortened(text)} is not JSON ({error}); wanted {SMALLEST}") from error
    if not isinstance(parsed, dict):
        raise ScheduleError(f"schedule JSON: wanted one object such as {SMALLEST}, not {shortened(parsed)}")
    return parsed, problems

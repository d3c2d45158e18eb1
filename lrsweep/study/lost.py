"""Schedule families that a stored study names and that this lrsweep does not have: removed by a later release, or of an
extension that is not installed. Its results are still looked at; only what needs such a schedule itself is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from lrsweep.errors import ScheduleError
from lrsweep.records import Json, StudyRow
from lrsweep.schedules import schedule_from_json
from lrsweep.schedules.registry import kind_of_schedule

BY_FAMILY = ("settings", "family_settings")
"""The tables of a stored space that have a row per family and are read by its declaration."""


def is_lost(family: str) -> bool:
    """
    >>> is_lost("cosine"), is_lost("sequence"), is_lost("one_of_a_plug_in")
    (False, False, True)
    """
    try:
        kind_of_schedule(family)
    except ScheduleError:
        return True
    return False


def unreadable(family: str) -> str:
    """Why a stored point of the family has no schedule here, and what to do."""
    if is_lost(family):
        return (
            f"its schedule family {family!r} is not among those of this lrsweep; install the release or the extension "
            "that had it"
        )
    return f"it was drawn by a release whose family {family!r} had other settings; install that release"


def without_lost_families(row: StudyRow) -> StudyRow:
    """The same generation for those who look at it: its space without the lost families, and no baseline that cannot
    be read. Its hashes, which stand in the row, are those of the whole."""
    spec = dict(row.spec)
    spec["space"] = {name: _kept(name, value) for name, value in spec["space"].items()}
    if "baseline" in spec and not _is_schedule(spec["baseline"]["schedule"]):
        del spec["baseline"]
    return replace(row, spec=spec)


def _kept(name: str, value: Json) -> Json:
    if name == "families":
        return [family for family in value if not is_lost(family)]
    if name in BY_FAMILY:
        return {family: each for family, each in value.items() if not is_lost(family)}
    return value


def _is_schedule(stored: Mapping[str, Json]) -> bool:
    try:
        schedule_from_json(json.dumps(stored))
    except ScheduleError:
        return False
    return True

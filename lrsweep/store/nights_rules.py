"""What each change of a night means, for all homes of the store. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lrsweep.records import Json, Status
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.store.rules import plain, storable_text


def begun(study: str, generation: str, key: str, plan: Mapping[str, Json], now: float) -> NightRow:
    return NightRow(study, generation, key, plain(dict(plan), f"the plan of night {key!r}"), at=now)


def gone_on(night: NightRow, plan: Mapping[str, Json]) -> NightRow:
    _refuse_ended(night)
    return replace(night, plan=plain(dict(plan), f"the plan of night {night.key!r}"))


def ended(night: NightRow, result: Mapping[str, Json], now: float) -> NightRow:
    _refuse_ended(night)
    return replace(night, result=plain(dict(result), f"the result of night {night.key!r}"), ended_at=now)


def to_add(night: NightRow, trainings: Iterable[NightTraining], new: NightTraining) -> NightTraining:
    """The training as it can be stored."""
    _refuse_ended(night)
    if new.key in {each.key for each in trainings}:
        raise ValueError(f"night {night.key!r} has trained {new.arm} over {new.horizon} steps with seed {new.seed}")
    if not new.status.is_outcome or new.status is Status.STOPPED:
        raise ValueError(f"a training of a night is {new.status.value}; it is written when it has come to an end")
    if new.value is not None and not math.isfinite(new.value):
        raise ValueError(f"the value of a night's training is {new.value}; one that came to none has None")
    return replace(new, error=None if new.error is None else storable_text(new.error))


def told(rows: Iterable[NightRow], count: int, failing: str) -> list[NightRow]:
    """Of each study the last so many of those that came to something; ``rows`` are in the order in which they began."""
    found: dict[str, list[NightRow]] = {}
    for row in rows:
        is_failing = row.generation.startswith(failing)
        if is_failing or row.ended_at is not None:
            found.setdefault(row.study, []).append(row if is_failing else replace(row, plan={}))
    last = (row for of_study in found.values() for row in of_study[max(0, len(of_study) - count) :])
    return sorted(last, key=lambda row: row.id)


def of_key(rows: Iterable[NightRow], study: str, generation: str, key: str) -> NightRow | None:
    return next((row for row in rows if (row.study, row.generation, row.key) == (study, generation, key)), None)


def no_such(night: int) -> KeyError:
    return KeyError(f"no night {night} is stored")


def _refuse_ended(night: NightRow) -> None:
    if night.ended_at is not None:
        raise ValueError(f"night {night.key!r} of study {night.study!r} has ended")

"""The state of a scheduler as plain JSON-able data, and what has changed between a stored and a given one.

The schedule is in it as its JSON text: a state says what it is the state *of*, so that a training that goes on with
another schedule is found out. PyTorch's own schedulers store numbers alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import as_float
from lrsweep.schedules.course import State
from lrsweep.schedules.kinds import listing

VERSION = 1
MARK = "lrsweep"
"""The key that holds the version, and that no other scheduler's state has."""

SUBJECT = "scheduler state"


@dataclass(frozen=True)
class SavedDecay:
    """A weight decay that follows a schedule."""

    schedule: str
    """its JSON text"""
    peaks: list[float]
    """of each group, in the optimizer's order"""

    def to_dict(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "peaks": list(self.peaks)}


@dataclass(frozen=True)
class Saved:
    schedule: str
    """its JSON text"""
    total_steps: int
    peaks: list[float]
    step: int
    """the updates done"""
    reactive: dict[str, list[State]]
    """by the names of the groups that share a schedule"""
    weight_decay: SavedDecay | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            MARK: VERSION,
            "schedule": self.schedule,
            "total_steps": self.total_steps,
            "peaks": list(self.peaks),
            "step": self.step,
            "reactive": dict(self.reactive),
            "weight_decay": self.weight_decay.to_dict() if self.weight_decay else None,
        }


def read_saved(given: object) -> Saved:
    """The state that ``state_dict`` gave; anything else is refused, with all that is wrong with it."""
    if not isinstance(given, Mapping):
        raise ScheduleError(f"{SUBJECT}: wanted what state_dict() of such a scheduler gave, not {shortened(given)}")
    if MARK not in given:
        told = ", ".join(map(str, list(given)[:6])) or "nothing"
        raise ScheduleError(
            f"{SUBJECT}: this is not one of lrsweep's; it holds {told}. It may be an optimizer's or that of one of "
            "PyTorch's schedulers, which cannot be taken over: the training can go on with "
            "s.torch(optimizer, total_steps, peak_lr=...) and as many .step() as updates were done"
        )
    version = given[MARK]
    if type(version) is int and version > VERSION:
        raise ScheduleError(
            f"{SUBJECT}: version {version} was written by a newer lrsweep; this one reads version {VERSION}. "
            "Upgrade lrsweep"
        )
    problems = list(_problems(given))
    if problems:
        raise ScheduleError(listing(SUBJECT, problems))
    decay = given["weight_decay"]
    return Saved(
        schedule=given["schedule"],
        total_steps=int(given["total_steps"]),
        peaks=[float(peak) for peak in given["peaks"]],
        step=int(given["step"]),
        reactive={str(name): list(states) for name, states in given["reactive"].items()},
        weight_decay=None if decay is None else SavedDecay(decay["schedule"], [float(peak) for peak in decay["peaks"]]),
    )


def _problems(given: Mapping[str, Any]) -> Iterator[str]:
    if type(given[MARK]) is not int or given[MARK] != VERSION:
        yield f"{MARK} must be {VERSION}, not {shortened(given[MARK])}"
    wanted: dict[str, tuple[str, Callable[[Any], bool]]] = {
        "schedule": ("a schedule's JSON text", _is_json_object),
        "total_steps": ("a whole number of 1 or more", lambda value: _is_count(value) and value >= 1),
        "peaks": ("a list of finite numbers, the largest above 0 and none below", _are_peaks),
        "step": ("a whole number of 0 or more", _is_count),
        "reactive": ("lists of states by name", _are_states_by_name),
        "weight_decay": ("None, or a schedule's JSON text with peaks", lambda value: value is None or _is_decay(value)),
    }
    for key, (text, fits) in wanted.items():
        if key not in given:
            yield f"{key} is missing; wanted {text}"
        elif not fits(given[key]):
            yield f"{key} must be {text}, not {shortened(given[key])}"


def _is_decay(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_json_object(value.get("schedule")) and _are_numbers(value.get("peaks"))


def _is_json_object(value: Any) -> bool:
    try:
        parsed = json.loads(value) if isinstance(value, str) else None
        return isinstance(parsed, dict) and bool(dict(_leaves(parsed, "")))
    except (ValueError, RecursionError):  # nested deeper than anybody can read
        return False


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(math.isfinite(as_float(one)) for one in value)


def _are_peaks(value: Any) -> bool:
    """Of groups, of which some may be frozen at 0."""
    return _are_numbers(value) and all(peak >= 0 for peak in value) and any(peak > 0 for peak in value)


def _are_states_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(states, (list, tuple)) and all(map(_is_state, states)) for states in value.values()
    )


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and isinstance(value.get("family"), str) and isinstance(value.get("state"), Mapping)
    )


# ── what has changed ─────────────────────────────────────────────────────────────────────────────────────────────────


def differences(stored: Saved, given: Saved) -> list[str]:
    """All that is not the same in two states but the position, each with both values."""
    found = list(_schedules("", stored.schedule, given.schedule))
    if stored.total_steps != given.total_steps:
        found.append(_told("total_steps", stored.total_steps, given.total_steps))
    found += _peaks("peak of group", stored.peaks, given.peaks)
    if stored.weight_decay is None or given.weight_decay is None:
        if stored.weight_decay is not given.weight_decay:
            texts = [decay.schedule if decay else "no schedule" for decay in (stored.weight_decay, given.weight_decay)]
            found.append(f"weight_decay: stored {texts[0]}, given {texts[1]}")
    else:
        found += _schedules("weight_decay.", stored.weight_decay.schedule, given.weight_decay.schedule)
        found += _peaks("weight decay of group", stored.weight_decay.peaks, given.weight_decay.peaks)
    return list(dict.fromkeys(found))  # schedules by group name their weight decay themselves as well


def _schedules(place: str, stored: str, given: str) -> Iterator[str]:
    if stored == given:
        return
    one, other = (dict(_leaves(json.loads(text), place)) for text in (stored, given))
    for key in dict.fromkeys([*one, *other]):
        if key not in one:
            yield f"{key}: stored nothing, given {shortened(other[key])}"
        elif key not in other:
            yield f"{key}: stored {shortened(one[key])}, given nothing"
        elif one[key] != other[key]:
            yield _told(key, one[key], other[key])


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every value in an object with its place, as in ``base.floor`` or ``parts[0].length``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}{key}.")
    elif isinstance(value, list) and any(isinstance(inner, (dict, list)) for inner in value):
        for at, inner in enumerate(value):
            yield from _leaves(inner, f"{place.rstrip('.')}[{at}].")
    else:
        yield place.rstrip("."), value


def _peaks(what: str, stored: Sequence[float], given: Sequence[float]) -> Iterator[str]:
    if len(stored) != len(given):
        yield _told("number of parameter groups", len(stored), len(given))
    for place, (one, other) in enumerate(zip(stored, given, strict=False)):
        if one != other:
            yield _told(f"{what} {place}", one, other)


def _told(what: str, stored: object, given: object) -> str:
    return f"{what}: stored {shortened(stored)}, given {shortened(given)}"

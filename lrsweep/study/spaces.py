"""What is searched: families, optimizers and ranges, and what a study says otherwise than the families themselves."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeGuard

from lrsweep.errors import ScheduleError
from lrsweep.records import Direction, Json
from lrsweep.schedules import Options, Search, Setting, family, family_names, json_value, schedule
from lrsweep.schedules.kinds import Kind, Length, Numbers, steps_in
from lrsweep.schedules.setting import REQUIRED
from lrsweep.study.extra import Choices, Extra, extra_to_json

Range = tuple[float, float]
Drawn = Search | Options | Choices
"""What one number or name of a family is drawn from."""

OWN_TABLE = ("warmup", "floor")
"""Settings of every family that the space has keys of its own for."""


@dataclass(frozen=True)
class SpaceSpec:
    """What is searched. ``warmup`` and ``floor`` are one number, or a range that is searched too."""

    families: tuple[str, ...]
    """in the order given: the search counts its choices by it"""
    optimizers: tuple[str, ...]
    warmup: float | str | Range = 0.0
    """a share, or a count such as ``200 steps`` that stays the same on every rung"""
    floor: float | Range = 0.0
    peak_lr: Mapping[str, Range] = field(default_factory=dict)
    """per optimizer, on a log scale; what is missing comes from the workload"""
    extra: Mapping[str, Extra] = field(default_factory=dict)
    """the script's own parameters: what is drawn, or the one value that is passed on"""
    weight_decay: Mapping[str, float | Range] = field(default_factory=dict)
    """by optimizer, a range on a log scale where it begins above 0; where one is missing, the optimizer's own value"""
    settings: Mapping[str, Mapping[str, Drawn | Json]] = field(default_factory=dict)
    """by family and drawn name (``cooldown``, ``points.1``): another range than the family's own, or one fixed value"""

    def searched(self, family_name: str) -> dict[str, Drawn]:
        """What a search draws of the family, by drawn name without the family's."""
        given = self.settings.get(family_name, {})
        own = {drawn: search for one in family(family_name).settings() for drawn, search in one.searched().items()}
        return {name: each for name, each in {**own, **given}.items() if isinstance(each, Drawn)}

    def fixed(self, family_name: str) -> dict[str, Json]:
        """The values that the study pins, by drawn name; what it says nothing of has the family's default."""
        return {name: each for name, each in self.settings.get(family_name, {}).items() if not isinstance(each, Drawn)}

    def settings_of(self, family_name: str, drawn: Mapping[str, Json]) -> dict[str, Json]:
        """The family's settings as ``schedule`` takes them, from what was drawn and what is pinned."""
        values = {**self.fixed(family_name), **drawn}
        return {
            one.name: one.drawn(values) if one.search else values[one.name]
            for one in family(family_name).settings()
            if one.search or one.name in values
        }

    def counted_steps(self) -> int:
        """The longest stretch that is given as a count, which a shorter rung does not shorten; 0 without one."""
        given = [self.warmup, *(each for pinned in self.settings.values() for each in pinned.values())]
        return max((steps_in(end) or 0 for each in given for end in _ends(each) if is_count(end)), default=0)

    def shared(self, family_name: str) -> dict[str, float | str | Range]:
        """What the study says of the settings that every family has: a value, or a range that is searched.

        A family that rises by itself (``one_cycle``, ``cyclic``) gets no warm-up before it, since the rate would fall
        back in between; nor is one searched for it, since the sampler would learn from a parameter that does nothing.
        """
        return {"warmup": 0.0 if rises_by_itself(family_name) else self.warmup, "floor": self.floor}

    def misfit(self, family_name: str, direction: Direction) -> str | None:
        """Why a point of the family that can be drawn is no schedule; None where all are."""
        mode = mode_of(family_name, direction)
        found = (family(family_name).problems_with({**corner, **mode}) for corner in self._corners(family_name))
        return next(("; ".join(problems) for problems in found if problems), None)

    def crowded(self, family_name: str, horizons: Sequence[int]) -> str | None:
        """What can be drawn of the family that one of the horizons has no room for; None where all have."""
        names = [one.name for one in family(family_name).settings() if isinstance(one.allowed, Length)]
        corners = self._corners(family_name)
        # Once each: most settings take no room, so that many corners have the same lengths.
        lengths = dict.fromkeys(tuple((each, corner[each]) for each in names if each in corner) for corner in corners)
        try:
            for each, steps in itertools.product(lengths, horizons):
                schedule(family_name, **dict(each)).clock(steps)
        except ScheduleError as error:
            return str(error)
        return None

    def _corners(self, family_name: str) -> Iterator[dict[str, Json]]:
        """The family's settings with each that is drawn at an end of its range, in every combination.

        What goes together there does so everywhere between: each rule that joins settings wants one of them large
        enough or small enough for the others.
        """
        searched = self.searched(family_name)
        given = {**searched, **self.shared(family_name)}
        for ends in itertools.product(*map(_ends, given.values())):
            point = dict(zip(given, ends, strict=True))
            drawn = {name: point.pop(name) for name in searched}
            yield {**self.settings_of(family_name, drawn), **point}

    def to_json(self) -> dict[str, Json]:
        """What is not given and was not known to earlier releases is left out, so that hashes stay.

        What it says of single families is in ``family_settings``, with all else that is searched in them.
        """
        extra = {name: extra_to_json(each) for name, each in self.extra.items()}
        decay = {name: _number_or_list(each) for name, each in self.weight_decay.items()}
        return {
            "families": list(self.families),
            "optimizers": list(self.optimizers),
            "warmup": _number_or_list(self.warmup),
            "floor": _number_or_list(self.floor),
            "peak_lr": {name: list(searched) for name, searched in self.peak_lr.items()},
            **({"extra": extra} if extra else {}),
            **({"weight_decay": decay} if decay else {}),
        }

    def family_settings(self, name: str, direction: Direction) -> dict[str, Json]:
        """Per setting of the family: its range, or the value that it always has. Warm-up and floor are the study's.

        Each number of a list has its own range, so that a longer list is another space. A setting that is implied where
        it is not written says nothing, so that a release which adds one keeps the hashes.
        """
        known: dict[str, Json] = {drawn: _drawn_to_json(each) for drawn, each in self.searched(name).items()}
        for one in family(name).settings():
            if not one.search and not one.implied and one.name not in (*OWN_TABLE, *known):
                known[one.name] = json_value(one.default)
        return known | self.fixed(name) | mode_of(name, direction)


def is_count(given: object) -> TypeGuard[str]:
    """Whether it is a text such as "200 steps"."""
    return isinstance(given, str) and given.split()[-1:] in (["steps"], ["step"])


def adjustable(family_name: str) -> dict[str, tuple[Setting, Kind]]:
    """What a study may say otherwise than the family, by drawn name: the setting, and what one of its values may be.

    Lists that a family does not draw, and schedules inside a schedule, are not among them.
    """
    found: dict[str, tuple[Setting, Kind]] = {}
    theirs = {*OWN_TABLE, *(("mode",) if hears(family_name) else ())}
    for one in family(family_name).settings():
        if one.search:
            kind = one.allowed.each if isinstance(one.allowed, Numbers) else one.allowed
            found |= dict.fromkeys(one.searched(), (one, kind))
        elif one.name not in theirs and isinstance(one.default, str | int | float):
            found[one.name] = (one, one.allowed)
    return found


SEARCHABLE = tuple(
    name for name in family_names() if all(one.default is not REQUIRED for one in family(name).settings())
)
"""The families that have a default for everything: the others hold what only a user can give."""

MODES: Mapping[Direction, str] = MappingProxyType({"minimize": "min", "maximize": "max"})
"""A reactive schedule's word for what it waits for."""


def mode_of(family_name: str, direction: Direction) -> dict[str, Json]:
    """The setting that tells a reactive family which way its metric is better; nothing for the others.

    >>> mode_of("plateau", "maximize"), mode_of("cosine", "maximize")
    ({'mode': 'max'}, {})
    """
    return {"mode": MODES[direction]} if hears(family_name) else {}


@functools.cache
def hears(family_name: str) -> bool:
    """Whether its rates follow from a metric; the families that need settings of their own are time-driven."""
    needs = any(setting.default is REQUIRED for setting in family(family_name).settings())
    return not needs and schedule(family_name).needs_metric


STEPS_TO_LOOK_AT = 100
"""Enough to see a curve's shape."""


@functools.cache
def rises_by_itself(family_name: str) -> bool:
    """Whether the family, as it is without settings, begins below a height that it reaches later.

    A reactive one is asked as it stands before its first metric: what metrics make of it is not its own rise.
    """
    course = schedule(family_name).course(STEPS_TO_LOOK_AT)
    factors = course.factors(course.begin())
    return bool(factors.max() > factors[0])


def _ends(given: Drawn | Range | Json) -> tuple[Json, ...]:
    """The ends of a range; of choices the smallest and the largest of each unit, and every name; else the one value."""
    match given:
        case Search(low, high) | (low, high):
            return low, high
        case Options(values) | Choices(values):
            counts = sorted((each for each in values if is_count(each)), key=lambda count: steps_in(count) or 0)
            numbers = sorted(each for each in values if not isinstance(each, str | bool))
            names = [each for each in values if isinstance(each, str | bool) and not is_count(each)]
            return (*names, *dict.fromkeys((*counts[:1], *counts[-1:], *numbers[:1], *numbers[-1:])))
    return (given,)


def _drawn_to_json(drawn: Drawn) -> Json:
    match drawn:
        case Options(names):
            return list(names)
        case Choices(values):
            return list(values)
    return [drawn.low, drawn.high, drawn.log, *(["whole"] if drawn.whole else [])]


def _number_or_list(value: float | str | Range) -> Json:
    return list(value) if isinstance(value, tuple) else value

"""Schedules on their horizon as a training follows them: the courses, and where their reactors stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import Group, name_of, told_names
from lrsweep.integrations.saved import SUBJECT, Saved, SavedDecay
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.schedules.course import Course, Floats, State, States
from lrsweep.schedules.families.function import Function
from lrsweep.schedules.groups import Grouped, grouped_from_json, is_grouped, problems_with_weight_decay
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.reactive.base import Reactive

EVERY = "every group"
"""What a state calls the one schedule that all groups follow."""


@dataclass(eq=False)
class Track:
    """What the groups with one schedule follow; only the states of its reactors ever change."""

    course: Course
    states: States
    momenta: Floats | None

    @classmethod
    def of(cls, schedule: Schedule, total_steps: int) -> Track:
        course = schedule.course(total_steps)
        return cls(course, course.begin(), schedule.momenta(total_steps))

    def factor(self, step: int) -> float:
        return self.course.factor(step, self.states)

    def momentum(self, step: int) -> float | None:
        """The momentum of a step; after the end the last one holds."""
        return None if self.momenta is None else float(self.momenta[min(step, len(self.momenta) - 1)])

    def hear(self, metric: float, done: int) -> None:
        self.states = self.course.heard(self.states, metric, done)

    def saved(self) -> list[State]:
        """The reactors' states, each with its family, as JSON."""
        return [
            {"family": machine.family, "state": json.loads(json.dumps(state))}
            for machine, state in zip(self._machines(), self.states, strict=True)
        ]

    @property
    def has_heard(self) -> bool:
        """Whether a metric has changed anything."""
        return self.states != self.course.begin()

    def resumed(self, saved: Sequence[State]) -> Track | str:
        """The track with the states that ``saved`` gave, or what does not fit."""
        machines = self._machines()
        stored, own = [one["family"] for one in saved], [machine.family for machine in machines]
        if stored != own:
            return f"the states are of {_listed(stored)}, and the schedule has {_listed(own)}"
        try:
            states = tuple(machine.checked_state(one["state"]) for machine, one in zip(machines, saved, strict=True))
        except ScheduleError as refused:
            return str(refused)
        return replace(self, states=states)

    def _machines(self) -> list[Reactive]:
        return [reactor.machine for reactor in self.course.reactors if isinstance(reactor.machine, Reactive)]


@dataclass
class Followed:
    """All that a training follows."""

    schedule: Schedule | Grouped
    total_steps: int
    weight_decay: Schedule | None
    tracks: dict[str, Track]
    """by the names of the groups, or one for all; equal schedules that have heard the same are one track"""
    multipliers: dict[str, float]
    decay: Course | None
    """the weight decay's"""

    def of(self, group: Group) -> Track:
        """What this group follows."""
        return self.tracks[self._name(group)]

    def multiplier(self, group: Group) -> float:
        """Its peak as a multiple of ``peak_lr``."""
        return self.multipliers[self._name(group)]

    def distinct(self) -> list[Track]:
        """Each track once."""
        return list(dict.fromkeys(self.tracks.values()))

    @property
    def has_heard(self) -> bool:
        return any(track.has_heard for track in self.distinct())

    def hear(self, metric: float, done: int) -> None:
        for track in self.distinct():
            track.hear(metric, done)

    def _name(self, group: Group) -> str:
        return (name_of(group) or "") if isinstance(self.schedule, Grouped) else EVERY

    def check_names(self, added: Sequence[Group], groups: Sequence[Group]) -> None:
        """That schedules by name and the groups of an optimizer have the same names."""
        if not isinstance(self.schedule, Grouped):
            return
        unused = set(self.tracks) - {name_of(group) for group in groups}
        if unused or any(name_of(group) not in self.tracks for group in added):
            raise ScheduleError(
                f"the schedules are for the groups {_listed(list(self.tracks))}, and the optimizer's groups are "
                f"{told_names(groups)}; wanted the same names: a group has its name in group['name'], as in "
                "AdamW([{'params': ..., 'name': 'head'}])"
            )

    # ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────

    def saved(self, peaks: Sequence[float], step: int, decay_peaks: Sequence[float]) -> Saved:
        decay = None
        if self.weight_decay is not None:
            decay = SavedDecay(self.weight_decay.to_json(), list(decay_peaks))
        reactive = {name: track.saved() for name, track in self.tracks.items() if track.course.reactors}
        return Saved(self.schedule.to_json(), self.total_steps, list(peaks), step, reactive, decay)

    def anew(self) -> Followed:
        """The same before anything was heard."""
        return followed(self.schedule, self.total_steps, self.weight_decay)

    def as_stored(self, stored: Saved) -> Followed:
        """What ``stored`` says. A function that it names is only called if what is given names it as well."""
        decay = stored.weight_decay
        texts = [stored.schedule, *([] if decay is None else [decay.schedule])]
        allowed = set(_paths([self.schedule, self.weight_decay]))
        if foreign := sorted({path for text in texts for path in _paths(json.loads(text))} - allowed):
            raise ScheduleError(
                f"{SUBJECT}: the stored schedule calls {', '.join(map(repr, foreign))}, and the given one calls "
                f"{_listed(sorted(allowed))}. A stored function is called only where the given schedule calls it too: "
                "give s.torch(...) a schedule that does, if you trust the function and where the state came from"
            )
        allow_code = bool(allowed)
        try:
            return followed(
                _read(stored.schedule, allow_code=allow_code),
                stored.total_steps,
                None if decay is None else schedule_from_json(decay.schedule, allow_code=allow_code),
            )
        except ScheduleError as refused:
            raise ScheduleError(f"{SUBJECT}: the stored schedule cannot be made here. {refused}") from refused

    def resume(self, stored: Saved) -> list[str]:
        """Takes over where the stored reactors stand. What does not fit is told, and stays as it is."""
        told = {name: "the schedule has none" for name in stored.reactive if name not in self.tracks}
        made: dict[tuple[int, str], Track] = {}
        for name, track in self.tracks.items():
            found = track.resumed(stored.reactive.get(name, []))
            if isinstance(found, str):
                told[name], found = found, track
            # Groups that had different schedules when the state was taken may have heard different things.
            self.tracks[name] = made.setdefault((id(found.course), repr(found.states)), found)
        return [f"what was heard for {name}: {problem}" for name, problem in told.items()]


def followed(schedule: Schedule | Grouped, total_steps: int, weight_decay: Schedule | None) -> Followed:
    """A schedule, or schedules by name, laid out before the first step."""
    if problems := problems_with_weight_decay(weight_decay):
        raise ScheduleError(listing("torch", problems))
    if isinstance(schedule, Grouped):
        schedules, multipliers = schedule.schedules, schedule.multipliers
    else:
        schedules, multipliers = {EVERY: schedule}, {EVERY: 1.0}
    laid = {one: Track.of(one, total_steps) for one in dict.fromkeys(schedules.values())}
    tracks = {name: laid[one] for name, one in schedules.items()}
    decay = None if weight_decay is None else weight_decay.course(total_steps)
    return Followed(schedule, total_steps, weight_decay, tracks, multipliers, decay)


@dataclass(frozen=True)
class Lines:
    """What the groups of an optimizer follow, in their order: what they share is computed once per step."""

    tracks: list[Track]
    whose: list[int]
    """of each group, the place of its track"""
    peaks: list[float]
    """of each group, its multiplier in it"""

    @classmethod
    def of(cls, followed: Followed, groups: Sequence[Group], peaks: Sequence[float]) -> Lines:
        tracks = followed.distinct()
        places = {track: place for place, track in enumerate(tracks)}
        return cls(
            tracks,
            [places[followed.of(group)] for group in groups],
            [peak * followed.multiplier(group) for peak, group in zip(peaks, groups, strict=True)],
        )

    def rates(self, step: int) -> list[float]:
        factors = [track.factor(step) for track in self.tracks]
        return [peak * factors[place] for peak, place in zip(self.peaks, self.whose, strict=True)]

    def momenta(self, step: int) -> Iterator[tuple[int, float]]:
        """The groups whose momentum is cycled, by their place, each with its own."""
        found = [track.momentum(step) for track in self.tracks]
        if any(momentum is not None for momentum in found):
            for place, track in enumerate(self.whose):
                if (momentum := found[track]) is not None:
                    yield place, momentum


def _read(text: str, *, allow_code: bool) -> Schedule | Grouped:
    read = grouped_from_json if is_grouped(text) else schedule_from_json
    return read(text, allow_code=allow_code)


def _paths(value: Any) -> Iterator[str]:
    """The functions of the user's that schedules call, or that the objects of a JSON text name."""
    if isinstance(value, Schedule | Grouped):
        value = value.to_dict()
    if isinstance(value, dict):
        if value.get("family") == Function.family:
            yield str(value.get("path"))
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _paths(one)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"

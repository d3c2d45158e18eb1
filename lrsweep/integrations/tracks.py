"""Schedules on their horizon as a training follows them: the courses, and where their reactors stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import Group, name_of, told_names
from lrsweep.integrations.saved import SUBJECT, Saved, SavedDecay
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.schedules.course import Course, Floats, State, States
from lrsweep.schedules.groups import Grouped, grouped_from_json
from lrsweep.schedules.reactive.base import Reactive

EVERY = "every group"
"""What a state calls the one schedule that all groups follow."""


@dataclass
class Track:
    """What some groups follow; only the states of its reactors ever change."""

    course: Course
    states: States
    momenta: Floats | None
    multiplier: float

    @classmethod
    def of(cls, schedule: Schedule, total_steps: int, multiplier: float = 1.0) -> Track:
        course = schedule.course(total_steps)
        return cls(course, course.begin(), schedule.momenta(total_steps), multiplier)

    def rate(self, peak: float, step: int) -> float:
        return peak * self.multiplier * self.course.factor(step, self.states)

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

    def resume(self, saved: Sequence[State]) -> str | None:
        """Goes on from the states that ``saved`` gave. What they do not fit is told, and then nothing changes."""
        machines = self._machines()
        stored, own = [one["family"] for one in saved], [machine.family for machine in machines]
        if stored != own:
            return f"the states are of {_listed(stored)}, and the schedule has {_listed(own)}"
        try:
            self.states = tuple(
                machine.checked_state(one["state"]) for machine, one in zip(machines, saved, strict=True)
            )
        except ScheduleError as refused:
            return str(refused)
        return None

    def _machines(self) -> list[Reactive]:
        return [reactor.machine for reactor in self.course.reactors if isinstance(reactor.machine, Reactive)]


@dataclass
class Followed:
    """All that a training follows."""

    schedule: Schedule | Grouped
    total_steps: int
    weight_decay: Schedule | None
    tracks: dict[str, Track]
    """by the names of the groups, or one for all"""
    decay: Course | None
    """the weight decay's"""

    def of(self, group: Group) -> Track:
        """What this group follows."""
        return self.tracks[(name_of(group) or "") if isinstance(self.schedule, Grouped) else EVERY]

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
        """What ``stored`` says. A function that it names is only called where the given schedule may call one."""
        allow_code = _runs_code(self.schedule) or _runs_code(self.weight_decay)
        decay = stored.weight_decay
        try:
            return followed(
                _read(stored.schedule, allow_code=allow_code),
                stored.total_steps,
                None if decay is None else schedule_from_json(decay.schedule, allow_code=allow_code),
            )
        except ScheduleError as refused:
            hint = "" if allow_code else " A stored function is called only where the given schedule calls one too."
            raise ScheduleError(f"{SUBJECT}: the stored schedule cannot be made here. {refused}.{hint}") from refused

    def resume(self, stored: Saved) -> list[str]:
        """Takes over where the stored reactors stand. What does not fit is told, and stays as it is."""
        told = {name: track.resume(stored.reactive.get(name, [])) for name, track in self.tracks.items()}
        told |= {name: "the schedule has none" for name in stored.reactive if name not in self.tracks}
        return [f"{SUBJECT}: what was heard for {name}: {problem}" for name, problem in told.items() if problem]


def followed(schedule: Schedule | Grouped, total_steps: int, weight_decay: Schedule | None) -> Followed:
    """A schedule, or schedules by name, laid out before the first step."""
    if weight_decay is not None and (not isinstance(weight_decay, Schedule) or weight_decay.needs_metric):
        raise ScheduleError(
            "weight_decay must be a time-driven schedule such as lrsweep.schedule('cosine'), or None, "
            f"not {shortened(weight_decay)}"
        )
    if isinstance(schedule, Grouped):
        tracks = {name: Track.of(one, total_steps, multiplier) for name, one, multiplier in schedule.groups}
    else:
        tracks = {EVERY: Track.of(schedule, total_steps)}
    decay = None if weight_decay is None else weight_decay.course(total_steps)
    return Followed(schedule, total_steps, weight_decay, tracks, decay)


def _read(text: str, *, allow_code: bool) -> Schedule | Grouped:
    if json.loads(text).get("family") == "grouped":
        return grouped_from_json(text, allow_code=allow_code)
    return schedule_from_json(text, allow_code=allow_code)


def _runs_code(value: Any) -> bool:
    """Whether a schedule, or one in it, calls a function of the user's."""
    if isinstance(value, Schedule):
        return value.runs_code or any(map(_runs_code, value.settings_dict().values()))
    if isinstance(value, Grouped):
        return _runs_code(value.groups) or _runs_code(value.weight_decay)
    return isinstance(value, (tuple, list)) and any(map(_runs_code, value))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"

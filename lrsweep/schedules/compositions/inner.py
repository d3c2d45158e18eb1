"""What all compositions share: the schedules inside, how deep they may lie, and momenta that begin later."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lrsweep.schedules.base import Schedule, shared_names
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import NotOfThisKind

DEEPEST = 30
"""Schedules inside one another. Without a limit a JSON text could nest them until Python's own stack ends."""


@dataclass(frozen=True)
class AnySchedule:
    """A schedule, reactive or not."""

    def __str__(self) -> str:
        return "a schedule such as lrsweep.schedule('cosine')"

    def read(self, given: object) -> Schedule:
        if not isinstance(given, Schedule):
            raise NotOfThisKind
        if depth(given) >= DEEPEST:
            raise NotOfThisKind(f"must be {self} that is not already made of {DEEPEST} inside one another")
        return given


@dataclass(frozen=True, kw_only=True, repr=False)
class Composition(Schedule):
    """A schedule made of others."""

    @abstractmethod
    def inner(self) -> tuple[Schedule, ...]:
        """The schedules that it is made of, in their order in time."""

    @abstractmethod
    def lowest(self) -> float:
        """The lowest floor of what is inside, as a fraction of the peak."""

    @abstractmethod
    def decay_momenta(self, steps: int) -> Floats | None:
        """The momentum of each of ``steps`` steps of its own clock, at least one; None where nothing cycles it."""

    def first_momentum(self) -> float | None:
        """That of the first schedule inside that has one; those before it hold it."""
        return next((first for one in self.inner() if (first := one.first_momentum()) is not None), None)

    @property
    def needs_metric(self) -> bool:
        return any(one.needs_metric for one in self.inner())

    @property
    def has_counts(self) -> bool:
        return super().has_counts or any(one.has_counts for one in self.inner())

    def _shared_changed(self) -> list[str]:
        """The shared settings that are not default, as in a call. What is inside is not asked for its text here: once
        more per level would be twice as long with every level."""
        shared = [one for one in self.settings() if one.name in shared_names()]
        return [f"{one.name}={value!r}" for one in shared if (value := getattr(self, one.name)) != one.default]

    def _settled(self) -> str:
        """What sets the shared settings in the schedule's text, after the call that makes it."""
        shared = self._shared_changed()
        return f".with_settings({', '.join(shared)})" if shared else ""


def floor_of(schedule: Schedule) -> float:
    """The fraction of the peak that the schedule's decay ends at when it goes to 0."""
    inside = schedule.lowest() if isinstance(schedule, Composition) else 0.0
    return schedule.floor + (1.0 - schedule.floor) * inside


def depth(schedule: Schedule) -> int:
    """How many schedules lie inside one another; 1 for one that is made of no other."""
    return 1 + max(map(depth, inner_schedules(schedule)), default=0)


def inner_schedules(schedule: Schedule) -> Iterator[Schedule]:
    """What a composition is made of, and the base of a reactive schedule."""
    if isinstance(schedule, Composition):
        yield from schedule.inner()
    else:
        yield from (value for value in schedule.settings_dict().values() if isinstance(value, Schedule))


def momenta_side_by_side(parts: Iterable[tuple[Floats | None, int]]) -> Floats | None:
    """The momenta of stretches one after the other, each with its steps. One that leaves the momentum alone has the
    last of the stretch before it, or the first of the one that comes."""
    stretches = list(parts)
    known = [momenta for momenta, _ in stretches if momenta is not None]
    if not known:
        return None
    held = known[0][0]
    joined = []
    for momenta, steps in stretches:
        joined.append(np.full(steps, held) if momenta is None else momenta)
        held = joined[-1][-1]
    return np.concatenate(joined)

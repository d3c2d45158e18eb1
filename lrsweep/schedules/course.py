"""A schedule laid out on a horizon: what each step gets, and what a metric changes.

A time-driven schedule is one array. A reactive one is not: its rate depends on metrics that are not known yet. What is
known beforehand are three numbers per step, and one that moves at evaluations, the reactor's ``multiplier`` m::

    factor(step) = max(low[step], fixed[step] + gain[step]·m)

A time-driven step has ``gain`` 0. So warm-up, floor, noise, sequence and cool-down are arithmetic on arrays, the same
for every schedule, and an engine or a bridge that follows a ``Course`` follows all of them.

>>> import lrsweep
>>> course = lrsweep.schedule("plateau", patience=0, gamma=0.5).course(4)
>>> states = course.begin()
>>> states = course.heard(states, metric=1.0, done=1)
>>> states = course.heard(states, metric=1.5, done=2)  # worse: the factor is halved
>>> course.factors(states).tolist()  # of the four steps, and what holds after them
[0.5, 0.5, 0.5, 0.5, 0.5]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = dict[str, Any]
"""All that a state machine knows, as JSON."""
States = tuple[State, ...]
"""One per reactor of a course, in its order."""


class Machine(Protocol):
    """The part of a reactive schedule that hears metrics: pure, one state in, one out."""

    def begin(self) -> State:
        """The state before the first metric."""

    def heard(self, state: State, metric: float) -> State:
        """The state after one more evaluation. A metric that is not finite is never an improvement, and one that is not
        a number raises a ScheduleError."""

    def multiplier(self, state: State) -> float:
        """The reactive factor in [0, 1]."""


@dataclass(frozen=True)
class Reactor:
    """A machine and the steps it has: it hears the evaluations between its first step and its last."""

    machine: Machine
    first: int
    end: int

    def hears(self, done: int) -> bool:
        """Whether an evaluation after ``done`` updates is its own: at least one of them lies in its steps, and so does
        the next. After the end nothing is heard, so that the last value holds for ever."""
        return self.first < done < self.end

    def moved(self, by: int) -> Reactor:
        return replace(self, first=self.first + by, end=self.end + by)


@dataclass(frozen=True)
class Course:
    """Entry i is step i's; the last entry, number T, is what holds after the end."""

    fixed: Floats
    gain: Floats
    low: Floats
    whose: NDArray[np.int64]
    """the reactor whose multiplier counts; -1 for none"""
    reactors: tuple[Reactor, ...] = ()

    def __post_init__(self) -> None:
        for entries in (self.fixed, self.gain, self.low, self.whose):
            entries.setflags(write=False)

    @classmethod
    def of(cls, factors: Floats) -> Course:
        """The course of a time-driven schedule."""
        nothing = np.zeros(len(factors))
        return cls(factors, nothing, nothing, np.full(len(factors), -1))

    @property
    def total_steps(self) -> int:
        return len(self.fixed) - 1

    # ── what a metric changes ────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> States:
        """The states before the first step."""
        return tuple(reactor.machine.begin() for reactor in self.reactors)

    def heard(self, states: States, metric: float, done: int) -> States:
        """The states after an evaluation that followed ``done`` updates."""
        return tuple(
            reactor.machine.heard(state, metric) if reactor.hears(done) else state
            for reactor, state in zip(self.reactors, states, strict=True)
        )

    def factors(self, states: States = (), begin: int = 0, end: int | None = None) -> Floats:
        """The factor of every step, and the one after the end, if the states stayed as they are; or those of the steps
        from ``begin`` to before ``end`` alone."""
        asked = slice(begin, end)
        if not self.reactors:
            return self.fixed[asked]
        # The entry for "no reactor", -1, is the last: any finite number does, its gain is 0.
        multipliers = np.array([*self._multipliers(states), 0.0])
        reactive = self.gain[asked] * multipliers[self.whose[asked]]
        factors: Floats = np.maximum(self.low[asked], self.fixed[asked] + reactive)
        return factors

    def factor(self, step: int, states: States = ()) -> float:
        """The factor of one step; a step at or after the end has the last entry."""
        at = min(step, self.total_steps)
        if not self.reactors:
            return float(self.fixed[at])
        reactor = int(self.whose[at])
        multiplier = self.reactors[reactor].machine.multiplier(states[reactor]) if reactor >= 0 else 0.0
        return float(np.maximum(self.low[at], self.fixed[at] + self.gain[at] * multiplier))

    def _multipliers(self, states: States) -> Iterator[float]:
        for reactor, state in zip(self.reactors, states, strict=True):
            yield reactor.machine.multiplier(state)

    # ── how courses are put together ─────────────────────────────────────────────────────────────────────────────────

    def scaled(self, by: Floats) -> Course:
        """Every entry times its number in ``by``."""
        if not self.reactors:
            return Course.of(self.fixed * by)
        return replace(self, fixed=self.fixed * by, gain=self.gain * by, low=self.low * by)

    def on_floor(self, floor: float) -> Course:
        """Each factor f as floor + (1 - floor)·f."""
        rest = 1.0 - floor
        if not self.reactors:
            return Course.of(floor + rest * self.fixed)
        return replace(self, fixed=floor + rest * self.fixed, gain=rest * self.gain, low=floor + rest * self.low)

    def held(self, steps: int) -> Course:
        """The first entry ``steps`` times before the course begins; reactors sleep in them."""
        return self._indexed(np.concatenate([np.zeros(steps, dtype=np.int64), np.arange(len(self.fixed))]), steps)

    def extended(self, steps: int) -> Course:
        """``steps`` more at the end, with what holds after it; no reactor hears in them."""
        last = np.full(steps, len(self.fixed) - 1)
        return self._indexed(np.concatenate([np.arange(len(self.fixed)), last]), 0)

    def cut(self, steps: int) -> Course:
        """The first ``steps`` steps; the entry after them becomes the one that holds, and reactors end there."""
        shorter = self._indexed(np.arange(steps + 1), 0)
        return replace(shorter, reactors=tuple(replace(one, end=min(one.end, steps)) for one in shorter.reactors))

    def after(self, factors: Floats) -> Course:
        """The course after a time-driven beginning; its reactors hear nothing in that."""
        return join([Course.of(np.append(factors, 0.0)), self])

    def _indexed(self, source: NDArray[np.int64], moved: int) -> Course:
        return Course(
            self.fixed[source],
            self.gain[source],
            self.low[source],
            self.whose[source],
            tuple(reactor.moved(moved) for reactor in self.reactors),
        )


def join(parts: Sequence[Course]) -> Course:
    """One after the other; what holds after the end is the last part's."""
    if not any(part.reactors for part in parts):
        return Course.of(np.concatenate([*(part.fixed[:-1] for part in parts[:-1]), parts[-1].fixed]))
    begins = np.cumsum([0, *(part.total_steps for part in parts)])
    owners = np.cumsum([0, *(len(part.reactors) for part in parts)])
    last = len(parts) - 1

    def steps(place: int, entries: NDArray[Any]) -> NDArray[Any]:
        return entries if place == last else entries[:-1]

    return Course(
        np.concatenate([steps(place, part.fixed) for place, part in enumerate(parts)]),
        np.concatenate([steps(place, part.gain) for place, part in enumerate(parts)]),
        np.concatenate([steps(place, part.low) for place, part in enumerate(parts)]),
        np.concatenate(
            [
                np.where((own := steps(place, part.whose)) < 0, -1, own + owners[place])
                for place, part in enumerate(parts)
            ]
        ),
        tuple(
            reactor.moved(int(begin)) for part, begin in zip(parts, begins, strict=False) for reactor in part.reactors
        ),
    )

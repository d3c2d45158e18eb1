"""What all reactive families share: a base, a mode, the multiplier's place in the course, and how metrics are heard.

The rate is ``max(floor, base·m)`` times the peak: the floor is a bound, so that a drop is exactly by its factor. During
the warm-up and the hold, the base's own too, nothing is heard, and the warm-up rises to the first multiplier.

A family's rule is a state machine: ``heard(state, metric)`` gives the next state and changes nothing, and the state is
all that the rule knows, in JSON. Patience, cool-downs and windows count evaluations, so the same number of evaluations
in a shorter training gives the same curve, compressed.

The NaN policy, one for all: an evaluation whose metric is NaN or infinite, of either sign, is one at which nothing
improved. It counts as every evaluation does, but it never becomes the best, reaches no level, and to a window it looks
like the last finite metric again.

``advanced`` has the rule once, for many machines at a time; one machine is the case of one row.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from reprlib import repr as shortened
from typing import Self, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.checks import as_metric
from lrsweep.schedules.course import Course, Floats, Reactor, State
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.kinds import UNIT, Choice, Interval, Kind, NotOfThisKind, as_number, listing
from lrsweep.schedules.reactive.columns import Column, Columns, longest_list, stacked, state_in
from lrsweep.schedules.setting import setting

ALWAYS_THE_PEAK = Constant()

BETWEEN = Interval(low=0, high=1, open_low=True, open_high=True)
"""What a drop multiplies by: 1 would be none, and from 0 nothing comes back."""


@dataclass(frozen=True)
class TimeDriven:
    """A schedule that needs no metric."""

    def __str__(self) -> str:
        return "a time-driven schedule such as lrsweep.schedule('cosine')"

    def read(self, given: object) -> Schedule:
        if not isinstance(given, Schedule) or given.needs_metric:
            raise NotOfThisKind
        return given


@dataclass(frozen=True)
class Heard:
    """A metric in a state, which is None for as long as no finite one came."""

    def __str__(self) -> str:
        return "a finite number, or null before the first one"

    def read(self, given: object) -> float | None:
        if given is None:
            return None
        number = as_number(given)
        if not math.isfinite(number):
            raise NotOfThisKind
        return number


@dataclass(frozen=True, kw_only=True, repr=False)
class Reactive(Schedule):
    """A time-driven base times a multiplier that a state machine moves at each evaluation."""

    floor: float = setting(
        0.0, allowed=UNIT, meaning="the fraction of the peak that the rate does not fall below after the warm-up"
    )
    base: Schedule = setting(
        ALWAYS_THE_PEAK, allowed=TimeDriven(), meaning="the curve that the multiplier is applied to"
    )
    mode: str = setting("min", allowed=Choice(("min", "max")), meaning="whether a smaller or a larger metric is better")

    # ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def begin(self) -> State:
        """The state before the first metric."""

    @abstractmethod
    def constants(self) -> Mapping[str, float | tuple[float, ...]]:
        """What the rule reads of the settings, as numbers."""

    @classmethod
    @abstractmethod
    def advanced(cls, own: Columns, state: Columns, metric: Floats) -> Columns:
        """The states after one more evaluation: row k is a machine with its constants, its state and its metric, which
        is NaN where the one that came was not finite. No row may depend on another."""

    @abstractmethod
    def state_kinds(self) -> Mapping[str, Kind]:
        """What each entry of a state may be."""

    def heard(self, state: State, metric: SupportsFloat) -> State:
        """The state after one more evaluation. A metric that is not a number raises a ScheduleError."""
        number = as_metric(metric)
        if number is None:
            raise ScheduleError(
                f"metric must be a number, not {shortened(metric)}: a {self.family!r} schedule reacts to one at each "
                "evaluation. Give the metric as a number, NaN where it could not be computed; where nothing was "
                "evaluated, leave out the call"
            )
        own, width = self._alone
        return state_in(self.advanced(own, stacked([state], width), finite_or_nan([number])), 0)

    @cached_property  # making the columns takes as long as the rule itself
    def _alone(self) -> tuple[Columns, int]:
        """The constants as columns of one row, and the places of a list in them."""
        constants = [self.constants()]
        width = longest_list(constants)
        return stacked(constants, width), width

    def multiplier(self, state: State) -> float:
        return float(state["multiplier"])

    def checked_state(self, state: object) -> State:
        """A state that came from outside, such as a checkpoint: a copy of it if this machine may be in it, and a
        ScheduleError that tells everything wrong with it otherwise."""
        kinds = self.state_kinds()
        subject = f"state of a {self.family!r} schedule"
        if not isinstance(state, Mapping):
            raise ScheduleError(f"{subject}: wanted an object with {', '.join(kinds)}, not {shortened(state)}")
        problems, read = [], {}
        for name, value in state.items():
            if name not in kinds:
                near = did_you_mean(str(name), kinds)
                problems.append(f"{shortened(name)} does not belong to it.{near} It has: {', '.join(kinds)}")
                continue
            try:
                read[name] = kinds[name].read(value)
            except NotOfThisKind:
                problems.append(f"{name} must be {kinds[name]}, not {shortened(value)}")
        problems += [f"{name} is missing; wanted {kind}" for name, kind in kinds.items() if name not in state]
        if problems:
            raise ScheduleError(
                f"{listing(subject, problems)}\nGive a state that the same schedule saved, or begin anew"
            )
        return {name: read[name] for name in kinds}

    @property
    def direction(self) -> float:
        """What makes a better metric a larger one when it is multiplied by it."""
        return -1.0 if self.mode == "min" else 1.0

    # ── the curve ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def needs_metric(self) -> bool:
        return True

    def decay(self, u: Floats) -> Floats:
        """The base's curve: the decay of a multiplier that stays at 1."""
        return self.base.factor(u)

    def decay_course(self, steps: int) -> Course:
        gain = self.base.course(steps).fixed
        nothing = np.zeros(steps + 1)
        clock = self.base.clock(steps)
        reactor = Reactor(self, clock.warmup + clock.hold, steps)
        return Course(nothing, gain, nothing, np.zeros(steps + 1, dtype=np.int64), (reactor,))

    def first_momentum(self) -> float | None:
        return self.base.first_momentum()

    def decay_momenta(self, steps: int) -> Floats | None:
        """The base's: a metric moves the rate alone."""
        return self.base.momenta(steps)

    def _on_floor(self, course: Course) -> Course:
        return replace(course, low=np.full(len(course.low), self.floor))

    def _risen(self, steps: int) -> Floats:
        return super()._risen(steps) * self.multiplier(self.begin())

    @property
    def has_counts(self) -> bool:
        return super().has_counts or self.base.has_counts

    def _with_own_fractions(self, decay_steps: int) -> Self:
        own = super()._with_own_fractions(decay_steps)
        return replace(own, base=self.base.in_fractions(decay_steps)) if self.base.has_counts else own


def finite_or_nan(metrics: Sequence[float] | Column) -> Floats:
    """What is not finite is NaN, which no comparison finds better than anything."""
    numbers = np.asarray(metrics, dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def improved(
    metric: Floats, best: Floats, direction: Floats, threshold: Floats, relative: Column | bool
) -> NDArray[np.bool_]:
    """Whether each metric is better than the best by more than the threshold; the first finite one always is.

    A relative threshold is a share of the best's size. In PyTorch it is a share of the best with its sign, which makes
    a worse metric an improvement once the best is negative (pytorch#47513, #38622). For a positive best the two have
    the same bits.
    """
    with np.errstate(over="ignore"):  # a bound beyond the largest float: nothing is better than that
        share = best * (1.0 + direction * threshold * np.sign(best))
        fixed = best + direction * threshold
    bound = np.where(relative, share, fixed)
    first = np.isnan(best) & ~np.isnan(metric)
    return first | (direction * metric > direction * bound)

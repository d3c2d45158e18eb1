"""What all schedules share: warm-up, hold, floor, noise, the two clocks, checks, and the form as JSON.

A family adds ``decay`` alone. With warm-up fraction f, hold h, progress u and ``d = floor + (1 - floor)·decay``::

    factor(u)       u < f:  rise(u / f)                u >= f:  d((u - f - h) / (1 - f - h))    the limit of many steps
    rates(T)[i]     i < w:  rise((i + 1) / (w + 1))    i >= w:  d((i - w - k) / (T - w - k))    w, k: f·T, h·T in steps

Both are times the peak. While it is held, the decay's clock stands at 0. The first step is above 0 and the end of the
decay is where step T would be, so that the last step still learns something.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from reprlib import repr as shortened
from typing import Any, ClassVar, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.checks import checked_horizon, checked_metrics, checked_progress, needs_metric
from lrsweep.schedules.clock import HAIR, Clock, in_steps, progress_of
from lrsweep.schedules.course import Course, Floats
from lrsweep.schedules.kinds import BELOW_ONE, UNIT, Choice, Interval, Length, NotOfThisKind, Whole, listing, steps_in
from lrsweep.schedules.noise import dip
from lrsweep.schedules.setting import REQUIRED, Setting, setting, setting_of
from lrsweep.schedules.warmup import NEED_A_START, RISES, rise

JSON_VERSION = 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Schedule(ABC):
    """A learning-rate schedule: the rate as a factor of the peak, a pure function of progress from 0 to 1."""

    family: ClassVar[str]
    formula: ClassVar[str]
    """``decay`` on paper; u is progress on the decay's own clock"""
    source: ClassVar[str]
    use: ClassVar[str]
    """when to choose it, in one sentence"""
    simplicity: ClassVar[int]
    """the lower, the simpler; constant is 0. Ranks are ten apart, so that a new family fits between two others."""
    runs_code: ClassVar[bool] = False
    """whether it calls a function that a setting names; such a schedule is made with ``allow_code=True`` alone"""

    floor: float = setting(
        0.0,
        allowed=UNIT,
        meaning="the fraction of the peak that a decay to 0 ends at",
    )
    warmup: float | str = setting(
        0.0,
        allowed=Length(BELOW_ONE),
        meaning="the fraction of all steps in which the rate rises to the peak before the decay begins",
    )
    warmup_shape: str = setting(
        "linear", allowed=Choice(tuple(RISES)), implied=True, meaning="the curve along which a warm-up rises"
    )
    warmup_start: float = setting(
        0.0, allowed=UNIT, implied=True, meaning="the fraction of the peak that a warm-up rises from"
    )
    warmup_power: float = setting(
        2.0,
        allowed=Interval(low=0, high=100, open_low=True),
        implied=True,
        meaning="the exponent of a polynomial warm-up; others take no notice",
    )
    hold: float | str = setting(
        0.0,
        allowed=Length(BELOW_ONE),
        implied=True,
        meaning="the fraction of all steps for which the decay waits after the warm-up",
    )
    noise: float = setting(
        0.0, allowed=UNIT, implied=True, meaning="the largest fraction that noise takes off the decay"
    )
    noise_seed: int = setting(
        0, allowed=Whole(low=0, high=2**32 - 1), implied=True, meaning="which noise: the same seed, the same curve"
    )

    @abstractmethod
    def decay(self, u: Floats) -> Floats:
        """The factor in [0, 1] at each progress ``u`` in [0, 1], without warm-up, hold, floor and noise.

        At a jump, down or up, the value after it; but one that jumps up at 1 has its limit from the left there, since
        the value at 1 is the one that holds for ever after.
        """

    def decay_course(self, steps: int) -> Course:
        """``decay`` at each of ``steps`` whole steps, and at 1. What is made of other schedules lays those out."""
        return Course.of(self._with_own_fractions(steps).decay(progress_of(steps)))

    # ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def __post_init__(self) -> None:
        values, problems = self._read(self.settings_dict())
        if problems:
            raise ScheduleError(listing(f"schedule {self.family!r}", problems))
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The family's own settings as declared, then those that every family has."""
        return _declared(cls)

    @classmethod
    def problems_with(cls, given: Mapping[str, object]) -> list[str]:
        """Everything that is wrong with these settings: unknown names, values that are not allowed, and values that do
        not go together."""
        return cls._read(given)[1]

    @classmethod
    def _read(cls, given: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
        """Every setting in its normal form, the defaults too, and everything that is wrong with what was given."""
        known = {one.name: one for one in cls.settings()}
        values: dict[str, Any] = {}  # each is read once: a list may have millions of numbers
        problems = []
        for name, value in given.items():
            try:
                if name in known:
                    values[name] = known[name].allowed.read(value)
                else:
                    problems.append(cls._unknown(name, known))
            except NotOfThisKind as refused:
                problems.append(known[name].told(value, refused))
        problems += [
            f"{one.name} is missing; wanted {one.allowed}: {one.meaning}"
            for one in known.values()
            if one.default is REQUIRED and one.name not in given
        ]
        if problems:
            return values, problems
        values |= {name: one.allowed.read(one.default) for name, one in known.items() if name not in values}
        return values, [*_shared_conflicts(values), *cls.conflicts(values)]

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        """What is wrong with allowed values together, in sentences; a family may have such rules."""
        del values
        return []

    @classmethod
    def _unknown(cls, name: str, known: Iterable[str]) -> str:
        return f"{shortened(name)} is not a setting.{did_you_mean(name, known)} {cls.family} has: {', '.join(known)}"

    # ── the curve ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def needs_metric(self) -> bool:
        """Whether the rate depends on a metric: a reactive family, or something made of one."""
        return False

    @overload
    def factor(self, progress: float, total_steps: SupportsIndex | None = None) -> float: ...

    @overload
    def factor(self, progress: NDArray[Any] | Sequence[float], total_steps: SupportsIndex | None = None) -> Floats: ...

    def factor(
        self, progress: float | NDArray[Any] | Sequence[float], total_steps: SupportsIndex | None = None
    ) -> float | Floats:
        """The rate as a fraction of the peak at ``progress``: 0 is the start, 1 the end; after 1 the value at 1 holds.

        An array gives an array. Progress below 0, or NaN, raises a ScheduleError. ``total_steps`` is needed where a
        length is a count of steps.
        """
        if self.needs_metric:
            raise needs_metric(self.family, "factor")
        u = np.minimum(checked_progress(progress), 1.0)
        factors = self._relative(total_steps)._curve(u)
        return float(factors) if np.isscalar(progress) else np.asarray(factors)

    def rates(self, total_steps: SupportsIndex, peak_lr: float = 1.0) -> Floats:
        """The rate of each step, a float64 array of length ``total_steps``; none is above ``peak_lr``.

        A schedule that reacts to a metric raises ``NeedsMetric``: it has no rates before there are metrics.
        """
        steps, peak = checked_horizon(total_steps, peak_lr)
        if self.needs_metric:
            raise needs_metric(self.family, "rates")
        return peak * self.course(steps).fixed[:-1]

    def replay(
        self, metrics: Mapping[int, float] | Sequence[float], total_steps: SupportsIndex, peak_lr: float = 1.0
    ) -> Floats:
        """The rates that a training with these metrics would have had, an array as from ``rates``.

        ``metrics`` are by the number of updates done before the evaluation, or a sequence of evenly spaced ones, the
        last after the last step. A metric counts from the next step on.
        """
        steps, peak = checked_horizon(total_steps, peak_lr)
        course = self.course(steps)
        states = course.begin()
        rates = np.empty(steps)
        since = 0
        for done, metric in checked_metrics(metrics, steps):
            rates[since:done] = course.factors(states, since, done)
            states, since = course.heard(states, metric, done), done
        rates[since:] = course.factors(states, since, steps)
        return peak * rates

    def momenta(self, total_steps: SupportsIndex) -> Floats | None:
        """The momentum of each step (beta1 of Adam), where something cycles it; None: it stays what it is.

        A warm-up and a hold wait at its beginning. Floor and noise change rates alone.
        """
        steps, _ = checked_horizon(total_steps, 1.0, "momenta")
        clock = self.clock(steps)
        first = self.first_momentum()
        if first is None:
            return None
        waiting = np.full(steps - clock.decay, first)
        own = self.decay_momenta(clock.decay) if clock.decay else None
        return waiting if own is None else np.concatenate([waiting, own])

    def first_momentum(self) -> float | None:
        """The momentum at the beginning, on every horizon; None where nothing cycles it."""
        return None

    def decay_momenta(self, steps: int) -> Floats | None:
        """The momentum of each of ``steps`` steps of the decay's own clock; None where nothing cycles it."""
        del steps
        return None

    def course(self, total_steps: int) -> Course:
        """The schedule laid out on this horizon, for engines and bridges. On one of no steps, as a part has where a
        warm-up takes them all, there is the end alone."""
        clock = self.clock(total_steps).laid_out
        course = self.decay_course(clock.decay)
        if clock.hold:
            course = course.held(clock.hold)
        if self.noise:
            progress = progress_of(total_steps)[clock.warmup :]
            course = course.scaled(1.0 - self.noise * dip(progress, self.noise_seed))
        if self.floor:
            course = self._on_floor(course)
        if clock.warmup:
            course = course.after(self._risen(clock.warmup))
        return course

    def clock(self, total_steps: int) -> Clock:
        """The parts of a horizon in whole steps: rounded, halves up, a warm-up at least 1 where there is one.

        Counts that do not fit are refused with what there is. No step has no parts, and no count is asked for.
        """
        if not total_steps:
            return Clock(0, 0, 0)
        warm = self.warmup_steps(total_steps)
        hold = in_steps(self.hold, total_steps)
        if steps_in(self.hold) is None and steps_in(self.warmup) is None:  # both may have been rounded up
            hold = min(hold, max(0, total_steps - warm))
        own = {one.name: steps_in(getattr(self, one.name)) or 0 for one in self._own_lengths()}
        taken = {name: steps for name, steps in {"warmup": warm, "hold": hold, **own}.items() if steps}
        needed = sum(taken.values())
        if needed > total_steps:
            told = ", ".join(_told_length(name, getattr(self, name), steps) for name, steps in taken.items())
            raise ScheduleError(
                f"schedule {self.family!r}: {told} take {needed} steps, and there are {total_steps}: "
                "a longer horizon is needed, or a shorter stretch"
            )
        return Clock(warm, hold, total_steps - warm - hold)

    def warmup_steps(self, total_steps: int) -> int:
        """The warm-up in whole steps: rounded, halves up, and at least 1 where there is one; all steps are allowed."""
        return max(1, in_steps(self.warmup, total_steps)) if self.warmup else 0

    def _curve(self, u: Floats) -> Floats:
        """``factor`` where all lengths are fractions."""
        f, h = float(self.warmup), float(self.hold)
        left = 1.0 - f - h
        own = np.maximum(u - f - h, 0.0) / left if left > 0 else np.where(u < 1.0, 0.0, 1.0)
        decay = self.decay(np.minimum(own, 1.0))
        if self.noise:
            decay = decay * (1.0 - self.noise * dip(u, self.noise_seed))
        factors = self.floor + (1.0 - self.floor) * decay
        if f > 0:
            rising = rise(self.warmup_shape, np.minimum(u, f) / f, self.warmup_start, self.warmup_power)
            factors = np.where(u < f, rising, factors)
        return factors

    def _risen(self, steps: int) -> Floats:
        x = np.arange(1, steps + 1) / (steps + 1)
        return rise(self.warmup_shape, x, self.warmup_start, self.warmup_power)

    def _on_floor(self, course: Course) -> Course:
        return course.on_floor(self.floor)

    # ── lengths that are counts of steps ─────────────────────────────────────────────────────────────────────────────

    @property
    def has_counts(self) -> bool:
        """Whether some length is a count of steps, so that the curve depends on the horizon."""
        return any(
            isinstance(getattr(self, one.name), str) for one in self.settings() if isinstance(one.allowed, Length)
        )

    def on_horizon(self, total_steps: SupportsIndex) -> Self:
        """The same curve on this horizon, with every count of steps turned into a fraction.

        Where counts take all steps, a hair of the curve is left to the decay: at 1 stands what holds after the end.
        """
        steps, _ = checked_horizon(total_steps, 1.0)
        return self.in_fractions(steps)

    def in_fractions(self, steps: int) -> Self:
        """``on_horizon`` for what lies inside another schedule too. On no steps the end is that of ``course``, and what
        comes before it is any curve."""
        clock = self.clock(steps)
        if not self.has_counts:
            return self
        whole = max(1, steps)
        warmup = min(clock.warmup / whole, 1.0 - HAIR) if isinstance(self.warmup, str) else self.warmup
        hold = clock.hold / whole if isinstance(self.hold, str) else self.hold
        left = max(0.0, 1.0 - HAIR - warmup)
        return replace(self._with_own_fractions(clock.laid_out.decay), warmup=warmup, hold=min(hold, left))

    def _relative(self, total_steps: SupportsIndex | None) -> Schedule:
        if not self.has_counts:
            return self
        if total_steps is None:
            raise ScheduleError(
                f"schedule {self.family!r} has a length in steps; a factor at a progress then depends on the horizon: "
                "give total_steps as well"
            )
        return self.on_horizon(total_steps)

    def _own_lengths(self) -> list[Setting]:
        return [one for one in self.settings() if isinstance(one.allowed, Length) and one.name not in shared_names()]

    def _with_own_fractions(self, decay_steps: int) -> Self:
        counts = {one.name: steps_in(getattr(self, one.name)) for one in self._own_lengths()}
        fractions: dict[str, Any] = {
            name: count / decay_steps if decay_steps else 1.0 for name, count in counts.items() if count is not None
        }
        return replace(self, **fractions) if fractions else self

    # ── other horizons, other forms ──────────────────────────────────────────────────────────────────────────────────

    def with_settings(self, **changes: Any) -> Self:
        """The same schedule with other settings; what is wrong with them is told as at construction.

        >>> import lrsweep
        >>> lrsweep.schedule("cosine").with_settings(warmup="500 steps")
        lrsweep.schedule('cosine', warmup='500 steps')
        """
        if problems := self.problems_with({**self.settings_dict(), **changes}):
            raise ScheduleError(listing(f"schedule {self.family!r}", problems))
        return replace(self, **changes)

    def extended(self, ratio: float) -> Schedule:
        """The same training on a horizon ``ratio`` times as long: its steps as they are, and then its last value.

        >>> import lrsweep
        >>> lrsweep.schedule("linear", floor=0.5).extended(2.0).rates(4).tolist()
        [1.0, 0.75, 0.5, 0.5]
        """
        from lrsweep.schedules.compositions.extended import Extended  # it is made of schedules itself

        return Extended(schedule=self, ratio=ratio)

    def cooled_down(self, at: float | str, over: float | str, shape: str = "linear") -> Schedule:
        """The schedule until ``at``, then down from its value there to its floor, or to 0, within ``over``.

        Both are fractions of the same horizon, or counts such as "500 steps"; the shapes are those of ``wsd``. Steps up
        to ``at`` are unchanged, so a cool-down can be branched off the checkpoint of a training that runs on: load
        the checkpoint of step 6, train the last steps with these rates, and the training itself continues as it was.

        >>> import lrsweep
        >>> lrsweep.schedule("constant").cooled_down(at="6 steps", over="4 steps").rates(10).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]

        With a longer horizon: the constant rate for twice as many steps, and a cool-down in the last tenth of them.

        >>> longer = lrsweep.schedule("constant").extended(2.0).cooled_down(at=0.9, over=0.1, shape="1-sqrt")
        >>> longer.rates(40)[-4:].round(3).tolist()
        [1.0, 0.5, 0.293, 0.134]
        """
        from lrsweep.schedules.compositions.cooled_down import CooledDown  # it is made of schedules itself

        return CooledDown(schedule=self, at=at, over=over, shape=shape)

    def settings_dict(self) -> dict[str, Any]:
        """All settings with their values, in the order of ``settings()``."""
        return {one.name: getattr(self, one.name) for one in self.settings()}

    def to_dict(self) -> dict[str, Any]:
        """The schedule as ``to_json`` writes it, without the version."""
        values = {
            one.name: json_value(value)
            for one in self.settings()
            if (value := getattr(self, one.name)) != one.default or not one.implied
        }
        return {"family": self.family, **values}

    def to_json(self) -> str:
        """One JSON object with every setting, the defaults too, so that a later default changes nothing.

        Only settings that were implied before they existed, such as ``hold`` 0, are left out.

        >>> import lrsweep
        >>> lrsweep.schedule("cosine", warmup=0.05).to_json()
        '{"version": 1, "family": "cosine", "floor": 0.0, "warmup": 0.05}'
        """
        return json.dumps({"version": JSON_VERSION, **self.to_dict()})

    def torch(
        self,
        optimizer: Any,
        total_steps: SupportsIndex,
        *,
        peak_lr: float | Sequence[float] | Mapping[str, float] | None = None,
        weight_decay: Schedule | None = None,
        on_conflict: str = "refuse",
    ) -> Any:
        """A ``torch.optim.lr_scheduler.LRScheduler`` that gives this optimizer the schedule's rates.

        Call ``step()`` after each update, ``step(metric)`` after one that was evaluated where the schedule reacts to a
        metric. ``peak_lr``: one rate for all parameter groups, a list with one per group, a mapping by
        ``group["name"]``, or None: each group's own ``initial_lr``, else its ``lr``. ``weight_decay``: a schedule that
        each group's own weight decay follows. ``on_conflict``: what loading the state of another training does,
        "refuse", or "stored" or "given", whichever of the two is to count.
        """
        # By name: schedules work where PyTorch is not installed.
        bridge = importlib.import_module("lrsweep.integrations.torch_scheduler").TorchScheduler
        return bridge(self, optimizer, total_steps, peak_lr=peak_lr, weight_decay=weight_decay, on_conflict=on_conflict)

    def to_code(self, target: str, total_steps: SupportsIndex, peak_lr: float = 1.0) -> str:
        """The schedule on this horizon as a text of Python that needs no lrsweep, for a repository of your own.

        ``target`` is "python" for a pure ``rate(step)`` of the standard library, or "torch", "transformers", "optax"
        or "keras" for the same with what joins it to that library. After the end the last value holds; what is no
        whole number of 0 or more raises a ValueError.

        >>> import lrsweep
        >>> text = lrsweep.schedule("cosine", warmup=0.1).to_code("torch", total_steps=1000, peak_lr=3e-4)
        """
        from lrsweep.schedules.code import to_code

        return to_code(self, target, total_steps, peak_lr)

    def __repr__(self) -> str:
        return f"lrsweep.schedule({', '.join([repr(self.family), *self._changed()])})"

    def _changed(self) -> list[str]:
        return [f"{one.name}={value!r}" for one in self.settings() if (value := getattr(self, one.name)) != one.default]


@cache
def shared_names() -> frozenset[str]:
    """The settings that every family has."""
    return frozenset(declared.name for declared in fields(Schedule))


@cache  # laying a schedule out asks for them several times
def _declared(kind: type[Schedule]) -> tuple[Setting, ...]:
    shared = shared_names()
    declared = [one for one in fields(kind) if one.metadata]
    return tuple(setting_of(one) for one in sorted(declared, key=lambda one: one.name in shared))


def _shared_conflicts(values: Mapping[str, Any]) -> list[str]:
    problems = []
    warmup, hold = values["warmup"], values["hold"]
    if not isinstance(warmup, str) and not isinstance(hold, str) and warmup + hold >= 1.0:
        problems.append(
            f"warmup {warmup:g} and hold {hold:g} are {warmup + hold:g} of the training; wanted less than 1 together, "
            "so that something is left for the decay"
        )
    if warmup and values["warmup_shape"] in NEED_A_START and values["warmup_start"] == 0:
        problems.append(
            f"warmup_start must be above 0 for a warm-up of shape {values['warmup_shape']!r}, not 0: "
            "from 0 it would stay at 0"
        )
    return problems


def _told_length(name: str, length: float | str, steps: int) -> str:
    return f"{name} {length!r}" if isinstance(length, str) else f"{name} {length!r} ({steps} step{'s' * (steps > 1)})"


def json_value(value: Any) -> Any:
    """A setting's value as JSON has it."""
    if isinstance(value, Schedule):
        return value.to_dict()
    return [json_value(one) for one in value] if isinstance(value, tuple) else value

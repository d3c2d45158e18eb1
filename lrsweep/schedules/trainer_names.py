"""A schedule from the arguments of a transformers Trainer: ``lr_scheduler_type`` and what belongs to it.

Read: linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt,
cosine_with_min_lr, warmup_stable_decay and reduce_lr_on_plateau, with ``lr_scheduler_kwargs``, ``warmup_steps``,
``warmup_ratio`` and, where a rate or a count of steps must become a fraction, ``learning_rate`` and ``max_steps``. What
no family can express is refused with the reason.

The decays are the same, step by step. The warm-up is as long but has the convention of this package: step i of w gets
(i + 1)/(w + 1) of the peak, where the Trainer has i/w and so wastes its first step; and a ratio is rounded to the
nearest step, where the Trainer rounds up. ``constant`` and ``reduce_lr_on_plateau`` take no warm-up there, and get none
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from reprlib import repr as shortened
from typing import Any

from lrsweep.errors import did_you_mean
from lrsweep.schedules.kinds import BELOW_ONE, UNIT, Choice, Interval, Kind, NotOfThisKind, Whole

TYPE = "lr_scheduler_type"
KWARGS = "lr_scheduler_kwargs"
ARGUMENTS = (TYPE, KWARGS, "warmup_steps", "warmup_ratio")

STEPS = Whole(low=0, high=10**15)
RATE = Interval(low=0, high=1e9)
HALF = 0.5

Settings = dict[str, Any]


class Reader:
    """The arguments and their problems; what was not asked for in the end is told as unknown."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._given = given
        self._kwargs = self._kwargs_of(given)
        self._asked: list[str] = []

    def kwarg(self, name: str, default: Any, allowed: Kind) -> Any:
        self._asked.append(name)
        given = self._kwargs.get(name)
        return default if given is None else self._read(f"{KWARGS}.{name}", given, allowed, default)

    def argument(self, name: str, default: Any, allowed: Kind) -> Any:
        given = self._given.get(name)
        return default if given is None else self._read(name, given, allowed, default)

    def refuse(self, problem: str) -> None:
        self.problems.append(problem)

    def of_peak(self, name: str, rate: float) -> float:
        """A rate as a fraction of the peak."""
        if rate == 0:
            return 0.0
        peak = self.argument("learning_rate", None, Interval(low=0, high=1e9, open_low=True))
        if peak is None:
            self.refuse(
                f"{KWARGS}.{name} {rate:g} is a rate, and a schedule has fractions of the peak: give learning_rate"
            )
            return 0.0
        if rate > peak:
            self.refuse(f"{KWARGS}.{name} {rate:g} is above learning_rate {peak:g}")
            return 0.0
        return float(rate / peak)

    def warmup(self) -> float | str:
        """Steps win over the ratio; below 1 they are a ratio themselves."""
        steps = self.argument("warmup_steps", 0.0, Interval(low=0, high=1e15))
        if steps >= 1 and not float(steps).is_integer():
            self.refuse(f"warmup_steps must be a whole number, or a ratio below 1, not {steps:g}")
        if steps >= 1:
            return f"{int(steps)} steps"
        return float(steps or self.argument("warmup_ratio", 0.0, BELOW_ONE))

    def total_steps(self) -> int | None:
        steps = self.argument("max_steps", -1, Whole(low=-1, high=10**15))
        return steps if steps > 0 else None

    def one_half_wave(self) -> None:
        cycles = self.kwarg("num_cycles", HALF, RATE)
        if cycles != HALF:
            self.refuse(
                f"{KWARGS}.num_cycles must be {HALF}, half a wave from the peak down, not {cycles:g}: no family has "
                "another number of half waves. cosine_with_restarts has whole cycles"
            )

    def finished(self) -> list[str]:
        """All problems, those with names that nothing asked for among them."""
        unknown = [
            f"{KWARGS}.{name} is not known.{did_you_mean(name, self._asked)} "
            f"There are: {', '.join(self._asked) or 'none for this type'}"
            for name in self._kwargs
            if name not in self._asked
        ]
        slips = [
            f"{shortened(name)} is not known.{did_you_mean(name, ARGUMENTS)}"
            for name in self._given
            if name.startswith(("lr_scheduler", "warmup", "warm_up"))
            and name not in ARGUMENTS
            and not name.startswith(f"{KWARGS}.")
        ]
        return [*self.problems, *unknown, *slips]

    def _kwargs_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        dotted = {
            name.removeprefix(f"{KWARGS}."): value for name, value in given.items() if name.startswith(f"{KWARGS}.")
        }
        whole = given.get(KWARGS)
        if whole is None or whole in ("", "None"):
            return dotted
        if not isinstance(whole, Mapping) or not all(isinstance(name, str) for name in whole):
            self.problems.append(f"{KWARGS} must be an object such as {{'num_cycles': 2}}, not {shortened(whole)}")
            return dotted
        if twice := sorted(whole.keys() & dotted.keys()):
            self.problems.append(f"{KWARGS}.{twice[0]} is given twice, alone and in {KWARGS}; keep one")
        return {**whole, **dotted}

    def _read(self, name: str, given: Any, allowed: Kind, default: Any) -> Any:
        try:
            return allowed.read(given)
        except NotOfThisKind as refused:
            self.refuse(f"{name} {str(refused) or f'must be {allowed}, not {shortened(given)}'}")
            return default


def _linear(read: Reader) -> Settings:
    return {"family": "linear", "warmup": read.warmup()}


def _cosine(read: Reader) -> Settings:
    read.one_half_wave()
    return {"family": "cosine", "warmup": read.warmup()}


def _cosine_with_restarts(read: Reader) -> Settings:
    cycles = read.kwarg("num_cycles", 1, Whole(low=1, high=1000))
    return {"family": "cosine_restarts", "cycles": cycles, "warmup": read.warmup()}


def _polynomial(read: Reader) -> Settings:
    power = read.kwarg("power", 1.0, Interval(low=0, high=100, open_low=True))
    floor = read.of_peak("lr_end", read.kwarg("lr_end", 1e-7, RATE))
    return {"family": "polynomial", "power": power, "floor": floor, "warmup": read.warmup()}


def _constant(read: Reader) -> Settings:
    del read
    return {"family": "constant"}


def _constant_with_warmup(read: Reader) -> Settings:
    return {"family": "constant", "warmup": read.warmup()}


def _inverse_sqrt(read: Reader) -> Settings:
    warmup, total = read.warmup(), read.total_steps()
    given = read.kwarg("timescale", None, Whole(low=1, high=10**15))
    if given is None and not isinstance(warmup, str) and warmup:
        timescale = warmup / (1.0 - warmup)  # as long as the warm-up, whatever the horizon
    elif total is None:
        read.refuse("inverse_sqrt counts its timescale in steps, here it is a fraction of the decay: give max_steps")
        timescale = 1.0
    else:
        before = int(warmup.split()[0]) if isinstance(warmup, str) else math.ceil(total * warmup)
        if before >= total:
            read.refuse(f"a warm-up of {before} steps leaves none of the {total} of max_steps")
        timescale = (given or before or 10_000) / max(1, total - before)
    return {"family": "inverse_sqrt", "timescale": timescale, "warmup": warmup}


def _cosine_with_min_lr(read: Reader) -> Settings:
    read.one_half_wave()
    rate, share = read.kwarg("min_lr", None, RATE), read.kwarg("min_lr_rate", None, UNIT)
    if (rate is None) == (share is None):
        told = "neither is" if rate is None else "both are"
        read.refuse(f"{KWARGS} must have min_lr or min_lr_rate, one of them, and {told} given")
    floor = share if share is not None else read.of_peak("min_lr", rate or 0.0)
    return {"family": "cosine", "floor": floor, "warmup": read.warmup()}


def _warmup_stable_decay(read: Reader) -> Settings:
    read.one_half_wave()
    warmup, total = read.warmup(), read.total_steps()
    decay = read.kwarg("num_decay_steps", None, Whole(low=1, high=10**15))
    stable = read.kwarg("num_stable_steps", None, STEPS)
    rising = read.kwarg("warmup_type", "linear", Choice(("linear", "cosine", "1-sqrt")))
    falling = read.kwarg("decay_type", "cosine", Choice(("linear", "cosine", "1-sqrt")))
    lowest = read.kwarg("min_lr_ratio", 0.0, UNIT)
    if decay is None:
        read.refuse(f"{KWARGS}.num_decay_steps is missing; wanted the steps of the cool-down")
    if rising == "1-sqrt" and warmup:
        read.refuse(f"{KWARGS}.warmup_type '1-sqrt' has no counterpart: wanted 'linear' or 'cosine'")
        rising = "linear"
    if stable is not None and decay is not None:
        before = None if isinstance(warmup, float) and warmup else int(str(warmup).split()[0]) if warmup else 0
        if before is None or total != before + stable + decay:
            read.refuse(
                f"{KWARGS}.num_stable_steps {stable} fits one horizon alone, here the stable part is what is left: "
                "leave it out, or give max_steps as the sum of warmup_steps, num_stable_steps and num_decay_steps"
            )
    return {
        "family": "wsd",
        "cooldown": f"{decay or 1} steps",
        "shape": falling,
        "floor": lowest,
        "warmup": warmup,
        "warmup_shape": rising,
        "warmup_start": lowest,
    }


def _reduce_lr_on_plateau(read: Reader) -> Settings:
    smallest_change = read.kwarg("eps", 1e-8, RATE)
    if smallest_change > 1e-8:
        read.refuse(
            f"{KWARGS}.eps must be 1e-08 or less, not {smallest_change:g}: here every drop is made, however small"
        )
    return {
        "family": "plateau",
        "mode": read.kwarg("mode", "min", Choice(("min", "max"))),
        "gamma": read.kwarg("factor", 0.1, Interval(low=0, high=1, open_high=True)),
        "patience": read.kwarg("patience", 10, STEPS),
        "threshold": read.kwarg("threshold", 1e-4, RATE),
        "threshold_mode": read.kwarg("threshold_mode", "rel", Choice(("rel", "abs"))),
        "cooldown": read.kwarg("cooldown", 0, STEPS),
        "floor": read.of_peak("min_lr", read.kwarg("min_lr", 0.0, RATE)),
    }


TYPES: Mapping[str, Callable[[Reader], Settings]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _cosine_with_restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "warmup_stable_decay": _warmup_stable_decay,
    "reduce_lr_on_plateau": _reduce_lr_on_plateau,
}

NOT_EXPRESSED = {
    "cosine_warmup_with_min_lr": "its decay begins one step ahead of its own clock; use cosine_with_min_lr",
    "greedy": "its averages, cool-downs and resets have no counterpart in the family 'greedy' of this package",
}


def from_trainer(given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Family and settings as in a schedule's JSON, and what cannot be expressed or meant."""
    named = given[TYPE]
    name = str(named.value if isinstance(named, Enum) else named)
    name = name.removeprefix("SchedulerType.").lower()
    if name in NOT_EXPRESSED:
        return {}, [f"{TYPE} {name!r} cannot be expressed: {NOT_EXPRESSED[name]}"]
    if name not in TYPES:
        return {}, [f"{TYPE} {shortened(named)} is not known.{did_you_mean(name, TYPES)} There are: {', '.join(TYPES)}"]
    read = Reader(given)
    settings = TYPES[name](read)
    return settings, read.finished()

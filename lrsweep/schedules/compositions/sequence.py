"""One schedule after the other, each on its own clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from reprlib import repr as shortened
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE, Clock
from lrsweep.schedules.compositions.inner import AnySchedule, Composition, floor_of, momenta_side_by_side
from lrsweep.schedules.course import Course, Floats, join
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.kinds import ABOVE_ZERO, Kind, Length, NotOfThisKind, listing, steps_in
from lrsweep.schedules.setting import REQUIRED, setting

REST = "rest"
SUM_TOLERANCE = 1e-9
MOST_PARTS = 1000

MEANING = "the schedules in their order, and how long each has the rate"


class Part(NamedTuple):
    """A schedule, and its share of the sequence's clock: a fraction, a count such as "500 steps", or "rest"."""

    schedule: Schedule
    length: float | str


@dataclass(frozen=True)
class PartLength:
    """A length above 0, or what the other parts leave."""

    def __str__(self) -> str:
        return f"{Length(ABOVE_ZERO)}, or '{REST}'"

    def read(self, given: object) -> float | str:
        return REST if given == REST and isinstance(given, str) else Length(ABOVE_ZERO).read(given)


PART_KINDS: Mapping[str, tuple[Kind, str]] = {
    "schedule": (AnySchedule(), "what has the rate in this part"),
    "length": (PartLength(), "the part's share of the sequence"),
}


@dataclass(frozen=True)
class Parts:
    """Pairs of a schedule and a length; what is wrong with them is told by ``problems``, one by one."""

    def __str__(self) -> str:
        return f"1 to {MOST_PARTS} pairs such as (lrsweep.schedule('cosine'), 0.5)"

    def read(self, given: object) -> tuple[Part, ...]:
        parts, problems = _read(given)
        if problems:
            raise NotOfThisKind("; ".join(problems))
        return parts

    def problems(self, given: object) -> list[str]:
        """All that is wrong, with the place of each."""
        return _read(given)[1]


def _read(given: object) -> tuple[tuple[Part, ...], list[str]]:
    many = list(given) if isinstance(given, (list, tuple)) else []
    if not 1 <= len(many) <= MOST_PARTS:
        found = f"{len(many)} of them" if len(many) > MOST_PARTS else shortened(given)
        return (), [f"parts must be {Parts()}, not {found}: {MEANING}"]
    parts: list[Part] = []
    problems: list[str] = []
    for place, one in enumerate(many):
        pair, told = _pair(one, f"parts[{place}]")
        values: list[Any] = []
        for name, (kind, meaning) in PART_KINDS.items():
            if name not in pair:
                continue
            try:
                values.append(kind.read(pair[name]))
            except NotOfThisKind as refused:
                wanted = str(refused) or f"must be {kind}, not {shortened(pair[name])}"
                told.append(f"parts[{place}].{name} {wanted}: {meaning}")
        problems += told
        if not told:
            parts.append(Part(*values))
    return tuple(parts), problems


def _pair(given: object, place: str) -> tuple[Mapping[str, object], list[str]]:
    """A part as an object with two names, and what is wrong with its form."""
    if isinstance(given, Mapping):
        problems = [
            f"{place}: {shortened(name)} is not known.{did_you_mean(str(name), PART_KINDS)} "
            f"A part has: {', '.join(PART_KINDS)}"
            for name in given
            if name not in PART_KINDS
        ]
        return given, [*problems, *(f"{place}: {name} is missing" for name in PART_KINDS if name not in given)]
    if isinstance(given, (tuple, list)) and len(given) == len(PART_KINDS):
        return dict(zip(PART_KINDS, given, strict=True)), []
    return {}, [f"{place} must be a pair such as (lrsweep.schedule('cosine'), 0.5), not {shortened(given)}"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Sequence(Composition):
    """One schedule after the other; each begins at its own start, and at a border the next one's first value counts.

    The borders are the lengths summed up and rounded to whole steps, halves up.
    """

    family: ClassVar[str] = "sequence"
    formula: ClassVar[str] = "part k: factor_k((u - begin_k) / length_k) for begin_k ≤ u < begin_(k+1)"
    source: ClassVar[str] = "common practice; PyTorch's SequentialLR, optax's join_schedules"
    use: ClassVar[str] = "When a training has stages that no single family describes."
    simplicity: ClassVar[int] = 300

    parts: tuple[Part, ...] = setting(REQUIRED, allowed=Parts(), meaning=MEANING)

    @classmethod
    def problems_with(cls, given: Mapping[str, object]) -> list[str]:
        told = Parts().problems(given["parts"]) if "parts" in given else []
        # The parts have been judged: something right in their place lets the other settings be judged as well.
        return [*told, *super().problems_with({**given, "parts": _ANY_PARTS} if told else given)]

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        lengths = {f"parts[{place}]": part.length for place, part in enumerate(values["parts"])}
        rests = [place for place, length in lengths.items() if length == REST]
        counts = [place for place, length in lengths.items() if length != REST and steps_in(length) is not None]
        fractions = [length for length in lengths.values() if not isinstance(length, str)]
        total = math.fsum(fractions)
        sums = f"{' + '.join(f'{one:g}' for one in fractions[:10])}{' + …' if len(fractions) > 10 else ''} = {total:g}"
        if len(rests) > 1:
            return [f"the length of {' and '.join(rests)} is '{REST}'; wanted: of one part at most"]
        if rests:
            wrong = [f"the lengths are {sums}, which leaves nothing for {rests[0]}, '{REST}'; wanted less than 1"]
            return wrong if total >= 1 - SUM_TOLERANCE else []
        if counts:
            return [
                f"the length of {' and '.join(counts)} is a count of steps, which no horizon stretches: "
                f"one other part must be '{REST}'"
            ]
        return [] if abs(total - 1) <= SUM_TOLERANCE else [f"the lengths are {sums}; wanted 1 in all, or one '{REST}'"]

    def inner(self) -> tuple[Schedule, ...]:
        return tuple(part.schedule for part in self.parts)

    def lowest(self) -> float:
        return min(map(floor_of, self.inner()))

    def decay(self, u: Floats) -> Floats:
        u = np.asarray(u, dtype=np.float64)
        borders = [0.0, *np.cumsum([share for share, _ in self._shares()])]
        which = np.searchsorted(borders[1:-1], u + TIE, side="right")
        factors = np.empty(u.shape)
        for place, part in enumerate(self.parts):
            width = max(TIE, borders[place + 1] - borders[place])
            own = np.clip((u[which == place] - borders[place]) / width, 0.0, 1.0)
            factors[which == place] = part.schedule.factor(own)
        return factors

    def clock(self, total_steps: int) -> Clock:
        clock = super().clock(total_steps)
        if total_steps and not clock.laid_out.decay and self._has_own_counts:
            self.steps_of_parts(0)  # the counts are refused, as those of a family are
        return clock

    def decay_course(self, steps: int) -> Course:
        if not steps:
            return self.parts[-1].schedule.course(0)
        lengths = self.steps_of_parts(steps)
        return join([part.schedule.course(own) for part, own in zip(self.parts, lengths, strict=True)])

    def decay_momenta(self, steps: int) -> Floats | None:
        lengths = self.steps_of_parts(steps)
        return momenta_side_by_side(
            (part.schedule.momenta(own), own) for part, own in zip(self.parts, lengths, strict=True)
        )

    def steps_of_parts(self, steps: int) -> list[int]:
        """How many of ``steps`` whole steps each part gets; a part without any is refused."""
        shares, counts = np.cumsum(self._shares(), axis=0).T
        ends = [
            math.floor((share + TIE) * steps + 0.5) + int(count) for share, count in zip(shares, counts, strict=True)
        ]
        ends[-1] = steps
        lengths = [end - begin for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        if starved := [place for place, own in enumerate(lengths) if own < 1]:
            told = [f"parts[{place}], {self.parts[place].length!r}, gets {max(0, lengths[place])}" for place in starved]
            counted = sum(steps_in(part.length) or 0 for part in self.parts if part.length != REST)
            taken = f"; the counts take {counted}" if counted else ""
            raise ScheduleError(
                listing(
                    f"schedule {self.family!r} on {steps} steps{taken}",
                    [f"{one}: a longer horizon is needed, or other lengths" for one in told],
                )
            )
        return lengths

    def _shares(self) -> list[tuple[float, int]]:
        """Each part's length as a fraction of the clock and a count of steps besides; the rest is what is left."""
        shares = [_share(part.length) for part in self.parts]
        left = (1.0 - math.fsum(share for share, _ in shares), -sum(count for _, count in shares))
        return [left if part.length == REST else share for part, share in zip(self.parts, shares, strict=True)]

    @property
    def has_counts(self) -> bool:
        return super().has_counts or self._has_own_counts

    @property
    def _has_own_counts(self) -> bool:
        return any(_share(part.length)[1] for part in self.parts)

    def _with_own_fractions(self, decay_steps: int) -> Self:
        if not any(_share(part.length)[1] or part.schedule.has_counts for part in self.parts):
            return self
        if not decay_steps:
            even = 1.0 / len(self.parts)
            return replace(self, parts=tuple(Part(part.schedule.in_fractions(0), even) for part in self.parts))
        lengths = self.steps_of_parts(decay_steps)
        return replace(
            self,
            parts=tuple(
                Part(part.schedule.in_fractions(own), own / decay_steps if _share(part.length)[1] else part.length)
                for part, own in zip(self.parts, lengths, strict=True)
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        parts = [{"schedule": part.schedule.to_dict(), "length": part.length} for part in self.parts]
        return {**super().to_dict(), "parts": parts}

    def __repr__(self) -> str:
        pairs = [f"({part.schedule!r}, {part.length!r})" for part in self.parts]
        return f"lrsweep.sequence({', '.join([*pairs, *self._shared_changed()])})"


_ANY_PARTS = (Part(Constant(), 1.0),)


def _share(length: float | str) -> tuple[float, int]:
    if length == REST:
        return 0.0, 0
    count = steps_in(length)
    return (float(length), 0) if count is None else (0.0, count)


def sequence(*parts: tuple[Schedule, float | str], **shared: Any) -> Sequence:
    """One schedule after the other: pairs of a schedule and how long it lasts, then the settings that all schedules
    have, for the whole work.

    A length is a fraction of the sequence, a count such as "500 steps", or, for one part, "rest". Fractions alone must
    be 1 in all. Each part runs on its own clock, with its own warm-up, floor and noise; the ``peak_lr`` of a whole is
    the peak of each part. A part that needs a metric hears the evaluations in its own steps.

    >>> import lrsweep
    >>> half = lrsweep.schedule("linear", floor=0.5)
    >>> lrsweep.sequence((half, "4 steps"), (lrsweep.schedule("linear"), "rest")).rates(6).tolist()
    [1.0, 0.875, 0.75, 0.625, 1.0, 0.5]
    """
    if problems := Sequence.problems_with({"parts": parts, **shared}):
        raise ScheduleError(listing("sequence", problems))
    return Sequence(parts=parts, **shared)  # type: ignore[arg-type]  # plain pairs become parts

"""What is kept of a race of finalists between its rounds, in the sweep's settings (see ``race``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Json, TrainingRow, TrialRow
from lrsweep.selection.racing import Ended, claimed, planned_alpha
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.finals import a_final


@dataclass(frozen=True)
class RaceState:
    """What was planned, what was ordered, and what the looks so far have said."""

    at: tuple[int, ...]
    """seeds of those still in the race at each look of this plan; the last may have fewer, where the budget ends it"""
    finalists: tuple[int, ...]
    """trials of this plan, by number"""
    ordered: Mapping[int, int]
    """by trial, also of earlier plans: how many of ``seeds``"""
    seeds: tuple[int, ...]
    """in this order for all: whoever has k of them has the first k"""
    asked: Mapping[str, Json]
    """the budget and the wishes that it was planned for"""
    taken: int = 0
    """looks of this plan"""
    out: tuple[int, ...] = ()
    """sent home"""
    spent: float = 0.0
    """of what may be claimed wrongly, by the looks of earlier plans"""
    ended: Ended | None = None

    @property
    def alpha(self) -> float:
        """What all looks of this plan may claim wrongly."""
        return planned_alpha(self.spent)

    @property
    def spent_now(self) -> float:
        return self.spent + self.taken * self.alpha / len(self.at)

    @property
    def running(self) -> tuple[int, ...]:
        return tuple(number for number in self.finalists if number not in self.out)

    @property
    def seeds_each(self) -> int:
        """The most of those still in the race."""
        return max(self._of_running, default=0)

    @property
    def seeds_shown(self) -> str:
        fewest = min(self._of_running, default=0)
        return f"{self.seeds_each} seeds each" if fewest == self.seeds_each else f"{fewest} to {self.seeds_each} seeds"

    @property
    def _of_running(self) -> list[int]:
        return [self.ordered.get(number, 0) for number in self.running or self.finalists]

    def rows(self, study: ResolvedStudy, trials: Sequence[TrialRow]) -> list[TrainingRow]:
        """All that was ordered of these finalists, seed by seed; without trials that were removed."""
        by_number = {trial.number: trial for trial in trials}
        there = [number for number in self.finalists if number in by_number]
        return [
            a_final(study, by_number[number], seed)
            for place, seed in enumerate(self.seeds)
            for number in there
            if place < self.ordered.get(number, 0)
        ]

    def to_json(self) -> dict[str, Json]:
        return {
            "looks": len(self.at),
            "alpha": claimed(self.alpha, len(self.at)),
            "at": list(self.at),
            "taken": self.taken,
            "ended": None if self.ended is None else self.ended.name.lower(),
            "finalists": list(self.finalists),
            "out": list(self.out),
            "ordered": {str(number): count for number, count in self.ordered.items()},
            "seeds": list(self.seeds),
            "spent": self.spent,
            "asked": dict(self.asked),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> RaceState:
        return cls(
            at=tuple(stored["at"]),
            finalists=tuple(stored["finalists"]),
            ordered={int(number): count for number, count in stored["ordered"].items()},
            seeds=tuple(stored["seeds"]),
            asked=stored["asked"],
            taken=stored["taken"],
            out=tuple(stored["out"]),
            spent=stored["spent"],
            ended=None if stored["ended"] is None else Ended[stored["ended"].upper()],
        )

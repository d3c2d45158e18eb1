"""What a training takes at each rung, where a clock pays for it: a script may need longer to start than to train.

Halving pays because a short training is cheap. One of a third of the steps that takes as long as the whole saves
nothing and costs its own time, so a rung is left out whose training takes more than half of one at the next rung. A
budget of steps or trainings never asks: a step of a short training costs it what any other does.

The quickest training of a rung stands for it: what else runs on the machine, and imports of the first start, only add.
Where it took longer than the quickest of the next rung all of them were such starts, and nothing is known yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Json, Purpose, Status, TrainingRow
from lrsweep.study import TIMED, ResolvedStudy

MOST = 0.5
"""Of the next rung's time. Where one trial in three goes on, a rung at a half of it still makes a trial a sixth cheaper
than the next rung alone would, and its order is worth less than the next one's."""
FEWEST = 3
"""Trainings of a rung before it is judged. Of the next one is enough: where that was slow, the rung is kept for now."""


@dataclass(frozen=True)
class RungCost:
    """Of a rung that costs too much for what it saves."""

    rung: int
    horizon: int
    seconds: float
    """of its quickest training"""
    n: int
    next_horizon: int
    next_seconds: float

    @property
    def sentence(self) -> str:
        """What a person reads: the figures, and why they do not pay."""
        return (
            f"rung of {self.horizon} steps: the quickest of {self.n} trainings took {self.seconds:.2g} s, and one of "
            f"{self.next_horizon} steps {self.next_seconds:.2g} s: most of it is the start. It saves too little"
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "rung": self.rung,
            "horizon": self.horizon,
            "n": self.n,
            "seconds": self.seconds,
            "next_horizon": self.next_horizon,
            "next_seconds": self.next_seconds,
        }


class RungCosts:
    """The seconds of a generation's trainings, by rung."""

    def __init__(self, study: ResolvedStudy) -> None:
        self._rungs = study.rungs
        self._is_timed = study.budget.kind in TIMED
        self._seconds: dict[int, list[float]] = defaultdict(list)

    def trained(self, row: TrainingRow) -> None:
        """One that was interrupted has taken longer, or shorter where it went on from a checkpoint, and is left out."""
        if row.status is Status.COMPLETED and row.purpose is Purpose.SEARCH and row.attempt == 1:
            self._seconds[row.rung].append(row.seconds)

    def too_high(self, dropped: Collection[int]) -> list[RungCost]:
        """From the longest rung below the whole down, each beside the next that is kept."""
        return too_high(self._rungs, self._seconds, dropped) if self._is_timed else []


def too_high(rungs: Sequence[int], seconds: Mapping[int, Sequence[float]], dropped: Collection[int]) -> list[RungCost]:
    """
    >>> [cost.rung for cost in too_high((100, 300, 900), {0: [5.1, 4.6, 4.7], 1: [4.9, 4.9, 4.9], 2: [5.5, 5.6]}, ())]
    [1, 0]
    >>> too_high((100, 300, 900), {0: [1.1, 1.0, 1.2], 1: [2.1, 2.0, 2.1], 2: [5.0, 5.1]}, ())
    []
    >>> too_high((100, 300, 900), {0: [6.9, 6.8, 7.0], 1: [1.5]}, ())
    []
    """
    found = []
    following = len(rungs) - 1
    for rung in range(len(rungs) - 2, -1, -1):
        if rung in dropped:
            continue
        own, after = seconds.get(rung, ()), seconds.get(following, ())
        is_comparable = len(own) >= FEWEST and after and min(own) <= min(after)
        if is_comparable and min(own) > MOST * min(after):
            found.append(RungCost(rung, rungs[rung], min(own), len(own), rungs[following], min(after)))
        else:
            following = rung
    return found

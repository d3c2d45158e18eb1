"""Which training is next, and how many trials the search may have in flight."""

from __future__ import annotations

import heapq

from lrsweep.records import TrainingRow

FEWEST_IN_FLIGHT = 4
ROUNDS = 6
ONE_AFTER_THE_OTHER = 2
"""What an executor takes at most that trains so: one runs, and one waits behind it."""


def most_in_flight(trials: int) -> int:
    """How many of a sweep's trials may have been asked and not yet told.

    Trials in flight together learn nothing from each other: a sixth of the budget leaves the search six rounds.

    >>> most_in_flight(10), most_in_flight(60), most_in_flight(384)
    (4, 10, 64)
    """
    return max(FEWEST_IN_FLIGHT, trials // ROUNDS)


class Untold:
    """Trials that were asked and not yet told: how many the search may still ask.

    A trial that goes on only because it calibrates does not count: at its rung the search has heard what it would have
    been told of it, and what it trains from there on keeps slots busy that would be idle.
    """

    def __init__(self, most: int | None) -> None:
        """``most``: None for any number."""
        self._most = most
        self._counted: set[int] = set()
        self._calibrating: set[int] = set()

    @property
    def has_room(self) -> bool:
        return self._most is None or len(self._counted) < self._most

    def add(self, trial: int) -> None:
        """It has a training to run, its first or another."""
        if trial not in self._calibrating:
            self._counted.add(trial)

    def goes_on_to_calibrate(self, trial: int) -> None:
        self._counted.discard(trial)
        self._calibrating.add(trial)

    def told(self, trial: int) -> None:
        self._counted.discard(trial)
        self._calibrating.discard(trial)


class Waiting:
    """Trainings that exist and wait for a place, the next one first.

    Where several train side by side, those go first that have been tried least (one that was preempted lets the others
    pass), and of these the longest, so that a sweep does not end with one long training alone. Else, as they came.
    """

    def __init__(self, *, takes: int) -> None:
        """``takes``: how many plans an idle executor has room for."""
        self._is_side_by_side = takes > ONE_AFTER_THE_OTHER
        self._heap: list[tuple[int, int, int, str]] = []
        self._came = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, row: TrainingRow) -> None:
        urgency = (row.attempt, -row.horizon) if self._is_side_by_side else (0, 0)
        heapq.heappush(self._heap, (*urgency, self._came, row.training_id))
        self._came += 1

    def __contains__(self, training_id: str) -> bool:
        return any(each[-1] == training_id for each in self._heap)

    def remove(self, training_id: str) -> None:
        """It is to run no more."""
        self._heap = [each for each in self._heap if each[-1] != training_id]
        heapq.heapify(self._heap)

    def next(self) -> str:
        """Takes out the training that is to run next: its id."""
        return heapq.heappop(self._heap)[-1]

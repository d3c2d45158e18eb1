"""What a look needs of a sweep's rows: counts of all of them, and the few that it shows.

A sweep may have 100,000 trainings, and to read them takes seconds; the database counts and picks them in a fraction of
that. Nothing here is known that the rows do not say: a home that holds rows makes it of them (``extracts_memory``), and
the contract holds both against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lrsweep.records import Direction, Json, Origin, Purpose, Status, TrainingRow, TrialRow, TrialState


@dataclass(frozen=True)
class TrialCount:
    """The trials of one family, origin and state that have a value, or of those that have none."""

    family: str
    origin: Origin
    state: TrialState
    has_value: bool
    count: int
    first: int
    """the smallest number"""
    last: int
    lowest: int
    """the number of the trial with the smallest value, the earlier of two equal ones; without values, the first"""
    highest: int

    def best(self, direction: Direction) -> int:
        return self.lowest if direction == "minimize" else self.highest


@dataclass(frozen=True)
class TrainingCount:
    """The trainings of one status and purpose that have run, or of those that have not."""

    status: Status
    purpose: Purpose
    has_run: bool
    """whether an attempt was begun: of those that wait, the ones that were drained"""
    count: int
    seconds: float


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a trial, and what it came to."""

    number: int
    params: Mapping[str, Json]
    state: TrialState
    value: float | None

    @property
    def is_whole(self) -> bool:
        """Whether it came to a value at the full horizon."""
        return self.state is TrialState.COMPLETE and self.value is not None

    @property
    def has_diverged(self) -> bool:
        """At some horizon."""
        return self.state is TrialState.PRUNED and self.value is None


NAMES = ("family", "optimizer", "schedule")
"""Parameters that are text in every trial that has them."""
SAME = 1e-12
"""Numbers are alike that differ by no larger share: SQLite reads the last digits as it likes."""


def numbers_of(params: Mapping[str, Json]) -> dict[str, float]:
    return {
        name: each for name, each in params.items() if isinstance(each, (int, float)) and not isinstance(each, bool)
    }


class Extracts(Protocol):
    """Reads alone. Rows come in the order of ``Store.trials`` and ``Store.trainings``."""

    def trial_counts(self, sweep_id: str) -> Sequence[TrialCount]:
        """By family, origin, state, and whether there is a value."""

    def training_counts(self, sweep_id: str) -> Sequence[TrainingCount]:
        """By status, purpose, and whether they have run."""

    def best(self, sweep_id: str, direction: Direction) -> TrialRow | None:
        """Of the trials that it trained to the full horizon, the one with the best value; the earlier of two."""

    def unmirrored(self, sweep_id: str) -> int:
        """How many ``Store.unmirrored`` lists."""

    def last_failed(self, sweep_id: str) -> TrainingRow | None:
        """The failed training that began last."""

    def trials(
        self, study: str, numbers: Collection[int] | None = None, *, origin: Origin | None = None
    ) -> Sequence[TrialRow]:
        """All that is given holds for them."""

    def trainings(
        self,
        study: str,
        *,
        trials: Collection[int] | None = None,
        sweep_id: str | None = None,
        purpose: Purpose | None = None,
        horizon: int | None = None,
    ) -> Sequence[TrainingRow]:
        """All that is given holds for them."""

    def trainings_named(self, study: str, beginning: str) -> Sequence[TrainingRow]:
        """Those whose ids begin so."""

    def drawn(self, sweep_id: str, like: Sequence[Mapping[str, Json]]) -> Sequence[Drawn]:
        """Of the trials that it trained itself, those with the names and the numbers that one of these has; what else
        was drawn is not looked at. By number."""

    def leading(
        self,
        sweep_id: str,
        metric: str,
        direction: Direction,
        *,
        beside: str | None = None,
        below: int | None = None,
        places: int = 1,
    ) -> Sequence[TrainingRow]:
        """Of the search's completed trainings, those with the best values of the metric at each horizon, by each engine
        on each device: so many of each at most, the earlier of two equal ones. With ``beside`` only those that have
        that metric too, with ``below`` those of shorter horizons."""

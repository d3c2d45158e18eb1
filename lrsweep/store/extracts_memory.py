"""Counts and picked rows of dictionaries: the meaning of what SQL counts."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lrsweep.records import Direction, Json, Origin, Purpose, Status, TrainingRow, TrialRow, TrialState
from lrsweep.store.extracts import NAMES, SAME, Drawn, TrainingCount, TrialCount, numbers_of
from lrsweep.store.rules import is_unmirrored
from lrsweep.store.tables_memory import Tables, curve_steps


class MemoryExtracts:
    """On the tables as they are when they are asked for."""

    def __init__(self, read: Callable[[], Tables]) -> None:
        self._read = read

    def trial_counts(self, sweep_id: str) -> Sequence[TrialCount]:
        groups: dict[tuple[str, Origin, TrialState, bool], list[TrialRow]] = defaultdict(list)
        for row in self._read().trials.values():
            if row.sweep_id == sweep_id:
                groups[str(row.params["family"]), row.origin, row.state, row.value is not None].append(row)
        return [_counted(*group, groups[group]) for group in sorted(groups)]

    def training_counts(self, sweep_id: str) -> Sequence[TrainingCount]:
        groups: dict[tuple[Status, Purpose, bool], list[float]] = defaultdict(list)
        for row in self._of_sweep(sweep_id):
            groups[row.status, row.purpose, row.status is not Status.QUEUED or row.seconds > 0].append(row.seconds)
        return [TrainingCount(*group, len(seconds), sum(seconds)) for group, seconds in sorted(groups.items())]

    def best(self, sweep_id: str, direction: Direction) -> TrialRow | None:
        own = (row for row in self._read().trials.values() if row.sweep_id == sweep_id and row.origin.counts)
        whole = [row for row in own if row.state is TrialState.COMPLETE and row.value is not None]
        sign = 1 if direction == "minimize" else -1
        return copy.deepcopy(min(whole, key=lambda row: (sign * (row.value or 0.0), row.number), default=None))

    def unmirrored(self, sweep_id: str) -> int:
        steps = curve_steps(self._read())
        return sum(is_unmirrored(row, steps.get(row.training_id)) for row in self._of_sweep(sweep_id))

    def last_failed(self, sweep_id: str) -> TrainingRow | None:
        failed = [row for row in _in_order(self._of_sweep(sweep_id)) if row.status is Status.FAILED]
        return max(failed, key=lambda row: (row.started_at or 0.0, row.trial), default=None)

    def trials(
        self, study: str, numbers: Collection[int] | None = None, *, origin: Origin | None = None
    ) -> Sequence[TrialRow]:
        found = [
            row
            for row in self._read().trials.values()
            if row.study == study and (numbers is None or row.number in numbers) and origin in (None, row.origin)
        ]
        return copy.deepcopy(sorted(found, key=lambda row: row.number))

    def trainings(
        self,
        study: str,
        *,
        trials: Collection[int] | None = None,
        sweep_id: str | None = None,
        purpose: Purpose | None = None,
        horizon: int | None = None,
    ) -> Sequence[TrainingRow]:
        return _in_order(
            row
            for row in self._read().trainings.values()
            if row.study == study
            and (trials is None or row.trial in trials)
            and sweep_id in (None, row.sweep_id)
            and purpose in (None, row.purpose)
            and horizon in (None, row.horizon)
        )

    def trainings_named(self, study: str, beginning: str) -> Sequence[TrainingRow]:
        rows = self._read().trainings.values()
        return _in_order(row for row in rows if row.study == study and row.training_id.startswith(beginning))

    def drawn(self, sweep_id: str, like: Sequence[Mapping[str, Json]]) -> Sequence[Drawn]:
        rows = sorted(self._read().trials.values(), key=lambda row: row.number)
        return [
            Drawn(row.number, copy.deepcopy(dict(row.params)), row.state, row.value)
            for row in rows
            if row.sweep_id == sweep_id and row.origin.counts and any(_is_like(row.params, each) for each in like)
        ]

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
        groups: dict[tuple[int, str | None, str | None], list[TrainingRow]] = defaultdict(list)
        for row in _in_order(self._of_sweep(sweep_id)):
            is_whole = row.purpose is Purpose.SEARCH and row.status is Status.COMPLETED
            is_short = below is None or row.horizon < below
            if is_whole and is_short and metric in row.metrics and (beside is None or beside in row.metrics):
                groups[row.horizon, row.engine, row.device].append(row)
        sign = 1 if direction == "minimize" else -1
        ranked = (sorted(group, key=lambda row: sign * row.metrics[metric]) for group in groups.values())
        return _in_order(row for group in ranked for row in group[:places])

    def _of_sweep(self, sweep_id: str) -> Iterable[TrainingRow]:
        return (row for row in self._read().trainings.values() if row.sweep_id == sweep_id)


def _is_like(params: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    if any(params.get(name) != other.get(name) for name in NAMES):
        return False
    numbers, wanted = numbers_of(params), numbers_of(other)
    return all(name in numbers and math.isclose(numbers[name], wanted[name], rel_tol=SAME) for name in wanted)


def _counted(family: str, origin: Origin, state: TrialState, has_value: bool, rows: Sequence[TrialRow]) -> TrialCount:
    numbers = [row.number for row in rows]
    lowest = min(rows, key=lambda row: (row.value or 0.0, row.number)).number
    highest = min(rows, key=lambda row: (-(row.value or 0.0), row.number)).number
    return TrialCount(family, origin, state, has_value, len(rows), min(numbers), max(numbers), lowest, highest)


def _in_order(rows: Iterable[TrainingRow]) -> list[TrainingRow]:
    ordered = sorted(rows, key=lambda row: (row.trial, row.rung, -row.rate_scale, row.seed, row.training_id))
    return copy.deepcopy(ordered)

"""The rows of the store in memory, and what a write of them carries with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

from lrsweep.records import Curve, Json, StudyRow, SweepRow, TrainingRow, TrialRow
from lrsweep.store import rules
from lrsweep.store.base import Event, Lease
from lrsweep.store.rules import Holding

Key = TypeVar("Key")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Tables:
    """All rows; a dictionary keeps the order in which they came."""

    leases: dict[str, Holding] = field(default_factory=dict)
    studies: dict[tuple[str, str], StudyRow] = field(default_factory=dict)
    sweeps: dict[str, SweepRow] = field(default_factory=dict)
    trials: dict[tuple[str, int], TrialRow] = field(default_factory=dict)
    trainings: dict[str, TrainingRow] = field(default_factory=dict)
    curves: dict[str, bytes] = field(default_factory=dict)
    example_losses: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """the next one of a study that had trials removed"""
    events: dict[int, Event] = field(default_factory=dict)

    def copied(self) -> Tables:
        return Tables(**{table.name: dict(getattr(self, table.name)) for table in fields(self)})


@dataclass(frozen=True)
class Writing:
    """One transaction: the tables as they will be, the time and the lease."""

    tables: Tables
    now: float
    lease: Lease

    def record(self, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        events = self.tables.events
        event = Event(self.now, self.lease.study, sweep_id, kind, self.lease.token, rules.plain(dict(data), kind))
        events[len(events)] = event

    def queue(self, trial: TrialRow, trainings: Sequence[TrainingRow]) -> list[str]:
        rows = rules.queued_trainings(trial, trainings)
        for row in rows:
            add(self.tables.trainings, row.training_id, row)
        return [row.training_id for row in rows]


def next_number(tables: Tables, study: str) -> int:
    present = max((number + 1 for name, number in tables.trials if name == study), default=0)
    return max(present, tables.numbers.get(study, 0))


def curve_steps(tables: Tables) -> Mapping[str, int]:
    """Of the committed curves, by training."""
    return {key: Curve.from_bytes(data).steps for key, data in tables.curves.items()}


def add(table: dict[Key, Row], key: Key, row: Row) -> None:
    if key in table:
        raise ValueError(f"{key!r} is stored already")
    table[key] = row


def known(table: Mapping[str, Row], kind: str, key: str) -> Row:
    if key not in table:
        raise KeyError(f"no {kind} {key!r} is stored")
    return table[key]


def matches(
    tables: Tables, row: TrialRow | TrainingRow, study: str, generation: str | None, sweep_id: str | None
) -> bool:
    sweep = tables.sweeps[row.sweep_id]
    return row.study == study and generation in (None, sweep.generation) and sweep_id in (None, row.sweep_id)

"""A name's history, ready to be shown: who was promoted and demoted, and what is in force now. Pure."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Json
from lrsweep.store.champions import ChampionRow, TestRead, stacks

SHORT = 12
"""Signs of a hash."""


@dataclass(frozen=True)
class Entry:
    """One line of a history."""

    row: ChampionRow
    is_in_force: bool

    @property
    def choice(self) -> Mapping[str, Json] | None:
        return None if self.row.choice is None else json.loads(self.row.choice)

    @property
    def at(self) -> str:
        return when(self.row.at)

    @property
    def summary(self) -> str | None:
        return None if self.choice is None else in_short(self.choice)

    @property
    def evidence(self) -> str | None:
        return None if self.choice is None else evidence_of(self.choice)

    def to_json(self) -> dict[str, Json]:
        row, choice = self.row, self.choice
        return {
            "id": row.id,
            "at": self.at,
            "name": row.name,
            "action": row.action.value,
            "alias": row.alias.value,
            "in_force": self.is_in_force,
            "study": row.study,
            "sweep": row.sweep_id,
            "trial": row.trial,
            "summary": self.summary,
            "family": None if choice is None else choice["schedule"]["family"],
            "peak_lr": None if choice is None else choice["peak_lr"],
            "evidence": self.evidence,
            "mlflow_version": version_of(row),
            "note": row.note,
            "who": row.who,
        }


def entries(rows: Sequence[ChampionRow]) -> list[Entry]:
    """Oldest first. What a demotion brought back is in force by its own, older row."""
    tops = {stack[-1].id for stack in stacks(rows).values()}
    return [Entry(row, row.id in tops) for row in rows]


def in_short(choice: Mapping[str, Json]) -> str:
    """
    >>> in_short({"schedule": {"family": "cosine"}, "peak_lr": 0.1, "optimizer": {"name": "sgd"}, "horizon": 900})
    'cosine at 0.1 with sgd, 900 steps'
    """
    family, optimizer = choice["schedule"]["family"], choice["optimizer"]["name"]
    return f"{family} at {choice['peak_lr']:.3g} with {optimizer}, {choice['horizon']} steps"


def evidence_of(choice: Mapping[str, Json]) -> str | None:
    """``proven``, ``recommended`` or ``undecided``; None of a file that somebody wrote without it."""
    found = choice.get("evidence", {}).get("evidence")
    return None if found is None else str(found)


def said(row: ChampionRow) -> str:
    """What is in force from the row on, in a few words."""
    if row.choice is None:
        return "nothing"
    choice, version = json.loads(row.choice), version_of(row)
    known = [evidence_of(choice), f"version {version} in MLflow" if version else None]
    beside = ", ".join(filter(None, known))
    return f"{in_short(choice)}{f' ({beside})' if beside else ''}"


def version_of(row: ChampionRow) -> str | None:
    """In MLflow's registry; None also where it holds none for the row."""
    return None if row.choice is None or row.mlflow_version == "-" else row.mlflow_version


def when(at: float) -> str:
    """
    >>> when(1_700_000_000.25)
    '2023-11-14T22:13:20+00:00'
    """
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")


def reads_told(data: str, count: int, this: int | None = None) -> str:
    """``this`` is the number of the read that is told of.

    >>> reads_told("digits@2f0c", 3, 3), reads_told("digits@2f0c", 1)
    ('the test set of digits was read 3 times by now, 2 before this', 'the test set of digits was read once by now')
    >>> reads_told("@2f0c", 1)
    'the test set of the data 2f0c was read once by now'
    """
    times = "once" if count == 1 else f"{count} times"
    before = "" if this is None else f", {this - 1 or 'never'} before this"
    workload, _, data_hash = data.rpartition("@")
    return f"the test set of {workload or f'the data {data_hash[:SHORT]}'} was read {times} by now{before}"


def reads_json(reads: Sequence[TestRead]) -> list[dict[str, Json]]:
    return [
        {
            "at": when(read.at),
            "data": read.data,
            "study": read.study,
            "sweep": read.sweep_id,
            "trials": list(read.trials),
            "trainings": read.trainings,
        }
        for read in reads
    ]

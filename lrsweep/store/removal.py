"""Removal in SQL: rows go from the leaves up, and the numbers that are used up stay known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lrsweep.records import SweepRow, TrainingRow, TrialRow
from lrsweep.store import models, rules
from lrsweep.store.transactions import Row, Writing, select


def next_number(connection: Connection, study: str) -> int:
    """One more than the largest that there is, or was before trials were removed."""
    present = sa.select(sa.func.max(models.trial.c.number)).where(models.trial.c.study == study)
    largest = connection.scalar(present)
    removed = connection.scalar(sa.select(models.numbers.c.next_trial).filter_by(study=study))
    return max(0 if largest is None else largest + 1, removed or 0)


def remove_trials(w: Writing, sweep: SweepRow, numbers: Collection[int]) -> None:
    """``Store.remove_trials`` within its transaction."""
    wanted = set(numbers)
    mine = _of_sweep(w, TrialRow, models.trial, sweep)
    gone = [trial for trial in mine if trial.number in wanted]
    trainings = [row for row in _of_sweep(w, TrainingRow, models.training, sweep) if row.trial in wanted]
    if gone:
        _remember_numbers(w, sweep.study)
        for table in (models.example_losses, models.curve, models.training):
            _delete(w, table, table.c.training_id, [row.training_id for row in trainings])
        c = models.trial.c
        _delete(w, models.trial, c.number, [trial.number for trial in gone], c.study == sweep.study)
        w.record("trials_removed", sweep.sweep_id, rules.removed_facts(gone, trainings))
    if len(gone) == len(mine):
        _remove_sweep(w, sweep)
    elif gone:
        w.put(models.sweep, rules.after_removal(sweep, gone, trainings), "sweep_id")


def _remove_sweep(w: Writing, sweep: SweepRow) -> None:
    w.connection.execute(sa.delete(models.sweep).filter_by(sweep_id=sweep.sweep_id))
    w.record("sweep_removed", sweep.sweep_id, {"generation": sweep.generation})
    if w.get(SweepRow, models.sweep, study=sweep.study, generation=sweep.generation) is None:
        w.connection.execute(sa.delete(models.study).filter_by(name=sweep.study, generation=sweep.generation))


def _remember_numbers(w: Writing, study: str) -> None:
    number = next_number(w.connection, study)
    w.connection.execute(sa.delete(models.numbers).filter_by(study=study))
    w.connection.execute(sa.insert(models.numbers).values(study=study, next_trial=number))


def _of_sweep(w: Writing, kind: type[Row], table: sa.Table, sweep: SweepRow) -> list[Row]:
    rows = w.connection.execute(select(kind, table).filter_by(sweep_id=sweep.sweep_id)).mappings()
    return [kind(**row) for row in rows]


def _delete(
    w: Writing, table: sa.Table, column: sa.ColumnElement[Any], keys: Sequence[object], *more: sa.ColumnElement[bool]
) -> None:
    if keys:
        given = [{"removed": key} for key in keys]
        w.connection.execute(sa.delete(table).where(column == sa.bindparam("removed"), *more), given)

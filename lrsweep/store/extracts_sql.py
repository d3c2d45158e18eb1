"""Counts and picked rows in SQL: each is one query, whose answer is as long as what is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import Direction, Json, Origin, Purpose, Status, TrainingRow, TrialRow
from lrsweep.store import models
from lrsweep.store.extracts import TrainingCount, TrialCount
from lrsweep.store.faults import while_open
from lrsweep.store.transactions import rows, select

MOST_NUMBERS = 5_000
"""In one query: SQLite takes 32,766 values at most."""
_trial, _training, _curve = models.trial.c, models.training.c, models.curve.c
ORDER = (_training.trial, _training.rung, _training.rate_scale.desc(), _training.seed, _training.training_id)
"""Of ``Store.trainings``."""


def unmirrored(query: sa.Select[Any], sweep_id: str) -> sa.Select[Any]:
    """The same conditions as ``rules.is_unmirrored``, on rows."""
    has_outcome = _training.status.in_([status for status in Status if status.is_outcome])
    lacks_steps = (_curve.attempt != _training.mirrored_attempt) | (_curve.steps > _training.mirrored_steps)
    joined = query.outerjoin(models.curve, _curve.training_id == _training.training_id)
    return joined.where(_training.sweep_id == sweep_id, models.UNMIRRORED, has_outcome | lacks_steps)


class SqlExtracts:
    """On the store's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def trial_counts(self, sweep_id: str) -> Sequence[TrialCount]:
        family, has_value = _trial.params["family"].as_string(), _trial.value.is_not(None)
        groups = (family, _trial.origin, _trial.state, has_value)
        c = (sa.func.count(), sa.func.min(_trial.number), sa.func.max(_trial.number))
        extremes = (sa.func.min(_trial.value), sa.func.max(_trial.value))
        query = sa.select(*groups, *c, *extremes).where(_trial.sweep_id == sweep_id).group_by(*groups).order_by(*groups)
        with self._reading() as connection:
            found = connection.execute(query).all()
            values = {value for *_, low, high in found for value in (low, high) if value is not None}
            theirs = sa.select(*groups[:3], _trial.value, sa.func.min(_trial.number)).group_by(
                *groups[:3], _trial.value
            )
            of_value = theirs.where(_trial.sweep_id == sweep_id, _trial.value.in_(values))
            numbers = {(*of, value): number for *of, value, number in connection.execute(of_value)}
        # one that another transaction has changed between the two queries counts as the first
        return [
            TrialCount(
                *(family, origin, state, bool(has_value), count, first, last),
                lowest=numbers.get((family, origin, state, low), first),
                highest=numbers.get((family, origin, state, high), first),
            )
            for family, origin, state, has_value, count, first, last, low, high in found
        ]

    def training_counts(self, sweep_id: str) -> Sequence[TrainingCount]:
        c = _training
        has_run = (c.status != Status.QUEUED) | (c.seconds > 0)
        groups = (c.status, c.purpose, has_run)
        counts = (sa.func.count(), sa.func.sum(c.seconds))
        query = sa.select(*groups, *counts).where(c.sweep_id == sweep_id).group_by(*groups).order_by(*groups)
        with self._reading() as connection:
            return [
                TrainingCount(status, purpose, bool(has_run), count, float(seconds))
                for status, purpose, has_run, count, seconds in connection.execute(query)
            ]

    def unmirrored(self, sweep_id: str) -> int:
        query = unmirrored(sa.select(sa.func.count()).select_from(models.training), sweep_id)
        with self._reading() as connection:
            return int(connection.scalar(query) or 0)

    def last_failed(self, sweep_id: str) -> TrainingRow | None:
        c = _training
        query = select(TrainingRow, models.training).where(c.sweep_id == sweep_id, c.status == Status.FAILED)
        newest = query.order_by(sa.func.coalesce(c.started_at, 0.0).desc(), c.trial.desc(), *ORDER[1:]).limit(1)
        with self._reading() as connection:
            return next(iter(rows(connection, TrainingRow, newest)), None)

    def trials(
        self, study: str, numbers: Collection[int] | None = None, *, origin: Origin | None = None
    ) -> Sequence[TrialRow]:
        query = select(TrialRow, models.trial).where(_trial.study == study).order_by(_trial.number)
        query = query if origin is None else query.where(_trial.origin == origin)
        parts = [query] if numbers is None else [query.where(_trial.number.in_(part)) for part in _parts(numbers)]
        with self._reading() as connection:
            return [row for part in parts for row in rows(connection, TrialRow, part)]

    def trainings(
        self,
        study: str,
        *,
        trials: Collection[int] | None = None,
        sweep_id: str | None = None,
        purpose: Purpose | None = None,
        horizon: int | None = None,
    ) -> Sequence[TrainingRow]:
        given = {"sweep_id": sweep_id, "purpose": purpose, "horizon": horizon}
        wanted = {name: value for name, value in given.items() if value is not None}
        query = select(TrainingRow, models.training).filter_by(study=study, **wanted).order_by(*ORDER)
        parts = [query] if trials is None else [query.where(_training.trial.in_(part)) for part in _parts(trials)]
        with self._reading() as connection:
            return [row for part in parts for row in rows(connection, TrainingRow, part)]

    def trainings_named(self, study: str, beginning: str) -> Sequence[TrainingRow]:
        query = select(TrainingRow, models.training).where(_training.study == study)
        query = query.where(_training.training_id.startswith(beginning, autoescape=True)).order_by(*ORDER)
        with self._reading() as connection:
            return rows(connection, TrainingRow, query)

    def params(self, sweep_id: str, families: Collection[str]) -> Mapping[int, Mapping[str, Json]]:
        query = sa.select(_trial.number, _trial.params).where(
            _trial.sweep_id == sweep_id, _trial.params["family"].as_string().in_(families)
        )
        with self._reading() as connection:
            return {row.number: row.params for row in connection.execute(query.order_by(_trial.number))}

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
        c = _training
        value = c.metrics[metric].as_float()
        kept = (c.sweep_id == sweep_id, c.purpose == Purpose.SEARCH, c.status == Status.COMPLETED, value.is_not(None))
        ordered = (value if direction == "minimize" else value.desc(), *ORDER)
        place = sa.func.row_number().over(partition_by=(c.horizon, c.engine, c.device), order_by=ordered)
        query = sa.select(c.training_id, place.label("place")).where(*kept)
        if beside is not None:
            query = query.where(c.metrics[beside].as_float().is_not(None))
        if below is not None:
            query = query.where(c.horizon < below)
        found = query.subquery()
        names = sa.select(found.c.training_id).where(found.c.place <= places)
        with self._reading() as connection:
            first = select(TrainingRow, models.training).where(c.training_id.in_(names)).order_by(*ORDER)
            return rows(connection, TrainingRow, first)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with while_open(self._engine.url), self._engine.begin() as connection:
            yield connection


def _parts(numbers: Collection[int]) -> Iterator[Sequence[int]]:
    """In order, none twice."""
    ordered = sorted(set(numbers))
    return (ordered[begin : begin + MOST_NUMBERS] for begin in range(0, len(ordered), MOST_NUMBERS))

"""Counts and picked rows in SQL: each is one query, whose answer is as long as what is shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import Direction, Json, Origin, Purpose, Status, TrainingRow, TrialRow, TrialState
from lrsweep.store import models
from lrsweep.store.extracts import NAMES, SAME, Drawn, TrainingCount, TrialCount, numbers_of
from lrsweep.store.faults import while_open
from lrsweep.store.transactions import rows, select

OWN = tuple(each for each in Origin if each.counts)
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
        groups = (c.purpose, c.status)  # in the order of the index: what has run is no group, for groups are sorted
        ran = sa.func.count().filter((c.status != Status.QUEUED) | (c.seconds > 0))
        query = sa.select(*groups, sa.func.count(), ran, sa.func.sum(c.seconds)).where(c.sweep_id == sweep_id)
        with self._reading() as connection:
            found = connection.execute(query.group_by(*groups)).all()
        counts = [
            TrainingCount(status, purpose, has_run, count, float(seconds) if has_run else 0.0)
            for purpose, status, all_of_it, has_run_of_it, seconds in found
            for has_run, count in ((False, all_of_it - has_run_of_it), (True, has_run_of_it))
            if count
        ]
        return sorted(counts, key=lambda each: (each.status, each.purpose, each.has_run))

    def best(self, sweep_id: str, direction: Direction) -> TrialRow | None:
        c = _trial
        whole = (c.sweep_id == sweep_id, c.origin.in_(OWN), c.state == TrialState.COMPLETE, c.value.is_not(None))
        query = select(TrialRow, models.trial).where(*whole)
        query = query.order_by(c.value if direction == "minimize" else c.value.desc(), c.number).limit(1)
        with self._reading() as connection:
            return next(iter(rows(connection, TrialRow, query)), None)

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
        # without the `+ 0` SQLite takes the index of trials for its order, and looks at each training of the search
        order = ORDER if purpose in (None, Purpose.SEARCH) else (_training.trial + 0, *ORDER[1:])
        query = select(TrainingRow, models.training).filter_by(study=study, **wanted).order_by(*order)
        parts = [query] if trials is None else [query.where(_training.trial.in_(part)) for part in _parts(trials)]
        with self._reading() as connection:
            return [row for part in parts for row in rows(connection, TrainingRow, part)]

    def trainings_named(self, study: str, beginning: str) -> Sequence[TrainingRow]:
        query = select(TrainingRow, models.training).where(_training.study == study)
        query = query.where(_training.training_id.startswith(beginning, autoescape=True)).order_by(*ORDER)
        with self._reading() as connection:
            return rows(connection, TrainingRow, query)

    def drawn(self, sweep_id: str, like: Sequence[Mapping[str, Json]]) -> Sequence[Drawn]:
        wanted = sa.or_(sa.false(), *(_is_like(each, self._engine.dialect.name) for each in like))
        query = sa.select(_trial.number, _trial.params, _trial.state, _trial.value)
        query = query.where(_trial.sweep_id == sweep_id, _trial.origin.in_(OWN), wanted)
        with self._reading() as connection:
            return [Drawn(*row) for row in connection.execute(query.order_by(_trial.number)).all()]

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
        group = (c.horizon, c.engine, c.device)
        groups, query = sa.select(*group).distinct(), sa.select(c.training_id)
        if beside is not None:
            query = query.where(c.metrics[beside].as_float().is_not(None))
        if below is not None:
            groups = groups.where(c.horizon < below)
        with self._reading() as connection:
            found = connection.execute(groups.where(*kept[:3])).all()
            names = [
                name
                for each in found
                for name in connection.scalars(
                    query.where(*kept, *(_equals(part, own) for part, own in zip(group, each, strict=True)))
                    .order_by(*ordered)
                    .limit(places)
                )
            ]
            first = select(TrainingRow, models.training).where(c.training_id.in_(names)).order_by(*ORDER)
            return rows(connection, TrainingRow, first)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with while_open(self._engine.url), self._engine.begin() as connection:
            yield connection


def _is_like(params: Mapping[str, Json], database: str) -> sa.ColumnElement[bool]:
    """Of a parameter that is text in another trial PostgreSQL makes no number, but fails: it compares as text, which it
    keeps as it was written. SQLite compares numbers."""
    names = [_equals(_trial.params[name].as_string(), params.get(name)) for name in NAMES]
    numbers = [
        _trial.params[name].as_string() == json.dumps(each)
        if database == "postgresql"
        else _trial.params[name].as_float().between(*sorted((each * (1 - SAME), each * (1 + SAME))))
        for name, each in numbers_of(params).items()
    ]
    return sa.and_(*names, *numbers)


def _equals(column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[bool]:
    """In words that an index understands, also of nothing."""
    return column.is_(None) if value is None else column == value


def _parts(numbers: Collection[int]) -> Iterator[Sequence[int]]:
    """In order, none twice."""
    ordered = sorted(set(numbers))
    return (ordered[begin : begin + MOST_NUMBERS] for begin in range(0, len(ordered), MOST_NUMBERS))

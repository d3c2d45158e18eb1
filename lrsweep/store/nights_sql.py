"""Nights in SQL. Writers wait for each other: of two that begin one night, the second finds the first's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import Json
from lrsweep.store import models
from lrsweep.store import nights_rules as rules
from lrsweep.store.faults import while_open
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.store.transactions import clock, columns, select, writing


class SqlNights:
    """On the store's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, study: str | None = None) -> Sequence[NightRow]:
        query = select(NightRow, models.night).order_by(models.night.c.id)
        with self._transaction(self._engine) as connection:
            found = connection.execute(query if study is None else query.filter_by(study=study)).mappings()
            return [NightRow(**row) for row in found]

    def newest(self, count: int) -> Sequence[NightRow]:
        query = select(NightRow, models.night).order_by(models.night.c.id.desc()).limit(count)
        with self._transaction(self._engine) as connection:
            return [NightRow(**row) for row in connection.execute(query).mappings()]

    def told(self, count: int, failing: str, studies: Collection[str] | None = None) -> Sequence[NightRow]:
        c = models.night.c
        is_failing = c.generation.startswith(failing, autoescape=True)
        told = sa.or_(c.ended_at.is_not(None), is_failing)
        place = sa.func.row_number().over(partition_by=c.study, order_by=c.id.desc()).label("place")
        last = sa.select(c.id, place).where(told if studies is None else sa.and_(told, c.study.in_(studies))).subquery()
        plan = sa.case((is_failing, c.plan), else_=sa.null()).label("plan")
        rest = [each for each in select(NightRow, models.night).selected_columns if each.name != "plan"]
        query = sa.select(*rest, plan).join(last, last.c.id == c.id).where(last.c.place <= count).order_by(c.id)
        with self._transaction(self._engine) as connection:
            found = connection.execute(query).mappings()
            return [NightRow(**{**row, "plan": row["plan"] or {}}) for row in found]

    def begin(self, study: str, generation: str, key: str, plan: Mapping[str, Json]) -> NightRow:
        with self._writing() as connection:
            named = select(NightRow, models.night).filter_by(study=study, generation=generation, key=key)
            present = connection.execute(named).mappings().first()
            if present is not None:
                return NightRow(**present)
            row = rules.begun(study, generation, key, plan, clock(connection))
            values = {name: value for name, value in columns(row).items() if name != "id"}
            given = connection.execute(sa.insert(models.night).values(values)).inserted_primary_key
            assert given is not None
            return replace(row, id=int(given[0]))

    def go_on(self, night: int, plan: Mapping[str, Json]) -> NightRow:
        with self._writing() as connection:
            row = rules.gone_on(_known(connection, night), plan)
            connection.execute(sa.update(models.night).filter_by(id=night).values(plan=row.plan))
            return row

    def trainings(self, night: int) -> Sequence[NightTraining]:
        with self._transaction(self._engine) as connection:
            return _trainings(connection, night)

    def add_training(self, training: NightTraining) -> None:
        with self._writing() as connection:
            night = _known(connection, training.night)
            row = rules.to_add(night, _trainings(connection, training.night), training)
            connection.execute(sa.insert(models.night_training).values(columns(row)))

    def end(self, night: int, result: Mapping[str, Json]) -> NightRow:
        with self._writing() as connection:
            row = rules.ended(_known(connection, night), result, clock(connection))
            changed = sa.update(models.night).filter_by(id=night).values(result=row.result, ended_at=row.ended_at)
            connection.execute(changed)
            return row

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with while_open(self._engine.url), engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._transaction(writing(self._engine)) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {models.night.name} IN EXCLUSIVE MODE"))
            yield connection


def _known(connection: Connection, night: int) -> NightRow:
    found = connection.execute(select(NightRow, models.night).filter_by(id=night)).mappings().first()
    if found is None:
        raise rules.no_such(night)
    return NightRow(**found)


def _trainings(connection: Connection, night: int) -> list[NightTraining]:
    c = models.night_training.c
    query = select(NightTraining, models.night_training).filter_by(night=night).order_by(c.arm, c.horizon, c.seed)
    found = connection.execute(query).mappings()
    return [NightTraining(**row) for row in found]

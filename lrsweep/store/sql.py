"""The store in SQL: SQLite and PostgreSQL, one text for both.

Every write locks the lease's row first, so the writes of one study go one after another: nobody can take the lease over
in the middle of one, and what a rule has read stays true until it is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.errors import LeaseHeld
from lrsweep.records import Curve, Json, Outcome, Status, StudyRow, SweepRow, SweepStatus, TrainingRow, TrialRow
from lrsweep.store import models, rules
from lrsweep.store.base import Event, Lease, TrialEnd
from lrsweep.store.faults import while_open
from lrsweep.store.rules import Holding

Row = TypeVar("Row", StudyRow, SweepRow, TrialRow, TrainingRow, Event, Holding)

# Seconds since 1970. unixepoch('subsec') needs SQLite 3.42; PostgreSQL's now() stands still during a transaction.
_CLOCK = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}


def writing(engine: Engine) -> Engine:
    """The same engine and pool, for transactions that write (SQLite takes its write lock at BEGIN)."""
    return engine.execution_options(writing=True)


@dataclass(frozen=True)
class _Writing:
    """One transaction that writes: its connection, the database's time and the lease."""

    connection: Connection
    now: float
    lease: Lease

    def get(self, kind: type[Row], table: sa.Table, **key: str | int) -> Row | None:
        row = self.connection.execute(_select(kind, table).filter_by(**key)).first()
        return None if row is None else kind(**row._mapping)

    def known(self, kind: type[Row], table: sa.Table, **key: str) -> Row:
        row = self.get(kind, table, **key)
        if row is None:
            raise KeyError(f"no {table.name.removeprefix('lrs_')} {next(iter(key.values()))!r} is stored")
        return row

    def training(self, training_id: str) -> TrainingRow:
        return self.known(TrainingRow, models.training, training_id=training_id)

    def add(self, table: sa.Table, *rows: Any) -> None:
        if rows:
            self.connection.execute(sa.insert(table), [_columns(row) for row in rows])

    def put(self, table: sa.Table, row: Any, *key: str) -> None:
        """Writes the row over the one with the same key."""
        columns = _columns(row)
        self.connection.execute(sa.update(table).filter_by(**{name: columns[name] for name in key}).values(columns))

    def put_curve(self, row: TrainingRow, steps: int, data: bytes) -> None:
        self.drop_curve(row.training_id)
        self.connection.execute(
            sa.insert(models.curve).values(training_id=row.training_id, attempt=row.attempt, steps=steps, data=data)
        )

    def drop_curve(self, training_id: str) -> None:
        self.connection.execute(sa.delete(models.curve).filter_by(training_id=training_id))

    def queue(self, trial: TrialRow, trainings: Sequence[TrainingRow]) -> list[str]:
        rows = rules.queued_trainings(trial, trainings)
        self.add(models.training, *rows)
        return [row.training_id for row in rows]

    def record(self, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        plain = rules.plain(dict(data), kind)
        self.add(models.event, Event(self.now, self.lease.study, sweep_id, kind, self.lease.token, plain))


class SqlStore:
    """Made by ``open_store``; safe in threads, each call takes a connection from the pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._clock: sa.Select[Any] = sa.select(sa.literal_column(_CLOCK[engine.dialect.name]))

    def close(self) -> None:
        self._engine.dispose()

    # ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────
    def acquire_lease(
        self, study: str, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False
    ) -> Lease:
        with self._transaction(self._engine) as connection:
            seen = self._holding(connection, study, lock=False)
            is_live = seen is not None and seen.is_live(self._now(connection))
        dead = seen.token if seen is not None and is_live and is_dead(seen.owner) else None
        with self._transaction(self._writer) as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO lrs_lease (study, owner, expires_at) VALUES (:study, '', 0) ON CONFLICT DO NOTHING"
                ),
                {"study": study},
            )
            holding = self._holding(connection, study, lock=True)
            now = self._now(connection)
            if holding is not None and holding.is_live(now) and holding.token != dead:
                raise LeaseHeld(study, holding.owner, holding.expires_at - now)
            lease = Lease(study, owner, secrets.token_hex(16))
            self._hold(connection, study, Holding(owner, lease.token, now + seconds))
            _Writing(connection, now, lease).record("lease_acquired", None, {"owner": owner})
        return lease

    def renew_lease(self, lease: Lease, *, seconds: float) -> None:
        with self._writing(lease) as w:
            self._hold(w.connection, lease.study, Holding(lease.owner, lease.token, w.now + seconds))

    def release_lease(self, lease: Lease) -> None:
        with self._transaction(self._writer) as connection:
            holding = self._holding(connection, lease.study, lock=True)
            if holding is not None and holding.token == lease.token:
                self._hold(connection, lease.study, Holding(lease.owner, None, holding.expires_at))
                now = self._now(connection)
                _Writing(connection, now, lease).record("lease_released", None, {"owner": lease.owner})

    # ── studies and sweeps ───────────────────────────────────────────────────────────────────────────────────────
    def register_study(self, lease: Lease, study: StudyRow) -> None:
        with self._writing(lease) as w:
            present = w.get(StudyRow, models.study, name=study.name, generation=study.generation)
            row = rules.registered_study(lease, study, present)
            if present is None:
                w.add(models.study, row)
            elif row != present:
                w.put(models.study, row, "name", "generation")
            if row != present:
                w.record("study_registered", None, {"generation": row.generation})

    def studies(self, name: str | None = None) -> Sequence[StudyRow]:
        query = _select(StudyRow, models.study).order_by(models.study.c.id)
        return self._rows(StudyRow, query if name is None else query.filter_by(name=name))

    def create_sweep(self, lease: Lease, sweep: SweepRow) -> SweepRow:
        with self._writing(lease) as w:
            row = rules.created_sweep(lease, sweep, w.now)
            w.add(models.sweep, row)
            w.record("sweep_created", row.sweep_id, {"generation": row.generation})
        return row

    def update_sweep(
        self,
        lease: Lease,
        sweep_id: str,
        *,
        status: SweepStatus | None = None,
        add_seconds: float = 0.0,
        mlflow_run_id: str | None = None,
    ) -> SweepRow:
        with self._writing(lease) as w:
            before = w.known(SweepRow, models.sweep, sweep_id=sweep_id)
            row = rules.changed_sweep(lease, before, status, add_seconds, mlflow_run_id)
            w.put(models.sweep, row, "sweep_id")
            if row.status is not before.status:
                w.record(rules.SWEEP_EVENTS[row.status], sweep_id, {})
        return row

    def sweeps(self, study: str) -> Sequence[SweepRow]:
        return self._rows(SweepRow, _select(SweepRow, models.sweep).filter_by(study=study).order_by(models.sweep.c.id))

    # ── trials and trainings ─────────────────────────────────────────────────────────────────────────────────────
    def next_trial_number(self, study: str) -> int:
        largest = sa.select(sa.func.max(models.trial.c.number)).where(models.trial.c.study == study)
        with self._transaction(self._engine) as connection:
            number: int | None = connection.scalar(largest)
        return 0 if number is None else number + 1

    def add_trial(self, lease: Lease, trial: TrialRow, trainings: Sequence[TrainingRow]) -> None:
        with self._writing(lease) as w:
            row = rules.added_trial(lease, trial, w.get(SweepRow, models.sweep, sweep_id=trial.sweep_id))
            w.add(models.trial, row)
            queued = w.queue(row, trainings)
            w.record("trial_added", row.sweep_id, {"trial": row.number, "queued": queued})

    def trials(self, study: str, *, generation: str | None = None, sweep_id: str | None = None) -> Sequence[TrialRow]:
        query = _of_sweeps(_select(TrialRow, models.trial), models.trial, study, generation, sweep_id)
        return self._rows(TrialRow, query.order_by(models.trial.c.number))

    def trial(self, study: str, number: int) -> TrialRow:
        rows = self._rows(TrialRow, _select(TrialRow, models.trial).filter_by(study=study, number=number))
        if not rows:
            raise KeyError(f"study {study!r} has no trial {number}")
        return rows[0]

    def trainings(
        self, study: str, *, generation: str | None = None, sweep_id: str | None = None, trial: int | None = None
    ) -> Sequence[TrainingRow]:
        query = _of_sweeps(_select(TrainingRow, models.training), models.training, study, generation, sweep_id)
        c = models.training.c
        if trial is not None:
            query = query.where(c.trial == trial)
        return self._rows(TrainingRow, query.order_by(c.trial, c.rung, c.rate_scale.desc(), c.seed, c.training_id))

    def training(self, training_id: str) -> TrainingRow:
        rows = self._rows(TrainingRow, _select(TrainingRow, models.training).filter_by(training_id=training_id))
        if not rows:
            raise KeyError(f"no training {training_id!r} is stored")
        return rows[0]

    def start_training(self, lease: Lease, training_id: str, *, device: str, engine: str | None = None) -> TrainingRow:
        with self._writing(lease) as w:
            row = rules.started(lease, w.training(training_id), device, engine, w.now)
            w.put(models.training, row, "training_id")
            w.drop_curve(training_id)
            w.record("training_started", row.sweep_id, rules.training_facts(row) | {"device": device, "engine": engine})
        return row

    def queue_again(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        with self._writing(lease) as w:
            before = w.training(training_id)
            row = rules.queued_again(lease, before)
            if row != before:
                w.put(models.training, row, "training_id")
                w.record("training_queued_again", row.sweep_id, rules.training_facts(row) | {"reason": reason})
        return row

    def save_curve(self, lease: Lease, training_id: str, attempt: int, curve: Curve) -> None:
        data = curve.to_bytes()  # before the transaction, which holds up other writers
        with self._writing(lease) as w:
            row = w.training(training_id)
            rules.check_running(lease, row, attempt)
            w.put_curve(row, curve.steps, data)

    def end_training(
        self,
        lease: Lease,
        training_id: str,
        attempt: int,
        outcome: Outcome,
        curve: Curve,
        *,
        engine: str | None = None,
        tell: TrialEnd | None = None,
        queue: Sequence[TrainingRow] = (),
    ) -> TrainingRow:
        data = curve.to_bytes()  # before the transaction, which holds up other writers
        with self._writing(lease) as w:
            row = rules.ended(lease, w.training(training_id), attempt, outcome, engine)
            w.put(models.training, row, "training_id")
            w.put_curve(row, curve.steps, data)
            trial = w.get(TrialRow, models.trial, study=row.study, number=row.trial)
            assert trial is not None, "a foreign key"
            queued = w.queue(trial, queue)
            w.record("training_ended", row.sweep_id, rules.training_facts(row) | {"queued": queued})
            if tell is not None:
                w.put(models.trial, rules.told(trial, tell), "study", "number")
                w.record("trial_told", row.sweep_id, rules.told_facts(trial.number, tell))
        return row

    def curve(self, training_id: str) -> Curve | None:
        with self._transaction(self._engine) as connection:
            data = connection.scalar(sa.select(models.curve.c.data).filter_by(training_id=training_id))
        return None if data is None else Curve.from_bytes(data)

    # ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────
    def unmirrored(self, sweep_id: str) -> Sequence[TrainingRow]:
        c, curve = models.training.c, models.curve.c  # the same conditions as rules.is_unmirrored, on rows
        outcomes = [status for status in Status if status.is_outcome]
        lacks_outcome = c.status.in_(outcomes) & c.mirrored_status.is_distinct_from(c.status)
        lacks_steps = (curve.attempt != c.mirrored_attempt) | (curve.steps > c.mirrored_steps)
        query = (
            _select(TrainingRow, models.training)
            .outerjoin(models.curve, curve.training_id == c.training_id)
            .where(c.sweep_id == sweep_id, lacks_outcome | lacks_steps)
            .order_by(c.started_at, c.trial, c.rung)
        )
        return self._rows(TrainingRow, query)

    def mark_mirrored(
        self,
        lease: Lease,
        training_id: str,
        *,
        mlflow_run_id: str,
        attempt: int,
        steps: int,
        status: Status | None,
    ) -> None:
        with self._writing(lease) as w:
            row = rules.mirrored(
                lease,
                w.training(training_id),
                mlflow_run_id=mlflow_run_id,
                attempt=attempt,
                steps=steps,
                status=status,
            )
            w.put(models.training, row, "training_id")

    # ── history ──────────────────────────────────────────────────────────────────────────────────────────────────
    def events(self, study: str) -> Sequence[Event]:
        return self._rows(Event, _select(Event, models.event).filter_by(study=study).order_by(models.event.c.id))

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with while_open(self._engine.url), engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, lease: Lease) -> Iterator[_Writing]:
        with self._transaction(self._writer) as connection:
            holding = self._holding(connection, lease.study, lock=True)
            now = self._now(connection)  # asked after the lock: waiting for it takes time off the lease
            rules.check_held(lease, holding, now)
            yield _Writing(connection, now, lease)

    def _rows(self, kind: type[Row], query: sa.Select[Any]) -> Sequence[Row]:
        with self._transaction(self._engine) as connection:
            return [kind(**row) for row in connection.execute(query).mappings()]

    def _now(self, connection: Connection) -> float:
        return float(connection.execute(self._clock).scalar_one())

    @staticmethod
    def _holding(connection: Connection, study: str, *, lock: bool) -> Holding | None:
        query = _select(Holding, models.lease).filter_by(study=study)
        row = connection.execute(query.with_for_update() if lock else query).first()
        return None if row is None else Holding(**row._mapping)

    @staticmethod
    def _hold(connection: Connection, study: str, holding: Holding) -> None:
        connection.execute(sa.update(models.lease).filter_by(study=study).values(_columns(holding)))


def _select(kind: type[Row], table: sa.Table) -> sa.Select[Any]:
    """The columns that the dataclass has; a table may have more."""
    return sa.select(*(table.c[field.name] for field in fields(kind)))


def _columns(row: Any) -> dict[str, Any]:
    """By name; NumPy's numbers as Python's, for sqlite3 would store an ``np.int64`` as eight raw bytes."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _of_sweeps(
    query: sa.Select[Any], table: sa.Table, study: str, generation: str | None, sweep_id: str | None
) -> sa.Select[Any]:
    query = query.where(table.c.study == study)
    if sweep_id is not None:
        query = query.where(table.c.sweep_id == sweep_id)
    if generation is not None:
        query = query.join(models.sweep, models.sweep.c.sweep_id == table.c.sweep_id)
        query = query.where(models.sweep.c.generation == generation)
    return query

"""The store in SQL: SQLite and PostgreSQL, one text for both.

Every write locks the lease's row first, so the writes of one study go one after another: nobody can take the lease over
in the middle of one, and what a rule has read stays true until it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import (
    Curve,
    Json,
    Losses,
    Outcome,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    losses_from_bytes,
    losses_to_bytes,
)
from lrsweep.store import leases_sql as leases
from lrsweep.store import models, rules
from lrsweep.store.base import Event, Holder, Lease, TrialEnd
from lrsweep.store.champions import is_of_a_study
from lrsweep.store.champions_sql import SqlChampions
from lrsweep.store.extracts_sql import ORDER, SqlExtracts, unmirrored
from lrsweep.store.faults import while_open
from lrsweep.store.nights_sql import SqlNights
from lrsweep.store.queue_sql import SqlQueue
from lrsweep.store.removal import next_number, remove_trials
from lrsweep.store.rules import Holding
from lrsweep.store.tokens_sql import SqlTokens
from lrsweep.store.transactions import Row, Writing, clock, rows, select, writing


class SqlStore:
    """Made by ``open_store``; safe in threads, each call takes a connection from the pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self.champions = SqlChampions(engine)
        self.extracts = SqlExtracts(engine)
        self.nights = SqlNights(engine)
        self.queue = SqlQueue(engine)
        self.tokens = SqlTokens(engine)

    def close(self) -> None:
        self._engine.dispose()

    # ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────
    def acquire_lease(
        self, study: str, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False
    ) -> Lease:
        with self._transaction(self._engine) as connection:
            seen = leases.holding(connection, study, lock=False)
            is_live = seen is not None and seen.is_live(clock(connection))
        dead = seen.token if seen is not None and is_live and is_dead(seen.owner) else None
        with self._transaction(self._writer) as connection:
            return leases.taken(connection, study, owner, seconds=seconds, dead=dead)

    def renew_lease(self, lease: Lease, *, seconds: float) -> None:
        with self._writing(lease) as w:
            leases.hold(w.connection, lease.study, Holding(lease.owner, lease.token, w.now + seconds))

    def release_lease(self, lease: Lease) -> None:
        with self._transaction(self._writer) as connection:
            leases.release(connection, lease)

    def holders(self) -> Mapping[str, Holder]:
        with self._transaction(self._engine) as connection:
            return {name: holder for name, holder in leases.live_holders(connection).items() if is_of_a_study(name)}

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
        query = select(StudyRow, models.study).order_by(models.study.c.id)
        return self._rows(StudyRow, query if name is None else query.filter_by(name=name))

    def study_names(self) -> Sequence[str]:
        with self._transaction(self._engine) as connection:
            return sorted(connection.scalars(sa.select(models.study.c.name).distinct()))

    def sweep_ids(self) -> Sequence[str]:
        c = models.sweep.c
        with self._transaction(self._engine) as connection:
            return list(connection.scalars(sa.select(c.sweep_id).order_by(c.created_at.desc(), c.id.desc())))

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
        settings: Mapping[str, Json] | None = None,
    ) -> SweepRow:
        with self._writing(lease) as w:
            before = w.known(SweepRow, models.sweep, sweep_id=sweep_id)
            row = rules.changed_sweep(
                lease, before, status=status, add_seconds=add_seconds, mlflow_run_id=mlflow_run_id, settings=settings
            )
            w.put(models.sweep, row, "sweep_id")
            if row.status is not before.status:
                w.record(rules.SWEEP_EVENTS[row.status], sweep_id, {})
        return row

    def sweeps(self, study: str) -> Sequence[SweepRow]:
        return self._rows(SweepRow, select(SweepRow, models.sweep).filter_by(study=study).order_by(models.sweep.c.id))

    def sweep_counts(self) -> Mapping[SweepStatus, int]:
        c = models.sweep.c
        with self._transaction(self._engine) as connection:
            found = connection.execute(sa.select(c.status, sa.func.count()).group_by(c.status))
            return {SweepStatus(status): count for status, count in found}

    def sweep(self, sweep_id: str) -> SweepRow:
        rows = self._rows(SweepRow, select(SweepRow, models.sweep).filter_by(sweep_id=sweep_id))
        if not rows:
            raise KeyError(f"no sweep {sweep_id!r} is stored")
        return rows[0]

    def ask_to_cancel(self, sweep_id: str) -> SweepRow:
        study = self.sweep(sweep_id).study
        with self._transaction(self._writer) as connection:
            leases.holding(connection, study, lock=True)  # the driver's own write must not undo it
            w = Writing(connection, clock(connection), rules.no_lease(study))
            before = w.known(SweepRow, models.sweep, sweep_id=sweep_id)
            row = rules.asked_to_cancel(before)
            if row != before:
                w.put(models.sweep, row, "sweep_id")
                w.record("cancel_asked", sweep_id, {})
        return row

    def note(self, lease: Lease, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        with self._writing(lease) as w:
            if sweep_id is not None:
                rules.check_sweep(lease, w.known(SweepRow, models.sweep, sweep_id=sweep_id))
            w.record(kind, sweep_id, data)

    # ── trials and trainings ─────────────────────────────────────────────────────────────────────────────────────
    def next_trial_number(self, study: str) -> int:
        with self._transaction(self._engine) as connection:
            return next_number(connection, study)

    def add_trial(self, lease: Lease, trial: TrialRow, trainings: Sequence[TrainingRow]) -> None:
        with self._writing(lease) as w:
            sweep = w.get(SweepRow, models.sweep, sweep_id=trial.sweep_id)
            row = rules.added_trial(lease, trial, sweep, trainings)
            w.add(models.trial, row)
            queued = w.queue(row, trainings)
            w.record("trial_added", row.sweep_id, rules.added_facts(row, queued))

    def queue_trainings(self, lease: Lease, trainings: Sequence[TrainingRow]) -> None:
        with self._writing(lease) as w:
            for (study, number), rows in rules.by_trial(lease, trainings).items():
                trial = w.get(TrialRow, models.trial, study=study, number=number)
                if trial is None:
                    raise ValueError(f"study {study!r} has no trial {number}: its trainings cannot be queued")
                queued = w.queue(trial, rows)
                w.record("trainings_queued", trial.sweep_id, rules.queued_facts(rows, queued))

    def trials(self, study: str, *, generation: str | None = None, sweep_id: str | None = None) -> Sequence[TrialRow]:
        query = _of_sweeps(select(TrialRow, models.trial), models.trial, study, generation, sweep_id)
        return self._rows(TrialRow, query.order_by(models.trial.c.number))

    def trial(self, study: str, number: int) -> TrialRow:
        rows = self._rows(TrialRow, select(TrialRow, models.trial).filter_by(study=study, number=number))
        if not rows:
            raise KeyError(f"study {study!r} has no trial {number}")
        return rows[0]

    def trainings(
        self, study: str, *, generation: str | None = None, sweep_id: str | None = None, trial: int | None = None
    ) -> Sequence[TrainingRow]:
        query = _of_sweeps(select(TrainingRow, models.training), models.training, study, generation, sweep_id)
        c = models.training.c
        if trial is not None:
            query = query.where(c.trial == trial)
        return self._rows(TrainingRow, query.order_by(*ORDER))

    def training(self, training_id: str) -> TrainingRow:
        rows = self._rows(TrainingRow, select(TrainingRow, models.training).filter_by(training_id=training_id))
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
                kind = rules.queued_again_kind(before)
                w.record(kind, row.sweep_id, rules.training_facts(row) | {"reason": reason})
        return row

    def reopen_failed(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        with self._writing(lease) as w:
            before = w.training(training_id)
            trial = w.trial_of(before)
            row, running = rules.reopened(lease, before, trial)
            w.put(models.training, row, "training_id")
            w.record("training_reopened", row.sweep_id, rules.reopened_facts(before, row, reason))
            if running != trial:
                w.put(models.trial, running, "study", "number")
                w.record("trial_reopened", row.sweep_id, {"trial": trial.number})
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
        losses = outcome.example_losses
        packed = None if losses is None else (len(losses), losses_to_bytes(losses))
        with self._writing(lease) as w:
            row = rules.ended(lease, w.training(training_id), attempt, outcome, engine)
            w.put(models.training, row, "training_id")
            w.put_curve(row, curve.steps, data)
            if packed is not None:
                w.add_example_losses(training_id, *packed)
            trial = w.trial_of(row)
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

    def example_losses(self, sweep_id: str) -> Mapping[str, Losses]:
        kept, training = models.example_losses.c, models.training.c
        query = (
            sa.select(kept.training_id, kept.data)
            .join(models.training, training.training_id == kept.training_id)
            .where(training.sweep_id == sweep_id)
        )
        with self._transaction(self._engine) as connection:
            return {training_id: losses_from_bytes(data) for training_id, data in connection.execute(query)}

    # ── removal ──────────────────────────────────────────────────────────────────────────────────────────────────
    def curve_bytes(self, sweep_id: str) -> Mapping[int, int]:
        c, kept = models.training.c, models.example_losses.c
        size = sa.func.length(models.curve.c.data) + sa.func.coalesce(sa.func.length(kept.data), 0)
        query = (
            sa.select(c.trial, sa.func.sum(size))
            .join(models.curve, models.curve.c.training_id == c.training_id)
            .outerjoin(models.example_losses, kept.training_id == c.training_id)
            .where(c.sweep_id == sweep_id)
            .group_by(c.trial)
        )
        with self._transaction(self._engine) as connection:
            return {trial: int(size) for trial, size in connection.execute(query)}

    def remove_trials(self, lease: Lease, sweep_id: str, numbers: Collection[int]) -> None:
        with self._writing(lease) as w:
            sweep = w.known(SweepRow, models.sweep, sweep_id=sweep_id)
            rules.check_sweep(lease, sweep)
            remove_trials(w, sweep, numbers)

    # ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────
    def unmirrored(self, sweep_id: str) -> Sequence[TrainingRow]:
        c = models.training.c
        query = unmirrored(select(TrainingRow, models.training), sweep_id).order_by(c.started_at, c.trial, c.rung)
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
        return self._rows(Event, select(Event, models.event).filter_by(study=study).order_by(models.event.c.id))

    def events_after(self, sweep: SweepRow, number: int, count: int) -> Sequence[tuple[int, Event]]:
        c = models.event.c
        mine = (c.study == sweep.study, c.sweep_id == sweep.sweep_id, c.id > number)
        query = select(Event, models.event).add_columns(c.id).where(*mine).order_by(c.id).limit(count)
        with self._transaction(self._engine) as connection:
            return [(row.pop("id"), Event(**row)) for row in map(dict, connection.execute(query).mappings())]

    def last_events(self, study: str, count: int, *, kind: str | None = None) -> Sequence[Event]:
        query = select(Event, models.event).filter_by(study=study).order_by(models.event.c.id.desc()).limit(count)
        newest_first = self._rows(Event, query if kind is None else query.filter_by(kind=kind))
        return newest_first[::-1]

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with while_open(self._engine.url), engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, lease: Lease) -> Iterator[Writing]:
        with self._transaction(self._writer) as connection:
            holding = leases.holding(connection, lease.study, lock=True)
            now = clock(connection)  # asked after the lock: waiting for it takes time off the lease
            rules.check_held(lease, holding, now)
            yield Writing(connection, now, lease)

    def _rows(self, kind: type[Row], query: sa.Select[Any]) -> Sequence[Row]:
        with self._transaction(self._engine) as connection:
            return rows(connection, kind, query)


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

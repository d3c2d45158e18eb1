"""The store as plain dictionaries: the meaning of the contract, and a double for tests of what stands above it."""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from lrsweep.errors import LeaseHeld
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
from lrsweep.store import rules
from lrsweep.store.base import Event, Holder, Lease, TrialEnd
from lrsweep.store.champions import is_of_a_study
from lrsweep.store.champions_memory import MemoryChampions
from lrsweep.store.extracts_memory import MemoryExtracts
from lrsweep.store.nights_memory import MemoryNights
from lrsweep.store.queue_memory import MemoryQueue
from lrsweep.store.rules import Holding
from lrsweep.store.tables_memory import Tables, Writing, add, curve_steps, known, matches, next_number
from lrsweep.store.tokens_memory import MemoryTokens


class MemoryStore:
    """Safe in threads by one lock. Every write copies the dictionaries: right for tests, wrong for a long sweep."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tables = Tables()
        self.champions = MemoryChampions(clock)
        self.extracts = MemoryExtracts(self._read)
        self.nights = MemoryNights(clock)
        self.queue = MemoryQueue(clock)
        self.tokens = MemoryTokens(clock)

    def close(self) -> None:
        """Nothing to give back."""

    # ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────
    def acquire_lease(
        self, study: str, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False
    ) -> Lease:
        seen = self._read().leases.get(study)
        dead = seen.token if seen is not None and seen.is_live(self._clock()) and is_dead(seen.owner) else None
        with self._transaction() as (tables, now):
            holding = tables.leases.get(study)
            if holding is not None and holding.is_live(now) and holding.token != dead:
                raise LeaseHeld(study, holding.owner, holding.expires_at - now)
            lease = Lease(study, owner, secrets.token_hex(16))
            tables.leases[study] = Holding(owner, lease.token, now + seconds)
            Writing(tables, now, lease).record("lease_acquired", None, {"owner": owner})
        return lease

    def renew_lease(self, lease: Lease, *, seconds: float) -> None:
        with self._writing(lease) as w:
            w.tables.leases[lease.study] = Holding(lease.owner, lease.token, w.now + seconds)

    def release_lease(self, lease: Lease) -> None:
        with self._transaction() as (tables, now):
            holding = tables.leases.get(lease.study)
            if holding is not None and holding.token == lease.token:
                tables.leases[lease.study] = replace(holding, token=None)
                Writing(tables, now, lease).record("lease_released", None, {"owner": lease.owner})

    def holders(self) -> Mapping[str, Holder]:
        now = self._clock()
        leases = self._read().leases.items()
        live = {name: Holder(each.owner, each.expires_at - now) for name, each in leases if each.is_live(now)}
        return {name: holder for name, holder in live.items() if is_of_a_study(name)}

    # ── studies and sweeps ───────────────────────────────────────────────────────────────────────────────────────
    def register_study(self, lease: Lease, study: StudyRow) -> None:
        with self._writing(lease) as w:
            key = (study.name, study.generation)
            present = w.tables.studies.get(key)
            row = rules.registered_study(lease, study, present)
            if row != present:
                w.tables.studies[key] = row
                w.record("study_registered", None, {"generation": row.generation})

    def studies(self, name: str | None = None) -> Sequence[StudyRow]:
        return [copy.deepcopy(row) for row in self._read().studies.values() if name in (None, row.name)]

    def study_names(self) -> Sequence[str]:
        return sorted({row.name for row in self._read().studies.values()})

    def sweep_ids(self) -> Sequence[str]:
        newest_last = sorted(self._read().sweeps.values(), key=lambda row: row.created_at)
        return [row.sweep_id for row in newest_last][::-1]

    def create_sweep(self, lease: Lease, sweep: SweepRow) -> SweepRow:
        with self._writing(lease) as w:
            row = rules.created_sweep(lease, sweep, w.now)
            if (row.study, row.generation) not in w.tables.studies:
                raise ValueError(f"study {row.study!r} has no generation {row.generation!r}: register it first")
            add(w.tables.sweeps, row.sweep_id, row)
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
            before = known(w.tables.sweeps, "sweep", sweep_id)
            row = rules.changed_sweep(
                lease, before, status=status, add_seconds=add_seconds, mlflow_run_id=mlflow_run_id, settings=settings
            )
            w.tables.sweeps[sweep_id] = row
            if row.status is not before.status:
                w.record(rules.SWEEP_EVENTS[row.status], sweep_id, {})
        return copy.deepcopy(row)

    def sweeps(self, study: str) -> Sequence[SweepRow]:
        return [copy.deepcopy(row) for row in self._read().sweeps.values() if row.study == study]

    def sweep_counts(self) -> Mapping[SweepStatus, int]:
        return Counter(row.status for row in self._read().sweeps.values())

    def sweep(self, sweep_id: str) -> SweepRow:
        return copy.deepcopy(known(self._read().sweeps, "sweep", sweep_id))

    def ask_to_cancel(self, sweep_id: str) -> SweepRow:
        with self._transaction() as (tables, now):
            before = known(tables.sweeps, "sweep", sweep_id)
            row = rules.asked_to_cancel(before)
            if row != before:
                tables.sweeps[sweep_id] = row
                Writing(tables, now, rules.no_lease(row.study)).record("cancel_asked", sweep_id, {})
        return copy.deepcopy(row)

    def note(self, lease: Lease, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        with self._writing(lease) as w:
            if sweep_id is not None:
                rules.check_sweep(lease, known(w.tables.sweeps, "sweep", sweep_id))
            w.record(kind, sweep_id, data)

    # ── trials and trainings ─────────────────────────────────────────────────────────────────────────────────────
    def next_trial_number(self, study: str) -> int:
        return next_number(self._read(), study)

    def add_trial(self, lease: Lease, trial: TrialRow, trainings: Sequence[TrainingRow]) -> None:
        with self._writing(lease) as w:
            row = rules.added_trial(lease, trial, w.tables.sweeps.get(trial.sweep_id), trainings)
            add(w.tables.trials, (row.study, row.number), row)
            queued = w.queue(row, trainings)
            w.record("trial_added", row.sweep_id, rules.added_facts(row, queued))

    def queue_trainings(self, lease: Lease, trainings: Sequence[TrainingRow]) -> None:
        with self._writing(lease) as w:
            for (study, number), rows in rules.by_trial(lease, trainings).items():
                trial = w.tables.trials.get((study, number))
                if trial is None:
                    raise ValueError(f"study {study!r} has no trial {number}: its trainings cannot be queued")
                queued = w.queue(trial, rows)
                w.record("trainings_queued", trial.sweep_id, rules.queued_facts(rows, queued))

    def trials(self, study: str, *, generation: str | None = None, sweep_id: str | None = None) -> Sequence[TrialRow]:
        tables = self._read()
        rows = [row for row in tables.trials.values() if matches(tables, row, study, generation, sweep_id)]
        return copy.deepcopy(sorted(rows, key=lambda row: row.number))

    def trial(self, study: str, number: int) -> TrialRow:
        found = self._read().trials.get((study, number))
        if found is None:
            raise KeyError(f"study {study!r} has no trial {number}")
        return copy.deepcopy(found)

    def trainings(
        self, study: str, *, generation: str | None = None, sweep_id: str | None = None, trial: int | None = None
    ) -> Sequence[TrainingRow]:
        tables = self._read()
        rows = [
            row
            for row in tables.trainings.values()
            if matches(tables, row, study, generation, sweep_id) and trial in (None, row.trial)
        ]
        rows.sort(key=lambda row: (row.trial, row.rung, -row.rate_scale, row.seed, row.training_id))
        return copy.deepcopy(rows)

    def training(self, training_id: str) -> TrainingRow:
        return copy.deepcopy(known(self._read().trainings, "training", training_id))

    def start_training(self, lease: Lease, training_id: str, *, device: str, engine: str | None = None) -> TrainingRow:
        with self._writing(lease) as w:
            row = rules.started(lease, known(w.tables.trainings, "training", training_id), device, engine, w.now)
            w.tables.trainings[training_id] = row
            w.tables.curves.pop(training_id, None)
            w.record("training_started", row.sweep_id, rules.training_facts(row) | {"device": device, "engine": engine})
        return copy.deepcopy(row)

    def queue_again(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        with self._writing(lease) as w:
            before = known(w.tables.trainings, "training", training_id)
            row = rules.queued_again(lease, before)
            if row != before:
                w.tables.trainings[training_id] = row
                kind = rules.queued_again_kind(before)
                w.record(kind, row.sweep_id, rules.training_facts(row) | {"reason": reason})
        return copy.deepcopy(row)

    def reopen_failed(self, lease: Lease, training_id: str, *, reason: str) -> TrainingRow:
        with self._writing(lease) as w:
            before = known(w.tables.trainings, "training", training_id)
            trial = w.tables.trials[before.study, before.trial]
            row, running = rules.reopened(lease, before, trial)
            w.tables.trainings[training_id] = row
            w.record("training_reopened", row.sweep_id, rules.reopened_facts(before, row, reason))
            if running != trial:
                w.tables.trials[trial.study, trial.number] = running
                w.record("trial_reopened", row.sweep_id, {"trial": trial.number})
        return copy.deepcopy(row)

    def save_curve(self, lease: Lease, training_id: str, attempt: int, curve: Curve) -> None:
        with self._writing(lease) as w:
            rules.check_running(lease, known(w.tables.trainings, "training", training_id), attempt)
            w.tables.curves[training_id] = curve.to_bytes()

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
        with self._writing(lease) as w:
            row = rules.ended(lease, known(w.tables.trainings, "training", training_id), attempt, outcome, engine)
            w.tables.trainings[training_id] = row
            w.tables.curves[training_id] = curve.to_bytes()
            if outcome.example_losses is not None:
                add(w.tables.example_losses, training_id, losses_to_bytes(outcome.example_losses))
            trial = w.tables.trials[row.study, row.trial]
            queued = w.queue(trial, queue)
            w.record("training_ended", row.sweep_id, rules.training_facts(row) | {"queued": queued})
            if tell is not None:
                w.tables.trials[row.study, row.trial] = rules.told(trial, tell)
                w.record("trial_told", row.sweep_id, rules.told_facts(trial.number, tell))
        return copy.deepcopy(row)

    def curve(self, training_id: str) -> Curve | None:
        data = self._read().curves.get(training_id)
        return None if data is None else Curve.from_bytes(data)

    def example_losses(self, sweep_id: str) -> Mapping[str, Losses]:
        tables = self._read()
        kept = tables.example_losses.items()
        return {key: losses_from_bytes(data) for key, data in kept if tables.trainings[key].sweep_id == sweep_id}

    # ── removal ──────────────────────────────────────────────────────────────────────────────────────────────────
    def curve_bytes(self, sweep_id: str) -> Mapping[int, int]:
        tables = self._read()
        sizes: dict[int, int] = {}
        for row in tables.trainings.values():
            if row.sweep_id == sweep_id and row.training_id in tables.curves:
                size = len(tables.curves[row.training_id]) + len(tables.example_losses.get(row.training_id, b""))
                sizes[row.trial] = sizes.get(row.trial, 0) + size
        return sizes

    def remove_trials(self, lease: Lease, sweep_id: str, numbers: Collection[int]) -> None:
        with self._writing(lease) as w:
            sweep = known(w.tables.sweeps, "sweep", sweep_id)
            rules.check_sweep(lease, sweep)
            w.tables.numbers[sweep.study] = next_number(w.tables, sweep.study)
            mine = [row for row in w.tables.trials.values() if row.sweep_id == sweep_id]
            gone = [row for row in mine if row.number in set(numbers)]
            names = {row.number for row in gone}
            trainings = [r for r in w.tables.trainings.values() if r.sweep_id == sweep_id and r.trial in names]
            for training in trainings:
                del w.tables.trainings[training.training_id]
                w.tables.curves.pop(training.training_id, None)
                w.tables.example_losses.pop(training.training_id, None)
            for trial in gone:
                del w.tables.trials[trial.study, trial.number]
            if gone:
                w.record("trials_removed", sweep_id, rules.removed_facts(gone, trainings))
            if len(gone) == len(mine):
                del w.tables.sweeps[sweep_id]
                w.record("sweep_removed", sweep_id, {"generation": sweep.generation})
                if not any(row.generation == sweep.generation for row in w.tables.sweeps.values()):
                    del w.tables.studies[sweep.study, sweep.generation]
            elif gone:
                w.tables.sweeps[sweep_id] = rules.after_removal(sweep, gone, trainings)

    # ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────
    def unmirrored(self, sweep_id: str) -> Sequence[TrainingRow]:
        tables = self._read()
        steps = curve_steps(tables)
        rows = [
            row
            for row in tables.trainings.values()
            if row.sweep_id == sweep_id and rules.is_unmirrored(row, steps.get(row.training_id))
        ]
        return copy.deepcopy(sorted(rows, key=lambda row: (row.started_at or 0.0, row.trial, row.rung)))

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
            w.tables.trainings[training_id] = rules.mirrored(
                lease,
                known(w.tables.trainings, "training", training_id),
                mlflow_run_id=mlflow_run_id,
                attempt=attempt,
                steps=steps,
                status=status,
            )

    # ── history ──────────────────────────────────────────────────────────────────────────────────────────────────
    def events(self, study: str) -> Sequence[Event]:
        return [copy.deepcopy(event) for event in self._read().events.values() if event.study == study]

    def events_after(self, sweep: SweepRow, number: int, count: int) -> Sequence[tuple[int, Event]]:
        found = [(key + 1, event) for key, event in self._read().events.items() if event.sweep_id == sweep.sweep_id]
        return copy.deepcopy([each for each in found if each[0] > number][:count])

    def last_events(self, study: str, count: int, *, kind: str | None = None) -> Sequence[Event]:
        found = [event for event in self.events(study) if kind in (None, event.kind)]
        return found[max(0, len(found) - count) :]

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────
    def _read(self) -> Tables:
        """The tables as last committed; they are replaced at a commit, never changed."""
        with self._lock:
            return self._tables

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Tables, float]]:
        with self._lock:
            tables = self._tables.copied()
            yield tables, self._clock()
            self._tables = tables

    @contextmanager
    def _writing(self, lease: Lease) -> Iterator[Writing]:
        with self._transaction() as (tables, now):
            rules.check_held(lease, tables.leases.get(lease.study), now)
            yield Writing(tables, now, lease)

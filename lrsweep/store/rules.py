"""What each change means, as pure functions on rows: a row goes in, the changed row comes out, or ValueError.

All homes of the store call these inside their transaction, so that a training ends by the same rules in memory, in
SQLite and in PostgreSQL; a home adds only where the rows lie and how a transaction is made.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lrsweep.errors import LeaseLost
from lrsweep.records import (
    Json,
    Origin,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.store.base import Lease, TrialEnd

SWEEP_EVENTS = {
    SweepStatus.RUNNING: "sweep_continued",
    SweepStatus.FINISHED: "sweep_finished",
    SweepStatus.STOPPED: "sweep_stopped",
    SweepStatus.CANCELLED: "sweep_cancelled",
}

REMOVED_TRIALS = "removed_trials"
"""in a sweep's settings: how many that it was told of are gone"""
REMOVED_STEPS = "removed_steps"
"""in a sweep's settings: by purpose, the updates of trainings that are gone"""


@dataclass(frozen=True)
class Removed:
    """What a sweep has trained and no longer has. It stays paid."""

    trials: int = 0
    """that it was told of"""
    steps: Mapping[Purpose, int] = field(default_factory=dict)

    @classmethod
    def of(cls, sweep: SweepRow) -> Removed:
        """A removal by an earlier release has left no word of its updates."""
        steps = sweep.settings.get(REMOVED_STEPS, {})
        return cls(int(sweep.settings.get(REMOVED_TRIALS, 0)), {Purpose(name): int(of) for name, of in steps.items()})

    @property
    def all_steps(self) -> int:
        return sum(self.steps.values())


@dataclass(frozen=True)
class Holding:
    """Who holds a study's lease, or held it last."""

    owner: str
    token: str | None
    """None once it was given back"""
    expires_at: float

    def is_live(self, now: float) -> bool:
        return self.token is not None and self.expires_at > now


def no_lease(study: str) -> Lease:
    """What stands in the history for a write that needs none."""
    return Lease(study, owner="", token="")


def check_held(lease: Lease, holding: Holding | None, now: float) -> None:
    """Raises LeaseLost unless ``lease`` is the one in force."""
    if holding is not None and holding.token == lease.token and holding.is_live(now):
        return
    if holding is None or holding.token is None:
        why = "was given back"
    elif holding.token == lease.token:
        why = f"expired {now - holding.expires_at:.1f} s ago"
    else:
        why = f"has gone to {holding.owner}"
    raise LeaseLost(
        f"{lease.owner} no longer drives study {lease.study!r}: its lease {why}. Nothing was written. "
        "If no other driver is at work, the same command continues the sweep."
    )


def plain(value: Json, what: str) -> Json:
    """The value as JSON gives it back: a copy of its own, with lists for tuples and text for keys."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} cannot be stored as JSON: {error}") from error


def storable_text(text: str) -> str:
    """The text without what PostgreSQL cannot hold (NUL, lone surrogates): a strange error must not lose a result."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def registered_study(lease: Lease, study: StudyRow, present: StudyRow | None) -> StudyRow:
    _check_study(lease, study.name, f"generation {study.generation!r}")
    if present is not None and present.meaning != study.meaning:
        raise ValueError(
            f"generation {study.generation!r} of study {study.name!r} has the meaning {present.meaning!r}, "
            f"not {study.meaning!r}: a new meaning is a new generation"
        )
    return replace(study, spec=plain(study.spec, "the study's spec"))


def created_sweep(lease: Lease, sweep: SweepRow, now: float) -> SweepRow:
    _check_study(lease, sweep.study, f"sweep {sweep.sweep_id!r}")
    return replace(sweep, created_at=now, settings=plain(dict(sweep.settings), f"settings of sweep {sweep.sweep_id!r}"))


def changed_sweep(
    lease: Lease,
    sweep: SweepRow,
    *,
    status: SweepStatus | None,
    add_seconds: float,
    mlflow_run_id: str | None,
    settings: Mapping[str, Json] | None,
) -> SweepRow:
    check_sweep(lease, sweep)
    merged = {**sweep.settings, **({} if settings is None else settings)}
    return replace(
        sweep,
        status=sweep.status if status is None else status,
        seconds=sweep.seconds + add_seconds,
        mlflow_run_id=sweep.mlflow_run_id if mlflow_run_id is None else mlflow_run_id,
        settings=plain(merged, f"settings of sweep {sweep.sweep_id!r}"),
    )


def check_sweep(lease: Lease, sweep: SweepRow) -> None:
    """Raises ValueError for another study's sweep."""
    _check_study(lease, sweep.study, f"sweep {sweep.sweep_id!r}")


def asked_to_cancel(sweep: SweepRow) -> SweepRow:
    if sweep.status in (SweepStatus.FINISHED, SweepStatus.CANCELLED):
        raise ValueError(f"sweep {sweep.sweep_id!r} is {sweep.status.value} already: there is nothing to cancel")
    return replace(sweep, is_cancelled=True)


def added_trial(
    lease: Lease, trial: TrialRow, sweep: SweepRow | None, trainings: Sequence[TrainingRow] = ()
) -> TrialRow:
    _check_study(lease, trial.study, f"trial {trial.number}")
    if sweep is None or sweep.study != trial.study:
        raise ValueError(f"trial {trial.number} names sweep {trial.sweep_id!r}, which study {trial.study!r} lacks")
    _check_value(trial.number, trial.value)
    if not trial.origin.counts:
        if trainings:
            raise ValueError(f"trial {trial.number} is {trial.origin.value}: its trainings are not this sweep's")
        told(replace(trial, state=TrialState.RUNNING), TrialEnd(trial.state, trial.value))
    return replace(
        trial,
        params=plain(dict(trial.params), f"params of trial {trial.number}"),
        distributions=plain(dict(trial.distributions), f"distributions of trial {trial.number}"),
    )


def queued_trainings(trial: TrialRow, trainings: Iterable[TrainingRow]) -> Sequence[TrainingRow]:
    """The new trainings of a trial, each waiting for its first attempt."""
    rows = tuple(trainings)
    for row in rows:
        if (row.study, row.trial, row.sweep_id) != (trial.study, trial.number, trial.sweep_id):
            raise ValueError(
                f"training {row.training_id} belongs to trial {row.trial} of sweep {row.sweep_id!r} in {row.study!r}; "
                f"trial {trial.number} of sweep {trial.sweep_id!r} in {trial.study!r} cannot queue it"
            )
        if row.status is not Status.QUEUED or row.attempt != 0:
            raise ValueError(
                f"training {row.training_id} is {row.status.value} in attempt {row.attempt}; "
                "a new training is queued, in attempt 0"
            )
    return rows


def by_trial(lease: Lease, trainings: Sequence[TrainingRow]) -> dict[tuple[str, int], list[TrainingRow]]:
    """Trainings of several trials at once, grouped in the order in which they came."""
    grouped: dict[tuple[str, int], list[TrainingRow]] = {}
    for row in trainings:
        _check_study(lease, row.study, f"training {row.training_id}")
        grouped.setdefault((row.study, row.trial), []).append(row)
    return grouped


def started(lease: Lease, row: TrainingRow, device: str, engine: str | None, now: float) -> TrainingRow:
    _check_study(lease, row.study, f"training {row.training_id}")
    if row.status is not Status.QUEUED:
        raise ValueError(f"training {row.training_id} is {row.status.value}; only a queued one starts")
    return replace(row, status=Status.RUNNING, attempt=row.attempt + 1, device=device, engine=engine, started_at=now)


def queued_again(lease: Lease, row: TrainingRow) -> TrainingRow:
    _check_study(lease, row.study, f"training {row.training_id}")
    if row.status is Status.STOPPED and row.purpose is not Purpose.SEARCH:
        return _undone(row)
    if row.status.is_outcome:
        raise ValueError(f"training {row.training_id} has {row.status.value}: it is not queued again")
    return replace(row, status=Status.QUEUED)


def reopened(lease: Lease, row: TrainingRow, trial: TrialRow) -> tuple[TrainingRow, TrialRow]:
    """A failed training that waits again; a trial that it has ended runs again."""
    _check_study(lease, row.study, f"training {row.training_id}")
    if row.status is not Status.FAILED:
        raise ValueError(f"training {row.training_id} is {row.status.value}; only a failed one is opened again")
    if row.purpose is not Purpose.SEARCH:
        return _undone(row), trial
    if trial.state is not TrialState.FAILED:
        raise ValueError(
            f"trial {trial.number} is {trial.state.value}; only one that failed with training {row.training_id} is "
            "opened again"
        )
    return _undone(row), replace(trial, state=TrialState.RUNNING, value=None)


def _undone(row: TrainingRow) -> TrainingRow:
    """It waits without what it came to; MLflow's run of that does not count any more."""
    without = replace(row, metrics={}, steps=0, seconds=0.0, error=None, reason=None)
    return replace(without, status=Status.QUEUED, mirrored_status=None)


def queued_again_kind(before: TrainingRow) -> str:
    """Of the event: one that had an outcome is told apart, so that outcomes can be counted."""
    return "training_reopened" if before.status.is_outcome else "training_queued_again"


def check_running(lease: Lease, row: TrainingRow, attempt: int) -> None:
    _check_study(lease, row.study, f"training {row.training_id}")
    if row.status is not Status.RUNNING or row.attempt != attempt:
        raise ValueError(
            f"training {row.training_id} is {row.status.value} in attempt {row.attempt}, "
            f"not running in attempt {attempt}: what came from there does not count"
        )


def ended(lease: Lease, row: TrainingRow, attempt: int, outcome: Outcome, engine: str | None) -> TrainingRow:
    check_running(lease, row, attempt)
    row = row.with_outcome(outcome)
    return replace(
        row,
        engine=row.engine if engine is None else engine,
        metrics=plain(dict(row.metrics), f"metrics of training {row.training_id}"),
        error=None if row.error is None else storable_text(row.error),
        reason=None if row.reason is None else storable_text(row.reason),
    )


def told(trial: TrialRow, end: TrialEnd) -> TrialRow:
    if trial.state is not TrialState.RUNNING:
        raise ValueError(f"the search was told already that trial {trial.number} is {trial.state.value}")
    if end.state is TrialState.RUNNING:
        raise ValueError(f"trial {trial.number} cannot end as {end.state.value!r}")
    if end.state is TrialState.COMPLETE and end.value is None:
        raise ValueError(f"trial {trial.number} is complete and needs its value")
    _check_value(trial.number, end.value)
    return replace(trial, state=end.state, value=end.value)


def mirrored(
    lease: Lease, row: TrainingRow, *, mlflow_run_id: str, attempt: int, steps: int, status: Status | None
) -> TrainingRow:
    _check_study(lease, row.study, f"training {row.training_id}")
    return replace(
        row,
        mlflow_run_id=mlflow_run_id,
        mirrored_attempt=attempt,
        mirrored_steps=steps,
        mirrored_status=status,
    )


def training_facts(row: TrainingRow) -> dict[str, Json]:
    """What every event about a training says of it."""
    return {
        "training_id": row.training_id,
        "trial": row.trial,
        "rung": row.rung,
        "attempt": row.attempt,
        "status": row.status.value,
        **({} if row.reason is None else {"reason": row.reason}),
    }


def added_facts(trial: TrialRow, queued: Sequence[str]) -> dict[str, Json]:
    """A trial that came with its result says so: the search does not hear of it a second time."""
    facts: dict[str, Json] = {"trial": trial.number, "queued": list(queued)}
    if trial.origin is not Origin.SEARCH:
        facts["origin"] = trial.origin.value
    return facts if trial.origin.counts else facts | {"state": trial.state.value, "value": trial.value}


def queued_facts(rows: Sequence[TrainingRow], queued: Sequence[str]) -> dict[str, Json]:
    purposes = sorted({row.purpose.value for row in rows})
    return {"trial": rows[0].trial, "queued": list(queued), "purposes": purposes}


def reopened_facts(before: TrainingRow, row: TrainingRow, reason: str) -> dict[str, Json]:
    """The error stands in the history, for the row has it no more."""
    return training_facts(row) | {"reason": reason, "error": before.error}


def told_facts(number: int, end: TrialEnd) -> dict[str, Json]:
    return {"trial": number, "state": end.state.value, "value": end.value}


def removed_facts(trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> dict[str, Json]:
    """As many as the history tells of, so that it still agrees with what is left."""
    return {
        "trials": len(trials),
        "told": sum(trial.origin.counts and trial.is_told for trial in trials),
        "trainings": len(trainings),
        "ended": sum(training.status.is_outcome for training in trainings),
        "numbers": [trial.number for trial in trials],
    }


def after_removal(sweep: SweepRow, gone: Sequence[TrialRow], trainings: Iterable[TrainingRow]) -> SweepRow:
    """What the sweep has trained stays paid, in trials and in updates: it is not trained anew when it is run again."""
    before = Removed.of(sweep)
    paid = sum(trial.origin.counts and trial.is_told for trial in gone)
    steps = Counter({purpose.value: of for purpose, of in before.steps.items()})
    for row in trainings:
        steps[row.purpose.value] += row.steps
    removed: dict[str, Json] = {REMOVED_TRIALS: before.trials + paid, REMOVED_STEPS: dict(sorted((+steps).items()))}
    return replace(sweep, settings={**sweep.settings, **removed})


def is_unmirrored(row: TrainingRow, curve_steps: int | None) -> bool:
    """Whether MLflow lacks the outcome, or steps of the committed curve, which belongs to the present attempt."""
    if row.is_mirrored:
        return False
    if row.status.is_outcome:
        return True
    return curve_steps is not None and (row.mirrored_attempt != row.attempt or row.mirrored_steps < curve_steps)


def _check_study(lease: Lease, study: str, what: str) -> None:
    if study != lease.study:
        raise ValueError(f"{what} belongs to study {study!r}; the lease is for study {lease.study!r}")


def _check_value(number: int, value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"the value of trial {number} is {value}: give a finite number, or None where it has none")

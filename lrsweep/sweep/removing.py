"""Removal of old results, alike in MLflow, in Optuna's copy and in the store.

The mirrors go first and the store's rows last: whoever is killed in the middle repeats the command, which finds the
rows still there and deletes again what is deleted already. All of it happens under the study's lease.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from lrsweep.errors import SettingsError, TryAgain, did_you_mean
from lrsweep.records import Json, Origin, Purpose, StudyRow, SweepRow, SweepStatus, TrainingRow, TrialRow
from lrsweep.selection import best_trial
from lrsweep.store import Lease, Store
from lrsweep.store.champions import stacks
from lrsweep.sweep.finals import leader, standings
from lrsweep.sweep.optuna_copy import copy_name, without_trials
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY, is_dead, this_owner
from lrsweep.sweep.stored import resolved_from, sense_of

Kept = Literal["champions", "finalists", "promoted"]
KEPT: tuple[Kept, ...] = ("champions", "finalists")
"""what one may name; what was promoted and not taken back stays whatever is named"""


class Runs(Protocol):
    """What a tracker does here."""

    def delete_run(self, run_id: str) -> bool:
        """Whether it is gone now; one that may not be deleted stays."""

    def tagged_runs(self, sweep: SweepRow, known: Iterable[str]) -> Mapping[str, str | None]:
        """All runs with the sweep's tag, each with its training; they lie where the ``known`` ones do."""


@dataclass(frozen=True)
class Removal:
    """What goes of one sweep."""

    sweep: SweepRow
    study: StudyRow
    """the sweep's generation"""
    trials: tuple[int, ...]
    trainings: int
    size: int
    """of the curves, in bytes"""
    runs: tuple[str, ...]
    """of MLflow; the sweep's own too where nothing of it stays"""
    keep: tuple[Kept, ...]
    """what was to stay"""
    kept: tuple[int, ...]
    """and the trials that this comes to"""

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.sweep.study,
            "sweep": self.sweep.sweep_id,
            "trials": list(self.trials),
            "kept_trials": list(self.kept),
            "trainings": self.trainings,
            "runs": len(self.runs),
            "bytes": self.size,
        }


# ── what would go ────────────────────────────────────────────────────────────────────────────────────────────────────
def old_results(store: Store, *, before: float, keep: Collection[Kept]) -> list[Removal]:
    """Of sweeps that are over and in which nothing began since ``before`` (seconds since 1970): all but what is kept,
    and what a champion or candidate rests on, or one that a demotion would bring back.

    Studies that somebody drives are left out, whatever their age.
    """
    driven = store.holders()
    names = dict.fromkeys(row.name for row in store.studies())
    found = [
        _removal(store, sweep, (*keep, "promoted"))
        for name in names
        if name not in driven
        for sweep in store.sweeps(name)
        if sweep.status is not SweepStatus.RUNNING and _last_begun(store, sweep) < before
    ]
    return [each for each in found if each.trials or not each.kept]


def all_results(store: Store, study: str, sweep_id: str | None) -> list[Removal]:
    """Of a study, or of one of its sweeps. Raises SettingsError where there is none."""
    names = sorted({row.name for row in store.studies()})
    sweeps = store.sweeps(study)
    if not sweeps:
        there = f" There are: {', '.join(names)}." if names else ""
        raise SettingsError(f"there are no results of a study {study!r}.{did_you_mean(study, names)}{there}")
    chosen = [sweep for sweep in sweeps if sweep_id is None or sweep.sweep_id.startswith(sweep_id)]
    if not chosen or (sweep_id is not None and len(chosen) > 1):
        ids = ", ".join(sweep.sweep_id for sweep in sweeps)
        raise SettingsError(f"study {study!r} has {len(chosen)} sweeps whose id begins {sweep_id!r}; there are: {ids}.")
    return [_removal(store, sweep, ()) for sweep in chosen]


def _removal(store: Store, sweep: SweepRow, keep: Collection[Kept]) -> Removal:
    [study] = [row for row in store.studies(sweep.study) if row.generation == sweep.generation]
    trials = store.trials(sweep.study, sweep_id=sweep.sweep_id)
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    kept = _kept(study, sweep, trials, trainings, keep)
    if "promoted" in keep and (promoted := _promoted(store, sweep)):
        kept |= promoted | {trial.number for trial in trials if trial.origin is Origin.BASELINE}
    gone = tuple(trial.number for trial in trials if trial.number not in kept)
    of_gone = [row for row in trainings if row.trial not in kept]
    sizes = store.curve_bytes(sweep.sweep_id)
    runs = [row.mlflow_run_id for row in of_gone if row.mlflow_run_id]
    if not kept and sweep.mlflow_run_id:
        runs.append(sweep.mlflow_run_id)
    return Removal(
        sweep=sweep,
        study=study,
        trials=gone,
        trainings=len(of_gone),
        size=sum(sizes.get(number, 0) for number in gone),
        runs=tuple(runs),
        keep=tuple(keep),
        kept=tuple(sorted(kept)),
    )


def _kept(
    study: StudyRow,
    sweep: SweepRow,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    keep: Collection[Kept],
) -> set[int]:
    """Finalists were trained with fresh seeds; the champions of a sweep are the first of its finals, which is what it
    recommends, and the best of its search. Where any of these stay, so does the baseline that they are compared with:
    a larger budget that continues the sweep would train it anew."""
    kept: set[int] = set()
    if "finalists" in keep:
        kept |= {row.trial for row in trainings if row.purpose is Purpose.FINAL}
    if "champions" in keep:
        if (best := best_trial(trials, sense_of(study))) is not None:
            kept.add(best.number)
        has_finals = any(row.purpose is Purpose.FINAL for row in trainings)
        if has_finals and (first := leader(standings(resolved_from(study, sweep), trials, trainings))) is not None:
            kept.add(first.trial)
    return kept | {trial.number for trial in trials if trial.origin is Origin.BASELINE} if kept else kept


def _promoted(store: Store, sweep: SweepRow) -> set[int]:
    """Their own runs in MLflow hold the artifacts of the registered versions: with a trial of it the sweep's stays."""
    rows = (row for stack in stacks(store.champions.rows()).values() for row in stack)
    return {row.trial for row in rows if row.sweep_id == sweep.sweep_id and row.trial is not None}


def _last_begun(store: Store, sweep: SweepRow) -> float:
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    return max([sweep.created_at, *(row.started_at for row in trainings if row.started_at is not None)])


# ── and how it goes ──────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def alone(store: Store, study: str) -> Iterator[Lease]:
    """Nobody drives the study meanwhile. Raises LeaseHeld where somebody does."""
    lease = store.acquire_lease(study, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
    try:
        yield lease
    finally:
        store.release_lease(lease)


def remove(store: Store, removal: Removal, *, runs: Runs, optuna_url: str) -> int:
    """How many runs may not be deleted and stay; does nothing where the sweep is gone already.

    Raises LeaseHeld where somebody drives the study, TryAgain where it went on meanwhile, and TrackingUnavailable or
    StoreUnavailable where a mirror does not answer: then the store's rows stay, and the same command goes on.
    """
    with alone(store, removal.sweep.study) as lease:
        return remove_alone(store, lease, removal, runs=runs, optuna_url=optuna_url)


def remove_alone(store: Store, lease: Lease, removal: Removal, *, runs: Runs, optuna_url: str) -> int:
    """``remove`` for who has the study's lease already, for more than one sweep."""
    if not is_there(store, removal):
        return 0
    keep = _keeper(store, lease)
    stayed = 0
    for run in (*_forgotten(store, removal, runs), *removal.runs):
        stayed += not runs.delete_run(run)
        keep()
    without_trials(optuna_url, copy_name(removal.study), removal.trials, keep)
    store.renew_lease(lease, seconds=LEASE_SECONDS)
    store.remove_trials(lease, removal.sweep.sweep_id, removal.trials)
    return stayed


def _forgotten(store: Store, removal: Removal, runs: Runs) -> list[str]:
    """Runs of what goes that the store does not know of: of given-up attempts, or made just before a kill."""
    sweep = removal.sweep
    rows = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    stay: set[str | None] = {row.training_id for row in rows if row.trial in removal.kept}
    if removal.kept:
        stay.add(None)  # the sweep's own
    found = runs.tagged_runs(sweep, filter(None, (sweep.mlflow_run_id, *removal.runs)))
    listed = {*removal.runs}
    return [run for run, training in found.items() if training not in stay and run not in listed]


def is_there(store: Store, removal: Removal) -> bool:
    """False where another command has removed the sweep between the plan and the lease.

    A driver may have gone on with it: its own row need not tell, so all of the plan is made again.
    """
    sweep_id, study = removal.sweep.sweep_id, removal.sweep.study
    now = next((sweep for sweep in store.sweeps(study) if sweep.sweep_id == sweep_id), None)
    if now is not None and _removal(store, now, removal.keep) != removal:
        raise TryAgain(
            f"sweep {sweep_id!r} of study {study!r} went on meanwhile; nothing was removed. Run the command again."
        )
    return now is not None


def _keeper(store: Store, lease: Lease) -> Callable[[], None]:
    """Thousands of runs take longer than a lease."""
    renewed = time.monotonic()

    def keep() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW_EVERY:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
            renewed = time.monotonic()

    return keep

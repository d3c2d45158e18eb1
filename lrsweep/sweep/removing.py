"""Removal of old results, alike in MLflow, in Optuna's copy and in the store.

The mirrors go first and the store's rows last: whoever is killed in the middle repeats the command, which finds the
rows still there and deletes again what is deleted already. All of it happens under the study's lease.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import optuna

from lrsweep.errors import SettingsError, StoreUnavailable, TryAgain, did_you_mean
from lrsweep.records import Json, Purpose, StudyRow, SweepRow, SweepStatus, TrainingRow, TrialRow, TrialState
from lrsweep.redaction import without_secrets
from lrsweep.store import Lease, Store
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY, is_dead, this_owner
from lrsweep.sweep.search import TRIAL_ATTRIBUTE

Kept = Literal["champions", "finalists"]
KEPT: tuple[Kept, ...] = ("champions", "finalists")


class Runs(Protocol):
    """What a tracker does here."""

    def delete_run(self, run_id: str) -> None:
        """Does nothing where it is gone."""


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
    kept: tuple[int, ...]

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
    """Of sweeps that are over and in which nothing began since ``before`` (seconds since 1970): all but what is kept.

    Studies that somebody drives are left out, whatever their age.
    """
    driven = store.holders()
    names = dict.fromkeys(row.name for row in store.studies())
    found = [
        _removal(store, sweep, keep)
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
    kept = _kept(study, trials, trainings, keep)
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
        kept=tuple(sorted(kept)),
    )


def _kept(
    study: StudyRow, trials: Sequence[TrialRow], trainings: Iterable[TrainingRow], keep: Collection[Kept]
) -> set[int]:
    """Finalists were trained with fresh seeds; the champion of a sweep is the best trial that it names."""
    kept: set[int] = set()
    if "finalists" in keep:
        kept |= {row.trial for row in trainings if row.purpose is Purpose.FINAL}
    if "champions" in keep:
        values = {
            trial.number: trial.value
            for trial in trials
            if trial.state is TrialState.COMPLETE and trial.value is not None and trial.origin.counts
        }
        if values:
            kept.add((max if _is_maximized(study.spec) else min)(values, key=lambda number: values[number]))
    return kept


def _is_maximized(spec: Json) -> bool:
    """A target is reached in the fewest steps, whichever way its metric goes."""
    return bool(spec.get("objective", {}).get("kind") != "target" and spec.get("direction") == "maximize")


def _last_begun(store: Store, sweep: SweepRow) -> float:
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    return max([sweep.created_at, *(row.started_at for row in trainings if row.started_at is not None)])


# ── and how it goes ──────────────────────────────────────────────────────────────────────────────────────────────────
def remove(store: Store, removal: Removal, *, runs: Runs, optuna_url: str) -> None:
    """Raises LeaseHeld where somebody drives the study, and TrackingUnavailable or StoreUnavailable where a mirror does
    not answer: then the store's rows stay, and the same command goes on."""
    study = removal.sweep.study
    lease = store.acquire_lease(study, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
    try:
        _refuse_changed(store, removal)
        keep = _keeper(store, lease)
        for run in removal.runs:
            runs.delete_run(run)
            keep()
        _remove_copies(optuna_url, removal, keep)
        store.renew_lease(lease, seconds=LEASE_SECONDS)
        store.remove_trials(lease, removal.sweep.sweep_id, removal.trials)
    finally:
        store.release_lease(lease)


def _refuse_changed(store: Store, removal: Removal) -> None:
    """Between the plan and the lease a driver may have gone on with the sweep."""
    now = store.sweep(removal.sweep.sweep_id)
    if now != removal.sweep:
        raise TryAgain(
            f"sweep {now.sweep_id!r} of study {now.study!r} went on meanwhile; nothing was removed. "
            "Run the command again."
        )


def _keeper(store: Store, lease: Lease) -> Callable[[], None]:
    """Thousands of runs take longer than a lease."""
    renewed = time.monotonic()

    def keep() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW_EVERY:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
            renewed = time.monotonic()

    return keep


def _remove_copies(url: str, removal: Removal, keep: Callable[[], None]) -> None:
    """Optuna deletes no single trials: its study is made anew from those that stay, somebody else's among them.

    Trials of ours that a kill in between loses come back with the generation's next sweep.
    """
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return
    name = f"{removal.study.name}@{removal.study.generation[:8]}"
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        if name not in optuna.get_all_study_names(storage):
            return
        copy = optuna.load_study(study_name=name, storage=storage)
        trials = copy.get_trials(deepcopy=False)
        stay = [trial for trial in trials if trial.user_attrs.get(TRIAL_ATTRIBUTE) not in removal.trials]
        if len(stay) == len(trials):
            return
        directions, attributes = copy.directions, copy.user_attrs
        optuna.delete_study(study_name=name, storage=storage)
        if stay:
            anew = optuna.create_study(study_name=name, storage=storage, directions=directions)
            for key, value in attributes.items():
                anew.set_user_attr(key, value)
            for trial in stay:
                anew.add_trial(trial)
                keep()
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "sqlite3", "psycopg", "optuna"):
            raise
        first = (without_secrets(str(error), url).strip().splitlines() or [""])[0]
        raise StoreUnavailable(
            f"Optuna's storage cannot be used: {type(error).__name__}: {first}. Check that its database answers and "
            "may be written, then run the same command again."
        ) from None

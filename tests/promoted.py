"""A study whose finals decide, for tests of what is promoted of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lrsweep.records import Outcome, SweepStatus, TrainingPlan
from lrsweep.store import open_store
from lrsweep.study import ResolvedStudy, SelectionSpec
from tests.looked import in_a_home
from tests.scripted import Script, completed, value_of
from tests.sweeps import a_study

STUDY = replace(
    a_study(trials=8, families=("cosine", "linear"), optimizers=("sgd",)),
    total_steps=8 * (30 + 90) + 2 * 3 * 90,
    selection=SelectionSpec(finalists=2, seeds=3),
)
"""The search's trials, and two finalists with three fresh seeds."""


def noisy(plan: TrainingPlan) -> Outcome:
    """At the full horizon cosine is better by far, and seeds differ in the third digit; a rung tells nothing."""
    gap = 0.4 if plan.horizon == STUDY.horizon and plan.schedule.family == "linear" else 0.0
    return completed(plan, value_of(plan) / 1000 + 0.1 + gap + (plan.seed % 7) / 1000)


def ended_in_a_home(home: Path, study: ResolvedStudy, script: Script) -> Path:
    """With a sweep that has come to its end, as `lrsweep run` leaves it."""
    in_a_home(home, study, script)
    set_status(home, study.name, SweepStatus.FINISHED)
    return home


def set_status(home: Path, study: str, status: SweepStatus) -> None:
    """Of its newest sweep."""
    store = open_store(f"sqlite:///{home}/results.db")
    try:
        lease = store.acquire_lease(study, "a test", seconds=60)
        store.update_sweep(lease, store.sweeps(study)[-1].sweep_id, status=status)
        store.release_lease(lease)
    finally:
        store.close()

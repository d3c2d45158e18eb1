"""A study whose finals decide, for tests of what is promoted of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrsweep.records import Outcome, SweepStatus, TrainingPlan, WorkloadFacts
from lrsweep.store import open_store
from lrsweep.store.champions import ChampionRow
from lrsweep.study import ResolvedStudy, SelectionSpec
from tests.commands import Ran
from tests.looked import Typed, in_a_home
from tests.scripted import Script, ScriptedExecutor, completed, value_of
from tests.sweeps import FACTS, a_study

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


AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""Nothing listens there."""

Begin = Callable[..., Typed]
"""Makes a home with a sweep that has ended, by a script and of a study, and gives the command in it."""


def equal(plan: TrainingPlan) -> Outcome:
    """At the full horizon families differ by less than seeds."""
    outcome = noisy(plan)
    loss = 0.5 + (plan.seed % 7) / 10 if plan.horizon == STUDY.horizon else 1.0
    return replace(outcome, metrics={"val_loss": loss, "decide_loss": loss})


def on_test(plan: TrainingPlan) -> Outcome:
    return replace(noisy(plan), metrics={"val_loss": 9.0, "test_loss": 0.25 + (plan.seed % 3) / 100})


class OnTestSet(ScriptedExecutor):
    """An executor that trains for the test set; the facts are those that the study has."""

    script: Script = staticmethod(on_test)
    facts: WorkloadFacts = FACTS
    made = 0
    plans: list[TrainingPlan]

    def __init__(self, *_: object, **__: object) -> None:
        type(self).made += 1
        super().__init__(type(self).script)

    def describe(self, *_: object) -> WorkloadFacts:
        return type(self).facts

    def poll(self, seconds: float) -> list[Any]:
        found = super().poll(seconds)
        type(self).plans = [*getattr(type(self), "plans", []), *self.begun[-1:]]
        return found


def rows(tmp_path: Path) -> list[ChampionRow]:
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    try:
        return list(store.champions.rows())
    finally:
        store.close()


def reads(tmp_path: Path) -> int:
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    try:
        return len(store.champions.test_reads())
    finally:
        store.close()


def answer(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    found: dict[str, Any] = json.loads(ran.out)
    return found

"""A study whose finals decide, for tests of what is promoted of it."""

from __future__ import annotations

from dataclasses import replace

from lrsweep.records import Outcome, TrainingPlan
from lrsweep.study import SelectionSpec
from tests.scripted import completed, value_of
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

"""Scripted sweeps of every kind, and their reports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from lrsweep.findings.reporting.gathering import gather
from lrsweep.records import Outcome, TrainingPlan
from lrsweep.report.content import Report
from lrsweep.schedules import schedule
from lrsweep.study import Baseline, ResolvedStudy, SelectionSpec, parse_study
from tests.looked import a_bench, a_driven_bench
from tests.scripted import End, Script, completed, diverged, value_of
from tests.studies import SCRIPT
from tests.sweeps import a_study

NOW = 1_790_000_000.0

WITHOUT_FINALS = replace(a_study(trials=24), selection=SelectionSpec(finalists=0))
ONE_FAMILY = a_study(trials=6, families=("linear",), optimizers=("sgd",))
WITH_FINALS = replace(
    a_study(trials=12, families=("cosine", "linear", "step"), optimizers=("sgd",)),
    total_steps=12 * (30 + 90) + 3 * 5 * 90,
    selection=SelectionSpec(finalists=3, seeds=5),
    baseline=Baseline(schedule("constant"), 0.05, "sgd"),
)
"""A baseline beside the space, and finalists with five seeds each"""
A_SCRIPT = parse_study(
    """
[study]
name = "mine"
workload.command = "python train.py --api-key=a1b2c3"
[space]
families = ["linear", "cosine"]
[space.extra]
width = [8, 64]
[budget]
trials = 9
""",
    "mine.toml",
).resolved(replace(SCRIPT, settings={"command": "python train.py --api-key=a1b2c3"}, horizon=90))
"""A script of the user's own, with a parameter that is searched and a secret in its command"""


def scripted(plan: TrainingPlan) -> Outcome:
    """A script reports one metric."""
    return replace(completed(plan), metrics={"val_loss": value_of(plan)})


def noisy(plan: TrainingPlan) -> Outcome:
    """Cosine is better by far; seeds differ in the third digit; what is trained too fast diverges."""
    if plan.peak_lr > 0.6:
        return diverged(plan)
    gap = 0.0 if plan.schedule.family == "cosine" else 0.4
    return completed(plan, value_of(plan) / 100 + 0.1 + gap + (plan.seed % 7) / 1000)


def a_report(study: ResolvedStudy = WITH_FINALS, script: Script = noisy) -> Report:
    """Of a sweep that has used its budget; its driver still holds the lease."""
    bench = a_driven_bench(study, script)
    bench.store.release_lease(bench.lease)
    return gather(bench.store, study.name, now=NOW, state="finished")


def a_report_in_the_middle(study: ResolvedStudy = WITH_FINALS, *, after: int, script: Script = noisy) -> Report:
    """Of a sweep whose driver was killed when so many trainings had ended; it still holds the lease."""
    ended = 0

    def until(plan: TrainingPlan) -> End:
        nonlocal ended
        ended += 1
        if ended > after:
            raise KilledError
        return script(plan)

    bench = a_bench(study)
    with suppress(KilledError):
        bench.drive(until)
    return gather(bench.store, study.name, now=NOW)


class KilledError(Exception):
    """Stands for a kill: nothing after it happens."""

"""Tables and a study for tests of `lrsweep choose`, and what the command says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrsweep.records import Outcome, TrainingPlan
from lrsweep.study import SelectionSpec
from tests.looked import Typed
from tests.scripted import completed, value_of
from tests.sweeps import a_study

SPREAD = (-0.02, 0.0, 0.02, -0.01, 0.01)
HEADER = "family,schedule,peak_lr,horizon,seed,value,cost"


def lines(
    family: str,
    mean: float,
    *,
    rate: object = 0.1,
    horizon: int = 900,
    n: int = 5,
    cost: object = "",
    schedule: str = "",
) -> list[str]:
    quoted = f'"{schedule.replace(chr(34), chr(34) * 2)}"' if schedule else ""
    return [f"{family},{quoted},{rate},{horizon},{seed},{mean + by:.4f},{cost}" for seed, by in enumerate(SPREAD[:n])]


def written(*rows: str, name: str = "results.csv", header: str = HEADER) -> str:
    Path(name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return name


THREE = [*lines("cosine", 1.0), *lines("linear", 2.0), *lines("step", 3.0)]


def answered(run: Typed, *words: str) -> dict[str, Any]:
    """The one object on standard output."""
    ran = run("choose", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    return found


def refused(run: Typed, *words: str) -> str:
    ran = run("choose", *words)
    assert (ran.code, ran.out) == (64, "")
    return ran.err


STUDY = replace(
    a_study(trials=8, families=("cosine", "linear"), optimizers=("sgd",)),
    total_steps=8 * (30 + 90) + 2 * 3 * 90,
    selection=SelectionSpec(finalists=2, seeds=3),
)
"""The search's trials, and two finalists with three fresh seeds"""


def noisy(plan: TrainingPlan) -> Outcome:
    """At the full horizon cosine is better by far, and seeds differ in the third digit; a rung tells nothing."""
    gap = 0.4 if plan.horizon == STUDY.horizon and plan.schedule.family == "linear" else 0.0
    return completed(plan, value_of(plan) / 1000 + 0.1 + gap + (plan.seed % 7) / 1000)

"""A study read back from what the store keeps of it: the same hashes, the same points, the same plans."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.records import EngineSettings, StudyRow, SweepRow, WorkloadFacts
from lrsweep.schedules import Search, core_names, schedule
from lrsweep.scripts.command import Command
from lrsweep.space import candidate
from lrsweep.study import (
    Baseline,
    BudgetSpec,
    Objective,
    Plugin,
    ResolvedStudy,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    SpaceSpec,
    TrackingSpec,
)
from lrsweep.study.extra import Choices
from lrsweep.sweep.stored import resolved_from
from tests.sweeps import FACTS, a_study

LATER = ("search", "objective", "selection", "run", "tracking")


def stored(study: ResolvedStudy) -> StudyRow:
    """As it comes out of a database: through JSON."""
    spec = json.loads(json.dumps(study.spec()))
    return StudyRow(study.name, study.meaning, study.generation, spec)


def a_script() -> ResolvedStudy:
    own = Command("python train.py", steps=90, version=3, rate_exponent=0.4, families={"cosine": "--sched cosine"})
    facts = WorkloadFacts("command", own.meaning(), 3, "", 0, 90, {"script": (0.001, 0.1)})
    return ResolvedStudy(
        name="mine",
        workload=own.spec(),
        facts=facts,
        metric="acc",
        direction="maximize",
        horizon=90,
        seed=1,
        space=SpaceSpec(
            families=("cosine",),
            optimizers=("script",),
            peak_lr={"script": (0.001, 0.1)},
            extra={"dropout": Search(0.0, 0.5), "width": Choices((32, 64)), "depth": 4},
        ),
        trials=5,
        source="mine.toml",
    )


STUDIES: dict[str, ResolvedStudy] = {
    "plain": a_study(),
    "one rung": a_study(horizon=2),
    "ranges of warm-up and floor": a_study(warmup=(0.0, 0.2), floor=0.01),
    "reactive, better when larger": a_study(direction="maximize", families=("plateau", "cosine")),
    "every family that is searched": a_study(families=(*core_names(), "knots", "multistep", "cyclic", "plateau")),
    "three rungs": replace(a_study(horizon=900), search=SearchSpec(rungs=3, reduction_factor=2)),
    "best evaluation": replace(a_study(), objective=Objective("best")),
    "engine": replace(a_study(), engine=EngineSettings(clip_norm=1.0)),
    "other ranges": a_study(families=("wsd",), settings={"wsd": {"cooldown": Search(0.1, 0.2)}}),
    "pinned": a_study(families=("wsd", "knots"), settings={"wsd": {"cooldown": 0.3}, "knots": {"points.1": 0.5}}),
    "weight decay": a_study(weight_decay={"adamw": (0.001, 0.1), "sgd": 0.0005}),
    "budget in steps": replace(a_study(), budget=BudgetSpec(steps=9000, price_per_hour=2.0), total_steps=9000),
    "sampler, selection, tracking and run": replace(
        a_study(),
        search=SearchSpec(sampler=Plugin("gp", {"n_startup_trials": 4}), pruner=Plugin("none"), rungs=1),
        selection=SelectionSpec(share=0.2, finalists=3, seeds=5, worth=0.01),
        tracking=TrackingSpec(run_name="{trial}", tags={"team": "a"}, runs="finalists"),
        run=RunSpec(device="cpu", failures_that_stop=3),
    ),
    "baseline": replace(a_study(), baseline=Baseline(schedule("cosine", warmup=0.1), 0.05, "sgd", {"momentum": 0.8})),
    "script": a_script(),
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_study_that_is_read_back_has_the_hashes_that_it_had(study: ResolvedStudy) -> None:
    """Meaning and generation stand for all that its trials mean; rungs, space and trials are the same values."""
    back = resolved_from(stored(study))
    assert (back.meaning, back.generation) == (study.meaning, study.generation)
    assert (back.rungs, back.trials, back.seed, back.value_key) == (
        study.rungs,
        study.trials,
        study.seed,
        study.value_key,
    )
    assert back.space == study.space
    assert back.workload == study.workload


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_what_is_in_no_hash_is_read_back_too(study: ResolvedStudy) -> None:
    """How the search asks, what the finalists get, and how runs look in MLflow: for a copy that is made later."""
    back = resolved_from(stored(study))
    assert (back.search, back.selection, back.tracking, back.run) == (
        study.search,
        study.selection,
        study.tracking,
        study.run,
    )
    assert (back.baseline, back.total_steps, back.objective) == (study.baseline, study.total_steps, study.objective)
    assert back.budget == replace(study.budget, trials=study.trials if study.budget.kind == "trials" else None)


@pytest.mark.parametrize(("horizon", "rungs"), [(45, (45,)), (90, (30, 90)), (600, (200, 600))])
def test_a_row_of_a_release_that_kept_less_is_read_by_its_defaults(horizon: int, rungs: tuple[int, ...]) -> None:
    """Without search, objective, selection and the like: two rungs of a third where there is room, also where there
    would be for a third one; the last evaluation."""
    row = stored(replace(a_study(horizon=horizon), search=SearchSpec(rungs=2)))
    kept = {name: value for name, value in row.spec.items() if name not in LATER} | {"budget": {"trials": 60}}
    back = resolved_from(replace(row, spec=kept))
    assert (back.generation, back.rungs, back.trials) == (row.generation, rungs, 60)


def test_a_pinned_value_is_the_schedules_again() -> None:
    """``wsd`` with a cool-down of 0.3 that no trial draws."""
    params: dict[str, Any] = {"family": "wsd", "optimizer": "sgd", "wsd.sgd.peak_lr": 0.1}
    study = a_study(families=("wsd",), settings={"wsd": {"cooldown": 0.3}})
    point = candidate(params, resolved_from(stored(study)))
    assert point.schedule.settings_dict()["cooldown"] == 0.3


def test_the_exponents_are_the_sweeps_own_where_it_has_frozen_some() -> None:
    """SGD's default is 0.5: a rung of a third is trained at √3 times the rate, and at 3 times it with exponent 1."""
    row = stored(a_study())
    sweep = SweepRow("s", "quick", row.generation, settings={"rate_exponents": {"sgd": 1.0}})
    assert resolved_from(row).rate_scale("sgd", 30) == pytest.approx(3**0.5)
    assert resolved_from(row, sweep).rate_scale("sgd", 30) == pytest.approx(3.0)
    assert resolved_from(row, sweep).rate_scale("adamw", 30) == pytest.approx(3**0.15)


def test_facts_are_those_that_were_measured_with() -> None:
    """Version and data hash: by these a repetition sees that the workload is another one now."""
    assert resolved_from(stored(a_study())).facts.data_hash == FACTS.data_hash

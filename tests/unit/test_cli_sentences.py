"""Sentences of the command line that a person acts on: the baseline's line, a plan's budget, an import's remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lrsweep.cli.importing import told
from lrsweep.cli.new import write_study
from lrsweep.cli.plan import asked_plan
from lrsweep.cli.sweep_drawing import baseline_line
from lrsweep.cli.terminal import console_for_tables
from lrsweep.records import Origin, TrialState, WorkloadFacts
from lrsweep.schedules import schedule
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.selection import by_family
from lrsweep.selection.statistics import Interval
from lrsweep.study import OPTIMIZERS, parse_study
from lrsweep.study.resolved import ResolvedStudy
from lrsweep.sweep.finals import Finalist
from lrsweep.sweep.importing import Imported
from lrsweep.sweep.progress import Best
from tests.studies import FACTS
from tests.sweeps import a_complete_trial
from tests.sweeps import a_study as a_swept_study

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FINALIST = Finalist(0, "linear", True, 2, 0, 0, 0, 0.5, 0.1, Interval(0.4, 0.6), "decide_loss", True)
BEST = Best(
    trial=1,
    value=0.25,
    metric="val_loss",
    direction="minimize",
    workload=a_swept_study().workload,
    family="cosine",
    schedule=schedule("cosine"),
    peak_lr=0.1,
    optimizer="sgd",
    optimizer_settings=OPTIMIZERS["sgd"].settings,
    horizon=90,
    metrics={},
)


def line_of(best: Best | None = BEST, *finals: Finalist, **changes: Any) -> str:
    """Of a baseline that is trial 0, beside a searched one that came to 0.25."""
    baseline = replace(a_complete_trial(0, 0.3, family="linear", origin=Origin.BASELINE), **changes)
    return baseline_line(by_family([baseline, a_complete_trial(1, 0.25)]), best, finals)


# ── the baseline ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "came_to"),
    [
        ({}, "val_loss 0.3000"),
        ({"state": TrialState.PRUNED}, "halted at a rung with val_loss 0.3000"),
        ({"state": TrialState.PRUNED, "value": None}, "diverged"),
        ({"state": TrialState.FAILED, "value": None}, "failed"),
        ({"state": TrialState.RUNNING, "value": None}, "not ended"),
    ],
)
def test_the_line_of_the_baseline_says_what_it_came_to(changes: dict[str, Any], came_to: str) -> None:
    """However it ended."""
    assert line_of(**changes) == f"baseline: linear with sgd, peak rate 0.1, {came_to} (trial 0)"


def test_a_best_of_fresh_seeds_is_compared_with_the_baselines() -> None:
    """Like with like: the search's value is of another half of the data."""
    best = replace(BEST, final=replace(FINALIST, trial=1, is_baseline=False))
    assert "decide_loss 0.5000 (0.4000 to 0.6000, 2 seeds)" in line_of(best, FINALIST)
    assert "val_loss 0.3000" in line_of(BEST, FINALIST)  # the finals have not ended


def test_a_baseline_that_leads_is_said_to() -> None:
    """There is nothing to compare it with."""
    assert line_of(replace(BEST, trial=0)) == "The baseline is the best (trial 0): no other schedule did better."


def test_a_baseline_that_was_trained_alone_is_better_than_nobody() -> None:
    """Where the clock was over after it."""
    alone = a_complete_trial(0, 0.2, family="linear", origin=Origin.BASELINE)
    line = baseline_line(by_family([alone]), replace(BEST, trial=0), ())
    assert line == "The baseline is the best (trial 0): no other schedule was trained."


def test_of_two_baselines_the_newest_is_compared() -> None:
    """The study's file names another one now; the old one is a trial among others, and its family's best is better."""
    old = a_complete_trial(0, 0.1, family="linear", origin=Origin.BASELINE)
    new = a_complete_trial(5, 0.3, family="cosine", origin=Origin.BASELINE)
    for trials in ([old, new], [new, old]):
        assert "(trial 5)" in baseline_line(by_family(trials), replace(BEST, trial=9), [])


def test_a_study_without_a_baseline_has_no_line_and_one_of_a_script_names_no_optimizer() -> None:
    """A script has an optimizer of its own; before any full training the value has no better name."""
    assert baseline_line(by_family([a_complete_trial(1, 0.25)]), BEST, []) == ""
    params = {"family": "linear", "optimizer": OPTIMIZER, "linear.script.peak_lr": 0.1}
    of_a_script = {"params": params, "state": TrialState.PRUNED}
    assert line_of(None, **of_a_script).startswith("baseline: linear, peak rate 0.1, halted at a rung with value 0.3")


# ── plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_study(budget: str, workload: str = 'workload = "digits"', facts: WorkloadFacts = FACTS) -> ResolvedStudy:
    text = f'[study]\nname = "q"\n{workload}\n[budget]\n{budget}\n'
    return parse_study(text, "s.toml").resolved(facts)


def a_script() -> ResolvedStudy:
    facts = replace(FACTS, name="command", peak_lr={OPTIMIZER: (0.01, 1.0)})
    return a_study("gpu_hours = 1", '[study.workload]\ncommand = "python train.py"', facts)


def test_a_plan_says_a_budget_of_time_as_a_time() -> None:
    """`wall_clock = 40` would read as minutes or hours just as well."""
    [short, long] = [
        asked_plan(a_study(f'wall_clock = "{asked}"'), None, 10.0).to_json(NOW)["budget"] for asked in ("40s", "2h")
    ]
    assert (short, long) == ("wall_clock = 40 s", "wall_clock = 2 h 00 min")


def test_only_what_can_be_measured_is_said_to_be() -> None:
    """`check-workload` trains no script."""
    asked = [
        asked_plan(study, None, None).to_json(NOW)["how_to_learn_the_pace"]
        for study in (a_study("gpu_hours = 1"), a_script())
    ]
    assert ["check-workload" in each for each in asked] == [True, False]
    assert asked[1].endswith("The first sweep of the script measures it.")


# ── import and new ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_import_says_what_came_of_it_and_what_a_second_cannot_mend() -> None:
    """A point that came without its value keeps none: that is said when it comes, and when the value is asked for."""
    assert told(Imported("s", 0, 0, 0, {"no optimizer": 12})) == ["nothing was imported", "12 left out: no optimizer"]
    assert told(Imported("s", 1, 0, 0))[0].startswith("imported with values: 1 trial;")
    [points] = told(Imported("s", 0, 1, 0))
    assert points.startswith("imported without values: 1 point;")
    assert "for --same-metric, delete that sweep first" in points
    assert told(Imported("s", 0, 0, 3)) == ["imported before, and left as they are: 3"]
    [known] = told(Imported("s", 0, 0, 3), same_metric=True)
    assert "import --into a study of another name" in known


def test_a_new_study_says_that_its_schema_is_not_there_yet(tmp_path: Path) -> None:
    """Its first line names one beside it."""
    said = write_study(tmp_path / "mine.toml")
    assert "Its first line names a schema" in said
    assert said.endswith(f"It is there after\n\n    lrsweep schema > {tmp_path / 'study.schema.json'}")


def test_a_table_in_a_pipe_is_as_wide_as_it_needs_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that is cut to "fini…" is of no use to whoever reads it there; COLUMNS still says how wide."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_for_tables().width == 200
    monkeypatch.setenv("COLUMNS", "72")
    assert console_for_tables().width == 72

"""``lrsweep advise``: for a workload, a study's file and a study of the results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import Outcome, TrainingPlan
from lrsweep.study import SelectionSpec
from lrsweep.workloads.catalog import facts_without_torch
from tests.looked import Typed, in_a_home, typed
from tests.scripted import completed, value_of
from tests.sweeps import FACTS, a_study

REAL = facts_without_torch(replace(a_study(), facts=FACTS).workload)
STUDY = replace(
    a_study(trials=8, families=("cosine", "linear"), optimizers=("sgd",)),
    facts=REAL,
    total_steps=8 * (30 + 90) + 2 * 3 * 90,
    selection=SelectionSpec(finalists=2, seeds=3),
)


def at_its_horizon(plan: TrainingPlan) -> Outcome:
    """A rung tells nothing, so that both families reach the finals."""
    return completed(plan, value_of(plan) if plan.horizon == STUDY.horizon else 1.0)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, in_a_home(tmp_path / "home", STUDY, at_its_horizon), {})


def test_a_workload_is_told_what_its_studies_have_found(run: Typed) -> None:
    """The study was of 90 steps; at 600 the peak under SGD is smaller by the root of their ratio."""
    found = json.loads(run("advise", "digits", "--json").out)
    assert found["workload"] == "digits"
    assert found["kind"] == {
        "task": "acc+loss+precision+recall",
        "horizon": 600,
        "batch": 64,
        "model": 4_810,
        "data": 1_152,
    }
    assert {each["family"] for each in found["advice"]} == {"cosine", "linear"}
    first = found["advice"][0]
    assert first["from"]["study"] == "quick"
    assert first["from"]["same_data"]
    assert first["from"]["n"] >= 3
    assert first["peak_lr"] == pytest.approx(first["from"]["peak_lr"] * (90 / 600) ** 0.5)
    assert first["in_the_space"]


def test_people_read_where_each_hint_is_from(run: Typed) -> None:
    """With what was different there."""
    text = run("advise", "digits").out
    assert text.startswith("To try first at 600 steps, by 1 study of the same kind:")
    assert "1st of 2 in quick: decide_loss" in text
    assert "seeds; horizon 90 for 600" in text
    assert "nothing was trained here" in text


def test_a_study_of_the_results_and_a_file_may_ask_too(run: Typed) -> None:
    """A horizon that is given is the one that the peaks are for."""
    of_results = json.loads(run("advise", "quick", "--json").out)
    assert of_results["kind"]["horizon"] == 90
    Path("own.toml").write_text('[study]\nname = "own"\nworkload = "digits"\nhorizon = 300\n[budget]\ntrials = 20\n')
    assert json.loads(run("advise", "own.toml", "--json").out)["kind"]["horizon"] == 300
    assert json.loads(run("advise", "own.toml", "--horizon", "50", "--json").out)["kind"]["horizon"] == 50


def test_where_nothing_of_the_kind_was_run_it_says_so(run: Typed) -> None:
    """No results at all are no fault either: a program gets an empty list."""
    assert (
        "No study of this kind has been run here: task acc+loss+precision+recall"
        in run("advise", "digits", "--horizon", "9001").out
    )
    assert json.loads(run("advise", "digits", "--horizon", "9001", "--json").out)["advice"] == []


def test_a_name_that_is_nothing_is_refused_with_what_there_is(run: Typed) -> None:
    """Near misses are named."""
    refused = run("advise", "quik")
    assert refused.code == 64
    assert (
        "'quik' is no workload, no study file, and no study of the results here. Did you mean 'quick'?" in refused.err
    )
    assert "Workloads are digits," in refused.err
    assert "there is no such file" in run("advise", "none.toml").err


def test_a_workload_that_needs_settings_is_asked_for_by_a_file(run: Typed) -> None:
    """What it lacks, without the line of a file that nobody has written."""
    refused = run("advise", "char_lm")
    assert refused.code == 64
    assert refused.err.startswith(
        "workload 'char_lm' by its name alone: missing: the workload 'char_lm' needs the text"
    )
    assert "line" not in refused.err
    assert "Name a study's file that has it, or a study of results." in refused.err


def test_the_plan_of_a_new_study_says_that_it_begins_with_hints(run: Typed) -> None:
    """As the run will; a study that wants none is told of none."""
    text = '[study]\nname = "own"\nworkload = "digits"\nhorizon = 300\n[budget]\ntrials = 20\n'
    Path("own.toml").write_text(text)
    assert "it first tries 2 points that studies of the same kind found good (quick)" in run("plan", "own.toml").out
    assert json.loads(run("plan", "own.toml", "--json").out)["next"]["advisers"] == ["quick"]
    Path("own.toml").write_text(f"{text}[search]\nadvice = false\n")
    assert "it first tries" not in run("plan", "own.toml").out


def test_where_nothing_is_near_it_says_what_is_here(run: Typed) -> None:
    """The nearest study, and what is different there."""
    text = run("advise", "digits", "--horizon", "9001").out
    assert "The nearest, quick, is further away than a factor of a hundred in all: horizon 90 for 9,001." in text

"""Equal values: every command names the same trial, whichever way it comes to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import Outcome, TrainingPlan
from lrsweep.selection.arms import Arm, leader
from lrsweep.study import ResolvedStudy, SelectionSpec
from tests.looked import Typed, in_a_home, typed
from tests.scripted import completed
from tests.sweeps import a_study

WITHOUT_FINALS = replace(
    a_study(trials=8, families=("wsd", "step", "cosine"), optimizers=("sgd",)), selection=SelectionSpec(finalists=0)
)
WITH_FINALS = replace(
    WITHOUT_FINALS,
    total_steps=8 * (30 + 90) + 9 * 90,
    selection=SelectionSpec(finalists=3, seeds=3, racing=False),
)


def all_equal(plan: TrainingPlan) -> Outcome:
    return completed(plan, 0.5)


def spread_alike(plan: TrainingPlan) -> Outcome:
    """By the seed alone, so that finals, which share their seeds, have equal means and a spread."""
    return completed(plan, 0.5 + plan.seed % 7 / 100 if plan.horizon == 90 and plan.seed != 0 else 0.5)


@pytest.fixture
def commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[ResolvedStudy, Callable[[TrainingPlan], Outcome]], Typed]:
    def of(study: ResolvedStudy, script: Callable[[TrainingPlan], Outcome]) -> Typed:
        return typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, script), {})

    return of


@pytest.mark.parametrize(
    ("study", "script"),
    [(WITHOUT_FINALS, all_equal), (WITH_FINALS, all_equal), (WITH_FINALS, spread_alike)],
    ids=["single values", "finals that are one value", "finals of equal means"],
)
def test_of_equal_values_all_commands_name_the_same_trial(
    commands: Callable[[ResolvedStudy, Callable[[TrainingPlan], Outcome]], Typed],
    study: ResolvedStudy,
    script: Callable[[TrainingPlan], Outcome],
) -> None:
    """`list`, `status`, `show` and `choose`; what a run's end shows is `show`'s best."""
    run = commands(study, script)
    shown = json.loads(run("show", "quick", "--json").out)
    [listed] = json.loads(run("list", "--json").out)["studies"]
    status = json.loads(run("status", "--json").out)
    chosen = json.loads(run("choose", "quick", "--json").out)
    assert len({each["best"] for each in shown["families"] if each["best"] is not None}) == 1 or shown["finalists"]
    names = {shown["best"]["trial"], listed["best_trial"], status["best_trial"], chosen["choice"]["trial"]}
    assert len(names) == 1
    assert chosen["finalists"][0]["trial"] in names
    if shown["finalists"]:
        assert len({each["mean"] for each in shown["finalists"]}) == 1
        order = [each["trial"] for each in shown["finalists"]]
        assert order == [each["trial"] for each in chosen["finalists"]]
        assert shown["best"]["family"] == "cosine"  # of its kind the simplest, whichever trial came first
    else:
        assert names == {min(each["best_trial"] for each in shown["families"] if each["best_trial"] is not None)}
        assert shown["families"][0]["best_trial"] in names


def test_equal_single_values_go_to_the_earlier_and_equal_means_to_the_simpler() -> None:
    """The baseline before both; and of two as simple the earlier."""
    late, early = Arm("a", "a", (1.0,), complexity=0, order=5), Arm("b", "b", (1.0,), complexity=9, order=2)
    assert leader([late, early]) is early
    simple, complicated = replace(late, costs=(1.0, 3.0)), replace(early, costs=(2.0, 2.0))
    assert leader([complicated, simple]) is simple
    assert leader([replace(complicated, is_baseline=True), simple]).name == "b"
    assert leader([replace(complicated, complexity=0), simple]).name == "b"

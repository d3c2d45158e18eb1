"""The losses of single examples on their way from a sweep's finals to what `lrsweep choose` and the report say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.findings.choosing import choose_in
from lrsweep.findings.reporting.gathering import gather
from lrsweep.records import Outcome, Purpose, TrainingPlan
from lrsweep.report.markdown import markdown
from lrsweep.schedules import schedule
from lrsweep.study import Baseline
from lrsweep.study.objectives import Objective
from lrsweep.sweep.plans import next_plan
from tests.looked import Typed, a_driven_bench, typed
from tests.promoted import STUDY as WITHOUT_BASELINE
from tests.promoted import ended_in_a_home, noisy
from tests.reported import NOW
from tests.scripted import Bench
from tests.sweeps import a_training, a_trial

STUDY = replace(WITHOUT_BASELINE, baseline=Baseline(schedule=schedule("linear"), peak_lr=0.1, optimizer="sgd"))
EXAMPLES = 40


def told(plan: TrainingPlan) -> Outcome:
    """Its ``decide_loss`` is all in one example of forty, another one for cosine than for linear."""
    outcome = noisy(plan)
    if not plan.keeps_examples:
        return outcome
    losses = np.zeros(EXAMPLES, dtype=np.float32)
    losses[1 if plan.schedule.family == "cosine" else 2] = EXAMPLES * outcome.metrics["decide_loss"]
    return replace(outcome, example_losses=losses)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return a_driven_bench(STUDY, told)


def test_finals_alone_are_asked_for_them() -> None:
    """Where they are compared by the loss after the last update: it is what single examples add up to."""

    def asks(purpose: Purpose, **changes: object) -> bool:
        row = a_training(0, 1, purpose=purpose)
        study = replace(STUDY, **changes)  # type: ignore[arg-type]
        return next_plan(row, a_trial(0), study, checkpoint_url="").keeps_examples

    assert asks(Purpose.FINAL)
    assert not asks(Purpose.SEARCH)
    assert not asks(Purpose.FIT)
    assert not asks(Purpose.FINAL, metric="val_acc")
    assert not asks(Purpose.FINAL, objective=Objective("best"))


def test_what_finals_told_is_kept_by_training(bench: Bench) -> None:
    """Every final that completed, and no other training."""
    [sweep] = bench.store.sweeps("quick")
    kept = bench.store.example_losses(sweep.sweep_id)
    assert kept.keys() == {row.training_id for row in bench.trainings() if row.purpose is Purpose.FINAL}
    assert {len(losses) for losses in kept.values()} == {EXAMPLES}


def test_a_choice_has_the_examples_of_a_studys_finals(bench: Bench) -> None:
    """By seeds cosine is better by 0.4; by forty examples of which two differ nothing is clear."""
    metric, choice = choose_in(bench.store, "quick", worth=None)
    best = choice.recommended
    assert (metric, best.point.family) == ("decide_loss", "cosine")
    assert best.examples is not None
    assert best.examples.baseline is not None
    assert best.examples.n == EXAMPLES
    assert best.gain is not None
    assert best.examples.baseline.gain == pytest.approx(best.gain, rel=1e-5)
    assert best.turning is not None


def test_a_study_that_is_decided_by_another_metric_has_none() -> None:
    """Losses say nothing of an accuracy, also where rows of them are there."""
    by_accuracy = replace(STUDY, metric="val_acc")

    def accurate(plan: TrainingPlan) -> Outcome:
        outcome = told(replace(plan, keeps_examples=True))
        loss = outcome.metrics["val_loss"]
        return replace(outcome, metrics={**outcome.metrics, "val_acc": loss, "decide_acc": loss})

    metric, choice = choose_in(a_driven_bench(by_accuracy, accurate).store, "quick", worth=None)
    assert metric == "decide_acc"
    assert all(each.examples is None for each in choice.standings)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, ended_in_a_home(tmp_path / "home", STUDY, told), {})


def test_choose_says_in_one_sentence_that_other_examples_may_turn_it(run: Typed) -> None:
    """Among the first lines; below the table stand the intervals, and JSON has both."""
    printed = run("choose", "quick").out
    [sentence] = [line for line in printed.splitlines() if "this may turn round" in line]
    assert re.fullmatch(
        r"By seeds its gain over the baseline is clear of 0, over examples it is not \(95 %: -\d\S* to \d\S*\): on "
        r"another validation set of 40 examples this may turn round\.",
        sentence,
    )
    assert printed.index(sentence) < printed.index("\nfamily")
    pattern = (
        r"Over the 40 examples that decide, with these seeds: decide_loss -?\S+ to \S+ \(95 %\), gain over the "
        r"baseline \+0\.\d+ ± \S+, with other seeds too ± \S+\."
    )
    assert re.search(pattern, printed)
    found = json.loads(run("choose", "quick", "--json").out)
    assert found["gain_may_turn"] is True
    of_examples = found["choice"]["over_examples"]
    assert of_examples["n"] == EXAMPLES
    low, high = of_examples["gain_interval_with_seeds"]
    assert low <= of_examples["gain_interval"][0] < 0 < of_examples["gain_interval"][1] <= high
    assert of_examples["over_recommended"] is None
    [other] = [each for each in found["finalists"] if each["is_baseline"]]
    assert other["over_examples"]["gain_interval"] is None
    assert other["over_examples"]["over_recommended"] == pytest.approx(-found["choice"]["gain"], rel=1e-5)


def test_choose_is_silent_on_examples_where_none_were_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a script, and of results of an earlier release."""
    run = typed(capsys, monkeypatch, ended_in_a_home(tmp_path / "plain", STUDY, noisy), {})
    assert "examples" not in run("choose", "quick").out
    found = json.loads(run("choose", "quick", "--json").out)
    assert (found["gain_may_turn"], found["choice"]["over_examples"]) == (False, None)


def test_the_report_says_the_same(bench: Bench) -> None:
    """In its paragraph, and below the table of finalists."""
    text = markdown(gather(bench.store, "quick", now=NOW, state="finished"))
    paragraph, _, rest = text.partition("## Finalists")
    assert "over examples it is not" in paragraph
    assert "on another validation set of 40 examples this may turn round." in paragraph
    assert "Over the 40 examples that decide, with these seeds: decide\\_loss" in rest or (
        "Over the 40 examples that decide, with these seeds: decide_loss" in rest
    )
    assert "with other seeds too ±" in rest

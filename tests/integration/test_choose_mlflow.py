"""``lrsweep choose --from-mlflow``: runs of anybody and of lrsweep itself, in a real MLflow database."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import lrsweep
from lrsweep.cli.choosing.tracked import newest_sweeps, results_of
from lrsweep.selection.results import Point
from lrsweep.settings import make_homes, read_settings
from lrsweep.tracking.connection import load_mlflow, ready
from lrsweep.tracking.importing import StrangeRun, ended_runs, strange_runs
from lrsweep.tracking.sweeps import RaceShown, SweepRun
from tests.looked import Typed, typed

SPREAD = (-0.02, 0.0, 0.02, -0.01, 0.01)


@dataclass(frozen=True)
class Experiments:
    """An MLflow in a file, and runs that are written into it as somebody's script would."""

    home: Path
    uri: str
    client: MlflowClient

    def add(
        self,
        experiment: str,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        *,
        tags: Mapping[str, str] | None = None,
        status: str = "FINISHED",
    ) -> None:
        found = self.client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self.client.create_experiment(experiment)
        run = self.client.create_run(number, tags=dict(tags or {})).info.run_id
        for name, value in params.items():
            self.client.log_param(run, name, value)
        for name, metric in metrics.items():
            self.client.log_metric(run, name, metric)
        self.client.set_terminated(run, status)

    def ended(self, experiment: str, metric: str = "val_loss") -> list[StrangeRun]:
        return ended_runs(self.uri, experiment, metric, artifact_root=self.home / "artifacts")


@pytest.fixture
def there(tmp_path: Path) -> Experiments:
    load_mlflow()
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path / "lr")}))
    with ready(homes.mlflow_uri, artifact_root=homes.artifact_root, timeout_seconds=10) as uri:
        return Experiments(tmp_path / "lr", uri, MlflowClient(uri))


@pytest.fixture
def run(there: Experiments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, there.home, {})


def answered(run: Typed, *words: str) -> dict[str, Any]:
    ran = run("choose", "--from-mlflow", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    return found


def trained_by_others(there: Experiments) -> None:
    """Two schedules of a Trainer and one that lrsweep does not know, five seeds each; and runs that say too little."""
    for name, mean in (("cosine", 0.5), ("linear", 0.7), ("my_own", 0.9)):
        for seed, by in enumerate(SPREAD):
            params = {"lr_scheduler_type": name, "learning_rate": 0.1, "max_steps": 900, "seed": seed, "optim": "sgd"}
            there.add("theirs", params, {"val_loss": mean + by, "val_acc": 1 - mean - by})
    short = {"lr_scheduler_type": "cosine", "learning_rate": 0.1, "seed": 9}
    there.add("theirs", {**short, "max_steps": -1}, {"val_loss": 0.1})
    there.add("theirs", {**short, "max_steps": 900}, {})
    there.add("theirs", {"seed": 9, "max_steps": 900}, {"val_loss": 0.1})
    there.add(
        "theirs",
        {"lr_scheduler_type": "linear", "learning_rate": 0.1, "max_steps": 900, "seed": 7, "optim": "sgd"},
        {"val_loss": math.nan},
    )


def test_somebody_elses_runs_are_chosen_from(there: Experiments, run: Typed) -> None:
    """By the metric that is named; what says too little is counted with its reason; NaN is a divergence."""
    trained_by_others(there)
    found = answered(run, "theirs", "--metric", "val_loss", "--baseline", "linear")
    assert (found["winner"], found["metric"], found["horizon"]) == ("cosine", "val_loss", 900)
    assert found["choice"]["peak_lr"] == 0.1
    assert found["choice"]["optimizer"] == "sgd"
    diverged = {each["family"]: each["diverged"] for each in found["finalists"]}
    assert diverged == {"cosine": 0, "linear": 1, "my_own": 0}
    assert found["unread"]["no value of val_loss"] == 1
    assert [count for reason, count in found["unread"].items() if reason.startswith("no horizon (one of")] == [1]
    assert [count for reason, count in found["unread"].items() if reason.startswith("no schedule family")] == [1]
    assert answered(run, "theirs", "--metric", "val_acc", "--direction", "maximize")["winner"] == "cosine"
    text = run("choose", "--from-mlflow", "theirs", "--metric", "val_loss", "--target", "val_loss <= 0.6").out
    assert "val_loss <= 0.6 is shown to be reached by cosine" in text
    assert " s a training), the cheapest" in text
    assert "Left out: 1 run, no value of val_loss." in text


def test_what_cannot_be_chosen_from_is_told(there: Experiments, run: Typed) -> None:
    """No metric, another one, an experiment that is not there, runs of which none is a result."""
    trained_by_others(there)
    there.add("poor", {"lr": 0.1}, {"val_loss": 0.1})
    for words, said in (
        (
            ("theirs",),
            "--metric is not given; wanted is what the runs of experiment 'theirs' are compared by. They have",
        ),
        (("theirs", "--metric", "val_los"), "They have val_acc, val_loss. Did you mean 'val_loss'?"),
        (("ours", "--metric", "val_loss"), "MLflow has no experiment 'ours'. It has "),
        (
            ("poor", "--metric", "val_loss"),
            "no run of experiment 'poor' is a result to choose by:\n  1: no schedule family",
        ),
    ):
        ran = run("choose", "--from-mlflow", *words)
        assert (ran.code, ran.out) == (64, "")
        assert said in ran.err


def test_of_lrsweeps_own_runs_the_finalists_decide(there: Experiments, run: Typed) -> None:
    """Not the search, whose best it names; not rungs at a raised rate, nor runs that were given up; a divergence that
    MLflow shows as killed counts; schedule, engine and device come from the tags."""

    def add(family: str, kind: str, seed: int, value: float | None, **params: object) -> None:
        schedule = lrsweep.schedule(family)
        tags = {"lrsweep.kind": kind, "lrsweep.schedule": schedule.to_json(), "lrsweep.engine": "fused/8"}
        tags |= {"lrsweep.device": "cuda:0", "lrsweep.outcome": "completed" if value is not None else "diverged"}
        given = {"family": family, "optimizer": "sgd", "peak_lr": 0.1, "sgd.momentum": 0.9, "rate_scale": 1.0}
        metrics = {} if value is None else {"decide_loss": value}
        status = "FINISHED" if value is not None else "KILLED"
        there.add("own", {**given, "horizon": 900, "seed": seed, **params}, metrics, tags=tags, status=status)

    for seed, by in enumerate(SPREAD):
        add("cosine", "finalist", seed, 0.5 + by)
        add("linear", "finalist", seed, 0.7 + by)
    add("linear", "finalist", 9, None)
    add("rex", "training", 1, 0.1)
    add("rex", "training", 2, 0.1, horizon=300, rate_scale=1.7)
    add("cosine", "superseded", 3, 0.1)
    found = answered(run, "own", "--metric", "decide_loss")
    assert (found["winner"], found["trainings"], found["argmin"]["family"]) == ("cosine", 11, "rex")
    assert found["choice"]["schedule"] == lrsweep.schedule("cosine").to_json()
    assert found["choice"]["sgd.momentum"] == 0.9
    assert [each["diverged"] for each in found["finalists"]] == [0, 1]
    assert {each.block for each in results_of(there.ended("own", "decide_loss"), "decide_loss").results} == {
        "fused/8 on cuda"
    }
    imported = strange_runs(there.uri, "own", "decide_loss", artifact_root=there.home / "artifacts")
    assert len(imported) == 11  # what `lrsweep import` takes: finished ones alone


def a_sweep(
    there: Experiments,
    study: str,
    sweep: str,
    meaning: str,
    means: Mapping[str, float],
    race: RaceShown | None = None,
    seeds: Mapping[str, int] | None = None,
) -> None:
    """Its own run, and the finals of two families, with so many ``seeds`` where not five; the sweep began before its
    trainings."""
    tags = {"lrsweep.study": study, "lrsweep.sweep": sweep}
    of_race = {} if race is None else race.tags()
    of_sweep = {**tags, "lrsweep.kind": "sweep", "lrsweep.meaning": meaning, **of_race}
    there.add("shared", {}, {"decide_loss": 0.0}, tags=of_sweep)
    for family, mean in means.items():
        for seed, by in enumerate(SPREAD[: (seeds or {}).get(family)]):
            schedule = lrsweep.schedule(family).to_json()
            own = {**tags, "lrsweep.kind": "finalist", "lrsweep.schedule": schedule, "lrsweep.outcome": "completed"}
            params = {"family": family, "optimizer": "sgd", "peak_lr": 0.1, "horizon": 900, "rate_scale": 1.0}
            there.add("shared", {**params, "seed": seed}, {"decide_loss": mean + by}, tags=own)


def test_finals_that_raced_are_judged_by_their_looks(there: Experiments, run: Typed) -> None:
    """A gap that five seeds show at 5 % and one look is not shown at a ten-thousandth; the same with the finals of
    another sweep that did not race; in the middle of a race nothing is claimed, and `lrsweep run` goes on with it,
    unless another sweep was started since."""
    means = {"cosine": 0.5, "linear": 0.54}
    a_sweep(there, "one", "one", "m", means)
    words = ("shared", "--metric", "decide_loss", "--worth", "0.001")
    assert answered(run, *words)["winner"] == "cosine"
    assert "notes" not in answered(run, *words)
    a_sweep(there, "two", "raced", "m", {"rex": 2.0}, RaceShown(4, 1e-4, "budget"))
    found = answered(run, *words)
    assert (found["winner"], found["recommended"]) == (None, "cosine")
    a_sweep(there, "two", "newer", "m", {"rex": 2.0}, RaceShown(1, 0.045, "looks"))
    assert answered(run, *words)["winner"] == "cosine"
    a_sweep(there, "three", "racing", "m", {"rex": 3.0}, RaceShown(1, 0.045, None))
    found = answered(run, *words)
    assert (found["winner"], found["evidence"]) == (None, "undecided")
    assert found["next_step"].startswith("the finals of study 'three' have not ended, so that nothing is claimed")
    assert "`lrsweep run` with the study's file goes on with them" in found["next_step"]
    own = {"lrsweep.study": "three", "lrsweep.sweep": "later", "lrsweep.kind": "sweep", "lrsweep.meaning": "m"}
    there.add("shared", {}, {"decide_loss": 0.0}, tags=own)  # it has no training that ended
    found = answered(run, *words)
    assert (found["winner"], found["trainings"]) == (None, 15)
    assert "another sweep of study 'three' was started since" in found["next_step"]
    assert "`lrsweep run` goes on with that one" in found["next_step"]


def test_where_no_run_says_how_often_finals_were_looked_at_it_is_told(there: Experiments, run: Typed) -> None:
    """Three seeds and five, as a race leaves them, of a release that did not tag it."""
    a_sweep(there, "digits", "old", "m", {"cosine": 0.1, "linear": 0.5}, seeds={"linear": 3})
    words = ("shared", "--metric", "decide_loss")
    [note] = answered(run, *words)["notes"]
    assert note.startswith("It is not known how often the finals of study 'digits' were looked at: they have unequal")
    assert note in run("choose", "--from-mlflow", *words).out
    a_sweep(there, "digits", "new", "m", {"cosine": 0.1, "linear": 0.5}, RaceShown(3, 0.036, "winner"), {"linear": 3})
    found = answered(run, *words)
    assert (found["winner"], "notes" in found) == ("cosine", False)


def test_of_a_studys_sweeps_the_newest_counts(there: Experiments, run: Typed) -> None:
    """The workload was edited between them: what was the best before is told as left out, and does not win."""
    a_sweep(there, "digits", "old", "meaning 1", {"cosine": 0.1, "linear": 0.2})
    a_sweep(there, "digits", "new", "meaning 2", {"linear": 0.5, "step": 0.7})
    found = answered(run, "shared", "--metric", "decide_loss")
    assert (found["winner"], found["trainings"]) == ("linear", 10)
    assert found["unread"] == {"of an earlier sweep than the newest of study 'digits'": 10}
    text = run("choose", "--from-mlflow", "shared", "--metric", "decide_loss").out
    assert "Left out: 10 runs, of an earlier sweep than the newest of study 'digits'." in text


def test_studies_that_measure_the_same_are_chosen_from_together_and_others_refused(
    there: Experiments, run: Typed
) -> None:
    """By the meanings that the sweeps' own runs tell; somebody else's runs beside them have none."""
    a_sweep(there, "sgd", "first", "meaning 1", {"cosine": 0.1, "linear": 0.2})
    a_sweep(there, "more", "second", "meaning 1", {"step": 0.5})
    there.add("shared", {"lr_scheduler_type": "cosine", "lr": 0.3, "steps": 900, "seed": 1}, {"decide_loss": 0.3})
    found = answered(run, "shared", "--metric", "decide_loss")
    assert (found["winner"], found["trainings"]) == ("cosine", 15)
    a_sweep(there, "other", "third", "meaning 2", {"rex": 0.01})
    ran = run("choose", "--from-mlflow", "shared", "--metric", "decide_loss")
    assert (ran.code, ran.out) == (64, "")
    assert "so that their values cannot be compared: more, other, sgd. `lrsweep choose STUDY` answers" in ran.err


def test_which_sweep_is_the_newest_is_said_by_its_own_run() -> None:
    """One that was resumed has the newest trainings and is not; where a sweep's own run is gone trainings say it."""

    def a_run(sweep: str, study: str = "digits") -> StrangeRun:
        return StrangeRun(sweep, {}, 0.1, tags={"lrsweep.study": study, "lrsweep.sweep": sweep})

    runs = [a_run("resumed"), a_run("newest"), a_run("resumed"), a_run("alone", "other"), StrangeRun("theirs", {}, 0.1)]
    known = {"resumed": SweepRun(1_000, "m"), "newest": SweepRun(2_000, None)}
    assert newest_sweeps(runs, known) == {"digits": "newest", "other": "alone"}
    assert newest_sweeps(runs, {"newest": known["newest"]}) == {"digits": "resumed", "other": "alone"}


def test_of_a_training_that_was_run_twice_the_newest_counts() -> None:
    """The same point, horizon and seed; without a seed each run is one of its own."""

    def a_run(number: int, value: float, **params: str) -> StrangeRun:
        given = {"family": "cosine", "lr": "0.1", "steps": "90", **params}
        return StrangeRun(f"run{number}", given, value, logged=given)

    found = results_of([a_run(3, 0.3, seed="1"), a_run(2, 0.2, seed="1"), a_run(1, 0.1), a_run(0, 0.0)], "loss")
    assert [(each.seed, each.value) for each in found.results] == [("1", 0.3), ("run1", 0.1), ("run0", 0.0)]
    assert found.left_out == {"the same training as a newer run": 1}
    assert {each.point for each in found.results} == {Point("cosine", lrsweep.schedule("cosine").to_json(), 0.1)}

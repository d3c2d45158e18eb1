"""A whole sweep of a user's own script with the real command: numpy alone, a driver killed midway, more is better."""

from __future__ import annotations

import json
import shlex
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lrsweep.settings import make_homes, read_settings
from tests.agreement import assert_agreement, mlflow_client, runs_of
from tests.commands import Ran, lrsweep, query

# A logistic regression on 256 points of a plane, half of them held out; it says which process it was, so that the test
# can see how often it was started.
SCRIPT = """
import os

import numpy as np

import lrsweep

own = {"momentum": 0.0, "start": "random", "scale": 2, "hidden": 16}
run = lrsweep.attach(peak_lr=0.5, total_steps=90, settings=own)
with open("started", "a") as log:
    print(run.total_steps, run.settings["start"], run.settings["scale"], file=log)
random = np.random.default_rng(run.seed)
points = random.normal(size=(256, 4)) * run.settings["scale"]
labels = points @ np.array([1.0, -2.0, 0.5, 0.0]) + random.normal(size=256) > 0
weights = np.zeros(4) if run.settings["start"] == "zero" else random.normal(size=4)
velocity = np.zeros(4)
for step, rate in enumerate(run.rates, start=1):
    guesses = 1 / (1 + np.exp(-points[:128] @ weights))
    velocity = run.settings["momentum"] * velocity + points[:128].T @ (guesses - labels[:128]) / 128
    weights -= rate * velocity
    if step % 10 == 0:
        run.report(step, val_acc=np.mean((points[128:] @ weights > 0) == labels[128:]))
"""

STUDY = """
[study]
name = "mine"
metric = "val_acc"
direction = "maximize"
[study.workload]
command = "{python} train.py"
steps = 90
concurrency = 2
[space]
families = ["constant", "cosine"]
[space.extra]
momentum = [0.0, 0.9]
start = ["zero", "random"]
scale = 1
[budget]
trials = 6
"""


@dataclass(frozen=True)
class Swept:
    home: Path
    killed: Ran
    continued: Ran

    @property
    def best(self) -> Any:
        return self.continued.answer["best"]

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.home / 'results.db'}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A sweep whose driver was killed after its third result was committed, and the same command once more."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "mine.toml").write_text(STUDY.format(python=shlex.quote(sys.executable)))
    home = folder / "home"
    killed = lrsweep("run", "mine.toml", home=home, environ={"LRSWEEP_FAULT": "after-commit:3"})
    return Swept(home, killed, lrsweep("run", "mine.toml", "--json", home=home))


def test_a_killed_sweep_of_a_script_is_continued_to_its_end(swept: Swept) -> None:
    """Six trials, each with one result, in SQL, Optuna and MLflow alike; one sweep, whoever drove it."""
    assert swept.killed.code == -signal.SIGKILL
    assert swept.continued.code == 0, swept.continued.err
    assert (swept.continued.answer["status"], swept.continued.answer["trials"]) == ("finished", 6)
    assert query(swept.home, "SELECT count(*) FROM lrs_sweep") == 1
    assert_agreement(swept.home, "mine", trials=6)


def test_the_largest_value_is_best(swept: Swept) -> None:
    """In the answer, and as a metric of the sweep's run in MLflow."""
    [(largest,)] = swept.rows("SELECT max(value) FROM lrs_trial WHERE state = 'complete'")
    assert swept.best["value"] == largest > 0.5
    assert (swept.best["metric"], swept.best["direction"], swept.best["optimizer"]) == ("val_acc", "maximize", "script")
    with mlflow_client(make_homes(read_settings({"LRSWEEP_HOME": str(swept.home)})).mlflow_uri) as client:
        [parent] = [run for run in runs_of(client, "mine") if "lrsweep.training" not in run.data.tags]
    assert parent.data.metrics["best_val_acc"] == largest
    assert parent.data.params["direction"] == "maximize"


def test_the_scripts_parameters_reach_it_and_are_kept(swept: Swept) -> None:
    """Drawn ones differ from trial to trial, the fixed one is always 1; MLflow shows what SQL has."""
    drawn = swept.rows("SELECT number, params FROM lrs_trial WHERE origin = 'search'")
    params = {number: json.loads(text) for number, text in drawn}
    assert {name for each in params.values() for name in each if name.startswith("extra")} == {
        "extra.momentum",
        "extra.start",
    }
    assert len({each["extra.momentum"] for each in params.values()}) == 5
    best = params.get(swept.best["trial"])  # None where the baseline won, which is beside the space
    assert best is None or swept.best["extra"] == {
        "momentum": best["extra.momentum"],
        "start": best["extra.start"],
        "scale": 1,
    }
    with mlflow_client(make_homes(read_settings({"LRSWEEP_HOME": str(swept.home)})).mlflow_uri) as client:
        trainings = [run for run in runs_of(client, "mine") if "lrsweep.training" in run.data.tags]
    for run in [run for run in trainings if int(run.data.tags["lrsweep.trial"]) in params]:
        own = params[int(run.data.tags["lrsweep.trial"])]
        assert run.data.params["extra.momentum"] == str(own["extra.momentum"])
        assert (run.data.params["extra.start"], run.data.params["extra.scale"]) == (own["extra.start"], "1")
    started = [line.split() for line in (swept.home.parent / "started").read_text().splitlines()]
    assert {steps for steps, _, _ in started} == {"30", "90"}
    assert {scale for _, _, scale in started} == {"1"}
    assert {start for _, start, _ in started} == {each["extra.start"] for each in params.values()}


def test_what_the_study_leaves_alone_has_the_scripts_own_value(swept: Swept) -> None:
    """In the answer, in a look at the trial, and in the line to paste, which takes the place of the script's own."""
    assert swept.best["script_settings"]["hidden"] == 16
    assert not swept.best["script_settings"].keys() & swept.best["extra"].keys()
    trial = lrsweep("show", "mine", str(swept.best["trial"]), home=swept.home).out
    assert "script's hidden" in trial
    assert "'hidden': 16" in trial.partition("settings={")[2].partition("}")[0]


def test_a_rung_trains_at_the_rate_of_the_scripts_exponent(swept: Swept) -> None:
    """The range is a factor of ten to both sides of what `attach` names; a third of the steps raises it by 3**0.25."""
    peaks = [
        value
        for (text,) in swept.rows("SELECT params FROM lrs_trial")
        for name, value in json.loads(text).items()
        if name.endswith(".script.peak_lr")
    ]
    assert len(peaks) == 5  # and the baseline, which is what the script gives `attach`
    assert 0.05 <= min(peaks) <= max(peaks) <= 5.0
    [(scale,)] = swept.rows("SELECT DISTINCT rate_scale FROM lrs_training WHERE horizon = 30")
    assert scale == pytest.approx(3**0.25)


def test_nothing_of_a_finished_sweep_is_left_in_the_home(swept: Swept) -> None:
    """The folders of all trainings are gone, also those that the killed driver left."""
    assert list((swept.home / "checkpoints").iterdir()) == []

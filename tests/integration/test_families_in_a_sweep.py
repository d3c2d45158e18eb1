"""Families that react, with lists and with whole numbers, in real sweeps from the study file to the stores."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import lrsweep as package
from lrsweep.records import Curve, Status, TrainingRow, TrialRow
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from tests.agreement import assert_agreement, mlflow_client, runs_of
from tests.commands import lrsweep

FAMILIES = ["plateau", "greedy", "cosine_restarts", "knots", "multistep"]

STUDY = f"""\
[study]
name = "wide"
workload = "digits"
horizon = 60
[space]
families = {json.dumps(FAMILIES)}
optimizers = ["sgd"]
warmup = [0.0, 0.2]
[budget]
trials = TRIALS
"""

Found = tuple[list[TrialRow], list[TrainingRow], dict[str, Curve]]


def run(folder: Path, trials: int) -> dict[str, object]:
    study = folder / "wide.toml"
    study.write_text(STUDY.replace("TRIALS", str(trials)))
    ran = lrsweep("run", str(study), "--json", home=folder / "home")
    assert ran.code == 0, ran.err
    return ran.answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five trials, and then two more in another process, whose search is built from the rows of the first."""
    folder = tmp_path_factory.mktemp("wide")
    first, second = run(folder, 5), run(folder, 7)
    assert first["sweep"] == second["sweep"]
    assert (first["trials"], second["trials"]) == (5, 7)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    """Trials, trainings, and the curve of each training, from SQL."""
    store = open_store(make_homes(read_settings({"LRSWEEP_HOME": str(folder / "home")})).results_url)
    try:
        trainings = list(store.trainings("wide"))
        curves = {row.training_id: store.curve(row.training_id) for row in trainings}
        return list(store.trials("wide")), trainings, {key: curve for key, curve in curves.items() if curve is not None}
    finally:
        store.close()


def test_every_family_was_trained_and_all_stores_agree(folder: Path, found: Found) -> None:
    """Each of the five first, then two of them again; every training has its curve in SQL and in MLflow."""
    trials, trainings, curves = found
    assert Counter(str(trial.params["family"]) for trial in trials[:5]) == Counter(FAMILIES)
    assert set(curves) == {row.training_id for row in trainings}
    assert_agreement(folder / "home", "wide", trials=7)


def test_each_training_had_the_rates_of_the_schedule_that_its_run_names(folder: Path, found: Found) -> None:
    """The schedule in MLflow's tag and the metrics in SQL give the rates in SQL to the last bit, and MLflow has these
    rates; a reactive one moved by what it heard is the same schedule on the rung and at the full horizon."""
    trials, trainings, curves = found
    peaks = {trial.number: trial.params[f"{trial.params['family']}.sgd.peak_lr"] for trial in trials}
    with mlflow_client(make_homes(read_settings({"LRSWEEP_HOME": str(folder / "home")})).mlflow_uri) as client:
        runs = {run.info.run_id: run for run in runs_of(client, "wide")}
        for row in trainings:
            assert row.mlflow_run_id is not None
            tags = runs[row.mlflow_run_id].data.tags
            schedule, curve = package.schedule_from_json(tags["lrsweep.schedule"]), curves[row.training_id]
            heard = dict(zip(curve.evaluation_steps.tolist(), curve.evaluations["val_loss"].tolist(), strict=True))
            rates = schedule.replay(heard, row.horizon, peaks[row.trial] * row.rate_scale)
            np.testing.assert_array_equal(curve.rates, rates[: row.steps])
            shown = {point.step: point.value for point in client.get_metric_history(row.mlflow_run_id, "lr")}
            assert shown == {step: rates[step] for step in range(row.steps)}
            if row.status is Status.COMPLETED:
                assert len(heard) == 20


def test_a_list_is_in_the_store_and_in_mlflow_number_by_number(folder: Path, found: Found) -> None:
    """SQL has what the search drew; MLflow has the schedule's own boundaries, which are the same in order."""
    trials, trainings, _ = found
    [drawn, *_] = [trial for trial in trials if trial.params["family"] == "multistep"]
    at = [drawn.params["multistep.at.1"], drawn.params["multistep.at.2"]]
    row = next(row for row in trainings if row.trial == drawn.number)
    with mlflow_client(make_homes(read_settings({"LRSWEEP_HOME": str(folder / "home")})).mlflow_uri) as client:
        assert row.mlflow_run_id is not None
        params = client.get_run(row.mlflow_run_id).data.params
    assert [params["multistep.at.1"], params["multistep.at.2"]] == [str(place) for place in sorted(at)]
    assert params["multistep.gamma"] == str(drawn.params["multistep.gamma"])


def test_the_answer_has_what_replays_a_reactive_winner(folder: Path) -> None:
    """A sweep of plateaus alone: its best schedule and what that heard give one rate per step; it is read again, and
    not trained again, when the same command finds the sweep finished."""
    study = folder / "plateaus.toml"
    study.write_text(
        STUDY.replace("wide", "plateaus").replace(json.dumps(FAMILIES), '["plateau"]').replace("TRIALS", "2")
    )
    ran = lrsweep("run", str(study), "--json", home=folder / "home")
    assert ran.code == 0, ran.err
    best = ran.answer["best"]
    assert best["family"] == "plateau"
    assert len(best["heard"]) == 20
    heard = {int(updates): metric for updates, metric in best["heard"].items()}
    assert heard[best["horizon"]] == best["value"]
    rates = package.schedule_from_json(best["schedule"]).replay(heard, best["horizon"], best["peak_lr"])
    assert rates.shape == (60,)
    again = lrsweep("run", str(study), "--json", home=folder / "home")
    assert again.answer["best"] == best
    assert "reacts to val_loss" in ran.err
    assert f".torch(optimizer, 60, peak_lr={best['peak_lr']!r})" in ran.err

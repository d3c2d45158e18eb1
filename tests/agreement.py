"""After any fault: SQL, Optuna and MLflow tell the same story, and every trial has one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import optuna

from lrsweep.records import Status, TrainingRow, TrialRow, TrialState
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import Store, open_store
from lrsweep.sweep.search import TRIAL_ATTRIBUTE
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import load_mlflow
from tests.history import assert_history

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MLFLOW_STATUS = {
    Status.COMPLETED: "FINISHED",
    Status.DIVERGED: "KILLED",
    Status.STOPPED: "KILLED",
    Status.FAILED: "FAILED",
}


@contextmanager
def results(home: Path, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[Store]:
    """The store of that home and those settings."""
    store = open_store(make_homes(read_settings({"LRSWEEP_HOME": str(home)} | dict(environ))).results_url)
    try:
        yield store
    finally:
        store.close()


def assert_agreement(home: Path, study: str, *, trials: int, environ: Mapping[str, str] = MappingProxyType({})) -> None:
    """The finished sweep of the study in that home (and those settings), seen through its three databases, and told by
    its history."""
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(home)} | dict(environ)))
    with results(home, environ) as store:
        *_, generation = store.studies(study)
        *_, sweep = store.sweeps(study)
        assert_history(store, study, value_key=resolved_from(generation, sweep).value_key)
        rows, trainings = list(store.trials(study)), list(store.trainings(study))
        curves = {row.training_id: store.curve(row.training_id) for row in trainings}
        events = Counter(event.kind for event in store.events(study))
        told = Counter(event.data["trial"] for event in store.events(study) if event.kind == "trial_told")
        told -= Counter(event.data["trial"] for event in store.events(study) if event.kind == "trial_reopened")

    assert [row.number for row in rows] == list(range(trials))
    assert all(row.state is not TrialState.RUNNING for row in rows)
    assert set(told.values()) == {1}
    assert len(told) == trials
    assert all(row.status.is_outcome for row in trainings)
    assert events["training_ended"] - events["training_reopened"] == len(trainings)
    assert events["trial_added"] == trials
    for row in trainings:
        curve = curves[row.training_id]
        assert curve is not None
        assert curve.steps == row.steps
        if row.status is Status.COMPLETED:
            assert row.steps == row.horizon
    assert_optuna_agrees(homes.optuna_url, rows)
    assert_mlflow_agrees(homes.mlflow_uri, study, trainings)


def assert_optuna_agrees(url: str, rows: list[TrialRow]) -> None:
    """One finished copy per trial, with its value; nothing RUNNING."""
    storage = optuna.storages.RDBStorage(url)
    [study] = storage.get_all_studies()
    copies = {copy.user_attrs[TRIAL_ATTRIBUTE]: copy for copy in storage.get_all_trials(study._study_id)}
    storage.remove_session()
    storage.engine.dispose()
    assert sorted(copies) == [row.number for row in rows]
    for row in rows:
        copy = copies[row.number]
        assert copy.state.is_finished()
        assert copy.params == (dict(row.params) if row.distributions else {})  # a baseline may lie outside the space
        if row.state is TrialState.COMPLETE:
            assert copy.value == row.value


def assert_mlflow_agrees(uri: str, study: str, trainings: list[TrainingRow]) -> None:
    """One active run per training with its status and its rate curve; a finished parent; nothing RUNNING."""
    with mlflow_client(uri) as client:
        runs = [run for run in runs_of(client, study) if run.data.tags.get("lrsweep.kind") != "night"]
        assert not [run.info.run_name for run in runs if run.info.status == "RUNNING"]
        nested = {run.info.run_id: run for run in runs if "lrsweep.training" in run.data.tags}
        assert sorted(nested) == sorted(row.mlflow_run_id or "" for row in trainings)
        for row in trainings:
            run = nested[row.mlflow_run_id or ""]
            assert run.data.tags["lrsweep.training"] == row.training_id
            assert run.info.status == MLFLOW_STATUS[row.status]
            rates = client.get_metric_history(run.info.run_id, "lr")
            steps = [point.step for point in rates]
            assert len(steps) == len(set(steps))
            assert max(steps, default=-1) == row.steps - 1
            assert np.isfinite([point.value for point in rates]).all()
        parents = {run.data.tags["mlflow.parentRunId"] for run in nested.values()}
        assert parents == {run.info.run_id for run in runs if run.info.run_id not in nested}


@contextmanager
def mlflow_client(uri: str) -> Iterator[MlflowClient]:
    load_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    try:
        yield client
    finally:
        database = getattr(client._tracking_client.store, "engine", None)
        if database is not None:  # an open connection at the end of the test would be a warning, and so an error
            database.dispose()


def runs_of(client: MlflowClient, study: str, *, deleted: bool = False) -> list[Run]:
    """Every run of the study's experiment that MLflow shows; or those in its bin."""
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    kind = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return list(client.search_runs([experiment.experiment_id], run_view_type=kind, max_results=5000))

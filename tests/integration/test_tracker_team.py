"""MLflow as a team has it: an experiment that others use, names of its own, a server that asks who one is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run

import lrsweep
from lrsweep.errors import TrackingUnavailable
from lrsweep.records import Curve, OptimizerSpec, Purpose, Status, SweepRow, TrainingRow
from lrsweep.study import ResolvedStudy, TrackingSpec
from lrsweep.tracking import FamilyBest, Right, Tracker
from lrsweep.tracking.server import MlflowServer, ui_command
from tests.gates import Headers, Keeper, Refusal, a_gate
from tests.sweeps import a_study as a_resolved_study
from tests.sweeps import a_training

ADMIN = ("admin", "the admin's pass word")
ANN = ("ann", "a long enough one")
SCHEDULE = lrsweep.schedule("wsd", cooldown=0.25)
SGD = OptimizerSpec("sgd", {"momentum": 0.9})


def a_study(**tracking: object) -> ResolvedStudy:
    study = a_resolved_study(horizon=90)
    spec = TrackingSpec(**tracking)  # type: ignore[arg-type]
    return replace(study, name=f"study-{uuid4().hex[:8]}", tracking=spec)


def a_sweep(study: ResolvedStudy) -> SweepRow:
    return SweepRow(uuid4().hex, study.name, study.generation, created_at=1_700_000_000.0)


def a_row(sweep: SweepRow, **changes: object) -> TrainingRow:
    row = a_training(7, 1, value=0.25, seconds=1.0, started_at=1_700_000_000.5, device="cpu")
    return replace(row, training_id=uuid4().hex, study=sweep.study, sweep_id=sweep.sweep_id, **changes)  # type: ignore[arg-type]


def a_curve(scale: float = 1.0) -> Curve:
    import numpy as np

    rates = scale * SCHEDULE.rates(90, peak_lr=0.1)
    return Curve(rates, np.ones(90), np.array([90]), {"val_loss": np.array([0.25])})


def sent(tracker: Tracker, row: TrainingRow, parent: str, curve: Curve | None = None) -> str:
    curve = a_curve() if curve is None else curve
    return tracker.send(row, curve, parent=parent, schedule=SCHEDULE, peak_lr=0.1, optimizer=SGD).run_id


def data_of(run: Run) -> list[DatasetInput]:
    return [] if run.inputs is None else list(run.inputs.dataset_inputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("team")
    Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts")
    return home


@pytest.fixture
def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def local(uri: str, folder: Path) -> Tracker:
    return Tracker.connect(uri, artifact_root=folder / "artifacts")


# ── names, tags, data ────────────────────────────────────────────────────────────────────────────────────────────────
def test_names_and_tags_are_as_the_study_wants_them(local: Tracker, uri: str) -> None:
    """The experiment's name has the day on which the sweep began; a tag of a training is on no sweep's run."""
    study = a_study(
        experiment="{study} {date}", run_name="{purpose} {trial:03d} {seed}", tags={"team": "vision", "at": "{horizon}"}
    )
    sweep = a_sweep(study)
    parent = local.open_sweep(sweep, study, params={})
    client = MlflowClient(uri, uri)
    run = client.get_run(sent(local, a_row(sweep), parent))
    assert client.get_experiment(run.info.experiment_id).name == f"{study.name} 2023-11-14"
    assert run.info.run_name == "search 007 7"
    assert (run.data.tags["team"], run.data.tags["at"]) == ("vision", "90")
    tags = client.get_run(parent).data.tags
    assert tags["team"] == "vision"
    assert "at" not in tags


def test_a_sweep_stays_in_its_experiment_when_the_template_changes(local: Tracker, uri: str) -> None:
    """Its later trainings belong beside the earlier ones."""
    study = a_study()
    sweep = a_sweep(study)
    parent = local.open_sweep(sweep, study, params={})
    renamed = replace(study, tracking=TrackingSpec(experiment="elsewhere"))
    known = replace(sweep, mlflow_run_id=parent)
    assert local.open_sweep(known, renamed, params={}) == parent
    client = MlflowClient(uri, uri)
    assert client.get_experiment_by_name("elsewhere") is None
    home = client.get_run(parent).info.experiment_id
    assert client.get_run(sent(local, a_row(sweep), parent)).info.experiment_id == home


def test_an_experiment_of_others_is_used_as_found(local: Tracker, uri: str) -> None:
    """Where its artifacts go, its tags and its running runs stay; two studies in it do not end each other's runs."""
    client = MlflowClient(uri, uri)
    name = f"team-{uuid4().hex[:6]}"
    theirs = {"mlflow.sharedViewState.by-family": "a view of somebody's", "owner": "bob"}
    experiment = client.create_experiment(name, artifact_location="file:///nowhere/at/all", tags=theirs)
    stranger = client.create_run(experiment).info.run_id
    one, other = a_study(experiment=name), a_study(experiment=name)
    first, second = a_sweep(one), a_sweep(other)
    parents = [local.open_sweep(first, one, params={}), local.open_sweep(second, other, params={})]
    assert local.end_running(second, others=True) == 0
    assert {client.get_run(run_id).info.status for run_id in (stranger, *parents)} == {"RUNNING"}
    found = client.get_experiment(experiment)
    assert found.artifact_location == "file:///nowhere/at/all"
    assert found.tags.items() >= theirs.items()
    assert {f"mlflow.sharedViewState.{study.name}-best" for study in (one, other)} <= found.tags.keys()


def test_what_an_earlier_sweep_left_in_another_experiment_is_ended(local: Tracker, uri: str) -> None:
    """A dated name gives each sweep an experiment of its own."""
    study = a_study(experiment="{study} {date}")
    old, new = a_sweep(study), replace(a_sweep(study), created_at=1_800_000_000.0)
    left = local.open_sweep(old, study, params={})
    local.open_sweep(new, study, params={})
    assert local.end_running(new, others=True) == 1
    assert MlflowClient(uri, uri).get_run(left).info.status == "KILLED"


def test_runs_say_what_they_were_trained_on_and_with_which_versions(local: Tracker, uri: str) -> None:
    """The data set is an input of the sweep's run and of a finalist's; any other training has it as a tag."""
    study = a_study()
    sweep = a_sweep(study)
    parent = local.open_sweep(sweep, study, params={})
    client = MlflowClient(uri, uri)
    final = client.get_run(sent(local, a_row(sweep, purpose=Purpose.FINAL), parent))
    searched = client.get_run(sent(local, a_row(sweep), parent))
    for run in (client.get_run(parent), final):
        [given] = data_of(run)
        assert (given.dataset.name, given.dataset.digest) == ("digits", "d")
    assert data_of(searched) == []
    assert searched.data.tags["lrsweep.data"] == "digits@d"
    assert (final.data.tags["lrsweep.kind"], searched.data.tags["lrsweep.kind"]) == ("finalist", "training")
    tags = client.get_run(parent).data.tags
    assert {"lrsweep", "python", "torch", "optuna", "mlflow"} <= {
        key.rpartition(".")[2] for key in tags if key.startswith("lrsweep.version.")
    }
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert searched.data.tags["mlflow.source.git.commit"] == tags["mlflow.source.git.commit"]


def test_nobody_is_named_unless_the_study_says_so(local: Tracker, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither user nor host stand in any tag, nor does MLflow put one there."""
    monkeypatch.setenv("LOGNAME", "ann-of-the-team")
    client = MlflowClient(uri, uri)
    runs = []
    for user in (False, True):
        study = a_study(user=user)
        sweep = a_sweep(study)
        parent = local.open_sweep(sweep, study, params={})
        runs.append([client.get_run(each) for each in (parent, sent(local, a_row(sweep), parent))])
    for run in runs[0]:
        text = str(run.to_dictionary())
        assert "ann-of-the-team" not in text
        assert socket.gethostname() not in text
    named = runs[1][0].data.tags
    assert (named["mlflow.user"], named["lrsweep.host"]) == ("ann-of-the-team", socket.gethostname())


def test_rates_that_are_not_the_planned_ones_are_shown_beside_them(local: Tracker, uri: str, tmp_path: Path) -> None:
    """A script that halves its rate: two curves, a tag to filter by, and a column of the table."""
    study = a_study()
    sweep = a_sweep(study)
    parent = local.open_sweep(sweep, study, params={})
    client = MlflowClient(uri, uri)
    halved, as_planned = (sent(local, a_row(sweep), parent, a_curve(scale)) for scale in (0.5, 1.0))
    planned = {point.step: point.value for point in client.get_metric_history(halved, "lr_planned")}
    applied = {point.step: point.value for point in client.get_metric_history(halved, "lr")}
    assert planned == {step: pytest.approx(2 * rate) for step, rate in applied.items()}
    assert client.get_run(halved).data.tags["lrsweep.rates"] == "not as planned"
    table = Path(client.download_artifacts(halved, "curve.csv", str(tmp_path))).read_text().splitlines()
    assert (table[0], table[1]) == ("step,lr,lr_planned,train_loss,val_loss", "0,0.05,0.1,1,")
    run = client.get_run(as_planned)
    assert run.data.tags["lrsweep.rates"] == "as planned"
    assert "lr_planned" not in run.data.metrics


def test_the_families_are_shown_on_the_sweeps_own_run(local: Tracker, uri: str, tmp_path: Path) -> None:
    """A metric, a tag with what is to be used, and a table; the same again adds no point."""
    study = a_study()
    parent = local.open_sweep(a_sweep(study), study, params={})
    families = [
        FamilyBest("wsd", 8, 3, 4, 1, 0, value=0.25, trial=7, peak_lr=0.1, optimizer="sgd", schedule=SCHEDULE),
        FamilyBest("step", 2, 0, 2, 0, 0),
    ]
    for _ in range(2):
        local.show_families(parent, families, value_key="val_loss")
    client = MlflowClient(uri, uri)
    run = client.get_run(parent)
    assert run.data.metrics == {"wsd.val_loss": 0.25}
    assert len(client.get_metric_history(parent, "wsd.val_loss")) == 1
    assert '"peak_lr": 0.1' in run.data.tags["lrsweep.best.wsd"]
    table = Path(client.download_artifacts(parent, "families.csv", str(tmp_path))).read_text().splitlines()
    assert table[0].startswith("family,trials,complete,halted,diverged,failed,val_loss,trial,peak_lr")
    assert table[2] == "step,2,0,2,0,0,,,,,"


# ── a server that asks who one is ────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own basic-auth server; ``admin`` may do anything, ``ann`` is a user, and any experiment may be read."""
    home = tmp_path_factory.mktemp("guarded")
    config = home / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{home}/auth.db\nadmin_username = {ADMIN[0]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 600\n"  # a password's hash is slow on purpose, and is made for each request
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, env = ui_command(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"), "127.0.0.1", port, os.environ)
    env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
    }
    log = (home / "server.log").open("w")
    process = subprocess.Popen([*argv, "--app-name", "basic-auth"], env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + 120
        while not answers(url):
            assert process.poll() is None, (home / "server.log").read_text()[-2000:]
            assert time.monotonic() < give_up
            time.sleep(0.1)
        created = {"username": ANN[0], "password": ANN[1]}
        requests.post(f"{url}/api/2.0/mlflow/users/create", json=created, auth=ADMIN, timeout=30).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(120)
        log.close()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=5).ok
    except requests.RequestException:
        return False


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, str]], None]:
    """Logs in by MLflow's own variables."""

    def log_in(who: tuple[str, str]) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", who[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", who[1])

    return log_in


def allow(url: str, experiment: str, right: str) -> None:
    """Gives ann a right on an experiment."""
    asked = {
        "username": ANN[0],
        "resource_type": "experiment",
        "resource_id": experiment,
        "permission": right,
    }
    answer = requests.post(f"{url}/api/3.0/mlflow/users/permissions/grant", json=asked, auth=ADMIN, timeout=30)
    answer.raise_for_status()


def test_a_user_who_may_edit_and_not_delete_gets_everything_else(
    guarded: str, as_user: Callable[[tuple[str, str]], None]
) -> None:
    """One warning for the run of a given-up attempt, which stays and is found by no search of ours."""
    as_user(ADMIN)
    name = f"team-{uuid4().hex[:6]}"
    experiment = MlflowClient(guarded).create_experiment(name)
    allow(guarded, experiment, "EDIT")
    as_user(ANN)
    said: list[str] = []
    tracker = Tracker.connect(guarded, artifact_root=None, say=said.append)
    study = a_study(experiment=name)
    sweep = a_sweep(study)
    parent = tracker.open_sweep(sweep, study, params={"trials": "60"})
    rows = [a_row(sweep) for _ in range(2)]
    for row in rows:
        old = sent(tracker, replace(row, status=Status.RUNNING, attempt=1), parent)
        again = replace(row, attempt=2, mlflow_run_id=old, mirrored_attempt=1, started_at=1_700_000_100.0)
        new = sent(tracker, again, parent)
        client = MlflowClient(guarded)
        assert client.get_run(old).data.tags["lrsweep.kind"] == "superseded"
        assert client.get_run(old).info.status == "KILLED"
        assert [run.run_id for run in tracker.find_runs(sweep)[row.training_id]] == [new]
        assert [file.path for file in client.list_artifacts(new)] == ["curve.csv"]
    assert list(tracker.denied) == [Right.DELETE_RUNS]
    assert said == [tracker.denied[Right.DELETE_RUNS]]
    assert "runs of attempts that began again, and of what is pruned, stay" in said[0]


def test_a_user_who_may_only_read_is_told_at_the_start_and_before_any_training(
    guarded: str, as_user: Callable[[tuple[str, str]], None]
) -> None:
    """Tags are done without; runs are what tracking is, so their refusal is an error that says what to ask for."""
    as_user(ADMIN)
    name = f"closed-{uuid4().hex[:6]}"
    MlflowClient(guarded).create_experiment(name)
    as_user(ANN)
    said: list[str] = []
    tracker = Tracker.connect(guarded, artifact_root=None, say=said.append)
    study = a_study(experiment=name)
    with pytest.raises(TrackingUnavailable, match="Check the user's rights"):
        tracker.open_sweep(a_sweep(study), study, params={})
    assert [*tracker.denied] == [Right.TAG_EXPERIMENTS]
    assert "saved views are not set" in said[0]


def test_a_wrong_password_is_told_without_it(guarded: str, as_user: Callable[[tuple[str, str]], None]) -> None:
    """The variables to set are named."""
    as_user(("ann", "not her's at all"))
    with pytest.raises(TrackingUnavailable, match="Set MLFLOW_TRACKING_USERNAME") as caught:
        Tracker.connect(guarded, artifact_root=None)
    assert "not her's" not in str(caught.value)


# ── a token ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def opened_by(token: str) -> Keeper:
    """As companies have it before MLflow: what carries the token comes to the server as a user of MLflow's own."""

    def keeper(_: str, headers: Headers) -> Refusal | Headers:
        if headers.get("Authorization") != f"Bearer {token}":
            return Refusal(401, b"who are you?")
        return {"Authorization": "Basic " + b64encode(":".join(ADMIN).encode()).decode()}

    return keeper


def test_a_token_opens_a_server_that_wants_one(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, points and artifacts go through; without the token the message names its variable."""
    with a_gate(guarded, opened_by("s3cret-t0ken")) as gate:
        with pytest.raises(TrackingUnavailable, match="MLFLOW_TRACKING_TOKEN"):
            Tracker.connect(gate, artifact_root=None)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret-t0ken")
        tracker = Tracker.connect(gate, artifact_root=None)
        study = a_study()
        sweep = a_sweep(study)
        run = sent(tracker, a_row(sweep), tracker.open_sweep(sweep, study, params={}))
        client = MlflowClient(gate)
        assert client.get_run(run).info.status == "FINISHED"
        assert [file.path for file in client.list_artifacts(run)] == ["curve.csv"]
        assert tracker.denied == {}


# ── the oldest server that README names ──────────────────────────────────────────────────────────────────────────────
OLD_PYTHON = "LRSWEEP_TEST_OLD_MLFLOW"
"""names the Python of an environment with the oldest MLflow; it needs another SQLAlchemy than ours"""


@pytest.mark.skipif(OLD_PYTHON not in os.environ, reason=f"{OLD_PYTHON} names no Python with an old MLflow")
def test_the_oldest_server_takes_all_that_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, curves, data sets, tags and artifacts, and the searches by which runs are found again."""
    monkeypatch.setattr(sys, "executable", os.environ[OLD_PYTHON])
    monkeypatch.setattr("lrsweep.tracking.server.UVICORN_OPTIONS", ())
    said: list[str] = []
    with MlflowServer(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"), port=0) as running:
        tracker = Tracker.connect(running.url, artifact_root=None, say=said.append)
        study = a_study(tags={"team": "vision"})
        sweep = a_sweep(study)
        parent = tracker.open_sweep(sweep, study, params={"trials": "60"})
        row = a_row(sweep, purpose=Purpose.FINAL)
        run = sent(tracker, row, parent)
        old = sent(tracker, a_row(sweep, status=Status.RUNNING, attempt=1), parent)
        tracker.delete_run(old)
        assert {key: [each.run_id for each in found] for key, found in tracker.find_runs(sweep).items()} == {
            row.training_id: [run]
        }
        tracker.show_families(parent, [FamilyBest("wsd", 1, 1, 0, 0, 0, value=0.25)], value_key="val_loss")
        tracker.close_sweep(parent, status="FINISHED", metrics={"best": 0.25}, tags={})
        assert tracker.end_running(sweep, others=True) == 0
        shown = MlflowClient(running.url).get_run(run)
        assert (shown.info.status, shown.data.metrics["val_loss"]) == ("FINISHED", 0.25)
        assert [given.dataset.name for given in data_of(shown)] == ["digits"]
        assert said == []

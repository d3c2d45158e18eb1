"""Every other way in which a sweep ends, and what the next command makes of it; the processes are really killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import lrsweep as package
from lrsweep.store import open_store
from lrsweep.tracking.server import MlflowServer
from tests.agreement import assert_agreement, mlflow_client, runs_of
from tests.commands import LONGEST_SECONDS, lrsweep, query, start_lrsweep, wait_for, write_study

LONG_STUDY = """\
[study]
name = "long"
workload = "digits"
horizon = 6000
[space]
families = ["cosine"]
optimizers = ["sgd"]
peak_lr.sgd = [0.02, 0.05]
[budget]
trials = 2
"""
"""Two trials, each trained for 2,000 steps and then for 6,000; at these rates none diverges."""

RUNNING = "status = 'running' AND horizon = 6000"
AMID = f"{RUNNING} AND mirrored_steps > 0"


@dataclass(frozen=True)
class Killed:
    """A sweep whose driver was killed amid a training, with a part of the curve in SQL and MLflow; and its twin."""

    study: Path
    home: Path
    twin: Path
    """a copy of the home, made right after the kill"""
    training_id: str
    sweep_id: str


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """The engine is held still amid a training until the driver, after 30 s, has committed what it has of the curve."""
    folder = tmp_path_factory.mktemp("killed")
    study, home, twin = folder / "long.toml", folder / "home", folder / "twin"
    study.write_text(LONG_STUDY)
    driver = start_lrsweep("run", str(study), home=home)
    try:
        hold_amid_a_training(driver, home)
    finally:
        engines = engines_of(driver)
        driver.kill()
        driver.communicate()
        for engine in engines:
            os.kill(engine, signal.SIGKILL)
    shutil.copytree(home, twin)
    return Killed(
        study,
        home,
        twin,
        training_id=query(home, f"SELECT training_id FROM lrs_training WHERE {AMID}"),
        sweep_id=query(home, "SELECT sweep_id FROM lrs_sweep"),
    )


def hold_amid_a_training(driver: subprocess.Popen[str], home: Path) -> None:
    """Stops the engine. A machine that is many times as fast, or as slow, as a moment ago spoils a try: the next one is
    of the same training, or of the other trial's."""
    for _ in range(4):
        wait_for(lambda: query(home, f"SELECT count(*) FROM lrs_training WHERE {RUNNING}") > 0)
        # half of what a third of its steps took: at its first evaluation it has a curve, and it is far from its end
        time.sleep(query(home, "SELECT seconds FROM lrs_training WHERE status = 'completed'") / 2)
        engines = engines_of(driver)
        for engine in engines:
            os.kill(engine, signal.SIGSTOP)
        with suppress(AssertionError):
            wait_for(lambda: query(home, f"SELECT count(*) FROM lrs_training WHERE {AMID}") > 0, seconds=60)
            return
        for engine in engines:
            os.kill(engine, signal.SIGCONT)
    raise AssertionError("no training was held with a part of its curve")


def engines_of(driver: subprocess.Popen[str]) -> list[int]:
    """The process ids of the driver's engines, the newest last."""
    listing = Path(f"/proc/{driver.pid}/task/{driver.pid}/children")
    if not Path("/proc/self").exists():
        pytest.skip("there is no /proc to find the engine's process in; run this on Linux")
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # the driver, or a child of it, has just ended
        for child in listing.read_text().split():
            if b"lrsweep.executors.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def test_a_training_that_lost_its_driver_midway_gets_one_run_with_one_curve(killed: Killed) -> None:
    """The same command trains it again from its first step; the run with the half curve is in MLflow's bin, ended."""
    again = lrsweep("run", str(killed.study), "--json", home=killed.home)
    assert again.code == 0, again.err
    assert (again.answer["sweep"], again.answer["status"]) == (killed.sweep_id, "finished")
    assert_agreement(killed.home, "long", trials=2)

    store = open_store(f"sqlite:///{killed.home / 'results.db'}")
    row, curve = store.training(killed.training_id), store.curve(killed.training_id)
    store.close()
    assert row.attempt == 2
    assert curve is not None
    with mlflow_client(f"sqlite:///{killed.home / 'mlflow.db'}") as client:
        [dropped] = runs_of(client, "long", deleted=True)
        assert dropped.data.tags["lrsweep.training"] == killed.training_id
        assert dropped.info.status == "KILLED"
        [run] = [run for run in runs_of(client, "long") if run.data.tags.get("lrsweep.training") == killed.training_id]
        assert run.data.tags["lrsweep.attempt"] == "2"
        points = client.get_metric_history(run.info.run_id, "lr")
    schedule = package.schedule_from_json(run.data.tags["lrsweep.schedule"])
    np.testing.assert_array_equal(curve.rates, schedule.rates(6000, float(run.data.params["peak_lr"])))
    by_time = sorted(points, key=lambda point: point.timestamp)
    assert [point.step for point in by_time] == sorted(point.step for point in points)
    assert [point.value for point in by_time] == [curve.rates[point.step] for point in by_time]


def test_another_sweep_ends_what_a_killed_one_left_running_in_mlflow(killed: Killed) -> None:
    """After `--new` the old sweep is stopped in SQL, and neither its run nor its training's is RUNNING for ever."""
    left = {killed.sweep_id: "RUNNING", killed.training_id: "RUNNING"}
    assert statuses_of_the_killed(killed) == left
    another = lrsweep("run", str(killed.study), "--new", "--json", home=killed.twin)
    assert another.code == 0, another.err
    assert another.answer["sweep"] != killed.sweep_id
    assert another.answer["trials"] == 2
    assert query(killed.twin, f"SELECT status FROM lrs_sweep WHERE sweep_id = '{killed.sweep_id}'") == "stopped"
    assert statuses_of_the_killed(killed) == dict.fromkeys(left, "KILLED")
    with mlflow_client(f"sqlite:///{killed.twin / 'mlflow.db'}") as client:
        assert not [run.info.run_name for run in runs_of(client, "long") if run.info.status == "RUNNING"]


def statuses_of_the_killed(killed: Killed) -> dict[str, str]:
    """Of the runs of the sweep and of the training that were killed, in the twin's MLflow."""
    statuses = {}
    with mlflow_client(f"sqlite:///{killed.twin / 'mlflow.db'}") as client:
        for run in runs_of(client, "long"):
            identity = run.data.tags.get("lrsweep.training", run.data.tags["lrsweep.sweep"])
            if identity in (killed.sweep_id, killed.training_id):
                statuses[identity] = run.info.status
    return statuses


def test_a_sweep_in_which_every_training_fails_says_so(tmp_path: Path) -> None:
    """Exit code 70 with the cause: the engine is killed whenever it begins, three times for each of two trainings."""
    study, home = write_study(tmp_path, trials=2, horizon=600_000), tmp_path / "home"
    driver = start_lrsweep("run", str(study), home=home)
    wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training") > 0)

    def ended_after_the_next_kill() -> bool:
        for engine in engines_of(driver):
            with suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
        return driver.poll() is not None

    wait_for(ended_after_the_next_kill)
    _, err = driver.communicate()
    assert driver.returncode == 70, err
    assert "every training failed (2 of 2)" in err
    assert "the engine's process was killed by SIGKILL" in err
    assert "the same command then tries all of them again. `--new` starts another sweep" in err
    assert query(home, "SELECT count(*) FROM lrs_training WHERE status = 'failed'") == 2
    assert query(home, "SELECT status FROM lrs_sweep") == "stopped"
    with mlflow_client(f"sqlite:///{home / 'mlflow.db'}") as client:
        assert [run.info.status for run in runs_of(client, "tiny")] == ["FAILED"] * 3


def test_ctrl_c_ends_a_sweep_in_order(tmp_path: Path) -> None:
    """Exit code 130; what was running waits in the store, and MLflow shows nothing that runs."""
    study, home = write_study(tmp_path, trials=500, horizon=600), tmp_path / "home"
    driver = start_lrsweep("run", str(study), home=home)
    wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training WHERE status = 'completed'") > 0)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=LONGEST_SECONDS)
    assert driver.returncode == 130, err
    assert "interrupted; what was finished is kept, and the same command continues" in err
    assert query(home, "SELECT count(*) FROM lrs_training WHERE status = 'running'") == 0
    assert query(home, "SELECT count(*) FROM lrs_training WHERE status = 'queued'") > 0
    assert query(home, "SELECT status FROM lrs_sweep") == "running"
    with mlflow_client(f"sqlite:///{home / 'mlflow.db'}") as client:
        runs = runs_of(client, "tiny")
        assert not [run.info.run_name for run in runs if run.info.status == "RUNNING"]
        assert [run.info.status for run in runs if run.data.tags["lrsweep.kind"] == "sweep"] == ["KILLED"]


TRIALS = 16
"""Enough that the sweep is far from its end when somebody has seen its second trial."""


def test_a_tracking_server_that_is_away_at_the_end_gets_its_runs_from_the_same_command(tmp_path: Path) -> None:
    """Killed midway: exit code 0 and how many trainings MLflow lacks. The sweep is finished once they are delivered."""
    study, home = write_study(tmp_path, trials=TRIALS, horizon=300), tmp_path / "home"

    def served(port: int) -> MlflowServer:
        return MlflowServer(f"sqlite:///{tmp_path / 'server.db'}", str(tmp_path / "served"), port=port)

    with served(0) as server:
        environ = {"MLFLOW_TRACKING_URI": server.url}
        driver = start_lrsweep("run", str(study), "--json", home=home, environ=environ)
        wait_for(lambda: query(home, "SELECT count(*) FROM lrs_trial WHERE state <> 'running'") >= 2)
        assert server.pid is not None
        os.killpg(server.pid, signal.SIGKILL)
    out, err = driver.communicate(timeout=LONGEST_SECONDS)
    assert driver.returncode == 0, err
    answer = json.loads(out.splitlines()[-1])
    assert (answer["status"], answer["trials"]) == ("running", TRIALS)
    assert answer["not_mirrored"] > 0
    assert f"MLflow still lacks {answer['not_mirrored']} of {answer['trainings']} trainings: " in err
    assert f"to send what is missing: LRSWEEP_HOME={home} lrsweep run {study}" in err

    with served(urlsplit(server.url).port or 0):
        again = lrsweep("run", str(study), "--json", home=home, environ=environ)
        assert again.code == 0, again.err
        assert (again.answer["sweep"], again.answer["status"]) == (answer["sweep"], "finished")
        assert (again.answer["not_mirrored"], again.answer["trainings"]) == (0, answer["trainings"])
        assert_agreement(home, "tiny", trials=TRIALS, environ=environ)


def test_a_file_that_goes_back_to_an_earlier_space_gets_the_earlier_result(tmp_path: Path) -> None:
    """Generation A, then B, then A: the third run prints the first's result and trains nothing."""
    home, study = tmp_path / "home", write_study(tmp_path, trials=2)
    earlier, text = lrsweep("run", str(study), "--json", home=home).answer, study.read_text()
    study.write_text(text.replace('"linear"', '"rex"'))
    assert lrsweep("run", str(study), "--json", home=home).answer["sweep"] != earlier["sweep"]
    trainings = query(home, "SELECT count(*) FROM lrs_training")

    study.write_text(text)
    back = lrsweep("run", str(study), "--json", home=home)
    assert back.code == 0, back.err
    assert {key: back.answer[key] for key in ("sweep", "status", "best", "trainings", "seconds")} == {
        key: earlier[key] for key in ("sweep", "status", "best", "trainings", "seconds")
    }
    assert query(home, "SELECT count(*) FROM lrs_training") == trainings

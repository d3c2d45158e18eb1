"""A sweep that failures stopped, with the real command: its user mends the script and types the same again."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna

from tests.agreement import assert_agreement, mlflow_client, runs_of
from tests.commands import lrsweep, query

SCRIPT = """
from pathlib import Path

import lrsweep

run = lrsweep.attach(peak_lr=0.5, total_steps=90)
with open("started", "a") as log:
    log.write(".")
if Path("started").stat().st_size > 2:
    Path("data").read_text()
x = 1.0
for step, rate in enumerate(run.rates, start=1):
    x -= rate * x
    if step % 10 == 0:
        run.report(step, val_loss=x * x)
"""

STUDY = f"""
[study]
name = "mine"
[study.workload]
command = "{sys.executable} train.py"
steps = 90
[space]
families = ["constant", "cosine"]
[budget]
trials = 8
[run]
failures_that_stop = 3
"""


def test_the_same_command_tries_again_what_failed(tmp_path: Path) -> None:
    """Three fail for want of a file. When it is there the sweep ends with every trial's result, and the three databases
    agree: no failure is left in any of them."""
    home = tmp_path / "home"
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "mine.toml").write_text(STUDY)
    stopped = lrsweep("run", "mine.toml", home=home)
    assert stopped.code == 70, stopped.err
    assert "FileNotFoundError" in stopped.err
    assert "the same command then goes on, and tries again what failed" in stopped.err
    assert query(home, "SELECT count(*) FROM lrs_trial WHERE state = 'failed'") == 3
    assert states_in_optuna(home).count("FAIL") == 3
    with mlflow_client(f"sqlite:///{home / 'mlflow.db'}") as client:
        assert [run.info.status for run in runs_of(client, "mine")].count("FAILED") == 4

    planned = lrsweep("plan", "mine.toml", "--json", home=home).answer["next"]
    assert (planned["run"], planned["tried_again"]) == ("continue", 3)
    assert planned["done"]["trials"] + planned["left"]["trials"] == 8

    (tmp_path / "data").write_text("here")
    gone_on = lrsweep("run", "mine.toml", "--json", home=home)
    assert gone_on.code == 0, gone_on.err
    assert "failures had stopped this sweep: 3 failed trials are tried again" in gone_on.err
    assert (gone_on.answer["trials"], gone_on.answer["status"]) == (8, "finished")
    assert query(home, "SELECT count(*) FROM lrs_training WHERE status = 'failed'") == 0
    assert query(home, "SELECT count(*) FROM lrs_sweep") == 1
    assert "FAIL" not in states_in_optuna(home)
    assert_agreement(home, "mine", trials=8)
    assert lrsweep("db", "check", home=home).code == 0
    assert "the next run: nothing to do" in lrsweep("plan", "mine.toml", home=home).out


def states_in_optuna(home: Path) -> list[str]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{home / 'optuna.db'}")
    [study] = storage.get_all_studies()
    found = [trial.state.name for trial in storage.get_all_trials(study._study_id)]
    storage.remove_session()
    storage.engine.dispose()
    return found

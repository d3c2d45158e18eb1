"""A sweep that is cancelled while ``run_sweep`` drives it: what it answers, and what is left in the databases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Lost
from lrsweep.records import Record, Status, SweepStatus
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.study import load_study
from lrsweep.sweep.homes import Homes, Options
from lrsweep.sweep.progress import SweepResult
from lrsweep.sweep.run import run_sweep
from tests.agreement import mlflow_client, runs_of
from tests.drivers import QuickExecutor, _empty_mlflow, a_study
from tests.history import assert_history

OPTIONS = Options(engine=EngineOption.parsed("sequential"))


class Cancels(QuickExecutor):
    """A test double of the executor: as its fifth training is to end, somebody cancels the sweep."""

    homes: Homes
    polls = 0

    def poll(self, seconds: float) -> list[Record | Lost]:
        type(self).polls += 1
        if self.polls == 5:
            store = open_store(self.homes.results_url)
            [sweep] = store.sweeps("tiny")
            store.ask_to_cancel(sweep.sweep_id)
            store.close()
        return super().poll(seconds)


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_empty_mlflow(), home / "mlflow.db")
    return make_homes(read_settings({"LRSWEEP_HOME": str(home)}))


def test_a_cancelled_sweep_answers_with_what_it_came_to(
    homes: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within seconds: nothing runs any more, here or in MLflow; its results stay, and the same command begins another
    sweep with the next numbers."""
    monkeypatch.setattr("lrsweep.sweep.driver.RENEW_EVERY", -1.0)
    monkeypatch.setattr(Cancels, "homes", homes, raising=False)
    monkeypatch.setattr("lrsweep.executors.opening.LocalExecutor", Cancels)
    study = load_study(a_study(tmp_path, trials=200))
    said: list[str] = []
    result = run_sweep(study, homes, OPTIONS, say=said.append)
    assert result.sweep.status is SweepStatus.CANCELLED
    assert said[-1] == "the sweep was cancelled; what was finished is kept, and the same command starts another"
    assert {row.status for row in result.trainings} <= {Status.COMPLETED, Status.DIVERGED, Status.QUEUED}
    assert 4 <= sum(row.status.is_outcome for row in result.trainings) <= 8
    assert (result.outage, result.not_mirrored) == (None, sum(not row.is_mirrored for row in result.trainings))
    assert_ended_in_mlflow(homes, result)

    monkeypatch.setattr("lrsweep.executors.opening.LocalExecutor", QuickExecutor)
    again = run_sweep(load_study(a_study(tmp_path, trials=4)), homes, OPTIONS, say=said.append)
    assert again.sweep.status is SweepStatus.FINISHED
    assert "the last sweep was cancelled: this is a new one; the earlier results stay" in said
    assert min(trial.number for trial in again.trials) == 1 + max(trial.number for trial in result.trials)
    store = open_store(homes.results_url)
    assert [sweep.status for sweep in store.sweeps("tiny")] == [SweepStatus.CANCELLED, SweepStatus.FINISHED]
    assert store.holders() == {}
    assert_history(store, "tiny")
    store.close()


def assert_ended_in_mlflow(homes: Homes, result: SweepResult) -> None:
    """The sweep's own run is KILLED, every outcome is there, and nothing is RUNNING."""
    with mlflow_client(homes.mlflow_uri) as client:
        runs = {run.info.run_id: run.info.status for run in runs_of(client, "tiny")}
    assert runs[str(result.sweep.mlflow_run_id)] == "KILLED"
    assert "RUNNING" not in runs.values()
    assert {str(row.mlflow_run_id) for row in result.trainings if row.status.is_outcome} <= runs.keys()

"""`lrsweep doctor` tries out the rights on a real MLflow server, behind a proxy that refuses some of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from lrsweep.errors import TrackingUnavailable
from lrsweep.tracking.probing import EXPERIMENT, probe_tracking
from lrsweep.tracking.server import MlflowServer
from tests.gates import Headers, Refusal, a_gate


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("probed")
    with MlflowServer(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"), port=0) as running:
        yield running.url


@contextmanager
def without_artifacts(behind: str, status: int) -> Iterator[str]:
    """A proxy that passes on all but the storing of artifacts, which it answers itself; its address has a password."""

    def keeper(method: str, _: Headers) -> Refusal | Headers:
        return Refusal(status, b"no") if method == "PUT" else {}

    with a_gate(behind, keeper) as url:
        yield url.replace("http://", "http://ann:hunter2@")


def left_behind(server: str) -> list[str]:
    """Of the doctor's experiment and its runs, those that are not deleted."""
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    assert runs
    stages = [experiment.lifecycle_stage, *(run.info.lifecycle_stage for run in runs)]
    return [stage for stage in stages if stage != "deleted"]


def test_what_a_server_refuses_is_told_without_the_password(server: str) -> None:
    """A refused artifact's error holds its whole address; the server says its version to who logs in by the URI."""
    with without_artifacts(server, status=403) as uri:
        probed = probe_tracking(uri, try_rights=True)
    assert list(probed.denied) == ["store artifacts"]
    assert "http://ann:***@127.0.0.1" in probed.denied["store artifacts"]
    assert probed.version == mlflow.__version__
    assert left_behind(server) == []


def test_the_scratch_run_is_deleted_also_where_the_trial_fails(server: str) -> None:
    """A server that cannot store artifacts forbids nothing: the error ends the look, after the cleaning up."""
    with without_artifacts(server, status=500) as uri, pytest.raises(TrackingUnavailable) as caught:
        probe_tracking(uri, try_rights=True)
    assert "hunter2" not in str(caught.value)
    assert left_behind(server) == []

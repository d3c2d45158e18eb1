"""`lrsweep doctor` tries out the rights on a real MLflow server, behind a proxy that refuses some of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from lrsweep.errors import TrackingUnavailable
from lrsweep.tracking.probing import EXPERIMENT, probe_tracking
from lrsweep.tracking.server import MlflowServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("probed")
    with MlflowServer(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"), port=0) as running:
        yield running.url


@contextmanager
def a_gate(behind: str, artifact_status: int) -> Iterator[str]:
    """A proxy that passes on all but the storing of artifacts, which it answers itself; its address has a password."""

    class Gate(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "PUT":
                self.reply(artifact_status, b"no")
                return
            line = HTTPConnection(urlsplit(behind).netloc, timeout=30)
            passed = {key: value for key, value in self.headers.items() if key not in ("Host", "Authorization")}
            line.request(self.command, self.path, body, passed)
            answer = line.getresponse()
            self.reply(answer.status, answer.read())
            line.close()

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 (http.server calls them so)

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among the tests' output."""

    gate = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    thread = threading.Thread(target=gate.serve_forever)
    thread.start()
    try:
        yield f"http://ann:hunter2@127.0.0.1:{gate.server_port}"
    finally:
        gate.shutdown()
        thread.join()
        gate.server_close()


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
    with a_gate(server, artifact_status=403) as uri:
        probed = probe_tracking(uri, try_rights=True)
    assert list(probed.denied) == ["store artifacts"]
    assert "http://ann:***@127.0.0.1" in probed.denied["store artifacts"]
    assert probed.version == mlflow.__version__
    assert left_behind(server) == []


def test_the_scratch_run_is_deleted_also_where_the_trial_fails(server: str) -> None:
    """A server that cannot store artifacts forbids nothing: the error ends the look, after the cleaning up."""
    with a_gate(server, artifact_status=500) as uri, pytest.raises(TrackingUnavailable) as caught:
        probe_tracking(uri, try_rights=True)
    assert "hunter2" not in str(caught.value)
    assert left_behind(server) == []

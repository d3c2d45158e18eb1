"""The MLflow server that ``lrsweep ui`` starts: its command, its life, and what it says when it cannot live."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from lrsweep.errors import SettingsError, TrackingUnavailable
from lrsweep.tracking.server import MlflowServer, ui_command
from tests.commands import wait_for

SECRET_URI = "postgresql+psycopg://me:s%40cret@127.0.0.1:1/db?options=-csearch_path%3Dmlflow"


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def group_is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_password_is_in_the_environment_and_not_in_the_arguments() -> None:
    """Arguments are readable by every user of the machine."""
    argv, env = ui_command(SECRET_URI, "/artifacts", "127.0.0.1", 5000, {})
    assert "cret" not in " ".join(argv)
    assert env["MLFLOW_BACKEND_STORE_URI"] == SECRET_URI
    assert env["MLFLOW_ARTIFACTS_DESTINATION"] == "/artifacts"


def test_usage_reporting_is_off() -> None:
    """A user who set nothing sends nothing."""
    _, env = ui_command("sqlite:///a.db", "/artifacts", "127.0.0.1", 5000, {"PATH": "/bin"})
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["PATH"] == "/bin"


@pytest.mark.parametrize("choice", [{"MLFLOW_DISABLE_TELEMETRY": "false"}, {"DO_NOT_TRACK": "false"}])
def test_a_user_who_decided_on_usage_reporting_is_left_alone(choice: dict[str, str]) -> None:
    """Either variable is MLflow's, and the user's."""
    _, env = ui_command("sqlite:///a.db", "/artifacts", "127.0.0.1", 5000, choice)
    assert {name: env[name] for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK") if name in env} == choice


def test_settings_of_another_mlflow_server_do_not_reach_ours() -> None:
    """A prefix would move the page away from the printed link."""
    _, env = ui_command("sqlite:///a.db", "/artifacts", "127.0.0.1", 5000, {"MLFLOW_STATIC_PREFIX": "/mlflow"})
    assert "MLFLOW_STATIC_PREFIX" not in env


def test_a_server_serves_the_store_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """An experiment and an artifact made over HTTP are there; after ``with`` no process of the group lives."""
    with MlflowServer(sqlite(tmp_path), str(tmp_path / "artifacts"), port=0) as server:
        client = MlflowClient(server.url)
        run = client.create_run(client.create_experiment("digits")).info.run_id
        client.log_text(run, "step,lr", "curve.csv")
        pid = server.pid
        assert pid is not None
        assert not group_is_gone(pid)
        command_line = Path(f"/proc/{pid}/cmdline")
        assert not command_line.exists() or b"mlflow.db" not in command_line.read_bytes()
    wait_for(lambda: group_is_gone(pid))  # one that was killed is gone when the system has taken it away
    assert server.pid is None
    assert [path.read_text() for path in (tmp_path / "artifacts").rglob("curve.csv")] == ["step,lr"]
    server.stop()  # a second time does nothing


def test_a_server_that_ends_by_itself_is_reported(tmp_path: Path) -> None:
    """``wait`` blocks while it runs, raises when it was killed, and returns when we stopped it."""
    with MlflowServer(sqlite(tmp_path), str(tmp_path / "artifacts"), port=0) as server:
        pid = server.pid
        assert pid is not None
        killer = threading.Timer(0.3, os.killpg, (pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(TrackingUnavailable, match=r"ended by itself \(exit code -9\)"):
            server.wait()
    server.wait()


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the port and the options to change it; MLflow would come to it after seconds."""
    monkeypatch.setattr("lrsweep.tracking.server.subprocess.Popen", lambda *_, **__: pytest.fail("it was started"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(TrackingUnavailable) as caught:
            MlflowServer(sqlite(tmp_path), str(tmp_path), port=port).start()
    assert str(caught.value) == (
        f"the MLflow server cannot listen on port {port} of 127.0.0.1: Address already in use. "
        "Choose another with --port (0 takes any free one), or another address with --host."
    )


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    """192.0.2.1 belongs to nobody."""
    with pytest.raises(TrackingUnavailable, match="another address with --host"):
        MlflowServer(sqlite(tmp_path), str(tmp_path), host="192.0.2.1", port=0).start()


def test_a_port_that_cannot_be_is_refused() -> None:
    """The error names what was given and what is wanted."""
    with pytest.raises(SettingsError) as caught:
        MlflowServer("sqlite:///a.db", "/artifacts", port=65536)
    assert str(caught.value) == "--port is 65536; wanted: 1 to 65535, or 0 for any free one."


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:81"), ("0.0.0.0", "http://127.0.0.1:81"), ("::", "http://[::1]:81")],
)
def test_the_url_can_be_opened_on_this_machine(host: str, url: str) -> None:
    """A server on every address is reached by the loopback's."""
    assert MlflowServer("sqlite:///a.db", "/artifacts", host=host, port=81).url == url


def test_a_server_that_cannot_start_says_why_and_keeps_the_password(tmp_path: Path) -> None:
    """MLflow's own last lines follow the error; they name the URI, whose password is taken out."""
    server = MlflowServer("nosuch://me:s%40cret@h/db", str(tmp_path), port=0)
    with pytest.raises(TrackingUnavailable) as caught:
        server.start()
    text = str(caught.value)
    assert text.startswith("the MLflow server on nosuch://me:***@h/db did not start (exit code 1). Its last lines:\n")
    assert "unsupported URI 'nosuch://me:***@h/db'" in text
    assert "s%40cret" not in text
    assert server.pid is None


def test_a_server_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The error says how long was waited; no process is left."""
    server = MlflowServer(sqlite(tmp_path), str(tmp_path), port=0, start_seconds=0.0)
    with pytest.raises(TrackingUnavailable, match=r"did not answer on http://127\.0\.0\.1:\d+ within 0 s"):
        server.start()
    assert server.pid is None

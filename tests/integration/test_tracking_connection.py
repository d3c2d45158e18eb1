"""How MLflow is reached: which addresses are taken, and what is said of those that are not."""

from __future__ import annotations

import http.client
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from lrsweep.errors import SettingsError, TrackingUnavailable
from lrsweep.tracking import Tracker, load_mlflow, usable
from lrsweep.tracking.connection import translated
from lrsweep.tracking.server import MlflowServer


def test_no_message_shows_a_password(tmp_path: Path) -> None:
    """Neither of a server, nor of a database, nor where the password is written in another form; the user is shown."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        port = taken.getsockname()[1]
        for uri in (
            f"http://ann:p%40ss@127.0.0.1:{port}",
            f"postgresql://ann:p%40ss@127.0.0.1:{port}/lrsweep",
            f"postgresql+psycopg://ann@127.0.0.1:{port}/lrsweep?password=p%40ss",
            "mysql://ann:p%40ss@127.0.0.1/lrsweep",
        ):
            with pytest.raises(TrackingUnavailable, match=r"ann.*127") as caught:
                Tracker.connect(uri, artifact_root=tmp_path)
            assert "p%40ss" not in str(caught.value)
            assert "p@ss" not in str(caught.value)
            assert caught.value.__cause__ is None


@pytest.mark.parametrize("uri", ["http://[x", "http://ann:s3cret/x@host", "postgresql://ann:s3[cret@host/x"])
def test_a_uri_that_cannot_be_read_is_a_wrong_setting(uri: str, tmp_path: Path) -> None:
    """Exit code 64, what is wanted and which variable to look at; no part of it is repeated, nor an error below it."""
    for refuses in (
        lambda: Tracker.connect(uri, artifact_root=None),
        lambda: MlflowServer(uri, str(tmp_path), port=0),
    ):
        with pytest.raises(
            SettingsError, match=r"cannot be read; it wants http://.* Check MLFLOW_TRACKING_URI"
        ) as caught:
            refuses()
        assert caught.value.exit_code == 64
        assert "s3" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgres://ann:p%40w@db/x?a=b", "postgresql+psycopg://ann:p%40w@db/x?a=b"),
        ("postgresql://db/x", "postgresql+psycopg://db/x"),
        ("postgresql+psycopg://db/x", "postgresql+psycopg://db/x"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("https://ann:pw@host/mlflow", "https://ann:pw@host/mlflow"),
    ],
)
def test_postgresql_gets_the_driver_that_is_installed(given: str, taken: str) -> None:
    """MLflow would look for psycopg2, or refuse `postgres://`; its server is started on the same address."""
    assert usable(given) == taken
    assert MlflowServer(given, "/artifacts")._store_uri == taken


def test_what_is_no_mlflow_server_is_told(tmp_path: Path) -> None:
    """A file that is no database, another tool's database, an unknown kind, and memory: each with what to do."""
    (tmp_path / "text.db").write_text("this is a text and no database, " * 9)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
    database.close()
    for uri, expected in {
        f"sqlite:///{tmp_path}/text.db": "not a database.*Check that the file is MLflow's database",
        f"sqlite:///{tmp_path}/optuna.db": "another tool's tables.*a file of its own",
        "mysql://localhost/mlflow": "of a kind that lrsweep does not know.*MLFLOW_TRACKING_URI",
        "sqlite:///:memory:": "in memory.*sqlite:///mlflow.db",
    }.items():
        with pytest.raises(TrackingUnavailable, match=expected):
            Tracker.connect(uri, artifact_root=tmp_path / "artifacts")


def test_an_answer_that_is_no_http_is_a_fault_of_the_connection() -> None:
    """Neither MLflow's error nor, where it is an OSError as well, one of the disk."""
    for error in (http.client.BadStatusLine("SSH-2.0"), http.client.RemoteDisconnected("closed")):
        with pytest.raises(TrackingUnavailable, match=r"Check that MLflow's server or"), translated("http://host"):
            raise error


def test_somebody_elses_database_is_never_made(tmp_path: Path) -> None:
    """Without a place for artifacts the database is the user's: an absent one is told, and stays absent."""
    with pytest.raises(TrackingUnavailable, match=r"is not there.*no file .*unset it"):
        Tracker.connect(f"sqlite:///{tmp_path}/mlflow.db", artifact_root=None)
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_settings_of_mlflow_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is not set gets our value."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    load_mlflow()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"

"""The report beside a sweep's own run in MLflow: by the command, and at the end of a sweep."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from lrsweep.errors import LeaseLost, TrackingUnavailable
from lrsweep.store import MemoryStore, open_store
from lrsweep.sweep.closing import send_report
from lrsweep.tracking import Tracker
from lrsweep.tracking.tracker import REPORT_FILE
from tests.looked import Typed, a_driven_bench, typed
from tests.reported import WITH_FINALS, noisy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results, and MLflow's run of their sweep."""
    folder = tmp_path_factory.mktemp("home")
    store = open_store(f"sqlite:///{folder}/results.db")
    bench = a_driven_bench(WITH_FINALS, noisy, store)
    parent = tracker_of(folder).open_sweep(bench.sweep, WITH_FINALS, params={})
    store.update_sweep(bench.lease, bench.sweep.sweep_id, mlflow_run_id=parent)
    store.release_lease(bench.lease)
    store.close()
    return folder


def tracker_of(home: Path, **more: Any) -> Tracker:
    return Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts", **more)


def parent_of(home: Path) -> str:
    store = open_store(f"sqlite:///{home}/results.db")
    [sweep] = store.sweeps("quick")
    store.close()
    return str(sweep.mlflow_run_id)


def stored(home: Path, tmp_path: Path) -> str:
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    return Path(client.download_artifacts(parent_of(home), REPORT_FILE, str(tmp_path))).read_text(encoding="utf-8")


@pytest.fixture
def run(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, home, {})


def test_the_command_keeps_the_page_beside_the_sweeps_run(run: Typed, home: Path, tmp_path: Path) -> None:
    """The very file, also a second time; with the commit that the run was tagged with."""
    ran = run("report", "quick")
    assert (ran.code, ran.out) == (0, "the report is in quick-report.html, and beside the sweep's run in MLflow\n")
    text = Path("quick-report.html").read_text(encoding="utf-8")
    assert stored(home, tmp_path) == text
    tags = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db").get_run(parent_of(home)).data.tags
    assert tags["mlflow.source.git.commit"] in text
    run("report", "quick", "--out", "again.html")
    assert stored(home, tmp_path) == Path("again.html").read_text(encoding="utf-8")


def test_an_mlflow_that_does_not_answer_costs_the_report_nothing(run: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, the page is written, and the exit code is 0."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ran = run("report", "quick")
    assert (ran.code, ran.out) == (0, "the report is in quick-report.html\n")
    assert "MLflow does not get the report; the same command sends it later." in ran.err
    assert Path("quick-report.html").exists()


def test_a_run_that_was_deleted_gets_no_report(home: Path) -> None:
    """MLflow would store it where nobody finds it."""
    tracker, parent = tracker_of(home), parent_of(home)
    client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
    client.delete_run(parent)
    try:
        assert not tracker.show_report(parent, "<p>")
        assert tracker.commit_of(parent) is None
    finally:
        client.restore_run(parent)
    assert tracker.show_report(parent, "<p>")


def test_a_server_that_allows_no_artifacts_is_told_of_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the curves' tables."""
    told: list[str] = []
    tracker = tracker_of(home, say=told.append)

    def refused(*_: object) -> None:
        raise MlflowException("no", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(MlflowClient, "log_text", refused)
    assert not tracker.show_report(parent_of(home), "<p>")
    assert not tracker.show_report(parent_of(home), "<p>")
    assert len(told) == 1
    assert "does not let this user store artifacts" in told[0]


def test_a_report_that_cannot_be_made_or_sent_costs_a_sweep_nothing(home: Path, tmp_path: Path) -> None:
    """It is told, with the command that makes it again; one that can is there."""
    told: list[str] = []
    tracker, parent, store = tracker_of(home), parent_of(home), MemoryStore()

    def broken(*_: object) -> str:
        raise ZeroDivisionError("division by zero\nand more")

    def away(*_: object) -> str:
        raise TrackingUnavailable("MLflow is away")

    for make in (broken, away):
        send_report(tracker, parent, store, "quick", make, told.append)
    assert told == [
        f"the sweep has no report in MLflow ({why}); `lrsweep report quick` makes it again"
        for why in ("division by zero", "MLflow is away")
    ]
    send_report(tracker, parent, store, "quick", lambda _, study, commit: f"{study} at {commit}", told.append)
    assert stored(home, tmp_path).startswith("quick at ")
    assert len(told) == 2


def test_the_lease_is_kept_while_a_report_is_made(home: Path) -> None:
    """Of many trials that takes long; a lease that is lost meanwhile ends the driver, and is no fault of the page."""
    kept: list[bool] = []

    def slow(*_: object) -> str:
        while len(kept) < 3:
            time.sleep(0.01)
        return "<p>"

    send_report(tracker_of(home), parent_of(home), MemoryStore(), "quick", slow, pytest.fail, lambda: kept.append(True))
    assert len(kept) >= 3

    def lost() -> None:
        raise LeaseLost("another driver has it")

    with pytest.raises(LeaseLost):
        send_report(tracker_of(home), parent_of(home), MemoryStore(), "quick", lambda *_: "<p>", pytest.fail, lost)

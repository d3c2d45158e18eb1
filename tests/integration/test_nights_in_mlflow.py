"""Nights as runs of a real MLflow server: one for each that trained, also where it was away meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import lrsweep.nightly.around as around
from lrsweep.nightly.showing import Shown, show_nights
from lrsweep.records import StudyRow, SweepRow
from lrsweep.sweep.homes import Homes
from lrsweep.tracking.nights import NIGHT_FILE, NightRuns
from lrsweep.tracking.server import MlflowServer
from tests.agreement import mlflow_client, runs_of
from tests.nightly_runs import HERE, Nights
from tests.promoted import STUDY

AWAY = Homes(Path(), "sqlite://", "sqlite://", "http://127.0.0.1:9", None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with MlflowServer(f"sqlite:///{folder / 'server.db'}", str(folder / "artifacts"), port=0) as running:
        yield running


@pytest.fixture
def client(server: MlflowServer) -> Iterator[MlflowClient]:
    with mlflow_client(server.url) as made:
        yield made


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study with a champion, and a sweep of it in the results."""
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    return Nights(tmp_path)


def study_of(nights: Nights, name: str) -> None:
    study, store = replace(STUDY, name=name), nights.store
    nights.promote(name=name)
    lease = store.acquire_lease(name, "a test", seconds=600)
    store.register_study(lease, StudyRow(name, study.meaning, study.generation, json.loads(json.dumps(study.spec()))))
    store.create_sweep(lease, SweepRow(f"sweep-{name}", name, study.generation))
    store.release_lease(lease)


def ran(nights: Nights, name: str, *keys: str) -> None:
    for key in keys:
        nights.run(key, [nights.study(name)], is_always=True)


def shown(nights: Nights, server: MlflowServer, name: str) -> Shown:
    homes = replace(AWAY, mlflow_uri=server.url)
    return show_nights(nights.store, homes, [name], nights.said.append)


def of_nights(client: MlflowClient, name: str) -> dict[str, Run]:
    found = [run for run in runs_of(client, name) if run.data.tags.get("lrsweep.kind") == "night"]
    assert len({run.data.tags["lrsweep.night"] for run in found}) == len(found)
    return {run.data.tags["lrsweep.night"]: run for run in found}


def test_a_night_that_trained_is_a_run_of_its_study(
    nights: Nights, server: MlflowServer, client: MlflowClient, tmp_path: Path
) -> None:
    """With verdict, figures and the night's page, once however often it is sent; one that trained nothing is none."""
    study_of(nights, "shown")
    ran(nights, "shown", "a", "b", "c", "d")
    nights.run("e", [nights.study("shown")])
    assert shown(nights, server, "shown") == Shown(4)
    assert shown(nights, server, "shown") == Shown(0)
    found = of_nights(client, "shown")
    assert sorted(found) == ["a", "b", "c", "d"]
    run = found["d"]
    assert (run.info.status, run.info.run_name) == ("FINISHED", "night d")
    assert run.data.tags["lrsweep.verdict"] == "holds"
    assert run.data.tags["lrsweep.champion"].startswith("linear at 0.4 with sgd")
    assert "lrsweep.sweep" not in run.data.tags
    night = nights.run("d", [nights.study("shown")]).studies[0]
    assert run.data.tags["lrsweep.sentence"] == night.sentence
    assert night.judgement is not None
    chart = night.judgement["charts"][0]
    named = {name: run.data.metrics[f"canary/champion{name}"] for name in ("", "/low", "/high")}
    assert named == {"": chart["tonight"], "/low": chart["limits"][0], "/high": chart["limits"][1]}
    assert (run.data.metrics["trainings"], run.data.metrics["steps"]) == (6, 5400)
    assert run.data.metrics["champion/900"] == pytest.approx(0.5, abs=0.02)
    assert run.data.metrics["baseline/900"] == pytest.approx(0.7, abs=0.02)
    page = Path(client.download_artifacts(run.info.run_id, NIGHT_FILE, str(tmp_path))).read_text()
    assert "<h1>d</h1>" in page


def test_what_mlflow_missed_the_next_night_sends(nights: Nights, server: MlflowServer, client: MlflowClient) -> None:
    """Away is a sentence and no failure; then all come, and what somebody has deleted there stays deleted."""
    study_of(nights, "missed")
    ran(nights, "missed", "a", "b")
    away = show_nights(nights.store, AWAY, ["missed"], nights.said.append)
    assert away.sent == 0
    assert "127.0.0.1:9" in str(away.outage)
    ran(nights, "missed", "c")
    assert shown(nights, server, "missed") == Shown(3)
    client.delete_run(of_nights(client, "missed")["a"].info.run_id)
    assert shown(nights, server, "missed") == Shown(0)
    assert sorted(of_nights(client, "missed")) == ["b", "c"]


def test_a_run_that_was_begun_and_not_ended_is_sent_in_its_place(
    nights: Nights, server: MlflowServer, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its figures were there."""

    class Killed(BaseException):
        """As a signal that nobody catches."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    study_of(nights, "begun")
    ran(nights, "begun", "a")
    with monkeypatch.context() as patch:
        patch.setattr("lrsweep.tracking.calls.Calls.log", killed)
        with pytest.raises(Killed):
            shown(nights, server, "begun")
    [begun] = of_nights(client, "begun").values()
    assert begun.info.status == "RUNNING"
    assert shown(nights, server, "begun") == Shown(1)
    [ended] = of_nights(client, "begun").values()
    assert (ended.info.run_id, ended.info.status) == (begun.info.run_id, "FINISHED")
    assert ended.data.metrics["trainings"] == 6


def test_a_fault_that_nobody_expected_is_told(
    nights: Nights, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night is over and has its result: it never fails by what shows it."""
    study_of(nights, "faulty")
    ran(nights, "faulty", "a")

    def faulty(*_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(NightRuns, "send", faulty)
    assert shown(nights, server, "faulty") == Shown(0, "RuntimeError: no such thing")


def test_a_signal_or_the_deadline_leaves_the_rest_to_the_next_night(
    nights: Nights, server: MlflowServer, client: MlflowClient
) -> None:
    """It is asked before each night: the first was sent then, and the second comes with the next one that trains."""
    study_of(nights, "ending")
    ran(nights, "ending", "a", "b")
    homes = replace(AWAY, mlflow_uri=server.url)
    asked = iter((False, False, True))
    found = show_nights(nights.store, homes, ["ending"], nights.said.append, lambda: next(asked))
    assert found.outage == "A signal or the deadline came before all were sent."
    assert of_nights(client, "ending").keys() == {"a"}
    assert show_nights(nights.store, AWAY, ["ending"], nights.said.append, lambda: True).outage == found.outage
    assert shown(nights, server, "ending") == Shown(1)
    assert of_nights(client, "ending").keys() == {"a", "b"}


def test_a_study_without_a_sweep_asks_no_mlflow(nights: Nights) -> None:
    """It has no experiment yet; a server that is away is then no outage."""
    nights.promote()
    nights.many("a")
    assert show_nights(nights.store, AWAY, ["quick"], nights.said.append) == Shown()

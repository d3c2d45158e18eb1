"""The tracker against MLflow itself: a database in a file, a server over HTTP, and PostgreSQL."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run, ViewType

import lrsweep
from lrsweep.errors import TrackingUnavailable
from lrsweep.records import Curve, OptimizerSpec, Status, SweepRow, TrainingRow
from lrsweep.study import ResolvedStudy
from lrsweep.tracking import FoundRun, RaceShown, Sent, Tracker
from lrsweep.tracking.server import MlflowServer
from lrsweep.tracking.sweeps import sweep_runs
from lrsweep.tracking.views import Look, saved_views
from tests.sweeps import a_study as a_resolved_study

HORIZON = 600
STARTED = 1_700_000_000.5
SCHEDULE = lrsweep.schedule("wsd", cooldown=0.25, warmup=0.05)
SGD = OptimizerSpec("sgd", {"momentum": 0.9})


def a_curve(steps: int = HORIZON) -> Curve:
    """The first ``steps`` of a training that is evaluated after each 30 updates."""
    evaluated = np.arange(30, steps + 1, 30)
    return Curve(
        rates=SCHEDULE.rates(HORIZON, peak_lr=0.2)[:steps],
        train_losses=2.0 / np.arange(1.0, steps + 1),
        evaluation_steps=evaluated,
        evaluations={"val_loss": 3.0 / evaluated, "val_acc": evaluated / 1000},
    )


@dataclass(frozen=True)
class Place:
    """A tracker, a study of its own with a sweep in it, and MLflow's client beside it to look with."""

    tracker: Tracker
    client: MlflowClient
    study: ResolvedStudy
    sweep: SweepRow
    parent: str

    def training(self, **changes: object) -> TrainingRow:
        row = TrainingRow(
            training_id=uuid4().hex,
            study=self.study.name,
            trial=7,
            sweep_id=self.sweep.sweep_id,
            rung=1,
            horizon=HORIZON,
            seed=11,
            rate_scale=2.0,
            attempt=1,
            status=Status.RUNNING,
            device="cpu",
            engine="fused/32",
            started_at=STARTED,
        )
        return replace(row, **changes)  # type: ignore[arg-type]

    def send(self, training: TrainingRow, curve: Curve, **more: Any) -> Sent:
        return self.tracker.send(
            training, curve, parent=self.parent, schedule=SCHEDULE, peak_lr=0.1, optimizer=SGD, **more
        )

    def history(self, run_id: str, key: str) -> list[tuple[int, float, int]]:
        """Step, value and milliseconds since 1970 of each point."""
        return sorted((each.step, each.value, each.timestamp) for each in self.client.get_metric_history(run_id, key))

    def histories(self, run_id: str) -> dict[str, list[tuple[int, float, int]]]:
        return {key: self.history(run_id, key) for key in self.client.get_run(run_id).data.metrics}

    @property
    def experiment(self) -> str:
        return str(self.client.get_run(self.parent).info.experiment_id)

    def again(self, say: Callable[[str], None] = lambda _: None) -> Tracker:
        """As another process has it, which has opened the sweep and remembers no run."""
        tracker = Tracker.connect(self.tracker._uri, artifact_root=self.tracker._artifact_root, say=say)
        tracker.open_sweep(self.sweep, self.study, params={})
        return tracker

    def runs(self, training: TrainingRow, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        found = self.client.search_runs([self.experiment], f"tags.`lrsweep.training` = '{training.training_id}'", view)
        return list(found)


def completed(row: TrainingRow) -> TrainingRow:
    metrics = {"val_loss": 3.0 / HORIZON, "val_acc": 0.6, "decide_loss": 0.4, "decide_acc": 0.5}
    return replace(row, status=Status.COMPLETED, steps=HORIZON, seconds=2.25, metrics=metrics)


def remembered(row: TrainingRow, sent: Sent) -> TrainingRow:
    """The row as the store has it after ``mark_mirrored``."""
    return replace(
        row,
        mlflow_run_id=sent.run_id,
        mirrored_attempt=sent.attempt,
        mirrored_steps=sent.steps,
        mirrored_status=sent.status,
    )


def a_study(**changes: object) -> ResolvedStudy:
    name = f"study-{uuid4().hex[:8]}"
    return replace(a_resolved_study(horizon=HORIZON), name=name, **changes)  # type: ignore[arg-type]


def a_place(uri: str, artifact_root: Path | None, **changes: object) -> Place:
    tracker = Tracker.connect(uri, artifact_root=artifact_root)
    study = a_study(**changes)
    sweep = SweepRow(uuid4().hex, study.name, study.generation, created_at=STARTED)
    parent = tracker.open_sweep(sweep, study, params={"workload": "digits", "horizon": "600"})
    return Place(tracker, MlflowClient(uri, uri), study, sweep, parent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with MLflow's database and artifacts, made once: MLflow's migrations take 2 s."""
    home = tmp_path_factory.mktemp("home with a blank")
    Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts")
    return home


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a real MLflow server on the same database, as while somebody looks at a sweep."""
    with MlflowServer(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"), port=0) as running:
        yield running.url


@pytest.fixture
def local(folder: Path) -> Place:
    return a_place(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")


@pytest.fixture
def remote(server: str) -> Place:
    return a_place(server, None)


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest) -> Place:
    """The same facts hold for a database and for a server."""
    given: Place = request.getfixturevalue(request.param)
    return given


# ── one training ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_training_becomes_a_finished_run_with_everything_in_it(place: Place, tmp_path: Path) -> None:
    """Name, times, tags, params, curves, final metrics and the table of the curve are all there."""
    row = completed(place.training())
    sent = place.send(row, a_curve())
    assert sent == Sent(sent.run_id, 1, HORIZON, Status.COMPLETED)
    run = place.client.get_run(sent.run_id)
    assert (run.info.run_name, run.info.status) == ("0007 wsd sgd @600", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_500, 1_700_000_002_750)
    assert run.data.params == {
        "family": "wsd",
        "optimizer": "sgd",
        "peak_lr": "0.2",
        "wsd.cooldown": "0.25",
        "warmup": "0.05",
        "floor": "0.0",
        "sgd.momentum": "0.9",
        "horizon": "600",
        "seed": "11",
        "rung": "1",
        "rate_scale": "2.0",
    }
    assert run.data.tags.items() >= {
        ("mlflow.parentRunId", place.parent),
        ("lrsweep.training", row.training_id),
        ("lrsweep.sweep", place.sweep.sweep_id),
        ("lrsweep.trial", "7"),
        ("lrsweep.attempt", "1"),
        ("lrsweep.schedule", SCHEDULE.to_json()),
        ("lrsweep.device", "cpu"),
        ("lrsweep.engine", "fused/32"),
        ("lrsweep.outcome", "completed"),
    }
    assert run.data.metrics.items() >= completed(row).metrics.items()
    rates = place.history(sent.run_id, "lr")
    assert len(rates) == 100
    assert rates[0] == (0, 0.2 * (1 / 31), 1_700_000_000_500)
    assert (30, 0.2, 1_700_000_000_530) in rates
    assert rates[-1][0] == 599
    assert len(place.history(sent.run_id, "train_loss")) == len(rates)
    assert place.history(sent.run_id, "val_loss") == [
        (step, 3.0 / step, 1_700_000_000_500 + step) for step in range(30, 601, 30)
    ]
    table = Path(place.client.download_artifacts(sent.run_id, "curve.csv", str(tmp_path))).read_text().splitlines()
    assert (len(table), table[0]) == (602, "step,lr,train_loss,val_loss,val_acc")


def test_a_run_ends_with_the_engine_that_ended_it(place: Place) -> None:
    """Memory ran out while it was trained, and the slots were halved."""
    row = place.training()
    begun = place.send(replace(row, engine="fused/32"), Curve.empty())
    ended = place.send(replace(completed(row), engine="fused/16"), a_curve())
    assert ended.run_id == begun.run_id
    assert place.client.get_run(ended.run_id).data.tags["lrsweep.engine"] == "fused/16"


def test_two_parts_give_what_one_sending_gives(place: Place) -> None:
    """A curve sent after 250 and after 600 steps has the points of one that was sent whole, each once."""
    whole = place.send(completed(place.training()), a_curve())
    row = place.training()
    first = place.send(row, a_curve(250))
    assert first == Sent(first.run_id, 1, 250, None)
    assert place.client.get_run(first.run_id).info.status == "RUNNING"
    rest = place.send(completed(remembered(row, first)), a_curve())
    assert rest.run_id == first.run_id
    assert place.histories(rest.run_id) == place.histories(whole.run_id)
    assert [file.path for file in place.client.list_artifacts(rest.run_id)] == ["curve.csv"]


def test_sending_twice_changes_nothing(place: Place) -> None:
    """A caller that could not remember what was sent sends the same row again: one run, the same points."""
    row = completed(place.training())
    first = place.send(row, a_curve())
    before = place.histories(first.run_id), place.client.get_run(first.run_id).to_dictionary()
    again = place.send(row, a_curve())
    assert again == first
    assert (place.histories(first.run_id), place.client.get_run(first.run_id).to_dictionary()) == before
    assert len(place.runs(row)) == 1


def test_a_later_attempt_gets_a_fresh_run(place: Place) -> None:
    """Attempt 1 was sent in part and began again: its run goes, and the new one has only the new attempt's points."""
    row = place.training()
    old = place.send(row, a_curve(250))
    row = replace(completed(remembered(row, old)), attempt=2, started_at=STARTED + 100)
    new = place.send(row, a_curve())
    assert [run.info.run_id for run in place.runs(row)] == [new.run_id]
    assert new.run_id != old.run_id
    assert place.client.get_run(new.run_id).data.tags["lrsweep.attempt"] == "2"
    assert min(stamp for _, _, stamp in place.history(new.run_id, "lr")) == 1_700_000_100_500
    assert [run.info.status for run in place.runs(row, ViewType.DELETED_ONLY)] == ["KILLED"]


def test_a_run_that_the_user_deleted_is_made_again(local: Place) -> None:
    """The store is the truth: a mirror of it that was thrown away comes back, whole, with the next part."""
    row = local.training()
    first = local.send(row, a_curve(250))
    local.client.delete_run(first.run_id)
    second = local.send(completed(remembered(row, first)), a_curve())
    assert second.run_id != first.run_id
    assert local.history(second.run_id, "lr")[0][0] == 0


@pytest.mark.parametrize(
    ("status", "shown"),
    [(Status.DIVERGED, "KILLED"), (Status.STOPPED, "KILLED"), (Status.FAILED, "FAILED")],
)
def test_an_outcome_is_shown_by_the_runs_status_and_its_tag(local: Place, status: Status, shown: str) -> None:
    """Only what somebody must look at is FAILED, with the line of the traceback that says why."""
    error = "Traceback (most recent call last):\n  …\nValueError: no data\n" if status is Status.FAILED else None
    reason = "the training loss was nan at step 249" if status is Status.DIVERGED else None
    row = replace(local.training(), status=status, steps=250, seconds=1.0, error=error, reason=reason)
    run = local.client.get_run(local.send(row, a_curve(250)).run_id)
    assert (run.info.status, run.data.tags["lrsweep.outcome"]) == (shown, status.value)
    assert run.data.tags.get("lrsweep.error") == ("ValueError: no data" if status is Status.FAILED else None)
    assert run.data.tags.get("lrsweep.reason") == reason
    assert local.history(run.info.run_id, "lr")[-1][0] == 249


def test_no_secret_of_a_script_reaches_mlflow(local: Place) -> None:
    """Of its last words, and of what the study hands it under names that say what they are."""
    error = "it wrote:\nRuntimeError: no answer from https://ann:s3cret@hub/x with hf_aBcDeFgHiJkLmNoPqRsT"
    row = replace(local.training(), status=Status.FAILED, error=error)
    extra = {"hub_token": "s3cret", "hub": "https://ann:s3cret@hub", "width": 8}
    run = local.client.get_run(local.send(row, Curve.empty(), extra=extra).run_id)
    assert run.data.tags["lrsweep.error"] == "RuntimeError: no answer from https://ann:***@hub/x with hf_***"
    shown = {key: value for key, value in run.data.params.items() if key.startswith("extra.")}
    assert shown == {"extra.hub_token": "***", "extra.hub": "https://ann:***@hub", "extra.width": "8"}


def test_a_training_that_failed_before_its_first_step_is_a_run_without_a_curve(local: Place) -> None:
    """There is nothing to draw, but the failure is shown."""
    row = replace(local.training(), status=Status.FAILED, error="ValueError: no data")
    sent = local.send(row, Curve.empty())
    run = local.client.get_run(sent.run_id)
    assert (run.info.status, run.data.metrics) == ("FAILED", {})
    assert local.client.list_artifacts(sent.run_id) == []


# ── after a crash ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_runs_that_nobody_remembered_are_found_and_one_is_kept(place: Place) -> None:
    """After a crash the tags say which runs are whose; the caller keeps one per training and deletes the others."""
    row = place.training()
    kept = place.send(row, a_curve(250))
    forgetful = place.again()
    double = forgetful.send(row, a_curve(250), parent=place.parent, schedule=SCHEDULE, peak_lr=0.1, optimizer=SGD)
    assert double.run_id != kept.run_id
    found = forgetful.find_runs(place.sweep)
    assert {*found} == {row.training_id}
    assert {*found[row.training_id]} == {FoundRun(kept.run_id, 1), FoundRun(double.run_id, 1)}
    forgetful.delete_run(double.run_id)
    forgetful.delete_run(double.run_id)
    forgetful.delete_run(uuid4().hex)
    assert forgetful.find_runs(place.sweep) == {row.training_id: (FoundRun(kept.run_id, 1),)}
    adopted = replace(completed(row), mlflow_run_id=kept.run_id, mirrored_attempt=1)
    sent = forgetful.send(adopted, a_curve(), parent=place.parent, schedule=SCHEDULE, peak_lr=0.1, optimizer=SGD)
    assert sent.run_id == kept.run_id
    assert len({step for step, _, _ in place.history(kept.run_id, "lr")}) == len(place.history(kept.run_id, "lr"))


def test_a_run_whose_making_was_not_answered_is_not_made_twice(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow makes the run and the answer is lost; the next try finds it by its tags."""
    made: Callable[..., Run] = MlflowClient.create_run

    def made_but_not_heard(self: MlflowClient, *given: object, **named: object) -> Run:
        made(self, *given, **named)
        raise ConnectionResetError("the line went dead")

    row = local.training()
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_run", made_but_not_heard)
        with pytest.raises(TrackingUnavailable, match="the line went dead"):
            local.send(row, a_curve(250))
    sent = local.send(row, a_curve(250))
    assert [run.info.run_id for run in local.runs(row)] == [sent.run_id]


def test_all_of_eleven_hundred_runs_are_found(folder: Path, local: Place) -> None:
    """More than MLflow's 1,000 per page."""
    experiment = local.experiment
    ids = [uuid4().hex for _ in range(1_100)]
    # straight into the table: through MLflow it would take 10 s
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.executemany(
            "INSERT INTO runs (run_uuid, user_id, source_type, status, lifecycle_stage, start_time, experiment_id)"
            " VALUES (?, 'ann', 'LOCAL', 'RUNNING', 'active', ?, ?)",
            [(run_id, 1_700_000_000_000, experiment) for run_id in ids],
        )
        tags = {"lrsweep.kind": "training", "lrsweep.sweep": local.sweep.sweep_id, "lrsweep.attempt": "1"}
        database.executemany(
            "INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?)",
            [
                (run_id, key, value)
                for run_id in ids
                for key, value in {**tags, "lrsweep.training": f"of {run_id}"}.items()
            ],
        )
    database.close()
    assert local.tracker.find_runs(local.sweep) == {f"of {run_id}": (FoundRun(run_id, 1),) for run_id in ids}


def test_pages_are_followed_to_the_last(remote: Place) -> None:
    """Five runs in pages of two."""
    rows = [remote.training() for _ in range(5)]
    sent = {row.training_id: (FoundRun(remote.send(row, a_curve(2)).run_id, 1),) for row in rows}
    assert remote.tracker.find_runs(remote.sweep, page_size=2) == sent


# ── the sweep and the experiment ─────────────────────────────────────────────────────────────────────────────────────
def test_a_sweep_is_one_parent_run_however_often_it_is_opened(place: Place) -> None:
    """Found by the id that it remembers, found by its tag when that was lost, and RUNNING again when it goes on."""
    place.tracker.close_sweep(place.parent, status="FINISHED", metrics={"best": 0.5}, tags={"lrsweep.best": "7"})
    ended = place.client.get_run(place.parent)
    assert (ended.info.status, ended.info.run_name) == ("FINISHED", f"sweep {place.sweep.sweep_id[:8]}")
    assert (ended.data.metrics, ended.data.tags["lrsweep.best"]) == ({"best": 0.5}, "7")
    forgetful = Tracker.connect(place.tracker._uri, artifact_root=place.tracker._artifact_root)
    assert forgetful.open_sweep(place.sweep, place.study, params={}) == place.parent
    assert place.client.get_run(place.parent).info.status == "RUNNING"
    known = replace(place.sweep, mlflow_run_id=place.parent)
    assert forgetful.open_sweep(known, place.study, params={"trials": "60"}) == place.parent
    assert forgetful.open_sweep(known, place.study, params={"trials": "80"}) == place.parent
    again = place.client.get_run(place.parent)
    assert again.data.params == {"workload": "digits", "horizon": "600", "trials": "60"}
    assert again.data.tags["lrsweep.trials"] == "80"


def test_what_a_race_may_claim_is_told_by_the_sweeps_own_run(place: Place) -> None:
    """Read back as it was told last, beside the sweep's meaning; where that run was deleted nothing is told."""
    experiment = place.client.get_experiment(place.experiment).name

    def told() -> RaceShown | None:
        found = sweep_runs(place.tracker._uri, experiment, artifact_root=place.tracker._artifact_root)
        return found[place.sweep.sweep_id].race

    assert told() is None
    for race in (RaceShown(3, 0.036, None), RaceShown(3, 0.1 / 3, "winner")):
        place.tracker.show_race(place.parent, race)
        assert told() == race
    place.client.delete_run(place.parent)
    place.tracker.show_race(place.parent, RaceShown(1, 0.045, "looks"))
    assert place.client.get_run(place.parent).data.tags["lrsweep.race"] == "winner"


def test_a_sweep_that_was_given_up_is_ended_by_the_next_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent and its trainings become KILLED, now; the present sweep, what has ended, and strangers' runs stay."""
    monkeypatch.setattr("lrsweep.tracking.tracker.PAGE_SIZE", 2)
    experiment = place.experiment
    abandoned = [place.send(place.training(), a_curve(2)).run_id for _ in range(4)]
    done = place.send(completed(place.training()), a_curve()).run_id
    stranger = place.client.create_run(experiment).info.run_id
    newer = replace(place.sweep, sweep_id=uuid4().hex)
    parent = place.tracker.open_sweep(newer, place.study, params={})
    mine = place.tracker.send(
        place.training(sweep_id=newer.sweep_id),
        a_curve(2),
        parent=parent,
        schedule=SCHEDULE,
        peak_lr=0.1,
        optimizer=SGD,
    ).run_id
    before = time.time()
    assert place.tracker.end_running(newer, others=True) == 5
    ended = [place.client.get_run(run_id).info for run_id in (place.parent, *abandoned)]
    assert [info.status for info in ended] == ["KILLED"] * 5
    assert all(before - 1 < info.end_time / 1000 < time.time() + 1 for info in ended)
    assert place.client.get_run(done).info.status == "FINISHED"
    assert {place.client.get_run(run_id).info.status for run_id in (stranger, parent, mine)} == {"RUNNING"}
    assert place.tracker.end_running(newer, others=True) == 0


def test_a_driver_that_leaves_ends_the_trainings_of_its_own_sweep(place: Place) -> None:
    """The parent run, which is closed by itself, and other sweeps go on; a drained training may still be sent anew."""
    row = place.training()
    drained = place.send(row, a_curve(250))
    other = replace(place.sweep, sweep_id=uuid4().hex)
    theirs = place.tracker.open_sweep(other, place.study, params={})
    assert place.tracker.end_running(place.sweep, others=False) == 1
    assert place.client.get_run(drained.run_id).info.status == "KILLED"
    assert {place.client.get_run(run_id).info.status for run_id in (place.parent, theirs)} == {"RUNNING"}
    again = replace(completed(remembered(row, drained)), attempt=2, started_at=STARTED + 100)
    assert place.send(again, a_curve()).status is Status.COMPLETED


def test_a_sweep_closed_again_shows_the_newer_value(local: Place) -> None:
    """MLflow shows the latest value of a metric; closing with the same one adds no point."""
    for best in (0.5, 0.5, 0.3):
        local.tracker.close_sweep(local.parent, status="KILLED", metrics={"best": best}, tags={})
        time.sleep(0.002)
    assert local.client.get_run(local.parent).data.metrics == {"best": 0.3}
    assert [value for _, value, _ in local.history(local.parent, "best")] == [0.3, 0.5]


def test_the_experiment_carries_the_saved_views_and_gets_them_back(place: Place) -> None:
    """An experiment that is found has its views mended; the tags of others stay."""
    experiment = place.experiment
    views = saved_views(Look(place.study.name, horizon=HORIZON))
    assert place.client.get_experiment(experiment).tags.items() >= views.items()
    place.client.set_experiment_tag(experiment, next(iter(views)), "broken")
    place.client.set_experiment_tag(experiment, "owner", "ann")
    place.again()
    assert place.client.get_experiment(experiment).tags.items() >= {**views, "owner": "ann"}.items()


def test_a_deleted_experiment_says_how_to_bring_it_back(place: Place) -> None:
    """At the start and in the middle of a sweep; once it is back, the same call succeeds."""
    row = place.training()
    part = remembered(row, place.send(row, a_curve(250)))
    experiment = place.experiment
    place.client.delete_experiment(experiment)
    forgetful = Tracker.connect(place.tracker._uri, artifact_root=place.tracker._artifact_root)
    expected = f"experiment '{place.study.name}' .* was deleted.* restore --experiment-id {experiment}"
    for fails in (
        lambda: forgetful.open_sweep(place.sweep, place.study, params={}),
        lambda: place.send(completed(part), a_curve()),
        lambda: place.send(place.training(), a_curve()),
    ):
        with pytest.raises(TrackingUnavailable, match=expected):
            fails()
    place.client.restore_experiment(experiment)
    assert place.send(completed(part), a_curve()).run_id == part.mlflow_run_id


# ── what can go wrong outside ────────────────────────────────────────────────────────────────────────────────────────
A_FEW_SECONDS = 50.0
"""On a machine that may be slow; MLflow alone would try for minutes."""


def test_a_server_that_dies_is_told_within_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed: refused at once. Stopped, so that it takes the connection and is silent: given up after the time-out."""
    with MlflowServer(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"), port=0) as running:
        place = a_place(running.url, None)
        row = place.training()
        part = remembered(row, place.send(row, a_curve(250)))
        assert running.pid is not None
        with monkeypatch.context() as hasty:
            hasty.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
            os.killpg(running.pid, signal.SIGSTOP)
            assert seconds_to_fail(lambda: place.send(completed(part), a_curve()), "timed out") < A_FEW_SECONDS
            os.killpg(running.pid, signal.SIGCONT)
        sent = place.send(completed(part), a_curve())
        assert sent.status is Status.COMPLETED
        os.killpg(running.pid, signal.SIGKILL)
        # the system takes connections for a while, until the last of the server's processes is gone
        assert seconds_to_fail(lambda: place.send(place.training(), a_curve()), "refused|reset|closed") < A_FEW_SECONDS
        until_refused(running.url)
        assert seconds_to_fail(lambda: Tracker.connect(running.url, artifact_root=None), "refused") < A_FEW_SECONDS


def until_refused(url: str) -> None:
    address = urlsplit(url)
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        with socket.socket() as connection:
            if connection.connect_ex((address.hostname, address.port)) == errno.ECONNREFUSED:
                return
        time.sleep(0.02)
    raise AssertionError(f"{url} still takes connections.")


def seconds_to_fail(call: Callable[[], object], reason: str) -> float:
    began = time.monotonic()
    with pytest.raises(TrackingUnavailable, match=f"(?s)(?:{reason}).*Check that MLflow's server"):
        call()
    return time.monotonic() - began


def test_our_database_is_made_whole_in_wal_mode_and_nothing_is_left_beside_it(folder: Path) -> None:
    """The tables are made in a file that takes its name only when they are all there."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()
    assert {path.name for path in folder.iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"} <= {"mlflow.db", "artifacts"}


def test_postgresql_gets_a_schema_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    """One database, MLflow's tables in the schema that the URI names; `postgresql://` is read as psycopg's."""
    uri = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    uri += ("&" if "?" in uri else "?") + "options=-csearch_path%3Dmlflow"
    place = a_place_in_postgresql(uri, tmp_path)
    row = completed(place.training())
    sent = place.send(row, a_curve())
    assert place.tracker.find_runs(place.sweep) == {row.training_id: (FoundRun(sent.run_id, 1),)}
    import psycopg

    with psycopg.connect(postgres_url.replace("+psycopg", "")) as database:
        found = database.execute("SELECT table_schema FROM information_schema.tables WHERE table_name = 'experiments'")
        assert found.fetchall() == [("mlflow",)]


def a_place_in_postgresql(uri: str, tmp_path: Path) -> Place:
    place = a_place(uri, tmp_path / "artifacts")
    return replace(place, client=place.tracker._client)


def test_a_point_that_mlflow_has_is_the_same_point_when_it_is_sent_again(local: Place) -> None:
    """The tracker rests on this fact of MLflow: same key, step, time and value are one point."""
    point = Metric("m", 1.5, 1_000, 3)
    for _ in range(2):
        local.client.log_batch(local.parent, metrics=[point])
    assert local.history(local.parent, "m") == [(3, 1.5, 1_000)]

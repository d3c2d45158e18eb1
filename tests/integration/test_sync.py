"""``lrsweep sync``: what an ended sweep left unsent reaches MLflow later, once, and without a driver."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from lrsweep.cli.cancel import cancel, close_run
from lrsweep.cli.sync import sync_results
from lrsweep.errors import SettingsError, TrackingUnavailable, TryAgain
from lrsweep.records import Curve, Outcome, Status, StudyRow, SweepRow, SweepStatus, TrialState
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import Lease, Store, TrialEnd, open_store
from lrsweep.store.backups import back_up, restore
from lrsweep.study import ResolvedStudy, TrackingSpec
from lrsweep.sweep import syncing
from lrsweep.sweep.beginning import FINISHED_KEY, driven_out
from lrsweep.sweep.delivery import forget_lost, note_lost, owed
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.run import _open_sweep
from lrsweep.sweep.syncing import sync
from lrsweep.tracking import Tracker
from lrsweep.tracking.tracker import REPORT_FILE
from tests.agreement import assert_agreement
from tests.commands import lrsweep, query, write_study
from tests.sweeps import a_study, a_training, a_trial

STUDY = a_study()


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """With MLflow's tables in it, whose making takes seconds."""
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path_factory.mktemp("home"))}))
    Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    return homes


@pytest.fixture
def homes(empty_home: Homes, tmp_path: Path) -> Homes:
    """Results of their own; MLflow's part is shared."""
    return replace(
        empty_home, results_url=f"sqlite:///{tmp_path}/results.db", optuna_url=f"sqlite:///{tmp_path}/optuna.db"
    )


def left_behind(homes: Homes, name: str, *, study: ResolvedStudy = STUDY, trials: int = 2) -> None:
    """A sweep whose trainings are committed, of which MLflow knows nothing; nobody drives it."""
    study = replace(study, name=name)
    store: Store = open_store(homes.results_url)
    lease = store.acquire_lease(name, "a driver that ended", seconds=60)
    store.register_study(lease, StudyRow(name, study.meaning, study.generation, study.spec()))
    sweep = store.create_sweep(lease, SweepRow(f"sweep-of-{name}", name, study.generation))
    for number in range(trials):
        row = a_training(number, study=name, sweep_id=sweep.sweep_id, training_id=f"{name}-{number}")
        store.add_trial(lease, a_trial(number, study=name, sweep_id=sweep.sweep_id), [row])
        store.start_training(lease, row.training_id, device="cpu")
        outcome = Outcome(Status.COMPLETED, 30, 0.5, {"val_loss": 0.25})
        end = TrialEnd(TrialState.PRUNED, 0.25)
        store.end_training(lease, row.training_id, 1, outcome, a_curve(), tell=end)
    store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.STOPPED)
    store.release_lease(lease)
    store.close()


def a_curve() -> Curve:
    return Curve(np.full(30, 0.1), np.ones(30), np.empty(0, dtype=np.int64), {})


def runs_of(homes: Homes, study: str) -> list[Run]:
    client = MlflowClient(homes.mlflow_uri, homes.mlflow_uri)
    found = client.get_experiment_by_name(study)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def asked(homes: Homes, study: str | None, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``--json`` prints."""
    sync_results(homes, study, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_left_is_sent_once(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """Two trainings and the run of their sweep, which ends as the sweep did; the second time there is nothing to do."""
    left_behind(homes, "once")
    found = asked(homes, None, capsys)
    assert (found["sent"], found["left"]) == (2, 0)
    runs = runs_of(homes, "once")
    assert sorted(run.data.tags["lrsweep.kind"] for run in runs) == ["sweep", "training", "training"]
    [parent] = [run for run in runs if run.data.tags["lrsweep.kind"] == "sweep"]
    assert parent.info.status == "FAILED"
    assert asked(homes, None, capsys) == {"sweeps": [], "sent": 0, "left": 0}
    assert len(runs_of(homes, "once")) == 3
    store = open_store(homes.results_url)
    assert all(row.is_mirrored for row in store.trainings("once"))
    assert store.holders() == {}
    store.close()


def test_only_the_study_that_is_named_is_sent(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """The other's rows wait."""
    left_behind(homes, "named")
    left_behind(homes, "other")
    sync_results(homes, "named", as_json=False)
    assert capsys.readouterr().out == "study 'named', sweep sweep-of: 2 trainings sent\n"
    assert runs_of(homes, "other") == []


def test_a_sweep_that_is_driven_is_left_to_its_driver(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """It says who drives it, and that is no error."""
    left_behind(homes, "driven")
    store = open_store(homes.results_url)
    lease = store.acquire_lease("driven", "ann's process", seconds=60)
    sync_results(homes, "driven", as_json=False)
    text = capsys.readouterr().out
    assert "driven by ann's process, which sends its 2 trainings itself" in text
    assert runs_of(homes, "driven") == []
    store.release_lease(lease)
    store.close()


def test_a_server_that_is_away_still_is_a_reason_to_try_again(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 75; nothing is lost, and the lease is free again."""
    left_behind(homes, "away")
    away = replace(homes, mlflow_uri="http://127.0.0.1:9", artifact_root=None)
    with pytest.raises(TryAgain, match="2 trainings still to be sent; the same command does it"):
        sync_results(away, "away", as_json=True)
    [sweep] = json.loads(capsys.readouterr().out)["sweeps"]
    assert (sweep["sent"], sweep["left"], sweep["unasked"]) == (0, 2, False)
    assert asked(homes, "away", capsys)["sent"] == 2


def test_a_server_that_is_away_is_no_reason_to_say_that_it_has_everything(
    homes: Homes, capsys: pytest.CaptureFixture[str]
) -> None:
    """All was sent, but to which MLflow? One that was restored, and does not answer yet, may have none of it."""
    left_behind(homes, "whole")
    assert asked(homes, "whole", capsys)["sent"] == 2
    away = replace(homes, mlflow_uri="http://127.0.0.1:9", artifact_root=None)
    told = "whether MLflow still has what it was sent of 1 sweep is still to be asked; the same command does it"
    with pytest.raises(TryAgain, match=told):
        sync_results(away, "whole", as_json=True)
    [sweep] = json.loads(capsys.readouterr().out)["sweeps"]
    assert (sweep["sent"], sweep["left"], sweep["unasked"]) == (0, 0, True)
    with pytest.raises(TryAgain, match=told):
        sync_results(away, "whole", as_json=False)
    assert capsys.readouterr().out == ""
    assert asked(homes, "whole", capsys)["sweeps"] == []


def test_what_the_study_does_not_want_in_mlflow_is_not_waited_for(
    homes: Homes, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the sweep's run alone there is nothing of its trainings to send."""
    left_behind(homes, "few", study=replace(STUDY, tracking=TrackingSpec(runs="sweep")))
    assert asked(homes, "few", capsys)["sweeps"] == []


def test_an_unknown_study_is_refused_with_those_there_are(homes: Homes) -> None:
    """And with the one that was probably meant."""
    left_behind(homes, "known")
    with pytest.raises(SettingsError, match=r"no results of a study 'knwon'\. Did you mean 'known'"):
        sync_results(homes, "knwon", as_json=False)


def test_a_late_copy_does_not_claim_the_commit_of_who_sends_it(
    homes: Homes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep may have run on another checkout: what its own run says of it goes for its trainings."""
    left_behind(homes, "late")
    store = open_store(homes.results_url)
    [sweep] = store.sweeps("late")
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    parent = tracker.open_sweep(sweep, replace(STUDY, name="late"), params={})
    client = MlflowClient(homes.mlflow_uri, homes.mlflow_uri)
    client.set_tag(parent, "mlflow.source.git.commit", "c0ffee")
    store.close()
    asked(homes, "late", capsys)
    assert {run.data.tags["mlflow.source.git.commit"] for run in runs_of(homes, "late")} == {"c0ffee"}


def all_sent(homes: Homes, name: str, capsys: pytest.CaptureFixture[str], *, is_driven_out: bool) -> None:
    """A sweep whose rows MLflow has; its driver was killed before it ended the sweep's own run."""
    left_behind(homes, name)
    asked(homes, name, capsys)
    store = open_store(homes.results_url)
    [sweep] = store.sweeps(name)
    study = replace(STUDY, name=name)
    lease = store.acquire_lease(name, "a driver that is killed", seconds=60)
    Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root).open_sweep(sweep, study, params={})
    done = driven_out(study.spec()) if is_driven_out else None
    number = store.next_trial_number(name)
    store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.RUNNING, settings=done)
    row = a_training(number, 1, study=name, sweep_id=sweep.sweep_id, training_id=f"{name}-{number}", rate_scale=1.0)
    store.add_trial(lease, a_trial(number, study=name, sweep_id=sweep.sweep_id), [row])
    store.start_training(lease, row.training_id, device="cpu")
    outcome = Outcome(Status.COMPLETED, 90, 0.5, {"val_loss": 0.125})
    store.end_training(lease, row.training_id, 1, outcome, a_curve(), tell=TrialEnd(TrialState.COMPLETE, 0.125))
    store.mark_mirrored(lease, row.training_id, mlflow_run_id="there", attempt=1, steps=90, status=Status.COMPLETED)
    store.release_lease(lease)
    store.close()


def parent_of(homes: Homes, study: str) -> Run:
    [parent] = [run for run in runs_of(homes, study) if run.data.tags["lrsweep.kind"] == "sweep"]
    return parent


def test_a_sweep_that_only_waited_for_mlflow_is_finished(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """All its rows are there: what is left are its best, the table, and the two ends; afterwards there is nothing."""
    all_sent(homes, "waited", capsys, is_driven_out=True)
    sync_results(homes, "waited", as_json=False)
    assert capsys.readouterr().out == "study 'waited', sweep sweep-of: its run was ended, and it is finished\n"
    parent = parent_of(homes, "waited")
    assert (parent.info.status, parent.data.metrics["best_val_loss"]) == ("FINISHED", 0.125)
    assert parent.data.metrics["cosine.val_loss"] == 0.125
    store = open_store(homes.results_url)
    [sweep] = store.sweeps("waited")
    store.close()
    assert (sweep.status, FINISHED_KEY in sweep.settings) == (SweepStatus.FINISHED, True)
    assert asked(homes, "waited", capsys)["sweeps"] == []


def test_a_sweep_that_is_finished_by_a_sync_has_its_report(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that its driver finishes; of one that is not over there is none, and a fault of the page costs nothing."""
    client = MlflowClient(homes.mlflow_uri, homes.mlflow_uri)
    all_sent(homes, "reported", capsys, is_driven_out=True)
    all_sent(homes, "halfway", capsys, is_driven_out=False)
    all_sent(homes, "faulty", capsys, is_driven_out=True)
    asked(homes, "reported", capsys)
    asked(homes, "halfway", capsys)
    text = Path(client.download_artifacts(parent_of(homes, "reported").info.run_id, REPORT_FILE, str(tmp_path)))
    assert "<h1>reported</h1>" in text.read_text(encoding="utf-8")
    assert "The sweep is" not in text.read_text(encoding="utf-8")
    assert REPORT_FILE not in [each.path for each in client.list_artifacts(parent_of(homes, "halfway").info.run_id)]

    def broken(*_: object) -> str:
        raise ZeroDivisionError("division by zero")

    told: list[str] = []
    [found] = sync(homes, "faulty", say=told.append, show=lambda _: None, make_report=broken)
    assert found.is_finished
    assert "the sweep has no report in MLflow (division by zero)" in told[-1]


def test_the_run_of_a_killed_driver_ends_and_its_sweep_goes_on_later(
    homes: Homes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its budget is not used up: the sweep stays as it is, and `cancel` ends both, by itself."""
    all_sent(homes, "killed", capsys, is_driven_out=False)
    [found] = asked(homes, "killed", capsys)["sweeps"]
    assert (found["sent"], found["closed"], found["finished"]) == (0, True, False)
    assert parent_of(homes, "killed").info.status == "KILLED"

    all_sent(homes, "cancelled", capsys, is_driven_out=False)
    store = open_store(homes.results_url)
    ended = cancel(store, "cancelled", patience_seconds=5)
    assert parent_of(homes, "cancelled").info.status == "RUNNING"
    close_run(homes, ended, print)
    assert store.sweep(ended.sweep).status is SweepStatus.CANCELLED
    assert store.sweeps("killed")[0].status is SweepStatus.RUNNING
    store.close()
    parent = parent_of(homes, "cancelled")
    assert (parent.info.status, parent.data.metrics["best_val_loss"]) == ("KILLED", 0.125)


def test_what_this_release_cannot_read_stays_behind_alone(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """A trial without a setting that is drawn today: the others are sent, and it is said how many are not."""
    left_behind(homes, "older")
    store = open_store(homes.results_url)
    lease = store.acquire_lease("older", "an earlier release", seconds=60)
    row = a_training(2, study="older", sweep_id="sweep-of-older", training_id="older-2")
    store.update_sweep(lease, "sweep-of-older", status=SweepStatus.RUNNING)
    store.add_trial(lease, a_trial(2, family="wsd", study="older", sweep_id="sweep-of-older"), [row])
    store.start_training(lease, row.training_id, device="cpu")
    outcome = Outcome(Status.COMPLETED, 30, 0.5, {"val_loss": 0.25})
    store.end_training(lease, row.training_id, 1, outcome, a_curve(), tell=TrialEnd(TrialState.PRUNED, 0.25))
    store.release_lease(lease)
    store.close()
    [found] = asked(homes, "older", capsys)["sweeps"]
    assert (found["sent"], found["left"], found["unknown"], found["outage"]) == (2, 1, 1, None)


# ── another MLflow ───────────────────────────────────────────────────────────────────────────────────────────────────
def restored(homes: Homes, folder: Path) -> Homes:
    """The same results in a home of their own, whose MLflow has none of the runs."""
    back_up(homes.results_url, folder / "results.zip")
    other = make_homes(read_settings({"LRSWEEP_HOME": str(folder / "other")}))
    restore(other.results_url, folder / "results.zip")
    return other


def points_of(homes: Homes, study: str) -> dict[str, tuple[str, dict[str, float], int]]:
    """By training: how its run ended, its metrics, and how many points its curve has."""
    client = MlflowClient(homes.mlflow_uri, homes.mlflow_uri)
    runs = [run for run in runs_of(homes, study) if "lrsweep.training" in run.data.tags]
    found = {}
    for run in runs:
        points = sum(len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics)
        found[run.data.tags["lrsweep.training"]] = (run.info.status, run.data.metrics, points)
    assert len(found) == len(runs)
    return found


@pytest.mark.parametrize("status", [SweepStatus.STOPPED, SweepStatus.FINISHED])
def test_results_that_were_restored_beside_another_mlflow_are_sent_to_it_once(
    status: SweepStatus, homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows say that all was sent, and this MLflow lacks the sweep's run: the same runs and points come there."""
    name = f"moved-{status.value}"
    left_behind(homes, name)
    asked(homes, name, capsys)
    store = open_store(homes.results_url)
    lease = store.acquire_lease(name, "a driver", seconds=60)
    store.update_sweep(lease, f"sweep-of-{name}", status=status)
    store.release_lease(lease)
    store.close()
    other = restored(homes, tmp_path)
    sync_results(other, None, as_json=False)
    line = f"study '{name}', sweep sweep-of: this MLflow had none of its runs; 2 trainings sent\n"
    assert capsys.readouterr().out == line
    assert points_of(other, name) == points_of(homes, name)
    assert parent_of(other, name).info.status == {"stopped": "FAILED", "finished": "FINISHED"}[status.value]
    assert parent_of(other, name).data.params["horizon"] == "90"
    assert asked(other, None, capsys) == {"sweeps": [], "sent": 0, "left": 0}
    assert len(runs_of(other, name)) == 3
    assert asked(homes, name, capsys)["sweeps"] == []


def test_a_lost_sweep_whose_study_somebody_drives_is_told(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who stays longer than a worker that only looks: nothing is sent, and that is said, in JSON too; the same
    command sends all when the study is free."""
    monkeypatch.setattr(syncing, "LOOK_SECONDS", 0.1)
    left_behind(homes, "busy")
    asked(homes, "busy", capsys)
    other = restored(homes, tmp_path)
    store = open_store(other.results_url)
    lease = store.acquire_lease("busy", "ann's process", seconds=60)
    sync_results(other, None, as_json=False)
    text = capsys.readouterr().out
    assert "this MLflow has none of its runs, and ann's process is at work on the study; the same command" in text
    told = asked(other, None, capsys)
    assert [(each["driver"], each["was_lost"], each["left"]) for each in told["sweeps"]] == [("ann's process", True, 2)]
    store.release_lease(lease)
    store.close()
    assert asked(other, None, capsys)["sent"] == 2


def test_a_worker_that_only_looks_at_a_lost_sweep_is_waited_for(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one is started beside the first sync after a restore: the sync says whom it waits for, and sends all as
    soon as the study is free. It waits for no sweep that runs."""
    left_behind(homes, "looked")
    asked(homes, "looked", capsys)
    other = restored(homes, tmp_path)
    store = open_store(other.results_url)
    lease = store.acquire_lease("looked", "process 7 on box [1:2 3]", seconds=600)
    monkeypatch.setattr(syncing, "LOOK_EVERY", 0.0)
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        if len(shown) == 3:
            store.release_lease(lease)

    [found] = sync(other, None, say=print, show=show)
    assert (found.sent, found.left, found.driver) == (2, 0, None)
    assert shown[:3] == ["looked: process 7 on box is at work on it and is waited for"] * 3

    (tmp_path / "again").mkdir()
    again = restored(other, tmp_path / "again")
    store.close()
    store = open_store(again.results_url)
    lease = store.acquire_lease("looked", "ann", seconds=600)
    store.update_sweep(lease, "sweep-of-looked", status=SweepStatus.RUNNING)
    [found] = sync(again, None, say=print, show=pytest.fail)
    assert (found.sent, found.left, found.driver, found.was_lost) == (0, 2, "ann", True)
    store.release_lease(lease)
    store.close()


def test_runs_that_came_to_another_mlflow_by_themselves_are_taken_over(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copied by other tools they have other ids and the same tags; and a kill before the new run is noted loses
    nothing."""
    left_behind(homes, "copied")
    asked(homes, "copied", capsys)
    other = restored(homes, tmp_path)
    assert asked(other, "copied", capsys)["sent"] == 2
    there = sorted(run.info.run_id for run in runs_of(other, "copied"))
    store = open_store(other.results_url)
    lease = store.acquire_lease("copied", "a driver", seconds=60)
    store.update_sweep(lease, "sweep-of-copied", mlflow_run_id="f" * 32)
    for row in store.trainings("copied"):
        store.mark_mirrored(
            lease, row.training_id, mlflow_run_id="e" * 32, attempt=1, steps=30, status=Status.COMPLETED
        )
    [sweep] = store.sweeps("copied")
    tracker = Tracker.connect(other.mlflow_uri, artifact_root=other.artifact_root)
    assert forget_lost(store, lease, tracker, replace(STUDY, name="copied"), sweep) == 2  # and here it is killed
    store.release_lease(lease)
    store.close()
    [found] = asked(other, "copied", capsys)["sweeps"]
    assert (found["sent"], found["left"], found["was_lost"]) == (2, 0, True)
    assert sorted(run.info.run_id for run in runs_of(other, "copied")) == there


def test_a_sweep_that_lacks_beside_others_is_told_and_sent_where_its_study_is_named(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a clean-up of MLflow's that leaves no trace: whoever cleaned meant it."""
    for name in ("stays", "went"):
        left_behind(homes, name)
        asked(homes, name, capsys)
    other = restored(homes, tmp_path)
    assert asked(other, "stays", capsys)["sent"] == 2
    sync_results(other, None, as_json=False)
    said = capsys.readouterr()
    assert (
        "not 1 of went: deleted there, or never sent to it. `lrsweep sync went` sends it again" in said.out + said.err
    )
    assert runs_of(other, "went") == []
    assert asked(other, "went", capsys)["sent"] == 2


def with_a_run(homes: Homes, study: ResolvedStudy) -> None:
    """The sweep's own, as its driver makes it: a study that wants no others in MLflow has nothing else to send."""
    store = open_store(homes.results_url)
    lease = store.acquire_lease(study.name, "a driver", seconds=60)
    [sweep] = store.sweeps(study.name)
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    run_id = tracker.open_sweep(sweep, study, params={}, is_driven=False)
    store.update_sweep(lease, sweep.sweep_id, mlflow_run_id=run_id)
    store.release_lease(lease)
    store.close()


class Killed(BaseException):
    """As a signal that nobody catches."""


@pytest.mark.parametrize(("moment", "runs"), [("between", "all"), ("within", "all"), ("between", "sweep")])
def test_a_sync_that_was_killed_among_lost_sweeps_sends_the_rest_and_tells_of_all(
    moment: str,
    runs: Literal["all", "sweep"],
    homes: Homes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once the first is there the second would look as if somebody had deleted it; and of the first nobody has heard.
    Also where trainings are not sent, so that no row says what is missing."""
    names = [f"{each}-{moment}-{runs}" for each in ("first", "second")]
    for name in names:
        study = replace(STUDY, name=name, tracking=TrackingSpec(runs=runs))
        left_behind(homes, name, study=study)
        with_a_run(homes, study)
        asked(homes, name, capsys)
    other = restored(homes, tmp_path)
    done = syncing._sync_one
    calls = 0

    def until_the_second(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        return done(*given)

    def before_it_ends(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if moment == "between":
            patched.setattr(syncing, "_sync_one", until_the_second)
        else:  # it has its run, and perhaps some of its trainings
            patched.setattr(syncing, "close_parent", before_it_ends)
        with pytest.raises(Killed):
            sync_results(other, None, as_json=False)
    capsys.readouterr()
    sync_results(other, None, as_json=False)
    sent = 2 if runs == "all" else 0
    assert capsys.readouterr().out.splitlines() == [
        f"study '{name}', sweep sweep-of: this MLflow had none of its runs; "
        + (f"{sent} trainings sent" if sent or (name == names[0] and moment == "between") else "its run was ended")
        for name in names
    ]
    for name in names:
        assert points_of(other, name) == points_of(homes, name)
        assert parent_of(other, name).info.status == "FAILED"
    assert asked(other, None, capsys) == {"sweeps": [], "sent": 0, "left": 0}


def test_a_server_that_goes_away_among_lost_sweeps_gets_the_rest_later(
    homes: Homes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be sent is left, counts as that, and is sent and told of by the next sync alone."""
    for name in ("there", "not-there"):
        left_behind(homes, name)
        asked(homes, name, capsys)
    other = restored(homes, tmp_path)

    def of_the_first(store: Store, lease: Lease, tracker: Tracker, study: ResolvedStudy, sweep: SweepRow) -> int | None:
        if sweep.study == "not-there":
            raise TrackingUnavailable("it went away")
        return forget_lost(store, lease, tracker, study, sweep)

    with monkeypatch.context() as patched:
        patched.setattr(syncing, "forget_lost", of_the_first)
        with pytest.raises(TryAgain, match="2 trainings still to be sent"):
            sync_results(other, None, as_json=True)
    first = json.loads(capsys.readouterr().out)
    assert [(each["study"], each["sent"], each["left"]) for each in first["sweeps"]] == [
        ("there", 2, 0),
        ("not-there", 0, 2),
    ]
    [found] = asked(other, None, capsys)["sweeps"]
    assert (found["study"], found["sent"], found["left"], found["was_lost"]) == ("not-there", 2, 0, True)
    assert asked(other, None, capsys)["sweeps"] == []


@pytest.mark.parametrize("has_run", [True, False])
def test_what_a_driver_has_sent_of_a_lost_sweep_a_sync_does_not_tell_of(
    has_run: bool, homes: Homes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sync that noted it was killed, before or after the sweep had its run; the driver says what it sends."""
    name = f"went-on-{has_run}"
    left_behind(homes, name)
    asked(homes, name, capsys)
    study = replace(STUDY, name=name)
    store = open_store(homes.results_url)
    lease = store.acquire_lease(name, "a driver", seconds=60)
    [sweep] = store.sweeps(name)
    note_lost(store, lease, study, sweep)
    sweep = store.update_sweep(lease, sweep.sweep_id, mlflow_run_id=None if has_run else "f" * 32)
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    said: list[str] = []
    sweep = _open_sweep(store, lease, tracker, study, sweep, said.append)
    assert said == [
        "this MLflow had none of the sweep's runs, and a sync that would have sent it 2 trainings has not come to its "
        "end: what it lacks of them is sent now"
        if has_run
        else "this MLflow has none of the sweep's runs: 2 trainings are sent to it again"
    ]
    assert owed(store.sweep(sweep.sweep_id)) is None
    store.release_lease(lease)
    store.close()
    [found] = asked(homes, name, capsys)["sweeps"]
    assert found["was_lost"] is False


def test_a_run_that_was_deleted_in_mlflow_is_not_made_again(homes: Homes, capsys: pytest.CaptureFixture[str]) -> None:
    """Who deletes a sweep's run there means it; this MLflow still knows it."""
    left_behind(homes, "deleted")
    asked(homes, "deleted", capsys)
    client = MlflowClient(homes.mlflow_uri, homes.mlflow_uri)
    for run in runs_of(homes, "deleted"):
        client.delete_run(run.info.run_id)
    assert asked(homes, "deleted", capsys)["sweeps"] == []
    assert runs_of(homes, "deleted") == []


def test_a_sweep_that_goes_on_beside_another_mlflow_sends_what_was_sent_before(tmp_path: Path) -> None:
    """With the real command: a finished sweep is saved, brought back in another home, and continued there by a larger
    budget. Its three databases then agree as if it had always been there, and nothing is left to send."""
    home, other = tmp_path / "home", tmp_path / "other"
    assert lrsweep("run", str(write_study(tmp_path, trials=4)), home=home).code == 0
    assert lrsweep("db", "backup", str(tmp_path / "all.zip"), home=home).code == 0
    assert lrsweep("db", "restore", str(tmp_path / "all.zip"), home=other).code == 0
    before = query(other, "SELECT count(*) FROM lrs_training")
    went_on = lrsweep("run", str(write_study(tmp_path, trials=6)), home=other)
    assert went_on.code == 0, went_on.err
    assert f"this MLflow has none of the sweep's runs: {before} trainings are sent to it again" in went_on.out
    assert_agreement(other, "tiny", trials=6)
    assert "nothing is left to send" in lrsweep("sync", home=other).out

"""Old results go alike from the store, from Optuna's copy and from MLflow, and what is kept stays in all three."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from lrsweep.cli.prune import delete
from lrsweep.errors import LeaseHeld, SettingsError, TryAgain
from lrsweep.records import (
    Curve,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import Lease, MemoryStore, Store, TrialEnd
from lrsweep.study import Objective
from lrsweep.sweep.removing import Kept, all_results, old_results, remove
from lrsweep.sweep.search import TRIAL_ATTRIBUTE
from lrsweep.tracking import Tracker
from tests.sweeps import a_study

STUDY = StudyRow("digits", "m1", "generation-1", a_study(horizon=200).spec())
CURVE = Curve(np.ones(3), np.ones(3), np.array([3]), {"val_loss": np.array([0.5])})
LATER = 1e12


@dataclass
class Runs:
    """A tracker that remembers what it was asked; it may go away after some runs."""

    patience: int = 100
    deleted: list[str] = field(default_factory=list)
    tagged: dict[str, str | None] = field(default_factory=dict)
    """with the sweep, each with its training"""
    undeletable: Collection[str] = ()

    def delete_run(self, run_id: str) -> bool:
        if len(self.deleted) == self.patience:
            raise TryAgain("MLflow went away")
        self.deleted.append(run_id)
        return run_id not in self.undeletable

    def tagged_runs(self, sweep: SweepRow, known: Iterable[str]) -> dict[str, str | None]:
        assert sweep.sweep_id == "s1"
        assert "parent" in known
        return self.tagged


@pytest.fixture
def store() -> Store:
    """A finished sweep of four trials: 0 was halted at a value that does not compare, 1 is the best, 2 a finalist."""
    store = MemoryStore()
    lease = store.acquire_lease("digits", "ann", seconds=60)
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SweepRow("s1", "digits", STUDY.generation))
    for number, value in enumerate((0.05, 0.1, 0.2, 0.9)):
        row = TrainingRow(f"t{number}", "digits", number, "s1", 0, 200, 7, 1.0)
        store.add_trial(lease, TrialRow("digits", number, "s1", {"family": "cosine"}, {}), [row])
        state = TrialState.PRUNED if number == 0 else TrialState.COMPLETE
        train(store, lease, row, TrialEnd(state, value))
    final = TrainingRow("f2", "digits", 2, "s1", 0, 200, 8, 1.0, purpose=Purpose.FINAL)
    store.queue_trainings(lease, [final])
    train(store, lease, final)
    store.update_sweep(lease, "s1", status=SweepStatus.FINISHED, mlflow_run_id="parent")
    store.release_lease(lease)
    return store


def train(store: Store, lease: Lease, row: TrainingRow, tell: TrialEnd | None = None) -> None:
    store.start_training(lease, row.training_id, device="cpu")
    done = Outcome(Status.COMPLETED, 3, 1.0, {"val_loss": 0.5})
    store.end_training(lease, row.training_id, 1, done, CURVE, tell=tell)
    store.mark_mirrored(
        lease, row.training_id, mlflow_run_id=f"run-{row.training_id}", attempt=1, steps=3, status=Status.COMPLETED
    )


@pytest.fixture
def optuna_url(tmp_path: Path) -> str:
    """The copy of the four trials, and one of somebody else's."""
    url = f"sqlite:///{tmp_path}/optuna.db"
    copy = optuna.create_study(storage=url, study_name="digits@generati", direction="minimize")
    for number in (0, 1, 2, 3, None):
        attributes = {} if number is None else {TRIAL_ATTRIBUTE: number}
        copy.add_trial(optuna.create_trial(value=0.5, user_attrs=attributes))
    return url


def copied(url: str) -> list[int | None]:
    [name] = optuna.get_all_study_names(url)
    trials = optuna.load_study(study_name=name, storage=url).trials
    return [trial.user_attrs.get(TRIAL_ATTRIBUTE) for trial in trials]


def test_champions_and_finalists_stay_in_all_three(store: Store, optuna_url: str) -> None:
    """The best trial and the one with fresh seeds; the sweep and its run stay with them, and paid is paid."""
    [removal] = old_results(store, before=LATER, keep=("champions", "finalists"))
    assert (removal.trials, removal.kept, removal.trainings) == ((0, 3), (1, 2), 2)
    assert removal.size == 2 * len(CURVE.to_bytes())
    runs = Runs()
    remove(store, removal, runs=runs, optuna_url=optuna_url)
    assert runs.deleted == ["run-t0", "run-t3"]
    assert [trial.number for trial in store.trials("digits")] == [1, 2]
    assert [row.training_id for row in store.trainings("digits")] == ["t1", "t2", "f2"]
    assert copied(optuna_url) == [1, 2, None]
    assert store.sweep("s1").settings == {"removed_trials": 2, "removed_steps": {"search": 6}}
    assert store.holders() == {}
    assert old_results(store, before=LATER, keep=("champions", "finalists")) == []


def test_all_of_a_study_goes_with_the_sweeps_own_run(store: Store, optuna_url: str) -> None:
    """Nothing of ours is left anywhere; somebody else's trial stays in Optuna."""
    [removal] = all_results(store, "digits", None)
    runs = Runs()
    remove(store, removal, runs=runs, optuna_url=optuna_url)
    assert set(runs.deleted) == {"run-t0", "run-t1", "run-t2", "run-f2", "run-t3", "parent"}
    assert (store.studies(), store.trials("digits"), store.next_trial_number("digits")) == ([], [], 4)
    assert copied(optuna_url) == [None]


def test_runs_that_the_store_does_not_know_of_go_with_their_trials(store: Store, optuna_url: str) -> None:
    """Made just before a kill, or superseded; those of trials that stay are left, the sweep's own where it stays."""
    tagged = {"run-t0": "t0", "lost-t0": "t0", "lost-t1": "t1", "lost-x": "x", "parent": None, "lost-parent": None}
    runs = Runs(tagged=tagged, undeletable={"lost-t0", "run-t3"})
    [removal] = old_results(store, before=LATER, keep=("champions", "finalists"))
    assert remove(store, removal, runs=runs, optuna_url=optuna_url) == 2, "so many stay"
    assert runs.deleted == ["lost-t0", "lost-x", "run-t0", "run-t3"]
    runs = Runs(tagged={key: tagged[key] for key in ("lost-t1", "parent", "lost-parent")})
    assert remove(store, all_results(store, "digits", None)[0], runs=runs, optuna_url=optuna_url) == 0
    assert runs.deleted == ["lost-t1", "lost-parent", "run-t1", "run-t2", "run-f2", "parent"]


def refuse(_client: MlflowClient, _run_id: str) -> None:
    raise MlflowException("no", error_code=PERMISSION_DENIED)


@pytest.mark.parametrize("may_delete", [True, False])
def test_delete_says_how_many_runs_stay_in_mlflow(
    may_delete: bool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All with the sweep's tag go; where they may not be deleted that is said, and no search of ours finds them."""
    settings = read_settings({"LRSWEEP_HOME": str(tmp_path)})
    homes = make_homes(settings)
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root)
    client = MlflowClient(homes.mlflow_uri)
    experiment = client.create_experiment("digits")

    def a_run(kind: str, sweep: str, **tags: str) -> str:
        more = {f"lrsweep.{name}": text for name, text in tags.items()}
        tags = {"lrsweep.kind": kind, "lrsweep.sweep": sweep, **more}
        return str(client.create_run(experiment, tags=tags).info.run_id)

    parent, other = a_run("sweep", "s1"), a_run("training", "s2", training="t9", attempt="1")
    gone = [parent, *(a_run(kind, "s1", training="t0", attempt="1") for kind in ("training", "superseded"))]
    assert tracker.tagged_runs(SweepRow("s1", "digits", "g"), ("gone", parent)) == dict(
        zip(gone, (None, "t0", "t0"), strict=True)
    )
    assert tracker.tagged_runs(SweepRow("s1", "digits", "g"), ()) == {}, "nobody knows where"
    lease = store.acquire_lease("digits", "ann", seconds=60)
    store.update_sweep(lease, "s1", mlflow_run_id=parent)
    store.release_lease(lease)
    monkeypatch.setattr("lrsweep.cli.prune.results", lambda *_: nullcontext(store))
    if not may_delete:
        monkeypatch.setattr(MlflowClient, "delete_run", refuse)
    said: list[str] = []

    delete(settings, "digits", None, is_sure=True, say=said.append)

    assert store.studies() == []
    left = {run.info.run_id: run for run in client.search_runs([experiment])}
    stayed = [] if may_delete else gone
    assert {*left} == {other, *stayed}
    assert {left[run].data.tags["lrsweep.kind"] for run in stayed} <= {"superseded"}
    if may_delete:
        assert said[1:] == ["removed: 4 trials of 1 sweep"]
    else:
        assert "does not let this user delete runs" in said[1]
        assert said[2:] == ["removed: 4 trials of 1 sweep; 3 runs stay in MLflow, tagged lrsweep.kind = superseded"]


def test_what_was_interrupted_is_repeated(store: Store, optuna_url: str) -> None:
    """While a mirror does not answer the store keeps its rows, so the same command finds them and goes on."""
    [removal] = all_results(store, "digits", None)
    with pytest.raises(TryAgain):
        remove(store, removal, runs=Runs(patience=2), optuna_url=optuna_url)
    assert len(store.trials("digits")) == 4
    assert store.holders() == {}
    again = Runs()
    remove(store, all_results(store, "digits", None)[0], runs=again, optuna_url=optuna_url)
    assert len(again.deleted) == 6
    assert store.trials("digits") == []


def test_a_study_under_a_lease_is_left_alone(store: Store, optuna_url: str) -> None:
    """It is not listed, and a driver that comes after the list keeps its results."""
    [removal] = all_results(store, "digits", None)
    lease = store.acquire_lease("digits", "bob", seconds=60)
    assert old_results(store, before=LATER, keep=()) == []
    runs = Runs()
    with pytest.raises(LeaseHeld, match="driven by bob"):
        remove(store, removal, runs=runs, optuna_url=optuna_url)
    store.update_sweep(lease, "s1", status=SweepStatus.RUNNING)
    store.release_lease(lease)
    with pytest.raises(TryAgain, match="went on meanwhile"):
        remove(store, removal, runs=runs, optuna_url=optuna_url)
    assert (runs.deleted, len(store.trials("digits"))) == ([], 4)
    assert old_results(store, before=LATER, keep=()) == [], "a running sweep is not over, though nobody drives it"


def test_what_came_between_the_list_and_the_answer_is_not_torn_apart(store: Store, optuna_url: str) -> None:
    """A driver that added a trial and was killed leaves the sweep's own row as it was listed; nothing is removed."""
    [removal] = all_results(store, "digits", None)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    store.add_trial(lease, TrialRow("digits", 4, "s1", {"family": "cosine"}, {}), [])
    store.release_lease(lease)
    assert store.sweep("s1") == removal.sweep
    runs = Runs()
    with pytest.raises(TryAgain, match="went on meanwhile; nothing was removed"):
        remove(store, removal, runs=runs, optuna_url=optuna_url)
    assert (runs.deleted, len(store.trials("digits")), len(copied(optuna_url))) == ([], 5, 5)
    remove(store, all_results(store, "digits", None)[0], runs=runs, optuna_url=optuna_url)
    assert store.studies() == []


def test_what_another_command_has_removed_meanwhile_is_done(store: Store, optuna_url: str) -> None:
    """Two listed the same; the slower finds nothing left to do."""
    [removal], [slower] = all_results(store, "digits", None), all_results(store, "digits", None)
    remove(store, removal, runs=Runs(), optuna_url=optuna_url)
    runs = Runs()
    remove(store, slower, runs=runs, optuna_url=optuna_url)
    assert (runs.deleted, store.studies(), store.holders()) == ([], [], {})


def test_age_counts_from_the_last_training(store: Store) -> None:
    """A sweep that was continued yesterday is not old, whenever it began."""
    [begun] = {row.started_at for row in store.trainings("digits") if row.training_id == "f2"}
    assert begun is not None
    assert old_results(store, before=begun, keep=()) == []
    [removal] = old_results(store, before=begun + 1, keep=())
    assert removal.trials == (0, 1, 2, 3)


def test_the_champion_follows_the_studys_direction(store: Store) -> None:
    """The largest value where more is better; the fewest steps to a target whichever way its metric goes."""
    keep: tuple[Kept, ...] = ("champions",)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    for objective, best in ((Objective(), 3), (Objective("target", 0.9), 1)):
        study = replace(a_study(horizon=200, direction="maximize"), metric="val_acc", objective=objective)
        store.register_study(lease, replace(STUDY, spec=study.spec()))
        [removal] = all_results(store, "digits", "s1")
        assert removal.kept == ()
        store.release_lease(lease)
        [removal] = old_results(store, before=LATER, keep=keep)
        assert removal.kept == (best,)
        lease = store.acquire_lease("digits", "ann", seconds=60)


def test_what_the_finals_recommend_is_a_champion_too(store: Store) -> None:
    """Trial 1 has the best value of the search, and trial 2 stands first after fresh seeds: `lrsweep show` names it."""
    keep: tuple[Kept, ...] = ("champions",)
    [removal] = old_results(store, before=LATER, keep=keep)
    assert removal.kept == (1, 2)


def test_an_unknown_study_and_an_unknown_sweep_are_named(store: Store) -> None:
    """With what there is."""
    with pytest.raises(SettingsError, match=r"no results of a study 'digit'. Did you mean 'digits'"):
        all_results(store, "digit", None)
    with pytest.raises(SettingsError, match="0 sweeps whose id begins 'x'; there are: s1"):
        all_results(store, "digits", "x")

"""The store's contract on what waits again although it had ended: what the end of a budget has stopped, for a larger
budget; and what has failed in a sweep that failures stopped, with its trial.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrsweep.records import Curve, Outcome, Purpose, Status, StudyRow, SweepRow, TrainingRow, TrialRow, TrialState
from lrsweep.store import Lease, Store, open_store
from lrsweep.store.base import TrialEnd
from lrsweep.store.upkeep import check_store
from tests.contract.readers import everything

SEARCHED = TrainingRow("search", "digits", trial=0, sweep_id="s", rung=0, horizon=200, seed=7, rate_scale=1.0)
FINAL = replace(SEARCHED, training_id="final", seed=8, purpose=Purpose.FINAL)
CURVE = Curve(np.ones(3), np.ones(3), np.array([3]), {"val_loss": np.array([0.5])})
STOPPED = Outcome(Status.STOPPED, 3, 1.0, {"val_loss": 0.5}, None, "the clock")
DONE = Outcome(Status.COMPLETED, 3, 1.0, {"val_loss": 0.25})
FAILED = Outcome(Status.FAILED, 3, 1.0, {"val_loss": 0.5}, "Traceback …\nRuntimeError: no data")


def stop_both(store: Store, lease: Lease) -> None:
    """A training of the search and a final; MLflow has the final."""
    store.register_study(lease, StudyRow("digits", meaning="m1", generation="g1", spec={}))
    store.create_sweep(lease, SweepRow("s", "digits", "g1"))
    store.add_trial(lease, TrialRow("digits", 0, "s", {"family": "cosine"}, {}), [SEARCHED, FINAL])
    for row in (SEARCHED, FINAL):
        store.start_training(lease, row.training_id, device="cpu")
        store.end_training(lease, row.training_id, 1, STOPPED, CURVE)
    store.mark_mirrored(lease, "final", mlflow_run_id="run", attempt=1, steps=3, status=Status.STOPPED)


@pytest.fixture
def stopped(store: Store, lease: Lease) -> Store:
    stop_both(store, lease)
    return store


def test_it_waits_for_its_next_attempt_without_what_it_came_to(stopped: Store, lease: Lease) -> None:
    """MLflow's run of the first attempt is remembered, so that it can be replaced, and its outcome is not."""
    again = stopped.queue_again(lease, "final", reason="a larger budget")
    assert again == stopped.training("final")
    assert (again.status, again.attempt, again.steps, again.seconds, again.metrics) == (Status.QUEUED, 1, 0, 0.0, {})
    assert (again.error, again.reason) == (None, None)
    assert (again.mlflow_run_id, again.mirrored_attempt, again.mirrored_status) == ("run", 1, None)
    last = stopped.events("digits")[-1]
    assert (last.kind, last.data["training_id"]) == ("training_reopened", "final")
    assert last.data["reason"] == "a larger budget"
    stopped.start_training(lease, "final", device="cpu")
    assert [row.training_id for row in stopped.unmirrored("s")] == ["search"]
    ended = stopped.end_training(lease, "final", 2, DONE, CURVE)
    assert (ended.attempt, ended.status) == (2, Status.COMPLETED)
    assert {row.training_id for row in stopped.unmirrored("s")} == {"search", "final"}


def test_a_training_of_the_search_or_with_a_result_is_not_queued_again(stopped: Store, lease: Lease) -> None:
    """The search was told of the one, and the other counts exactly once."""
    with pytest.raises(ValueError, match="search has stopped: it is not queued again"):
        stopped.queue_again(lease, "search", reason="a larger budget")
    stopped.queue_again(lease, "final", reason="a larger budget")
    stopped.start_training(lease, "final", device="cpu")
    stopped.end_training(lease, "final", 2, DONE, CURVE)
    before = everything(stopped)
    with pytest.raises(ValueError, match="final has completed: it is not queued again"):
        stopped.queue_again(lease, "final", reason="a larger budget")
    assert everything(stopped) == before


def test_a_check_of_the_database_counts_its_outcome_once(database_url: str) -> None:
    """While it waits, and when it has ended a second time; the history tells of both ends."""
    store = open_store(database_url)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    stop_both(store, lease)
    store.queue_again(lease, "final", reason="a larger budget")
    assert problems_of(database_url) == ()
    store.start_training(lease, "final", device="cpu")
    store.end_training(lease, "final", 2, DONE, CURVE)
    assert problems_of(database_url) == ()
    store.close()


# ── what has failed ──────────────────────────────────────────────────────────────────────────────────────────────────


def fail_both(store: Store, lease: Lease) -> None:
    """A trial that was told to have failed, and a final of another one; MLflow has the failure."""
    store.register_study(lease, StudyRow("digits", meaning="m1", generation="g1", spec={}))
    store.create_sweep(lease, SweepRow("s", "digits", "g1"))
    store.add_trial(lease, TrialRow("digits", 0, "s", {"family": "cosine"}, {}), [SEARCHED])
    store.add_trial(lease, TrialRow("digits", 1, "s", {"family": "wsd"}, {}), [replace(FINAL, trial=1)])
    for row, tell in ((SEARCHED, TrialEnd(TrialState.FAILED, None)), (FINAL, None)):
        store.start_training(lease, row.training_id, device="cpu")
        store.end_training(lease, row.training_id, 1, FAILED, CURVE, tell=tell)
    store.mark_mirrored(lease, "search", mlflow_run_id="run", attempt=1, steps=3, status=Status.FAILED)


@pytest.fixture
def failed(store: Store, lease: Lease) -> Store:
    fail_both(store, lease)
    return store


def test_a_failed_training_waits_again_with_its_trial_and_counts_once(failed: Store, lease: Lease) -> None:
    """Its error goes into the history; MLflow's run is remembered, to be replaced; the trial is told once more."""
    again = failed.reopen_failed(lease, "search", reason="mended")
    assert again == failed.training("search")
    assert (again.status, again.attempt, again.steps, again.metrics, again.error) == (Status.QUEUED, 1, 0, {}, None)
    assert (again.mlflow_run_id, again.mirrored_attempt, again.mirrored_status) == ("run", 1, None)
    assert failed.trial("digits", 0).state is TrialState.RUNNING
    training, trial = failed.events("digits")[-2:]
    assert (training.kind, training.data["reason"]) == ("training_reopened", "mended")
    assert training.data["error"] == FAILED.error
    assert (trial.kind, trial.sweep_id, trial.data) == ("trial_reopened", "s", {"trial": 0})
    failed.start_training(lease, "search", device="cpu")
    failed.end_training(lease, "search", 2, DONE, CURVE, tell=TrialEnd(TrialState.COMPLETE, 0.25))
    ended, told = failed.training("search"), failed.trial("digits", 0)
    assert (ended.attempt, ended.status, told.state, told.value) == (2, Status.COMPLETED, TrialState.COMPLETE, 0.25)


def test_a_failed_final_waits_again_and_its_trial_stays_as_it_is(failed: Store, lease: Lease) -> None:
    """The search was told of it long before."""
    before = failed.trial("digits", 1)
    assert failed.reopen_failed(lease, "final", reason="mended").status is Status.QUEUED
    assert failed.trial("digits", 1) == before
    assert failed.events("digits")[-1].kind == "training_reopened"


def test_only_what_has_failed_is_opened_again(stopped: Store, lease: Lease) -> None:
    """Neither what a budget has stopped nor what waits; nothing is written."""
    before = everything(stopped)
    with pytest.raises(ValueError, match="training final is stopped; only a failed one is opened again"):
        stopped.reopen_failed(lease, "final", reason="mended")
    with pytest.raises(KeyError):
        stopped.reopen_failed(lease, "none", reason="mended")
    assert everything(stopped) == before


def test_a_check_of_the_database_counts_what_was_told_twice_once(database_url: str) -> None:
    """While the failed trial waits, and when it was told a second time."""
    store = open_store(database_url)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    fail_both(store, lease)
    assert problems_of(database_url) == ()
    store.reopen_failed(lease, "search", reason="mended")
    assert problems_of(database_url) == ()
    store.start_training(lease, "search", device="cpu")
    store.end_training(lease, "search", 2, DONE, CURVE, tell=TrialEnd(TrialState.COMPLETE, 0.25))
    assert problems_of(database_url) == ()
    store.close()


def problems_of(url: str) -> tuple[str, ...]:
    found = check_store(url)
    assert found is not None
    return found.problems

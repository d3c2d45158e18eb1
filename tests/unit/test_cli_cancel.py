"""`lrsweep cancel`: whoever drives a sweep is asked to end it; where nobody does, the command ends it itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lrsweep.cli.cancel import cancel, end_left
from lrsweep.errors import LeaseHeld, SettingsError, TryAgain
from lrsweep.records import Status, StudyRow, SweepRow, SweepStatus
from lrsweep.store import MemoryStore, Store, open_store
from lrsweep.store.queue import Queued, QueueState
from lrsweep.sweep.owner import this_owner
from tests.looked import a_bench
from tests.scripted import only_sgd
from tests.sweeps import a_training, a_trial


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = MemoryStore() if request.param == "memory" else open_store(request.getfixturevalue("sqlite_url"))
    yield opened
    opened.close()


def test_a_sweep_that_nobody_drives_is_ended_by_the_command(store: Store) -> None:
    """Under the lease, which is given back; what ran is queued, and cancelling twice is refused."""
    bench = a_bench(only_sgd(trials=6), store)
    training = replace(a_training(), sweep_id="sweep-1")
    store.add_trial(bench.lease, replace(a_trial(0), sweep_id="sweep-1"), [training])
    store.start_training(bench.lease, training.training_id, device="cpu")
    store.release_lease(bench.lease)
    ended = cancel(store, "quick", patience_seconds=1)
    assert (ended.status, ended.by) == (SweepStatus.CANCELLED, "command")
    assert [row.status for row in bench.trainings()] == [Status.QUEUED]
    assert store.holders() == {}
    assert store.sweep("sweep-1").is_cancelled
    with pytest.raises(SettingsError, match="is cancelled already"):
        cancel(store, "quick", patience_seconds=1)


def test_a_driver_is_asked_and_waited_for(store: Store) -> None:
    """It sees the wish in the sweep's row, and ends the sweep itself."""
    bench = a_bench(only_sgd(trials=6), store)

    def obeys() -> None:
        while not store.sweep("sweep-1").is_cancelled:
            pass
        store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.CANCELLED)
        store.release_lease(bench.lease)

    driver = threading.Thread(target=obeys)
    driver.start()
    ended = cancel(store, "quick", patience_seconds=120)
    driver.join()
    assert (ended.status, ended.by) == (SweepStatus.CANCELLED, "driver")


@pytest.mark.parametrize("has_left_one", [False, True])
def test_a_driver_that_still_starts_is_asked_once_its_sweep_is_there(store: Store, has_left_one: bool) -> None:
    """Nothing is recorded yet; or a sweep that was left, which it will not continue now that somebody has cancelled."""
    study = only_sgd(trials=6)
    if has_left_one:
        bench = a_bench(study, store)
        lease = bench.lease
    else:
        lease = store.acquire_lease(study.name, "a test", seconds=600)
    begun = SweepRow("sweep-2", study.name, study.generation)
    said: list[str] = []

    def starts(text: str) -> None:
        """As ``continued_or_new`` does it, once somebody waits."""
        said.append(text)
        if len(said) > 1:
            return
        if has_left_one:
            store.update_sweep(lease, "sweep-1", status=SweepStatus.CANCELLED)
        store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, {}))
        store.create_sweep(lease, begun)
        driver.start()

    def obeys() -> None:
        while not store.sweep("sweep-2").is_cancelled:
            time.sleep(0.01)
        store.update_sweep(lease, "sweep-2", status=SweepStatus.CANCELLED)
        store.release_lease(lease)

    driver = threading.Thread(target=obeys)
    ended = cancel(store, "quick", patience_seconds=120, say=starts)
    driver.join()
    assert (ended.sweep, ended.status, ended.by) == ("sweep-2", SweepStatus.CANCELLED, "driver")
    assert said[-1] == "a test is asked to end the sweep; it saves what runs first"
    assert ("is still starting" in said[0]) is not has_left_one


def test_a_driver_that_begins_no_sweep_in_time_is_named(store: Store) -> None:
    """Exit code 75; there was nobody to ask."""
    store.acquire_lease("quick", "a test", seconds=600)
    with pytest.raises(TryAgain, match=r"a test has not begun its sweep within 0 s.* or end that process"):
        cancel(store, "quick", patience_seconds=0)


def test_a_finished_sweep_whose_driver_has_just_left_is_not_cancelled(store: Store) -> None:
    """While somebody holds the study another sweep may come; once nobody does, there is nothing to cancel."""
    bench = a_bench(only_sgd(trials=6), store)
    store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.FINISHED)
    with pytest.raises(SettingsError, match="sweep-1, is finished already"):
        cancel(store, "quick", patience_seconds=30, say=lambda _: store.release_lease(bench.lease))


def test_a_driver_that_does_not_obey_in_time_is_named_and_the_wish_stays(store: Store) -> None:
    """Exit code 75: the same command may be given again."""
    a_bench(only_sgd(trials=6), store)
    with pytest.raises(TryAgain, match="a test has not ended the sweep within 0 s"):
        cancel(store, "quick", patience_seconds=0)
    assert store.sweep("sweep-1").is_cancelled
    assert store.sweep("sweep-1").status is SweepStatus.RUNNING


def test_the_lease_of_a_driver_that_died_is_taken_at_once(store: Store) -> None:
    """A process of this machine that is known to be gone."""
    bench = a_bench(only_sgd(trials=6), store)
    store.release_lease(bench.lease)
    gone = this_owner().replace("process ", "process 9", 1)
    store.acquire_lease("quick", gone, seconds=600)
    assert cancel(store, "quick", patience_seconds=0).by == "command"


def left(store: Store, *sweeps: str) -> None:
    """Of study ``quick``, the newest last; nobody drives it."""
    bench = a_bench(only_sgd(trials=6), store)
    for sweep in sweeps:
        store.create_sweep(bench.lease, SweepRow(sweep, "quick", bench.study.generation))
    store.release_lease(bench.lease)


def test_one_sweep_is_ended_by_its_id_and_the_newest_is_not(store: Store) -> None:
    """Under the lease: refused while somebody drives the study, with the wish in the row of that sweep alone."""
    left(store, "sweep-2")
    lease = store.acquire_lease("quick", "a test", seconds=600)
    with pytest.raises(LeaseHeld):
        end_left(store, store.sweep("sweep-1"))
    assert [row.is_cancelled for row in store.sweeps("quick")] == [True, False]
    store.release_lease(lease)
    ended = end_left(store, store.sweep("sweep-1"))
    assert (ended.sweep, ended.status, ended.by) == ("sweep-1", SweepStatus.CANCELLED, "command")
    assert [row.status for row in store.sweeps("quick")] == [SweepStatus.CANCELLED, SweepStatus.RUNNING]
    assert store.holders() == {}


def test_of_a_driver_that_goes_on_with_an_earlier_sweep_that_one_is_ended(store: Store) -> None:
    """A file that was changed back: the newest was stopped, and stays so."""
    left(store, "sweep-2")
    lease = store.acquire_lease("quick", "a test", seconds=600)
    store.update_sweep(lease, "sweep-2", status=SweepStatus.STOPPED)
    with pytest.raises(TryAgain, match="The wish stays"):
        cancel(store, "quick", patience_seconds=0)
    assert [row.is_cancelled for row in store.sweeps("quick")] == [True, False]


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_request_that_waits_leaves_the_queue(store: Store) -> None:
    """Of a study that nothing is recorded of; a second time there is nothing to cancel."""
    store.queue.add(Queued("new", "fresh", "a test"))
    ended = cancel(store, "fresh", patience_seconds=0)
    assert (ended.sweep, ended.status, ended.by) == ("new", SweepStatus.CANCELLED, "queue")
    assert store.queue.row("new").state is QueueState.CANCELLED
    with pytest.raises(SettingsError, match="no study has been run here yet"):
        cancel(store, "fresh", patience_seconds=0)


def test_a_request_is_taken_back_before_anything_older_is_ended(store: Store) -> None:
    """A sweep that was left is as it was, and is named; the same command again ends that."""
    left(store)
    store.queue.add(Queued("new", "quick", "a test"))
    said: list[str] = []
    assert cancel(store, "quick", patience_seconds=0, say=said.append).by == "queue"
    assert said == ["sweep sweep-1 of the study, which has begun before, is as it was: the same command ends it"]
    assert not store.sweep("sweep-1").is_cancelled
    assert cancel(store, "quick", patience_seconds=0).sweep == "sweep-1"


def test_a_request_to_go_on_with_a_sweep_is_over_with_it(store: Store) -> None:
    """Of one that was left, the sweep is ended, which may be an earlier one; of one that has finished, the request."""
    left(store, "sweep-2")
    store.queue.add(Queued("sweep-1", "quick", "a test"))
    ended = cancel(store, "quick", patience_seconds=0)
    assert (ended.sweep, ended.status, ended.by) == ("sweep-1", SweepStatus.CANCELLED, "command")
    assert store.queue.row("sweep-1").state is QueueState.CANCELLED
    assert store.sweep("sweep-2").status is SweepStatus.RUNNING

    lease = store.acquire_lease("quick", "a test", seconds=600)
    store.update_sweep(lease, "sweep-2", status=SweepStatus.FINISHED)
    store.release_lease(lease)
    store.queue.add(Queued("sweep-2", "quick", "a test"))
    ended = cancel(store, "quick", patience_seconds=0)
    assert (ended.sweep, ended.status, ended.by) == ("sweep-2", SweepStatus.FINISHED, "queue")
    assert store.queue.row("sweep-2").state is QueueState.CANCELLED


def test_a_worker_that_begins_it_just_now_is_waited_for(store: Store) -> None:
    """It drops the request, or its sweep is asked as soon as it is there; a sweep that was left is not ended."""
    left(store)
    store.queue.add(Queued("new", "quick", "a test"))
    claim = store.queue.claim("a worker", seconds=600)
    assert claim is not None
    with pytest.raises(TryAgain, match=r"a worker has not ended the sweep within 0 s\. The wish stays"):
        cancel(store, "quick", patience_seconds=0)
    assert store.queue.row("new").is_cancelled

    def drops(_: str) -> None:
        if not store.queue.row("new").state.is_over:
            store.queue.end(claim, QueueState.CANCELLED)

    assert cancel(store, "quick", patience_seconds=120, say=drops).by == "queue"
    assert not store.sweep("sweep-1").is_cancelled


def test_a_sweep_that_begins_as_its_request_is_taken_back_is_ended(store: Store) -> None:
    """By its worker, which has heard of the wish."""
    left(store)
    store.queue.add(Queued("new", "quick", "a test"))
    assert store.queue.claim("a worker", seconds=600) is not None
    said: list[str] = []

    def begins(sentence: str) -> None:
        said.append(sentence)
        if len(said) > 1:
            return
        lease = store.acquire_lease("quick", "a worker", seconds=600)
        store.create_sweep(lease, SweepRow("new", "quick", store.sweep("sweep-1").generation))
        store.update_sweep(lease, "new", status=SweepStatus.CANCELLED)
        store.release_lease(lease)

    ended = cancel(store, "quick", patience_seconds=120, say=begins)
    assert (ended.sweep, ended.status, ended.by) == ("new", SweepStatus.CANCELLED, "driver")
    assert said == ["a worker is still starting: its sweep is asked to end as soon as it is there"]
    assert not store.sweep("sweep-1").is_cancelled


def test_a_request_whose_worker_has_died_or_that_has_failed_is_told(store: Store) -> None:
    """Of a dead worker's the wish is enough: the next one begins nothing."""
    store.queue.add(Queued("new", "fresh", "a test"))
    gone = this_owner().replace("process ", "process 9", 1)
    claim = store.queue.claim(gone, seconds=600)
    assert claim is not None
    assert cancel(store, "fresh", patience_seconds=0).by == "queue"
    assert store.queue.row("new").is_cancelled
    store.queue.end(claim, QueueState.CANCELLED)

    store.queue.add(Queued("newer", "fresh", "a test"))
    mine = store.queue.claim("a worker", seconds=600)
    assert mine is not None

    def fails(_: str) -> None:
        if not store.queue.row("newer").state.is_over:
            store.queue.end(mine, QueueState.FAILED, error="no such folder")

    with pytest.raises(SettingsError, match=r"has failed just now: no such folder\. There is nothing"):
        cancel(store, "fresh", patience_seconds=120, say=fails)

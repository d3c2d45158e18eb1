"""`lrsweep cancel`: whoever drives a sweep is asked to end it; where nobody does, the command ends it itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lrsweep.cli.cancel import cancel
from lrsweep.errors import SettingsError, TryAgain
from lrsweep.records import Status, StudyRow, SweepRow, SweepStatus
from lrsweep.store import MemoryStore, Store, open_store
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

"""`lrsweep promote` of a sweep that is not over: who waits for what, and what is promoted all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lrsweep.errors import TryAgain
from lrsweep.records import Purpose, Status, SweepStatus
from lrsweep.store import open_store
from lrsweep.sweep.beginning import driven_out
from tests.promoted import Begin, reads, rows, set_status


def test_a_sweep_that_was_left_before_its_end_is_not_promoted(begin: Begin, tmp_path: Path) -> None:
    """Its finals have not begun: exit code 75, no read, and what to do. Only a sweep of which all but MLflow's copy is
    done, as where MLflow is away, is over."""
    run = begin()
    home = tmp_path / "home"
    set_status(home, "quick", SweepStatus.RUNNING)
    ran = run("promote", "quick")
    assert (ran.code, rows(tmp_path), reads(tmp_path)) == (TryAgain.exit_code, [], 0)
    assert "study 'quick' has not come to its end, and nobody drives it" in ran.err
    assert "`lrsweep run` with the study's file goes on" in ran.err
    assert "`lrsweep cancel` ends the sweep as it is" in ran.err
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    store.update_sweep(lease, "sweep-1", settings=driven_out(store.studies("quick")[0].spec))
    store.release_lease(lease)
    store.close()
    assert run("promote", "quick", "--no-test").code == 0


def test_what_was_cancelled_is_promoted_as_it_is(begin: Begin, tmp_path: Path) -> None:
    """Nobody goes on with it."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    set_status(tmp_path / "home", "quick", SweepStatus.CANCELLED)
    assert run("promote", "quick", "--no-test").code == 0


def test_a_sweep_that_somebody_drives_is_not_promoted(tmp_path: Path, begin: Begin) -> None:
    """Its finals decide: exit code 75."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    store.acquire_lease("quick", "ann", seconds=60)
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert (ran.code, rows(tmp_path)) == (TryAgain.exit_code, [])
    assert "is still being driven (ann)" in ran.err


def test_finals_that_have_not_ended_are_waited_for(begin: Begin, tmp_path: Path) -> None:
    """Of an interrupted sweep; the sentence says what goes on with them."""
    run = begin()
    set_status(tmp_path / "home", "quick", SweepStatus.RUNNING)
    store = open_store(f"sqlite:///{tmp_path}/home/results.db")
    lease = store.acquire_lease("quick", "ann", seconds=60)
    final = next(row for row in store.trainings("quick") if row.purpose is Purpose.FINAL)
    store.queue_trainings(lease, [replace(final, training_id="f", seed=99, status=Status.QUEUED, attempt=0)])
    store.release_lease(lease)
    store.close()
    ran = run("promote", "quick", "--no-test")
    assert (ran.code, rows(tmp_path)) == (TryAgain.exit_code, [])
    assert "1 of the " in ran.err
    assert "finals of study 'quick' have not ended" in ran.err

"""A driver that is killed with SIGKILL, and the same command again: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lrsweep.records import SweepStatus
from tests.agreement import assert_agreement, results
from tests.commands import lrsweep, query, start_lrsweep, wait_for, write_study
from tests.drivers import SLOW, Home, a_study, until
from tests.history import assert_history

RUNNING = "SELECT count(*) FROM lrs_training WHERE status = 'running'"
OUTCOMES = "FROM lrs_training WHERE status NOT IN ('queued', 'running')"


def children_of(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()]


def runs(pid: int) -> bool:
    """Whether it is there and no zombie, which an orphan may stay where nobody reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


POINTS = [
    "after-phase:1",
    *(
        pytest.param(each, marks=pytest.mark.chaos)
        for each in (
            "after-create:1",
            "after-ask:3",
            "after-commit:4",
            "after-commit:13",
            "before-mirror:2",
            "mid-mirror:3",
        )
    ),
]


@pytest.mark.parametrize("fault", POINTS)
def test_the_same_command_continues_a_killed_sweep(tmp_path: Path, fault: str) -> None:
    """Killed at each named point, then run again: every trial has one result, and the three databases agree."""
    home = Home(tmp_path)
    assert home.run(fault=fault).code == -signal.SIGKILL
    assert home.finish()["trials"] == home.trials


@pytest.mark.chaos
def test_a_sweep_killed_again_and_again_still_ends(tmp_path: Path) -> None:
    """Four kills at four points in one sweep; the fifth start ends it, as one sweep."""
    home = Home(tmp_path)
    for fault in ("after-ask:2", "after-commit:2", "mid-mirror:2", "after-phase:1"):
        killed = home.run(fault=fault)
        assert killed.code == -signal.SIGKILL, killed.err
    home.finish()
    assert query(home.path, "SELECT count(*) FROM lrs_sweep") == 1


@pytest.mark.chaos
def test_a_driver_that_is_killed_as_it_drains_loses_nothing(tmp_path: Path) -> None:
    """A signal, and SIGKILL at the first word of a training that gives way."""
    home = Home(tmp_path, trials=200)
    driver = home.start(fault="mid-drain:1", **SLOW)
    until(lambda: query(home.path, f"SELECT count(*) {OUTCOMES}") >= 2, driver)
    driver.send(signal.SIGTERM)
    assert driver.wait().code == -signal.SIGKILL
    home.shrink()
    home.finish()


@pytest.mark.chaos
def test_a_driver_that_is_killed_as_its_sweep_is_cancelled_leaves_it_cancelled(tmp_path: Path) -> None:
    """The same command marks it, and begins another beside it, whose trials have the next numbers."""
    home = Home(tmp_path, trials=200)
    driver = home.start(fault="mid-cancel:1", **SLOW)
    until(lambda: query(home.path, f"SELECT count(*) {OUTCOMES}") >= 2, driver)
    with results(home.path) as store:
        [sweep] = store.sweeps("tiny")
        store.ask_to_cancel(sweep.sweep_id)
    assert driver.wait().code == -signal.SIGKILL
    a_study(home.folder, trials=2)
    assert home.run().code == 0
    with results(home.path) as store:
        assert_history(store, "tiny")
        first, second = store.sweeps("tiny")
        assert (first.sweep_id, first.status) == (sweep.sweep_id, SweepStatus.CANCELLED)
        assert second.status is SweepStatus.FINISHED


def test_a_driver_of_two_fused_processes_is_killed_and_loses_nothing(tmp_path: Path) -> None:
    """Killed from outside with trainings in the slots of both: its processes end by themselves, what had a result
    keeps it in the attempt that gave it, and the same command trains the rest."""
    study, home = write_study(tmp_path, trials=16, horizon=600), tmp_path / "home"
    command = ("run", str(study), "--engine", "fused:4x2")
    driver = start_lrsweep(*command, home=home)
    wait_for(lambda: query(home, f"SELECT count(*) {OUTCOMES}") >= 2 and query(home, RUNNING) >= 2)
    engines = children_of(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()

    assert len(engines) == 2
    wait_for(lambda: not any(map(runs, engines)))
    results = query(home, f"SELECT group_concat(training_id || attempt) {OUTCOMES}").split(",")
    assert query(home, RUNNING) >= 1  # one may have ended since it was asked
    again = lrsweep(*command, "--json", home=home)

    assert again.code == 0, again.err
    assert (again.answer["trials"], again.answer["status"]) == (16, "finished")
    assert again.answer["engine"].startswith("fused:")  # fewer slots where less is left
    assert 0 < again.answer["occupancy"] <= 1
    assert set(results) < set(query(home, f"SELECT group_concat(training_id || attempt) {OUTCOMES}").split(","))
    assert query(home, "SELECT count(*) FROM lrs_training WHERE engine NOT LIKE 'fused/%'") == 0
    assert_agreement(home, "tiny", trials=16)

"""A driver that is killed with SIGKILL, and the same command again: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.agreement import assert_agreement
from tests.commands import lrsweep, query, start_lrsweep, wait_for, write_study

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


@pytest.mark.parametrize("fault", ["after-ask:3", "after-commit:4", "before-mirror:2", "mid-mirror:3"])
def test_the_same_command_continues_a_killed_sweep(tmp_path: Path, fault: str) -> None:
    """Killed at each named point, then run again: every trial has one result, and the three databases agree."""
    study, home = write_study(tmp_path), tmp_path / "home"
    killed = lrsweep("run", str(study), home=home, environ={"LRSWEEP_FAULT": fault})
    assert killed.code == -signal.SIGKILL

    again = lrsweep("run", str(study), "--json", home=home)

    assert again.code == 0, again.err
    assert again.answer["trials"] == 4
    assert again.answer["status"] == "finished"
    assert_agreement(home, "tiny", trials=4)


def test_a_sweep_killed_again_and_again_still_ends(tmp_path: Path) -> None:
    """Three kills at three points in one sweep; the fourth start ends it, as one sweep."""
    study, home = write_study(tmp_path, trials=6), tmp_path / "home"
    for fault in ("after-commit:2", "mid-mirror:2", "after-ask:2"):
        killed = lrsweep("run", str(study), home=home, environ={"LRSWEEP_FAULT": fault})
        assert killed.code == -signal.SIGKILL, killed.err

    again = lrsweep("run", str(study), "--json", home=home)

    assert again.code == 0, again.err
    assert_agreement(home, "tiny", trials=6)


def test_a_driver_of_two_fused_processes_is_killed_and_loses_nothing(tmp_path: Path) -> None:
    """Killed from outside with trainings in the slots of both: its processes end by themselves, what had a result
    keeps it in the attempt that gave it, and the same command trains the rest."""
    study, home = write_study(tmp_path, trials=8, horizon=600), tmp_path / "home"
    command = ("run", str(study), "--engine", "fused:4x2")
    driver = start_lrsweep(*command, home=home)
    wait_for(lambda: query(home, f"SELECT count(*) {OUTCOMES}") >= 2 and query(home, RUNNING) >= 2)
    engines = children_of(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()

    assert len(engines) == 2
    wait_for(lambda: not any(map(runs, engines)), seconds=20)
    results = query(home, f"SELECT group_concat(training_id || attempt) {OUTCOMES}").split(",")
    assert query(home, RUNNING) >= 1  # one may have ended since it was asked
    again = lrsweep(*command, "--json", home=home)

    assert again.code == 0, again.err
    assert (again.answer["trials"], again.answer["status"]) == (8, "finished")
    assert again.answer["engine"].startswith("fused:")  # fewer slots where less is left
    assert 0 < again.answer["occupancy"] <= 1
    assert set(results) < set(query(home, f"SELECT group_concat(training_id || attempt) {OUTCOMES}").split(","))
    assert query(home, "SELECT count(*) FROM lrs_training WHERE engine NOT LIKE 'fused/%'") == 0
    assert_agreement(home, "tiny", trials=8)

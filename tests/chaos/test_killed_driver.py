"""A driver that is killed with SIGKILL, and the same command again: nothing is lost, nothing counts twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.agreement import assert_agreement
from tests.commands import lrsweep, write_study


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

"""The head of a Ray cluster goes, and all nodes with it, as by ``ray stop``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsweep.records import Status
from tests.agreement import results
from tests.clusters import Cluster
from tests.commands import LONGEST_SECONDS, lrsweep, query, start_lrsweep, wait_for, write_study

pytest.importorskip("ray")


@pytest.mark.chaos
def test_a_head_that_has_gone_ends_the_command_in_order(tmp_path: Path) -> None:
    """Exit code 75 before Ray ends the process by itself; the same command then goes on elsewhere."""
    study, home = write_study(tmp_path, trials=4, horizon=100_000), tmp_path / "home"
    with Cluster() as cluster:
        cluster.add_node()
        driver = start_lrsweep("run", str(study), "--executor", f"ray:{cluster.address},cpus=1", home=home)
        wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training WHERE status = 'running'") >= 1)
    _, err = driver.communicate(timeout=LONGEST_SECONDS)
    assert driver.returncode == 75, err
    assert "has not answered for 30 s. What was trained is kept." in err
    with results(home) as store:
        assert Status.RUNNING not in {row.status for row in store.trainings("tiny")}
    write_study(tmp_path, trials=4, horizon=60)
    assert lrsweep("run", str(study), home=home).code == 0

"""``lrsweep run … --executor ray``: the same sweep as on this machine alone, also past a driver that was killed."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import Status
from lrsweep.store import Store
from lrsweep.sweep.plans import next_plan
from lrsweep.sweep.stored import resolved_from
from tests.agreement import assert_agreement, results
from tests.clusters import Cluster
from tests.commands import lrsweep, query, start_lrsweep, wait_for, write_study
from tests.trainings import assert_same_curve, digits, trained

HERE = ("--device", "cpu", "--engine", "sequential")


def assert_undisturbed(store: Store, study: str) -> int:
    """Each training has the curve that it has without a cluster, in one go; how many there are."""
    resolved = resolved_from(store.studies(study)[-1], store.sweeps(study)[-1])
    trials = {trial.number: trial for trial in store.trials(study)}
    trainings = store.trainings(study)
    for training in trainings:
        assert training.status in (Status.COMPLETED, Status.DIVERGED)
        plan = next_plan(training, trials[training.trial], resolved, checkpoint_url="")
        kept = store.curve(training.training_id)
        assert kept is not None
        assert_same_curve(kept, trained(replace(plan, checkpoint_url=None), digits())[0])
    return len(trainings)


def test_a_sweep_on_a_cluster_of_its_own_is_the_one_on_this_machine(tmp_path: Path) -> None:
    """One station that trains one after the other: the same trials, the same curves to the bit; standard output has
    the answer alone."""
    study = write_study(tmp_path, trials=4)
    homes = {name: tmp_path / name for name in ("here", "there")}
    ran = lrsweep("run", str(study), *HERE, "--json", home=homes["here"])
    assert ran.code == 0, ran.err
    there = lrsweep(
        "run", str(study), *HERE, "--executor", "ray:local,cpus=1,stations=1", "--json", home=homes["there"]
    )
    assert there.code == 0, there.err
    assert there.answer["best"]["value"] == ran.answer["best"]["value"]
    assert all(json.loads(line) for line in there.out.splitlines())
    ours = "starting a Ray cluster on this machine for this command, with which it ends\n"
    assert ours in there.err
    assert "ray" not in there.err.replace(ours, "").lower(), "Ray's own words fill no terminal"
    with results(homes["here"]) as one, results(homes["there"]) as other:
        trials = [[trial.params for trial in store.trials("tiny")] for store in (one, other)]
        assert trials[0] == trials[1]
        assert assert_undisturbed(other, "tiny") == len(one.trainings("tiny"))
    assert_agreement(homes["there"], "tiny", trials=4)


def test_a_driver_that_is_killed_is_followed_by_another_on_the_same_cluster(tmp_path: Path) -> None:
    """Its stations end with it; the next start finishes the sweep, each training with the undisturbed curve."""
    study = write_study(tmp_path, trials=6, horizon=1500)
    home = tmp_path / "home"
    with Cluster() as cluster:
        cluster.add_node(cpus=2)
        where = ("--executor", f"ray:{cluster.address},cpus=1")
        driver = start_lrsweep("run", str(study), *HERE, *where, home=home)
        wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training WHERE status = 'completed'") >= 1)
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        ran = lrsweep("run", str(study), *HERE, *where, home=home)
        assert ran.code == 0, ran.err
    with results(home) as store:
        assert len(store.trials("tiny")) == 6
        assert assert_undisturbed(store, "tiny") >= 6
    assert_agreement(home, "tiny", trials=6)


def test_sigterm_drains_a_sweep_on_a_cluster_in_order(tmp_path: Path) -> None:
    """Ray takes no signal for itself: what ran waits, queued, with its checkpoint, and nothing is left running."""
    study = write_study(tmp_path, trials=4, horizon=200_000)
    home = tmp_path / "home"
    driver = start_lrsweep("run", str(study), *HERE, "--executor", "ray:local,cpus=1,stations=1", home=home)
    wait_for(lambda: query(home, "SELECT count(*) FROM lrs_training WHERE status = 'running'") == 1)
    driver.send_signal(signal.SIGTERM)
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 143, (out, err)
    assert "starting a Ray cluster on this machine for this command" in err + out
    with results(home) as store:
        assert {row.status for row in store.trainings("tiny")} == {Status.QUEUED}
    assert [path.suffix for path in (home / "checkpoints").rglob("*.*") if path.is_file()] == [".ckpt"]


@pytest.mark.parametrize(
    ("given", "environ", "code", "told"),
    [
        ("ray:127.0.0.1:1", {}, 75, "--executor is 'ray:127.0.0.1:1', but nobody answers there"),
        ("ray", {"RAY_ADDRESS": "127.0.0.1:1"}, 75, "RAY_ADDRESS is '127.0.0.1:1', but nobody answers there"),
        ("ray", {"RAY_ADDRESS": "ray://head:10001"}, 64, "RAY_ADDRESS is 'ray://head:10001'; wanted is HOST:PORT"),
        ("ray,cpu=2", {}, 64, "'cpu=2' is not known"),
    ],
)
def test_a_cluster_that_is_not_to_be_had_is_told_with_what_to_do(
    tmp_path: Path, given: str, environ: dict[str, str], code: int, told: str
) -> None:
    """At once, and with the exit code that says whether to try again."""
    ran = lrsweep("run", str(write_study(tmp_path)), "--executor", given, home=tmp_path / "home", environ=environ)
    assert ran.code == code, ran.err
    assert told in ran.err


def test_a_token_that_the_cluster_does_not_want_is_thought_of(tmp_path: Path) -> None:
    """Ray connects, and says of each actor only that it has died."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text(64 * "0")
    environ = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    with Cluster(head_cpus=1) as cluster:
        study, at = str(write_study(tmp_path)), f"ray:{cluster.address}"
        ran = lrsweep("run", study, *HERE, "--executor", at, home=tmp_path / "home", environ=environ)
    assert ran.code == 75, ran.err
    assert "RAY_AUTH_MODE is 'token': set it as it was for the `ray start` of the cluster" in ran.err

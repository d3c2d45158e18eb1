"""The store's contract on the lease: who may write, on memory, SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lrsweep.errors import LeaseHeld, LeaseLost
from lrsweep.records import Curve, Outcome, Purpose, Status, StudyRow, SweepRow, TrainingRow, TrialRow
from lrsweep.store import Lease, Store
from tests.contract.readers import everything
from tests.patience import in_time
from tests.racers import raced

STUDY = StudyRow("digits", meaning="m1", generation="g1", spec={"trials": 60})
SWEEP = SweepRow("sweep-1", study="digits", generation="g1")
TRIAL = TrialRow("digits", number=0, sweep_id="sweep-1", params={"family": "cosine"}, distributions={})
TRAINING = TrainingRow("t0", "digits", trial=0, sweep_id="sweep-1", rung=0, horizon=200, seed=7, rate_scale=1.0)
DONE = Outcome(Status.COMPLETED, steps=2, seconds=1.5, metrics={"val_loss": 0.25})
CURVE = Curve(np.array([0.1, 0.05]), np.array([2.0, 1.0]), np.array([2]), {"val_loss": np.array([0.25])})


def begin(store: Store, lease: Lease) -> None:
    """One trial with a running training ``t0``, a queued one, ``waiting``, and a final that has ``failed``."""
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SWEEP)
    final = replace(TRAINING, training_id="failed", seed=9, purpose=Purpose.FINAL)
    store.add_trial(lease, TRIAL, [TRAINING, replace(TRAINING, training_id="waiting", seed=8), final])
    store.start_training(lease, "failed", device="cpu")
    store.end_training(lease, "failed", 1, Outcome(Status.FAILED, 0, 0.1, {}, "no data"), CURVE)
    store.start_training(lease, "t0", device="cpu")


def test_a_second_driver_is_told_who_holds_the_lease(store: Store, lease: Lease) -> None:
    """LeaseHeld carries the study, the owner and the time left."""
    with pytest.raises(LeaseHeld, match="'digits' is driven by ann") as caught:
        store.acquire_lease("digits", "bob", seconds=60)
    assert caught.value.owner == "ann"
    assert 60 < caught.value.seconds_left <= 600


def test_leases_of_two_studies_do_not_meet(store: Store, lease: Lease) -> None:
    """A lease holds one study only."""
    assert store.acquire_lease("faces", "bob", seconds=60).study == "faces"


def test_an_expired_lease_is_free_and_its_old_holder_writes_nothing(store: Store) -> None:
    """After a takeover the old holder's write names the new one and leaves no trace."""
    old = store.acquire_lease("digits", "ann", seconds=0.05)
    time.sleep(0.1)
    new = store.acquire_lease("digits", "bob", seconds=60)
    assert new.token != old.token
    with pytest.raises(LeaseLost, match="has gone to bob"):
        store.register_study(old, STUDY)
    assert store.studies() == []


def test_an_expired_lease_is_lost_though_nobody_took_it(store: Store) -> None:
    """Expiry alone ends the right to write and to renew; taking it anew works."""
    old = store.acquire_lease("digits", "ann", seconds=0.05)
    time.sleep(0.1)
    with pytest.raises(LeaseLost, match="expired"):
        store.renew_lease(old, seconds=60)
    with pytest.raises(LeaseLost, match="expired"):
        store.register_study(old, STUDY)
    assert store.acquire_lease("digits", "ann", seconds=60).token != old.token


def test_a_renewed_lease_outlives_its_first_expiry(store: Store) -> None:
    """The expiry moves to the given seconds from now."""

    def renewed(times: float) -> None:
        lease = store.acquire_lease("digits", "ann", seconds=0.5 * times)
        store.renew_lease(lease, seconds=60)
        time.sleep(0.6 * times)
        store.register_study(lease, STUDY)
        assert store.studies() == [STUDY]

    in_time(renewed)


def test_a_dead_holder_loses_the_lease_at_once(store: Store, lease: Lease) -> None:
    """``is_dead`` is asked about the holder, and decides."""
    asked: list[str] = []

    def lives(owner: str) -> bool:
        asked.append(owner)
        return False

    with pytest.raises(LeaseHeld):
        store.acquire_lease("digits", "bob", seconds=60, is_dead=lives)
    assert asked == ["ann"]
    store.acquire_lease("digits", "bob", seconds=60, is_dead=lambda owner: owner == "ann")
    with pytest.raises(LeaseLost, match="has gone to bob"):
        store.register_study(lease, STUDY)


def test_death_of_one_holder_does_not_cost_the_next_one_the_lease(store: Store, lease: Lease) -> None:
    """Who takes the lease while ``is_dead`` is being answered keeps it; the callback may use the store."""

    def cal_was_faster(owner: str) -> bool:
        store.release_lease(lease)
        store.acquire_lease("digits", "cal", seconds=60)
        return True

    with pytest.raises(LeaseHeld, match="driven by cal"):
        store.acquire_lease("digits", "bob", seconds=60, is_dead=cal_was_faster)


def test_a_lease_given_back_is_free_and_only_its_holder_can_give_it_back(store: Store, lease: Lease) -> None:
    """A second release, and the release by an old token, do nothing."""
    store.release_lease(lease)
    store.release_lease(lease)
    with pytest.raises(LeaseLost, match="given back"):
        store.register_study(lease, STUDY)
    store.acquire_lease("digits", "bob", seconds=60)
    store.release_lease(lease)
    with pytest.raises(LeaseHeld, match="driven by bob"):
        store.acquire_lease("digits", "cal", seconds=60)
    assert [event.kind for event in store.events("digits")] == ["lease_acquired", "lease_released", "lease_acquired"]


WRITES: dict[str, Callable[[Store, Lease], object]] = {
    "renew_lease": lambda s, x: s.renew_lease(x, seconds=60),
    "register_study": lambda s, x: s.register_study(x, replace(STUDY, generation="g2")),
    "create_sweep": lambda s, x: s.create_sweep(x, replace(SWEEP, sweep_id="sweep-2")),
    "update_sweep": lambda s, x: s.update_sweep(x, "sweep-1", add_seconds=1.0),
    "add_trial": lambda s, x: s.add_trial(x, replace(TRIAL, number=1), []),
    "start_training": lambda s, x: s.start_training(x, "waiting", device="cpu"),
    "queue_again": lambda s, x: s.queue_again(x, "t0", reason="drained"),
    "reopen_failed": lambda s, x: s.reopen_failed(x, "failed", reason="mended"),
    "save_curve": lambda s, x: s.save_curve(x, "t0", 1, CURVE),
    "end_training": lambda s, x: s.end_training(x, "t0", 1, DONE, CURVE),
    "mark_mirrored": lambda s, x: s.mark_mirrored(x, "t0", mlflow_run_id="r", attempt=1, steps=3, status=None),
}


@pytest.mark.parametrize("write", WRITES)
def test_every_write_needs_the_lease(store: Store, write: str) -> None:
    """A driver that was stopped past its lease changes nothing when it continues; the new holder can."""
    old = store.acquire_lease("digits", "ann", seconds=60)
    begin(store, old)
    new = store.acquire_lease("digits", "bob", seconds=60, is_dead=lambda _: True)
    before = everything(store)
    with pytest.raises(LeaseLost, match="ann no longer drives study 'digits'"):
        WRITES[write](store, old)
    assert everything(store) == before
    WRITES[write](store, new)


def test_a_lease_writes_to_its_own_study_only(store: Store, lease: Lease) -> None:
    """Another study's lease touches neither its rows nor its trainings."""
    begin(store, lease)
    other = store.acquire_lease("faces", "bob", seconds=60)
    before = everything(store)
    for write in WRITES.keys() - {"renew_lease"}:
        with pytest.raises((ValueError, KeyError)):
            WRITES[write](store, other)
    assert everything(store) == before


RACE = """
import sys
from lrsweep.errors import LeaseHeld
from lrsweep.store import open_store
print("ready", flush=True)
sys.stdin.readline()
store = open_store(sys.argv[1])
for number in range(20):
    try:
        store.acquire_lease(f"study-{number}", sys.argv[2], seconds=60)
    except LeaseHeld:
        continue
    print(number, flush=True)
store.close()
"""


def test_of_processes_that_race_for_a_lease_one_wins(database_url: str) -> None:
    """Three processes open the same new database and take the same leases: each goes to exactly one of them."""
    won = [int(line) for written in raced(RACE, database_url) for line in written.split()]
    assert sorted(won) == list(range(20))

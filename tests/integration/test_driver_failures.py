"""Failures in a sweep: those of the machine are tried again, those of the code are not, and too many end it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from lrsweep.errors import SweepFailed
from lrsweep.records import Outcome, Status, TrainingPlan
from lrsweep.schedules import Search
from lrsweep.study import RunSpec
from tests.scripted import Bench, completed, failed, in_turn, only_sgd
from tests.sweeps import a_study

FULL = "Traceback …\n  save()\nOSError: [Errno 28] No space left on device"


def disk_is_full(_: TrainingPlan) -> Outcome:
    return Outcome(Status.FAILED, 10, 0.1, {}, FULL)


def test_a_fault_of_the_machine_is_tried_again_and_leaves_no_failure() -> None:
    """Twice it fails and the third attempt completes; the history says why, and the trial is told once."""
    bench = Bench(only_sgd(trials=1))
    bench.drive(in_turn(disk_is_full, disk_is_full, completed))
    bench.assert_done(1)
    first, _ = bench.trainings()
    assert (first.status, first.attempt) == (Status.COMPLETED, 3)
    again = [event.data["reason"] for event in bench.store.events("quick") if event.kind == "training_queued_again"]
    assert again == ["disk, network or handles: OSError: [Errno 28] No space left on device"] * 2
    assert any("trial 0 is trained again after a fault of the machine" in sentence for sentence in bench.said)


def test_a_fault_that_stays_fails_the_training_after_its_third_attempt() -> None:
    """And then the sweep, for all of its trainings meet it."""
    bench = Bench(only_sgd(trials=30))
    with pytest.raises(SweepFailed, match="No space left on device"):
        bench.drive(disk_is_full)
    statuses = Counter(row.status for row in bench.trainings())
    assert statuses[Status.FAILED] == 5
    assert {row.attempt for row in bench.trainings() if row.status is Status.FAILED} == {3}


def test_a_fault_of_the_code_is_not_tried_again() -> None:
    """Its first attempt is its last."""
    bench = Bench(only_sgd(trials=3))
    bench.drive(in_turn(failed, completed))
    assert Counter(row.status for row in bench.trainings())[Status.FAILED] == 1
    assert {row.attempt for row in bench.trainings()} == {1}


@pytest.mark.parametrize("most", [1, 3])
def test_a_study_says_how_many_failures_in_a_row_stop_it(most: int) -> None:
    """The traceback stands in the message once."""
    bench = Bench(replace(only_sgd(trials=30), run=RunSpec(failures_that_stop=most)))
    with pytest.raises(SweepFailed) as caught:
        bench.drive(in_turn(completed, failed))
    assert str(caught.value).count("RuntimeError: no data") == 1
    assert Counter(row.status for row in bench.trainings())[Status.FAILED] == most


def test_a_point_that_is_no_schedule_fails_and_the_sweep_goes_on() -> None:
    """A study that an earlier release took can draw a warm-up and a hold that are longer than the whole."""
    study = a_study(trials=12, families=("cosine",), warmup=(0.3, 0.6), settings={"cosine": {"hold": Search(0.3, 0.6)}})
    bench = Bench(study)
    bench.drive()
    bench.assert_done(12)
    failed = [row for row in bench.trainings() if row.status is Status.FAILED]
    assert failed
    assert all("warmup" in str(row.error) and "hold" in str(row.error) for row in failed)
    assert {row.status for row in bench.trainings()} == {Status.FAILED, Status.COMPLETED}

"""The store's contract on what a sweep decides, on who asks it to end, and on trials that it did not train."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lrsweep.errors import LeaseLost
from lrsweep.records import (
    Curve,
    Origin,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.store import Lease, Store, TrialEnd
from tests.contract.readers import everything

STUDY = StudyRow("digits", meaning="m1", generation="g1", spec={"trials": 60})
SWEEP = SweepRow("sweep-1", study="digits", generation="g1", settings={"rate_exponents": {"sgd": 0.5}})
TRIAL = TrialRow("digits", number=0, sweep_id="sweep-1", params={"family": "cosine"}, distributions={})
TRAINING = TrainingRow("t0", "digits", trial=0, sweep_id="sweep-1", rung=0, horizon=200, seed=7, rate_scale=1.7)
COPY = replace(TRIAL, number=1, state=TrialState.COMPLETE, value=0.25, origin=Origin.COPIED, copied_from="trial 17")


@pytest.fixture
def begun(store: Store, lease: Lease) -> SweepRow:
    """A sweep with one trial that was told."""
    store.register_study(lease, STUDY)
    sweep = store.create_sweep(lease, SWEEP)
    store.add_trial(lease, TRIAL, [TRAINING])
    store.start_training(lease, "t0", device="cpu")
    done = Outcome(Status.COMPLETED, 200, 1.0, {"val_loss": 0.5})
    store.end_training(lease, "t0", 1, done, Curve.empty(), tell=TrialEnd(TrialState.COMPLETE, 0.5))
    return sweep


def test_a_sweep_keeps_what_it_decided_and_more_is_merged_in(store: Store, lease: Lease, begun: SweepRow) -> None:
    """``settings`` given later stand beside the first, and win where both name a thing; NaN is refused."""
    assert store.sweep("sweep-1") == begun
    assert begun.settings == {"rate_exponents": {"sgd": 0.5}}
    store.update_sweep(lease, "sweep-1", settings={"first_rung": 1})
    changed = store.update_sweep(lease, "sweep-1", settings={"first_rung": 2}, add_seconds=1.0)
    assert changed.settings == {"rate_exponents": {"sgd": 0.5}, "first_rung": 2}
    assert store.sweep("sweep-1") == changed == store.sweeps("digits")[0]
    with pytest.raises(ValueError, match="settings of sweep 'sweep-1' cannot be stored as JSON"):
        store.update_sweep(lease, "sweep-1", settings={"rate_exponents": math.nan})
    with pytest.raises(KeyError, match="no sweep 'missing'"):
        store.sweep("missing")


def test_sweeps_are_counted_by_status_over_all_studies(store: Store, lease: Lease) -> None:
    """Those that there are, and no status that none has."""
    assert store.sweep_counts() == {}
    store.register_study(lease, STUDY)
    other = store.acquire_lease("faces", "ann", seconds=600)
    store.register_study(other, replace(STUDY, name="faces"))
    for number, status in enumerate([None, SweepStatus.FINISHED, SweepStatus.FINISHED]):
        store.create_sweep(lease, replace(SWEEP, sweep_id=f"sweep-{number}"))
        store.update_sweep(lease, f"sweep-{number}", status=status)
    store.create_sweep(other, replace(SWEEP, sweep_id="sweep-9", study="faces"))
    assert store.sweep_counts() == {SweepStatus.RUNNING: 2, SweepStatus.FINISHED: 2}


def test_who_holds_which_study_is_seen_without_taking_anything(store: Store, lease: Lease) -> None:
    """Leases in force alone: one that was given back or has expired holds nothing."""
    store.acquire_lease("faces", "bob", seconds=6000)
    store.release_lease(store.acquire_lease("given-back", "cal", seconds=60))
    store.acquire_lease("expired", "dan", seconds=-1)
    holders = store.holders()
    assert {study: holder.owner for study, holder in holders.items()} == {"digits": "ann", "faces": "bob"}
    assert 60 < holders["digits"].seconds_left <= 600 < holders["faces"].seconds_left


def test_anybody_may_ask_a_sweep_to_end_and_its_driver_cannot_undo_that(
    store: Store, lease: Lease, begun: SweepRow
) -> None:
    """The mark stays under the driver's own writes; a second asking changes nothing and leaves one line."""
    assert not begun.is_cancelled
    asked = store.ask_to_cancel("sweep-1")
    assert asked == replace(begun, is_cancelled=True) == store.ask_to_cancel("sweep-1")
    assert store.update_sweep(lease, "sweep-1", add_seconds=1.0).is_cancelled
    assert [event.sweep_id for event in store.events("digits") if event.kind == "cancel_asked"] == ["sweep-1"]
    with pytest.raises(KeyError, match="no sweep 'missing'"):
        store.ask_to_cancel("missing")


@pytest.mark.parametrize("status", [SweepStatus.FINISHED, SweepStatus.CANCELLED])
def test_a_sweep_that_has_ended_is_not_cancelled(
    store: Store, lease: Lease, begun: SweepRow, status: SweepStatus
) -> None:
    """Cancelled is an end like finished, with an event of its own."""
    store.update_sweep(lease, "sweep-1", status=status)
    before = everything(store)
    with pytest.raises(ValueError, match=f"'sweep-1' is {status.value} already"):
        store.ask_to_cancel("sweep-1")
    assert everything(store) == before
    assert store.events("digits")[-1].kind == f"sweep_{status.value}"


def test_a_stopped_sweep_may_be_cancelled(store: Store, lease: Lease, begun: SweepRow) -> None:
    """It would be continued otherwise."""
    store.update_sweep(lease, "sweep-1", status=SweepStatus.STOPPED)
    assert store.ask_to_cancel("sweep-1").is_cancelled


def test_a_note_is_a_line_of_the_history(store: Store, lease: Lease, begun: SweepRow) -> None:
    """What no row holds is told there; a sweep that is not the study's is refused."""
    store.note(lease, "rung_dropped", "sweep-1", {"rung": 0, "correlation": 0.1})
    last = store.events("digits")[-1]
    assert (last.kind, last.sweep_id, last.token) == ("rung_dropped", "sweep-1", lease.token)
    assert last.data == {"rung": 0, "correlation": 0.1}
    with pytest.raises(KeyError, match="no sweep 'missing'"):
        store.note(lease, "rung_dropped", "missing", {})
    faces = store.acquire_lease("faces", "bob", seconds=60)
    with pytest.raises(ValueError, match="belongs to study 'digits'"):
        store.note(faces, "rung_dropped", "sweep-1", {})


def test_a_trial_from_elsewhere_comes_with_its_result(store: Store, lease: Lease, begun: SweepRow) -> None:
    """Copied and foreign ones are told already, at the value they bring, and the history says where from."""
    foreign = replace(COPY, number=2, origin=Origin.FOREIGN, state=TrialState.PRUNED, value=None)
    store.add_trial(lease, COPY, [])
    store.add_trial(lease, foreign, [])
    assert store.trials("digits")[1:] == [COPY, foreign]
    assert store.trainings("digits", trial=1) == []
    facts = {"trial": 1, "queued": [], "origin": "copied", "state": "complete", "value": 0.25}
    assert store.events("digits")[-2].data == facts
    assert store.next_trial_number("digits") == 3


def test_a_trial_from_elsewhere_without_a_result_or_with_trainings_is_refused(
    store: Store, lease: Lease, begun: SweepRow
) -> None:
    """It was trained elsewhere: nothing waits for it here."""
    before = everything(store)
    running = replace(COPY, state=TrialState.RUNNING, value=None)
    with pytest.raises(ValueError, match="cannot end as 'running'"):
        store.add_trial(lease, running, [])
    with pytest.raises(ValueError, match="needs its value"):
        store.add_trial(lease, replace(COPY, value=None), [])
    with pytest.raises(ValueError, match="its trainings are not this sweep's"):
        store.add_trial(lease, COPY, [replace(TRAINING, training_id="t1", trial=1)])
    assert everything(store) == before


def test_a_told_trial_gets_fresh_seeds_and_a_design(store: Store, lease: Lease, begun: SweepRow) -> None:
    """Trainings of several trials at once, each with its purpose; the trial stays as it was told."""
    store.add_trial(lease, replace(TRIAL, number=1), [])
    final = replace(TRAINING, training_id="t1", seed=8, purpose=Purpose.FINAL)
    fit = replace(TRAINING, training_id="t2", trial=1, purpose=Purpose.FIT)
    store.queue_trainings(lease, [final, fit])
    assert store.training("t1") == final
    assert store.training("t2").purpose is Purpose.FIT
    assert store.training("t0").purpose is Purpose.SEARCH
    assert store.trial("digits", 0).state is TrialState.COMPLETE
    first, second = store.events("digits")[-2:]
    assert (first.kind, first.data) == ("trainings_queued", {"trial": 0, "queued": ["t1"], "purposes": ["final"]})
    assert second.data["trial"] == 1


def test_trainings_are_queued_all_or_none(store: Store, lease: Lease, begun: SweepRow) -> None:
    """One that is there already, of an unknown trial or of another study spoils the rest."""
    good = replace(TRAINING, training_id="t1", seed=8, purpose=Purpose.FINAL)
    before = everything(store)
    for bad in (
        TRAINING,
        replace(good, training_id="t2", trial=9),
        replace(good, training_id="t2", study="faces"),
        replace(good, training_id="t2", sweep_id="missing"),
        replace(good, training_id="t2", status=Status.COMPLETED),
    ):
        with pytest.raises(ValueError, match=r".+"):
            store.queue_trainings(lease, [good, bad])
        assert everything(store) == before


def test_queueing_and_notes_need_the_lease(store: Store, lease: Lease, begun: SweepRow) -> None:
    """A driver that was stopped past its lease adds nothing when it continues."""
    store.acquire_lease("digits", "bob", seconds=60, is_dead=lambda _: True)
    before = everything(store)
    with pytest.raises(LeaseLost, match="has gone to bob"):
        store.queue_trainings(lease, [replace(TRAINING, training_id="t1", seed=8)])
    with pytest.raises(LeaseLost, match="has gone to bob"):
        store.note(lease, "rung_dropped", "sweep-1", {})
    assert everything(store) == before

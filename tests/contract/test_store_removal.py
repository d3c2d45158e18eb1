"""The store's contract on removal: what goes, what stays, and that no number is used twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrsweep.errors import LeaseLost
from lrsweep.records import Curve, Outcome, Status, StudyRow, SweepRow, TrainingRow, TrialRow, TrialState
from lrsweep.store import Lease, Store, TrialEnd
from tests.contract.readers import everything

STUDY = StudyRow("digits", meaning="m1", generation="g1", spec={"trials": 60})
TRIAL = TrialRow("digits", number=0, sweep_id="old", params={"family": "cosine"}, distributions={})
TRAINING = TrainingRow("", "digits", trial=0, sweep_id="old", rung=0, horizon=200, seed=7, rate_scale=1.0)
CURVE = Curve(np.ones(3), np.ones(3), np.array([3]), {"val_loss": np.array([0.5])})


@pytest.fixture
def two_sweeps(store: Store, lease: Lease) -> Store:
    """Sweep ``old`` with trials 0 and 1, sweep ``new`` with trial 2, each of one training with its curve."""
    store.register_study(lease, STUDY)
    for sweep_id, numbers in {"old": (0, 1), "new": (2,)}.items():
        store.create_sweep(lease, SweepRow(sweep_id, "digits", "g1"))
        for number in numbers:
            row = replace(TRAINING, training_id=f"t{number}", trial=number, sweep_id=sweep_id)
            store.add_trial(lease, replace(TRIAL, number=number, sweep_id=sweep_id), [row])
            store.start_training(lease, row.training_id, device="cpu")
            done = Outcome(Status.COMPLETED, 3, 1.0, {"val_loss": 0.5})
            store.end_training(lease, row.training_id, 1, done, CURVE, tell=TrialEnd(TrialState.COMPLETE, 0.5))
    return store


def test_a_trial_goes_with_its_trainings_and_curves(two_sweeps: Store, lease: Lease) -> None:
    """The sweep stays while it has a trial left, and the history says what went."""
    assert two_sweeps.curve_bytes("old") == dict.fromkeys((0, 1), len(CURVE.to_bytes()))
    two_sweeps.remove_trials(lease, "old", [1])
    assert [trial.number for trial in two_sweeps.trials("digits")] == [0, 2]
    assert [training.training_id for training in two_sweeps.trainings("digits")] == ["t0", "t2"]
    assert two_sweeps.curve("t1") is None
    assert two_sweeps.curve("t0") is not None
    assert set(two_sweeps.curve_bytes("old")) == {0}
    assert [sweep.sweep_id for sweep in two_sweeps.sweeps("digits")] == ["old", "new"]
    assert two_sweeps.sweep("old").settings == {"removed_trials": 1, "removed_steps": {"search": 3}}
    last = two_sweeps.events("digits")[-1]
    assert (last.kind, last.sweep_id) == ("trials_removed", "old")
    assert last.data == {"trials": 1, "told": 1, "trainings": 1, "ended": 1, "numbers": [1]}


def test_a_sweep_goes_with_its_last_trial_and_its_generation_with_the_last_sweep(
    two_sweeps: Store, lease: Lease
) -> None:
    """The history of all that stays."""
    before = two_sweeps.events("digits")
    two_sweeps.remove_trials(lease, "old", [0, 1])
    assert [sweep.sweep_id for sweep in two_sweeps.sweeps("digits")] == ["new"]
    assert two_sweeps.studies() == [STUDY]
    two_sweeps.remove_trials(lease, "new", [2])
    assert (two_sweeps.sweeps("digits"), two_sweeps.trials("digits"), two_sweeps.studies()) == ([], [], [])
    after = two_sweeps.events("digits")
    assert after[: len(before)] == before
    assert [event.kind for event in after[len(before) :]] == ["trials_removed", "sweep_removed"] * 2


def test_a_number_is_never_used_again(two_sweeps: Store, lease: Lease) -> None:
    """Not even where all trials of the study are gone, in one removal or in several."""
    two_sweeps.remove_trials(lease, "new", [2])
    assert two_sweeps.next_trial_number("digits") == 3
    two_sweeps.remove_trials(lease, "old", [1])
    two_sweeps.remove_trials(lease, "old", [0])
    assert two_sweeps.next_trial_number("digits") == 3
    two_sweeps.register_study(lease, STUDY)
    two_sweeps.create_sweep(lease, SweepRow("next", "digits", "g1"))
    two_sweeps.add_trial(lease, replace(TRIAL, number=3, sweep_id="next"), [])
    assert two_sweeps.next_trial_number("digits") == 4


def test_a_removal_may_be_repeated(two_sweeps: Store, lease: Lease) -> None:
    """A number that is gone, or that another sweep has, is skipped; a sweep without trials goes too."""
    two_sweeps.remove_trials(lease, "old", [1, 2])
    before = everything(two_sweeps)
    two_sweeps.remove_trials(lease, "old", [1])
    assert everything(two_sweeps) == before
    assert two_sweeps.trial("digits", 2).sweep_id == "new"
    two_sweeps.create_sweep(lease, SweepRow("empty", "digits", "g1"))
    two_sweeps.remove_trials(lease, "empty", [])
    assert [sweep.sweep_id for sweep in two_sweeps.sweeps("digits")] == ["old", "new"]
    with pytest.raises(KeyError, match="no sweep 'empty'"):
        two_sweeps.remove_trials(lease, "empty", [])


def test_removal_needs_the_lease_of_its_study(two_sweeps: Store, lease: Lease) -> None:
    """Another study's lease, and one that was lost, remove nothing."""
    before = everything(two_sweeps)
    other = two_sweeps.acquire_lease("faces", "bob", seconds=60)
    with pytest.raises(ValueError, match="belongs to study 'digits'"):
        two_sweeps.remove_trials(other, "old", [0])
    two_sweeps.acquire_lease("digits", "bob", seconds=60, is_dead=lambda _: True)
    with pytest.raises(LeaseLost, match="has gone to bob"):
        two_sweeps.remove_trials(lease, "old", [0])
    assert everything(two_sweeps)[:5] == before[:5]

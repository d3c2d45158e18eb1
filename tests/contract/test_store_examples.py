"""The store's contract on the losses of single examples: they come with an outcome and go with their training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrsweep.errors import LeaseLost
from lrsweep.records import (
    Curve,
    Losses,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    TrainingRow,
    TrialRow,
    losses_to_bytes,
)
from lrsweep.store import Lease, Store

LOSSES = np.array([0.1, 2.5, 1e-9, 0.0], dtype=np.float32)
TRIAL = TrialRow("digits", number=0, sweep_id="old", params={"family": "cosine"}, distributions={})
TRAINING = TrainingRow(
    "", "digits", trial=0, sweep_id="old", rung=0, horizon=3, seed=7, rate_scale=1.0, purpose=Purpose.FINAL
)
CURVE = Curve(np.ones(3), np.ones(3), np.array([3]), {"val_loss": np.array([0.5])})
DONE = Outcome(Status.COMPLETED, 3, 1.0, {"decide_loss": 0.65})


@pytest.fixture
def finals(store: Store, lease: Lease) -> Store:
    """Two sweeps of a trial each; ``old-0`` and ``new-0`` have told of their examples, ``old-1`` has not."""
    store.register_study(lease, StudyRow("digits", meaning="m1", generation="g1", spec={}))
    for number, sweep_id in enumerate(("old", "new")):
        store.create_sweep(lease, SweepRow(sweep_id, "digits", "g1"))
        trial = replace(TRIAL, number=number, sweep_id=sweep_id)
        store.add_trial(lease, trial, [])
        for seed in range(2 - number):
            told = None if seed else LOSSES * (number + 1)
            row = replace(TRAINING, training_id=f"{sweep_id}-{seed}", trial=number, sweep_id=sweep_id, seed=seed)
            store.queue_trainings(lease, [row])
            store.start_training(lease, row.training_id, device="cpu")
            store.end_training(lease, row.training_id, 1, replace(DONE, example_losses=told), CURVE)
    return store


def listed(found: object) -> dict[str, list[float]]:
    assert isinstance(found, dict)
    return {name: losses.tolist() for name, losses in found.items()}


def test_what_an_outcome_tells_of_examples_is_there_by_training(finals: Store) -> None:
    """To the last bit, in float32, in their order; of the sweep that was asked for; who told nothing is not there."""
    found = finals.example_losses("old")
    assert listed(found) == {"old-0": LOSSES.tolist()}
    assert found["old-0"].dtype == np.float32
    assert listed(finals.example_losses("new")) == {"new-0": (LOSSES * 2).tolist()}
    assert finals.example_losses("no such sweep") == {}


def test_they_go_with_their_trial(finals: Store, lease: Lease) -> None:
    """And count in what a removal frees."""
    size = 2 * len(CURVE.to_bytes()) + len(losses_to_bytes(LOSSES))
    assert finals.curve_bytes("old") == {0: size}
    finals.remove_trials(lease, "old", [0])
    assert finals.example_losses("old") == {}
    assert listed(finals.example_losses("new")) == {"new-0": (LOSSES * 2).tolist()}


def test_an_outcome_that_is_refused_leaves_none(finals: Store, lease: Lease) -> None:
    """Neither one whose lease is gone nor one of an attempt that is over: all or nothing."""
    row = replace(TRAINING, training_id="late", seed=9)
    finals.queue_trainings(lease, [row])
    finals.start_training(lease, "late", device="cpu")
    told = replace(DONE, example_losses=LOSSES)
    with pytest.raises(ValueError, match="not running in attempt 2"):
        finals.end_training(lease, "late", 2, told, CURVE)
    finals.release_lease(lease)
    with pytest.raises(LeaseLost):
        finals.end_training(lease, "late", 1, told, CURVE)
    assert "late" not in finals.example_losses("old")


def test_who_holds_what_was_told_cannot_change_it(finals: Store) -> None:
    """Values go out, not the store's own arrays."""
    held: Losses = finals.example_losses("old")["old-0"]
    held[:] = 7.0
    assert listed(finals.example_losses("old")) == {"old-0": LOSSES.tolist()}

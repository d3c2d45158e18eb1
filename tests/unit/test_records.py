"""The values that cross borders: a curve that grows from records, identities, and how an outcome becomes a row."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lrsweep.records import Curve, Outcome, Status, stable_hash, training_id
from tests.sweeps import a_record, a_training


def grown(*records: Any) -> Curve:
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    return curve


def test_a_curve_grows_by_the_stretches_that_records_bring() -> None:
    """Rates, losses and evaluations of two records stand one after the other."""
    curve = grown(
        a_record(0, [0.1, 0.2], {2: {"val_loss": 5.0}}),
        a_record(2, [0.3], {3: {"val_loss": 4.0}}),
    )
    assert curve.steps == 3
    assert curve.rates.tolist() == [0.1, 0.2, 0.3]
    assert curve.train_losses.tolist() == [1.0, 2.0, 3.0]
    assert curve.evaluation_steps.tolist() == [2, 3]
    assert curve.evaluations["val_loss"].tolist() == [5.0, 4.0]


def test_a_record_that_begins_earlier_replaces_from_its_first_step() -> None:
    """From step 2 on all is new; the evaluation after 2 updates stays, the one after 3 goes."""
    old = grown(
        a_record(0, [0.1, 0.2], {2: {"val_loss": 5.0}}),
        a_record(2, [0.3], {3: {"val_loss": 4.0}}),
    )
    new = old.extended(a_record(2, [0.7, 0.8], {4: {"val_loss": 3.0}}))
    assert new.rates.tolist() == [0.1, 0.2, 0.7, 0.8]
    assert new.evaluation_steps.tolist() == [2, 4]
    assert new.evaluations["val_loss"].tolist() == [5.0, 3.0]
    assert old.rates.tolist() == [0.1, 0.2, 0.3]


def test_an_evaluation_before_the_first_update_is_there_once() -> None:
    """A record that begins at 0 brings it again; one that goes on from the first update leaves it."""
    begun = grown(a_record(0, [], {0: {"val_loss": 9.0}}), a_record(0, [0.1], {0: {"val_loss": 9.0}}))
    assert begun.evaluation_steps.tolist() == [0]
    assert begun.extended(a_record(1, [0.1], {2: {"val_loss": 5.0}})).evaluation_steps.tolist() == [0, 2]


def test_an_empty_record_at_the_first_step_clears_the_curve() -> None:
    """With no evaluation of its own it leaves none behind: every metric is as long as the evaluation steps."""
    curve = grown(a_record(0, [0.1, 0.2], {2: {"val_loss": 5.0}}), a_record(0))
    assert curve.steps == 0
    assert curve.evaluation_steps.tolist() == []
    assert curve.evaluations["val_loss"].tolist() == []


def test_a_record_without_evaluations_leaves_the_earlier_ones() -> None:
    """The last record of a training has only an outcome."""
    curve = grown(a_record(0, [0.1], {1: {"val_loss": 5.0}}), a_record(1))
    assert curve.evaluation_steps.tolist() == [1]
    assert curve.evaluations["val_loss"].tolist() == [5.0]


def test_a_metric_is_nan_where_it_was_not_evaluated() -> None:
    """Accuracy comes from the second evaluation on and loss only at the first: both have two places."""
    curve = grown(a_record(0, [0.1], {1: {"val_loss": 5.0}}), a_record(1, [0.2], {2: {"val_acc": 0.5}}))
    np.testing.assert_array_equal(curve.evaluations["val_loss"], [5.0, np.nan])
    np.testing.assert_array_equal(curve.evaluations["val_acc"], [np.nan, 0.5])


def test_a_gap_in_a_curve_is_refused() -> None:
    """A record that begins at step 2 cannot follow a curve of one step."""
    with pytest.raises(ValueError, match="begins at step 2, but the curve ends at step 1"):
        grown(a_record(0, [0.1]), a_record(2, [0.3]))


@pytest.mark.parametrize(
    "curve",
    [
        Curve.empty(),
        grown(a_record(0, [0.1, 0.2], {1: {"val_loss": 0.3, "val_acc": 0.9}, 2: {"val_loss": 1 / 3, "val_acc": 1.0}})),
        grown(a_record(0, [0.1], {1: {"val_loss": np.nan}})),
    ],
    ids=["empty", "whole", "not a number"],
)
def test_a_curve_comes_back_from_its_bytes(curve: Curve) -> None:
    """Rates and evaluations to the last bit, and losses as the 32-bit floats that they were."""
    again = Curve.from_bytes(curve.to_bytes())
    np.testing.assert_array_equal(again.rates, curve.rates)
    np.testing.assert_array_equal(again.train_losses, curve.train_losses.astype(np.float32))
    np.testing.assert_array_equal(again.evaluation_steps, curve.evaluation_steps)
    assert again.rates.dtype == again.train_losses.dtype == np.float64
    assert again.evaluations.keys() == curve.evaluations.keys()
    for name, values in curve.evaluations.items():
        np.testing.assert_array_equal(again.evaluations[name], values)


def test_a_loss_beyond_32_bits_is_stored_as_infinite() -> None:
    """1e300 does not fit, and nothing warns: the training has diverged either way."""
    assert np.isposinf(Curve.from_bytes(grown(a_record(0, [1e299])).to_bytes()).train_losses[0])


def test_a_training_is_the_same_in_every_process() -> None:
    """The identity does not hang on Python's own hash, which differs between processes."""
    code = "from lrsweep.records import training_id; print(training_id('s', 3, 200, 7, 1.5))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == training_id("s", 3, 200, 7, 1.5)
    assert len(there) == 32


@pytest.mark.parametrize(
    "other", [("t", 3, 200, 7, 1.5), ("s", 4, 200, 7, 1.5), ("s", 3, 600, 7, 1.5), ("s", 3, 200, 8, 1.5)]
)
def test_sweep_trial_horizon_and_seed_are_part_of_a_training(other: tuple[str, int, int, int, float]) -> None:
    """Another one of them is another training."""
    assert training_id(*other) != training_id("s", 3, 200, 7, 1.5)


def test_the_repeat_at_a_trials_own_rate_is_another_training() -> None:
    """The rate scale counts, and 1 and 1.0 are one scale."""
    assert training_id("s", 3, 200, 7, 1.0) != training_id("s", 3, 200, 7, 3**0.5)
    assert training_id("s", 3, 200, 7, 1) == training_id("s", 3, 200, 7, 1.0)


def test_a_hash_does_not_depend_on_the_order_of_keys() -> None:
    """And what JSON has no form for is refused."""
    assert stable_hash({"a": 1, "b": [2]}) == stable_hash({"b": [2], "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        stable_hash(float("nan"))


def test_an_outcome_goes_into_the_row_without_what_is_not_a_number() -> None:
    """Status, steps, seconds and error are taken over; NaN and infinity are left out of the metrics."""
    metrics = {"val_loss": 0.5, "val_acc": float("nan"), "decide_loss": float("inf")}
    row = a_training(attempt=2).with_outcome(Outcome(Status.FAILED, 12, 3.5, metrics, "Traceback …"))
    assert (row.status, row.steps, row.seconds, row.error) == (Status.FAILED, 12, 3.5, "Traceback …")
    assert row.metrics == {"val_loss": 0.5}
    assert row.attempt == 2


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_waiting_and_running_are_no_outcomes(status: Status) -> None:
    """An outcome says how a training ended."""
    assert not status.is_outcome
    with pytest.raises(ValueError, match=f"cannot be '{status.value}'"):
        Outcome(status, 0, 0.0, {})


def test_a_training_is_mirrored_when_its_outcome_was_sent() -> None:
    """An outcome that was not sent, or an end of mirroring before the end of the training, is not enough."""
    assert a_training(value=0.5, mirrored_status=Status.COMPLETED).is_mirrored
    assert not a_training(value=0.5).is_mirrored
    assert not a_training(status=Status.RUNNING).is_mirrored

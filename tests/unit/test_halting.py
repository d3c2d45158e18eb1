"""What follows when a training ends, branch by branch, and the rule of the best third by hand tables."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lrsweep.records import Direction, Outcome, Status, TrainingRow, TrialState
from lrsweep.store import TrialEnd
from lrsweep.sweep.halting import Next, Reached, after, calibrates, goes_on, rung_step, rung_values
from tests.sweeps import a_study, a_training

STUDY = a_study()
"""rungs of 30 and 90 steps"""


def following(ended: TrainingRow, *, rivals: Any = (), calibrating: bool = False) -> Next:
    return after(ended, STUDY, rivals=rivals, calibrates=calibrating, scale=1.0)


def test_a_failed_training_fails_its_trial() -> None:
    """At either rung, even where the trial would have calibrated."""
    for rung in (0, 1):
        failed = a_training(rung=rung).with_outcome(Outcome(Status.FAILED, 3, 1.0, {}, "Traceback …"))
        assert following(failed, calibrating=True) == Next(tell=TrialEnd(TrialState.FAILED, None))


@pytest.mark.parametrize(
    "outcome",
    [Outcome(Status.DIVERGED, 3, 1.0, {}), Outcome(Status.COMPLETED, 30, 1.0, {"val_loss": math.nan})],
    ids=["diverged", "completed with NaN"],
)
def test_a_divergence_at_a_raised_rate_is_repeated_at_the_trials_own(outcome: Outcome) -> None:
    """The same rung, horizon and seed, rate scale 1: another training, and the search hears nothing yet."""
    diverged = a_training().with_outcome(outcome)
    result = following(diverged, calibrating=True)
    assert result.tell is None
    [repeat] = result.queue
    assert (repeat.rung, repeat.horizon, repeat.seed, repeat.rate_scale) == (0, 30, 7, 1.0)
    assert (repeat.trial, repeat.sweep_id, repeat.study) == (0, "s", "quick")
    assert (repeat.status, repeat.attempt, repeat.metrics) == (Status.QUEUED, 0, {})
    assert repeat.training_id != diverged.training_id


@pytest.mark.parametrize("rung", [0, 1])
def test_a_divergence_at_its_own_rate_ends_the_trial_without_a_value(rung: int) -> None:
    """PRUNED with None, whatever else would speak for going on."""
    diverged = a_training(rung=rung, rate_scale=1.0).with_outcome(Outcome(Status.DIVERGED, 3, 1.0, {}))
    assert following(diverged, calibrating=True) == Next(tell=TrialEnd(TrialState.PRUNED, None))


def test_the_last_rung_completes_the_trial_with_its_value() -> None:
    """Even a value that is worse than all others."""
    assert following(a_training(rung=1, value=0.5), rivals=[0.1] * 9) == Next(tell=TrialEnd(TrialState.COMPLETE, 0.5))


def test_a_study_of_one_rung_completes_at_its_first() -> None:
    """A horizon under 30 steps has no shorter one."""
    ended = a_training(value=0.5, horizon=20, rate_scale=1.0)
    result = after(ended, a_study(horizon=20), rivals=[0.1] * 9, calibrates=False, scale=1.0)
    assert result == Next(tell=TrialEnd(TrialState.COMPLETE, 0.5))


def test_a_trial_behind_its_family_is_halted_with_its_value() -> None:
    """0.5 is the third of three, of which one goes on."""
    assert following(a_training(value=0.5), rivals=[0.1, 0.2]) == Next(tell=TrialEnd(TrialState.PRUNED, 0.5))


@pytest.mark.parametrize(("rivals", "calibrating"), [([0.6, 0.7], False), ([0.1, 0.2], True)])
def test_a_leading_or_calibrating_trial_goes_on_to_the_next_rung(rivals: list[float], calibrating: bool) -> None:
    """90 steps at the next rung's rate scale, the same seed; the search hears of it only at the end."""
    result = following(a_training(value=0.5), rivals=rivals, calibrating=calibrating)
    assert result.tell is None
    [onward] = result.queue
    assert (onward.rung, onward.horizon, onward.seed, onward.rate_scale) == (1, 90, 7, 1.0)


@pytest.mark.parametrize(
    ("value", "rivals", "expected"),
    [
        (0.5, [], True),  # alone it is the best
        (0.5, [0.6], True),  # the best of two; there is always one place
        (0.5, [0.4], False),
        (0.5, [0.4, 0.6], False),  # three have one place
        (0.5, [0.4, 0.6, 0.7, 0.8], False),  # five have one
        (0.5, [0.4, 0.6, 0.7, 0.8, 0.9], True),  # six have two
        (0.5, [0.3, 0.4, 0.6, 0.7, 0.8], False),
        (0.5, [0.5, 0.5, 0.5], True),  # no rival is better
        (0.5, [0.4, 0.5], False),
        (0.5, [0.1, 0.2] + [0.9] * 6, True),  # nine have three
        (0.5, [0.1, 0.2, 0.3] + [0.9] * 5, False),
    ],
)
def test_the_best_third_of_a_family_goes_on(value: float, rivals: list[float], expected: bool) -> None:
    """The trial itself counts among its family; places are rounded down, but never to none."""
    assert goes_on(value, rivals) is expected


@pytest.mark.parametrize(
    ("direction", "expected"), [("minimize", [0.25, 0.5, 0.5, 0.75]), ("maximize", [0.75, 0.5, 0.5, 0.25])]
)
def test_the_values_of_a_family_come_the_best_first(direction: Direction, expected: list[float]) -> None:
    """Of its completed trainings at that rung; another rung, another family and what did not complete stay apart."""
    reached = Reached(a_study(direction=direction))
    for trial, value in enumerate([0.5, 0.75, 0.25, 0.5]):
        reached.add("cosine", a_training(trial, value=value))
    reached.add("cosine", a_training(4, rung=1, value=0.125))
    reached.add("linear", a_training(5, value=0.375))
    reached.add("cosine", a_training(6, status=Status.DIVERGED, metrics={"val_loss": 0.3}))
    reached.add("cosine", a_training(7, value=0.3, metrics={"val_acc": 0.3}))
    assert list(reached.by("cosine", 0)) == expected
    assert list(reached.by("cosine", 1)) == [0.125]
    assert list(reached.by("plateau", 0)) == []


@pytest.mark.parametrize(("families", "first"), [(2, 8), (8, 8), (12, 12)])
def test_the_first_trials_of_a_generation_calibrate(families: int, first: int) -> None:
    """Eight, or as many as there are families."""
    assert all(calibrates(10_000 + place, place, families, study="quick") for place in range(first))
    assert not all(calibrates(10_000 + place, place, families, study="quick") for place in range(first, first + 50))


def test_later_a_random_tenth_calibrates() -> None:
    """1,000 of 10,000 within five standard deviations (150), and other ones in another study."""
    mine = {number for number in range(10_000) if calibrates(number, 8, 8, study="quick")}
    theirs = {number for number in range(10_000) if calibrates(number, 8, 8, study="slow")}
    assert abs(len(mine) - 1_000) < 150
    assert len(mine & theirs) < 200


def test_rungs_stand_at_the_steps_that_optunas_pruners_see() -> None:
    """A factor of three apart."""
    assert [rung_step(rung) for rung in range(3)] == [1, 3, 9]


def test_the_values_of_a_trial_stand_at_the_steps_of_its_rungs() -> None:
    """What waits, failed or diverged at a raised rate says nothing; at its own rate a divergence is NaN."""
    assert rung_values([a_training(value=0.5), a_training(rung=1, value=0.4)], "val_loss") == {1: 0.5, 3: 0.4}
    silent = [
        a_training(status=Status.DIVERGED),
        a_training(status=Status.FAILED, rate_scale=1.0),
        a_training(rung=1),
    ]
    assert rung_values(silent, "val_loss") == {}
    repeated = [a_training(status=Status.DIVERGED), a_training(value=0.5, rate_scale=1.0)]
    assert rung_values(repeated, "val_loss") == {1: 0.5}
    [(step, value)] = rung_values([a_training(status=Status.DIVERGED, rate_scale=1.0)], "val_loss").items()
    assert step == 1
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("value", "rivals", "expected"),
    [
        (0.5, [0.4], True),
        (0.5, [0.6], False),
        (0.5, [0.9, 0.6, 0.3, 0.2, 0.1], False),
        (0.7, [0.9, 0.6, 0.3, 0.2, 0.1], True),
    ],
)
def test_of_a_maximised_metric_the_largest_third_goes_on(value: float, rivals: list[float], expected: bool) -> None:
    """Two have one place. Six have two: 0.5 is the third of them, 0.7 the second."""
    study = a_study(direction="maximize")
    result = after(a_training(value=value), study, rivals=rivals, calibrates=False, scale=1.0)
    assert (result.tell is None) is expected

"""The rules by which a training has diverged, on numbers alone."""

from __future__ import annotations

import math

import pytest

from lrsweep.engines import divergence


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (2.5, None),
        (1e38, None),
        (math.nan, "the training loss was nan at step 131"),
        (math.inf, "the training loss was inf at step 131"),
        (-math.inf, "the training loss was -inf at step 131"),
    ],
)
def test_a_training_loss_has_to_be_finite(loss: float, reason: str | None) -> None:
    """However large it is; else the sentence has the loss and the step."""
    assert divergence.of_training_loss(loss, 131) == reason


@pytest.mark.parametrize(
    ("losses", "goes_on"),
    [
        ([9.0, 9.0], True),
        ([9.0, 9.0, 9.0], False),
        ([9.0, 8.0, 9.0], True),
        ([9.0, 9.0, 9.0, 8.0], True),
        ([1.0, 9.0, 8.5, 8.25], False),
    ],
)
def test_three_evaluations_in_a_row_above_four_times_the_start_are_too_many(losses: list[float], goes_on: bool) -> None:
    """The loss at the start was 2, so 8 is the limit, and 8 itself is allowed."""
    assert (divergence.of_validation_losses(losses, 2.0, 90) is None) == goes_on


def test_the_sentence_has_the_limit_the_losses_and_the_step() -> None:
    """What a person wants to know before they look at the curve."""
    assert divergence.of_validation_losses([1.0, 12.25, 13.0, 15.5], 2.0, 90) == (
        "the validation loss was above 8, 4 times the loss at the start, at 3 evaluations in a row, the last at step "
        "90: 12.25, 13, 15.5"
    )
    assert divergence.of_validation_losses([1.0, math.inf], 2.0, 60) == "the validation loss was inf at step 60"


@pytest.mark.parametrize("first", [0.0, -10.0])
def test_a_loss_that_may_be_negative_does_not_explode(first: float) -> None:
    """Four times -10 is less than -10: a log-likelihood that improves slowly would look exploded."""
    assert divergence.of_validation_losses([-10.0, -11.0, -12.0], first, 90) is None

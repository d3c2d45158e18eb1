"""An exponential from the numbers that recipes give: gamma per epoch, or a rate constant per step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrsweep.errors import ScheduleError
from lrsweep.schedules import Exponential, schedule


def test_gamma_per_epoch_is_applied_once_per_epoch() -> None:
    """Over 3 epochs of 4 steps a gamma of 1/2 halves the rate in each epoch, along a curve or at its end."""
    smooth = Exponential.from_gamma(0.5, epochs=3)
    assert smooth == schedule("exponential", final=0.125)
    assert smooth.rates(12)[::4] == pytest.approx([1, 0.5, 0.25])
    assert smooth.rates(12)[2] == pytest.approx(math.sqrt(0.5))
    stairs = Exponential.from_gamma(0.5, epochs=3, staircase=True)
    assert stairs.rates(12) == pytest.approx([1] * 4 + [0.5] * 4 + [0.25] * 4)
    assert stairs.factor(1.0) == pytest.approx(0.125)


def test_per_epoch_and_not_per_batch() -> None:
    """One epoch at 0.9 ends at 0.9, however many batches it has; a part of an epoch is a part of the exponent."""
    assert Exponential.from_gamma(0.9, epochs=1).factor(1.0) == pytest.approx(0.9)
    assert Exponential.from_gamma(0.9, epochs=1.5).final == pytest.approx(0.9**1.5)


def test_a_rate_constant_is_e_to_the_minus_k_t() -> None:
    """With k = ln 2 per step the rate halves in each step; the shared settings go along."""
    halving = Exponential.from_k(math.log(2), total_steps=4)
    assert halving.rates(4) == pytest.approx([1, 0.5, 0.25, 0.125])
    stairs = Exponential.from_k(math.log(2), total_steps=4, stairs=2, floor=0.2)
    assert stairs.rates(4) == pytest.approx([1, 1, 0.4, 0.4])
    assert Exponential.from_k(0, total_steps=np.int64(10)) == schedule("exponential", final=1.0)
    warm = Exponential.from_k(math.log(2), total_steps=3, warmup="1 step")
    assert warm.rates(4) == pytest.approx([0.5, 1, 0.5, 0.25])


GAMMA = "gamma must be a number in (0, 1], not {}: what one epoch multiplies the rate by"
EPOCHS = "epochs must be a finite number above 0, not {}: the length of the decay"
K = "k must be a finite number of 0 or more, not {}: the rate is e^(-k·t) at step t"
STEPS = "total_steps must be a whole number of 1 or more, not {}: the decay's steps"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"gamma": 0, "epochs": 3}, GAMMA.format("0")),
        ({"gamma": 1.1, "epochs": 3}, GAMMA.format("1.1")),
        ({"gamma": "0.9", "epochs": 3}, GAMMA.format("'0.9'")),
        ({"gamma": 0.9, "epochs": 0}, EPOCHS.format("0")),
        ({"gamma": 0.9, "epochs": math.inf}, EPOCHS.format("inf")),
        (
            {"gamma": 0.9, "epochs": 2.5, "staircase": True},
            "epochs must be a whole number from 1 to 1000000 for a staircase, not 2.5",
        ),
        ({"gamma": 0.1, "epochs": 400}, "gamma 0.1 over 400 epochs ends below the smallest float: fewer epochs"),
        ({"gamma": 0.9, "epochs": 3, "final": 0.1}, "final is what from_gamma works out; leave it out"),
        (
            {"gamma": 0.9, "epochs": 3, "staircase": True, "stairs": 5},
            "stairs is what from_gamma works out; leave it out",
        ),
    ],
)
def test_a_gamma_that_cannot_be_meant_is_refused(arguments: dict[str, Any], text: str) -> None:
    """What was given, what is wanted, and where nothing would be left of the rate."""
    with pytest.raises(ScheduleError) as error:
        Exponential.from_gamma(**arguments)
    assert str(error.value) == f"exponential from_gamma: {text}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"k": -0.1, "total_steps": 3}, K.format("-0.1")),
        ({"k": math.nan, "total_steps": 3}, K.format("nan")),
        ({"k": 0.1, "total_steps": 0}, STEPS.format("0")),
        ({"k": 0.1, "total_steps": 1.5}, STEPS.format("1.5")),
        ({"k": 1, "total_steps": 1000}, "k 1 over 1000 steps ends below the smallest float: a smaller k"),
    ],
)
def test_a_rate_constant_that_cannot_be_meant_is_refused(arguments: dict[str, Any], text: str) -> None:
    """What was given, what is wanted, and where nothing would be left of the rate."""
    with pytest.raises(ScheduleError) as error:
        Exponential.from_k(**arguments)
    assert str(error.value) == f"exponential from_k: {text}"


def test_all_problems_are_told_at_once() -> None:
    """The arguments' and the shared settings' problems stand in one message."""
    with pytest.raises(ScheduleError) as error:
        Exponential.from_gamma(2, epochs=-1, floor=3, warm=0.1)
    lines = str(error.value).splitlines()
    assert lines[0] == "exponential from_gamma: 4 problems"
    assert [line.split()[0] for line in lines[1:]] == ["gamma", "epochs", "floor", "'warm'"]

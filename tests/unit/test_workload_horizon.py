"""Horizons written in epochs, samples and tokens."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadFacts
from lrsweep.workloads.horizon import steps_of


def facts(**known: int | None) -> WorkloadFacts:
    """Batches of 100 examples of 10 tokens; 1,050 examples, so that an epoch has ten batches and drops 50."""
    sizes: dict[str, int | None] = {"batch_size": 100, "examples_per_epoch": 1050, "tokens_per_example": 10, **known}
    return WorkloadFacts("net", {}, 1, "data", horizon=1, peak_lr={}, **sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("horizon", "steps"),
    [
        (600, 600),
        ("600 steps", 600),
        ("1 step", 1),
        ("2k steps", 2000),
        ("30 epochs", 300),
        ("1 epoch", 10),
        ("0.1 epochs", 1),  # the float 0.1 is a little more than a tenth, and would make it 2
        ("0.31 epochs", 4),
        ("1e4 samples", 100),
        ("10_001 samples", 101),
        ("1.5M samples", 15_000),
        ("2M tokens", 2000),
        ("1B tokens", 1_000_000),
        (" 2 Mtokens ", 2000),
    ],
)
def test_a_horizon_is_the_first_number_of_steps_that_sees_it_all(horizon: int | str, steps: int) -> None:
    """An epoch is its whole batches; a part of a batch is a step."""
    assert steps_of(horizon, facts()) == steps


@pytest.mark.parametrize(
    "given", ["", "30", "epochs", "30 weeks", "-1 epochs", "1e999 samples", 0, -3, True, 10**10, 1.5]
)
def test_what_is_no_horizon_is_refused_with_the_forms_that_are(given: object) -> None:
    """The given text is shown, and an example of each unit."""
    with pytest.raises(InvalidInput) as raised:
        steps_of(given, facts())  # type: ignore[arg-type]
    assert str(raised.value) == (
        f"horizon {given!r} is not a whole number of steps from 1 to 1000000000, or a text with a unit: "
        '"600 steps", "30 epochs", "1e6 samples" or "2M tokens".'
    )


@pytest.mark.parametrize(
    ("horizon", "sizes", "why"),
    [
        ("3 epochs", {"examples_per_epoch": None}, "it does not say how many examples an epoch has"),
        ("3 samples", {"batch_size": 0}, "its batch size is not known"),
        ("3 tokens", {"tokens_per_example": None}, "its examples are not made of tokens"),
    ],
)
def test_a_unit_that_the_workload_does_not_know_is_refused(
    horizon: str, sizes: dict[str, int | None], why: str
) -> None:
    """With the reason, and with what to write instead; steps are always known."""
    with pytest.raises(InvalidInput) as raised:
        steps_of(horizon, facts(**sizes))
    assert str(raised.value) == (
        f"horizon {horizon!r} cannot be counted in steps of the workload 'net': {why}. Write it in steps."
    )
    assert steps_of("3 steps", facts(**sizes)) == 3


@pytest.mark.parametrize("given", ["0 epochs", "0.0 steps", "9e9 epochs"])
def test_nothing_and_more_than_the_longest_are_refused(given: str) -> None:
    """A training has from one to a thousand million steps."""
    with pytest.raises(InvalidInput, match="horizon"):
        steps_of(given, facts())


def test_a_horizon_is_read_without_torch() -> None:
    """A study file is checked on a machine that cannot train."""
    code = "import sys, lrsweep.workloads.horizon\nprint('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"

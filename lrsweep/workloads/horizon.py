"""How long a training is: in steps, or in epochs, samples or tokens, which the workload's facts turn into steps.

A step takes one batch, and an epoch is as many whole batches as the training examples fill: its last part is dropped.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadFacts

LONGEST = 10**9
WANTED = (
    f'a whole number of steps from 1 to {LONGEST}, or a text with a unit: "600 steps", "30 epochs", "1e6 samples" or '
    '"2M tokens"'
)
_THOUSANDS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
_FORM = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?(?:[eE]\+?\d{1,2})?)\s*([kKMB]?)\s*(step|epoch|sample|token)s?\s*")


def steps_of(horizon: int | str, facts: WorkloadFacts) -> int:
    """The number of steps. Raises InvalidInput where the text cannot be read, or where the facts do not know the unit.

    >>> facts = WorkloadFacts("net", {}, 1, "", batch_size=64, horizon=1, peak_lr={}, examples_per_epoch=1152)
    >>> steps_of("30 epochs", facts), steps_of("1e4 samples", facts), steps_of("2k steps", facts), steps_of(600, facts)
    (540, 157, 2000, 600)
    """
    amount, unit = read_horizon(horizon)
    if unit == "step":
        steps = amount
    elif facts.batch_size < 1:
        raise _unknown(horizon, facts, "its batch size is not known")
    elif unit == "epoch":
        if facts.examples_per_epoch is None:
            raise _unknown(horizon, facts, "it does not say how many examples an epoch has")
        steps = amount * (facts.examples_per_epoch // facts.batch_size)
    elif unit == "sample":
        steps = amount / facts.batch_size
    else:
        if facts.tokens_per_example is None:
            raise _unknown(horizon, facts, "its examples are not made of tokens")
        steps = amount / (facts.batch_size * facts.tokens_per_example)
    if not 0 < steps <= LONGEST:
        raise InvalidInput(f"horizon {horizon!r} is {float(steps):g} steps here. Wanted is {WANTED}.")
    return math.ceil(steps)  # all that was asked for is seen


def read_horizon(given: object) -> tuple[Fraction, str]:
    """The amount and its unit: ``step``, ``epoch``, ``sample`` or ``token``. Raises InvalidInput."""
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= LONGEST:
        return Fraction(given), "step"
    match = _FORM.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise InvalidInput(f"horizon {given!r} is not {WANTED}.")
    number, thousands, unit = match.groups()
    # Decimal keeps what is written: as floats, 0.1 epochs of 30 steps would be a little more than 3 steps
    amount = Fraction(Decimal(number)) * _THOUSANDS[thousands]
    if amount == 0:
        raise InvalidInput(f"horizon {given!r} is nothing. Wanted is {WANTED}.")
    return amount, unit


def _unknown(horizon: int | str, facts: WorkloadFacts, why: str) -> InvalidInput:
    return InvalidInput(
        f"horizon {horizon!r} cannot be counted in steps of the workload {facts.name!r}: {why}. Write it in steps."
    )

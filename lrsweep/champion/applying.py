"""A choice in a training of one's own: the peak on its horizon, and the rates in its optimizer.

On another horizon the best peak moves: peak · (horizon / total_steps) ** exponent. That is said wherever it is applied,
with what the exponent rests on, since the training that it was found with is not the one that it is used for.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, SupportsIndex

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.schedules.checks import checked_horizon
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import listing

if TYPE_CHECKING:
    from lrsweep.champion.value import ChampionChoice
    from lrsweep.integrations.torch_scheduler import TorchScheduler

OPTIMIZER, BATCH_SIZE = "optimizer", "batch_size"
MAY_DIFFER = (OPTIMIZER, BATCH_SIZE)
MAKE = "choice.make_optimizer(model.parameters())"
FAR = 4.0
"""A horizon this many times longer or shorter than the choice's is beyond what exponents were measured over."""


def peak_at(choice: ChampionChoice, total_steps: SupportsIndex | None) -> float:
    """The peak on a horizon; on the choice's own it is the choice's, to the last bit."""
    steps = horizon_of(choice, total_steps)
    if steps == choice.horizon:
        return choice.peak_lr
    return choice.peak_lr * float((choice.horizon / steps) ** choice.rate_rule.exponent)


def horizon_of(choice: ChampionChoice, total_steps: SupportsIndex | None) -> int:
    return choice.horizon if total_steps is None else checked_horizon(total_steps, 1.0, "total_steps")[0]


def another_horizon(choice: ChampionChoice, total_steps: SupportsIndex | None) -> str | None:
    """What is to be said of a horizon that is not the choice's own; None for that."""
    steps = horizon_of(choice, total_steps)
    if steps == choice.horizon:
        return None
    rule = choice.rate_rule
    measured = (
        f"measured, 95 %: {rule.interval[0]:.3g} to {rule.interval[1]:.3g}"
        if rule.interval is not None
        else f"the default of {choice.optimizer.name}, not measured"
    )
    said = (
        f"{choice.name}: its peak rate {choice.peak_lr:.4g} was found on {choice.horizon:,} steps; for {steps:,} it is "
        f"{peak_at(choice, steps):.4g} = {choice.peak_lr:.4g} · ({choice.horizon:,} / {steps:,})^{rule.exponent:.3g} "
        f"(exponent {measured})"
    )
    if max(steps / choice.horizon, choice.horizon / steps) > FAR:
        said += f". Nothing was measured that far away, beyond {FAR:g} times the horizon or its {FAR:g}th part"
    return said


def torch_scheduler(
    choice: ChampionChoice,
    optimizer: Any,
    total_steps: SupportsIndex | None,
    *,
    batch_size: int | None,
    allow: str | Iterable[str],
    on_conflict: str,
) -> TorchScheduler:
    """See ``ChampionChoice.torch``."""
    from lrsweep.integrations.matching import differing, is_optimizer, missed_class, scales_of
    from lrsweep.integrations.torch_scheduler import TorchScheduler

    allowed = _allowed(allow)
    if not is_optimizer(optimizer):
        raise InvalidInput(f"choice.torch: wanted a torch.optim.Optimizer, not {shortened(optimizer)}")
    horizon_of(choice, total_steps)
    other_class = missed_class(choice.optimizer, optimizer)
    refused = []
    if other_class is not None and OPTIMIZER not in allowed:
        refused.append(
            f"{other_class}: its peak rate {choice.peak_lr:.4g} says nothing of another optimizer. "
            f"{MAKE} makes the right one; allow={OPTIMIZER!r} takes this one all the same"
        )
    refused += _other_batch(choice, batch_size, allowed)
    if refused:
        raise InvalidInput(listing(f"the choice {choice.name!r}", refused))
    if other_class is None and (others := differing(choice.optimizer, optimizer)):
        _say(
            f"{choice.name}: the optimizer is not set as the one that it was found with: {'; '.join(others)}. "
            f"{MAKE} makes that one"
        )
    if said := another_horizon(choice, total_steps):
        _say(said)
    peak = peak_at(choice, total_steps)
    scales = scales_of(optimizer)
    return TorchScheduler(
        choice.schedule,
        optimizer,
        horizon_of(choice, total_steps),
        peak_lr=peak if set(scales) == {1.0} else [peak * scale for scale in scales],
        on_conflict=on_conflict,
    )


def said_rates(choice: ChampionChoice, total_steps: SupportsIndex | None) -> Floats:
    """One rate per step; another horizon is said."""
    if said := another_horizon(choice, total_steps):
        _say(said)
    return choice.schedule.rates(horizon_of(choice, total_steps), peak_at(choice, total_steps))


def _allowed(given: str | Iterable[str]) -> Collection[str]:
    if not isinstance(given, Iterable):
        raise InvalidInput(
            f"allow is {shortened(given)}; wanted {' or '.join(map(repr, MAY_DIFFER))}, or both in a list: what may be "
            "another than the choice's."
        )
    names = [given] if isinstance(given, str) else list(given)
    for name in sorted((name for name in names if name not in MAY_DIFFER), key=str):
        raise InvalidInput(
            f"allow names {shortened(name)}; wanted {' or '.join(map(repr, MAY_DIFFER))}, or both in a list: what may "
            f"be another than the choice's.{did_you_mean(str(name), MAY_DIFFER)}"
        )
    return names


def _other_batch(choice: ChampionChoice, batch_size: int | None, allowed: Collection[str]) -> list[str]:
    if batch_size is None:
        return []
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        return [f"batch_size must be a whole number of 1 or more, not {shortened(batch_size)}: examples per update"]
    if choice.batch_size in (None, batch_size) or BATCH_SIZE in allowed:
        return []
    return [
        f"it was found with batches of {choice.batch_size}, and batch_size is {batch_size}: the best rate moves with "
        f"the batch. Train with {choice.batch_size}; allow={BATCH_SIZE!r} takes the rate as it is"
    ]


def _say(text: str) -> None:
    """The warning names the line that called the choice's method: over that method and the function here."""
    warnings.warn(text, UserWarning, stacklevel=4)

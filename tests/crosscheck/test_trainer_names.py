"""A Trainer's arguments become the schedule whose rates that Trainer would have had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrsweep import schedule_from_params
from tests.crosscheck.compare import CLOSE, PEAK, noisy_losses
from tests.crosscheck.peers import peer
from tests.crosscheck.stepping import heard, stepped

transformers = peer("transformers")
get_scheduler = transformers.get_scheduler


def arguments(**given: Any) -> Any:
    return transformers.TrainingArguments(learning_rate=PEAK, use_cpu=True, report_to="none", **given)


def as_texts(made: Any) -> dict[str, str]:
    """What an MLflow server has of them: every value as text."""
    return {name: str(value) for name, value in made.to_dict().items()}


@pytest.mark.parametrize("warmup", [0, 7, 0.1])
@pytest.mark.parametrize("steps", [30, 100])
@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("linear", {}),
        ("cosine", {}),
        ("cosine", {"num_cycles": 0.5}),
        ("cosine_with_restarts", {"num_cycles": 2}),
        ("polynomial", {}),
        ("polynomial", {"power": 2.0, "lr_end": 0.1}),
        ("constant", {}),
        ("constant_with_warmup", {}),
        ("inverse_sqrt", {}),
        ("inverse_sqrt", {"timescale": 20}),
        ("cosine_with_min_lr", {"min_lr": 0.1}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("warmup_stable_decay", {"num_decay_steps": 9}),
        ("warmup_stable_decay", {"num_decay_steps": 9, "decay_type": "1-sqrt", "min_lr_ratio": 0.2}),
    ],
)
def test_after_the_warm_up_each_step_has_the_trainers_rate(
    kind: str, kwargs: dict[str, Any], steps: int, warmup: float
) -> None:
    """From real TrainingArguments as text to our rates, against the scheduler that the Trainer makes of them.

    Steps of a warm-up differ by convention: (i + 1)/(w + 1) here, i/w there. A ratio of all steps is rounded to the
    nearest step here and up there; those here are whole.
    """
    made = arguments(lr_scheduler_type=kind, warmup_steps=warmup, max_steps=steps, lr_scheduler_kwargs=kwargs)
    ours = schedule_from_params(as_texts(made)).rates(steps, PEAK)
    before = made.get_warmup_steps(steps)
    theirs = stepped(lambda optimizer: get_scheduler(kind, optimizer, before, steps, kwargs or None))(steps)
    compared = slice(0 if kind == "constant" else before, None)
    np.testing.assert_allclose(ours[compared], theirs[compared], rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"factor": 0.5, "patience": 2, "threshold": 0.01, "threshold_mode": "abs", "cooldown": 1, "min_lr": 0.1}],
)
def test_a_trainers_plateau_drops_at_the_same_evaluations(kwargs: dict[str, Any]) -> None:
    """Sixty noisy losses, an evaluation every second step; the least rate becomes a floor."""
    made = arguments(
        lr_scheduler_type="reduce_lr_on_plateau", warmup_steps=5, eval_strategy="epoch", lr_scheduler_kwargs=kwargs
    )
    losses = noisy_losses(60, seed=3)
    theirs = heard(lambda optimizer: get_scheduler("reduce_lr_on_plateau", optimizer, 5, 120, kwargs), losses, 2)
    ours = schedule_from_params(as_texts(made)).replay(losses, 120, PEAK)
    assert len(set(theirs.tolist())) > 1  # it did drop
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE)

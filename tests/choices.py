"""Choices for tests of what is promoted, loaded and handed on."""

from __future__ import annotations

from typing import Any

from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.records import OptimizerSpec
from lrsweep.schedules import schedule

SGD = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
ADAMW = OptimizerSpec("adamw", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01})

STANDING = {"family": "linear", "n": 3, "mean": 0.0748, "interval": [0.0637, 0.086], "diverged": 0}


def choice(**changes: Any) -> ChampionChoice:
    """``linear`` from 0.4 under SGD with batches of 64 on 600 steps, whose best peak moves with the root of them."""
    given: dict[str, Any] = {
        "name": "digits",
        "schedule": schedule("linear"),
        "peak_lr": 0.4,
        "optimizer": SGD,
        "batch_size": 64,
        "horizon": 600,
        "rate_rule": RateRule(0.5, (0.4, 0.6)),
        "evidence": {"evidence": "recommended", "metric": "decide_loss", "n": 3, "choice": STANDING},
        "provenance": {"study": "digits", "sweep": "0123456789abcdef"},
    }
    return ChampionChoice(**{**given, **changes})

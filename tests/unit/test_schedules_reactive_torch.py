"""``plateau`` beside PyTorch's ReduceLROnPlateau, metric by metric."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lrsweep.schedules import schedule


def torch_rates(metrics: list[float], lr: float, **settings: Any) -> list[float]:
    """The rate of each step where a metric comes after each, the last one after the last step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **settings)
    rates = []
    for metric in metrics:
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(metric)
    return rates


def walk(seed: int) -> list[float]:
    """100 positive metrics that fall, stay, jump back and repeat earlier values."""
    random = np.random.default_rng(seed)
    fall = np.exp(-np.cumsum(random.choice([0.0, 0.0, 0.05, 0.3, -0.1, -0.04], size=100)))
    return [round(float(value), 3) + 0.001 for value in fall]


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "patience", "cooldown"),
    [*itertools.product(("min", "max"), ("rel", "abs"), (0, 1, 3), (0, 2))],
)
def test_positive_metrics_give_the_rates_of_torch(
    mode: Literal["min", "max"], threshold_mode: Literal["rel", "abs"], patience: int, cooldown: int
) -> None:
    """Bit for bit at a peak of 1, with and without a smallest rate, and within rounding at another peak."""
    dropped = 0
    for seed, (gamma, threshold, floor) in enumerate(
        [(0.9, 0.0, 0.0), (0.9, 1e-4, 0.05), (0.5, 0.05, 0.0), (0.5, 0.3, 0.05), (0.7, 0.05, 0.3)]
    ):
        metrics = walk(seed)
        shared: dict[str, Any] = {
            "mode": mode,
            "threshold": threshold,
            "threshold_mode": threshold_mode,
            "patience": patience,
            "cooldown": cooldown,
        }
        ours = schedule("plateau", gamma=gamma, floor=floor, **shared)
        theirs = torch_rates(metrics, 1.0, factor=gamma, min_lr=floor, **shared)
        assert ours.replay(metrics, len(metrics)).tolist() == theirs
        dropped += len(set(theirs)) - 1
    assert dropped > 10
    theirs = torch_rates(metrics, 0.1, factor=gamma, min_lr=0.1 * floor, **shared)
    np.testing.assert_allclose(ours.replay(metrics, len(metrics), 0.1), theirs, rtol=1e-12)


def test_nan_is_a_bad_evaluation_in_both() -> None:
    """In the middle, at the beginning, and in a row."""
    nan = float("nan")
    for metrics in ([4.0, nan, 3.0, nan, nan, nan, 2.0, 3.0], [nan, nan, 1.0, 1.0, 1.0], [nan] * 8):
        theirs = torch_rates(metrics, 1.0, factor=0.5, patience=1)
        assert schedule("plateau", gamma=0.5, patience=1).replay(metrics, len(metrics)).tolist() == theirs
        assert theirs[-1] < 1


def test_a_negative_metric_that_worsens_drops_our_rate_and_not_torchs() -> None:
    """The deviation: there the relative threshold has the wrong sign and the best follows the metric up
    (pytorch#47513, #38622). Here -1 then -0.95 is worse, as it is with an absolute threshold."""
    metrics = [-1.0, -0.95, -0.92, -0.9, -0.88]
    settings: dict[str, Any] = {"mode": "min", "patience": 0, "threshold": 0.1, "threshold_mode": "rel"}
    assert torch_rates(metrics, 1.0, factor=0.5, **settings) == [1, 1, 1, 1, 1]
    assert schedule("plateau", gamma=0.5, **settings).replay(metrics, 5).tolist() == [1, 1, 0.5, 0.25, 0.125]
    absolute = {**settings, "threshold_mode": "abs"}
    assert torch_rates(metrics, 1.0, factor=0.5, **absolute) == [1, 1, 0.5, 0.25, 0.125]
    assert schedule("plateau", gamma=0.5, **absolute).replay(metrics, 5).tolist() == [1, 1, 0.5, 0.25, 0.125]


def test_an_infinite_metric_becomes_torchs_best_and_not_ours() -> None:
    """The other deviation: one log of 0 ends all improvement there."""
    metrics = [4.0, float("-inf"), 3.0, 2.0, 1.0, 0.5]
    assert torch_rates(metrics, 1.0, factor=0.5, patience=0) == [1, 1, 1, 0.5, 0.25, 0.125]
    ours = schedule("plateau", gamma=0.5, patience=0).replay(metrics, 6).tolist()
    assert ours == [1, 1, 0.5, 0.5, 0.5, 0.5]

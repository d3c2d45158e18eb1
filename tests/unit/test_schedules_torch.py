"""The same numbers as PyTorch's schedulers, where there is one; its other end point for OneCycleLR is written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from lrsweep.schedules import OneCycle, schedule
from lrsweep.schedules.course import Floats

PEAK = 0.4
Build = Callable[[torch.optim.Optimizer], theirs.LRScheduler]


def stepped(build: Build, steps: int) -> Floats:
    """The rate of each update when PyTorch's scheduler is stepped after each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = build(optimizer)
    rates = []
    for step in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if step < steps - 1:  # OneCycleLR refuses a step after its last
            scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize("total_steps", [1, 2, 7, 100, 600])
def test_five_families_equal_pytorch(total_steps: int) -> None:
    """Linear, cosine, exponential, step and constant have PyTorch's rates at every step; both use i/T."""
    n = total_steps
    cases: list[tuple[str, dict[str, Any], Build]] = [
        ("constant", {}, lambda o: theirs.LambdaLR(o, lambda _: 1.0)),
        ("linear", {}, lambda o: theirs.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=n)),
        ("linear", {}, lambda o: theirs.PolynomialLR(o, total_iters=n, power=1.0)),
        ("linear", {"floor": 0.25}, lambda o: theirs.LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=n)),
        ("cosine", {}, lambda o: theirs.CosineAnnealingLR(o, T_max=n)),
        ("cosine", {"floor": 0.25}, lambda o: theirs.CosineAnnealingLR(o, T_max=n, eta_min=0.25 * PEAK)),
        ("exponential", {"final": 0.003}, lambda o: theirs.ExponentialLR(o, gamma=0.003 ** (1 / n))),
    ]
    if n % 10 == 0:
        cases.append(("step", {"every": 0.1, "gamma": 0.7}, lambda o: theirs.StepLR(o, step_size=n // 10, gamma=0.7)))
    for name, settings, build in cases:
        ours = schedule(name, **settings).rates(n, peak_lr=PEAK)
        np.testing.assert_allclose(ours, stepped(build, n), rtol=0, atol=1e-12, err_msg=f"{name} {settings}")


def test_a_warm_up_equals_linear_lr_before_the_decay() -> None:
    """A warm-up of w steps is LinearLR from 1/(w+1), then the decay on its own clock."""
    w, n = 25, 100

    def warm_then_cosine(optimizer: torch.optim.Optimizer) -> theirs.LRScheduler:
        warm = theirs.LinearLR(optimizer, start_factor=1 / (w + 1), total_iters=w)
        return theirs.SequentialLR(optimizer, [warm, theirs.CosineAnnealingLR(optimizer, T_max=n - w)], milestones=[w])

    ours = schedule("cosine", warmup=w / n).rates(n, peak_lr=PEAK)
    np.testing.assert_allclose(ours, stepped(warm_then_cosine, n), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("total_steps", "rise"), [(101, 0.3), (600, 0.3), (50, 0.5)])
def test_one_cycle_is_pytorchs_curve_on_another_clock(total_steps: int, rise: float) -> None:
    """PyTorch puts the end on its last step, T - 1, and the peak on step rise·T - 1; the curve between is the same."""
    steps = stepped(lambda o: theirs.OneCycleLR(o, max_lr=PEAK, total_steps=total_steps, pct_start=rise), total_steps)
    on_their_clock = OneCycle(rise=(rise * total_steps - 1) / (total_steps - 1))
    ours = PEAK * on_their_clock.factor(np.arange(total_steps) / (total_steps - 1))
    np.testing.assert_allclose(ours, steps, rtol=0, atol=1e-12)

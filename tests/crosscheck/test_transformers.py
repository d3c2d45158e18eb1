"""Every SchedulerType of transformers has the rates of one of our schedules, at every step.

Its warm-ups begin with a step at rate 0. So curves with a warm-up are compared from its end on; what comes before has a
test of its own among the deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import lrsweep
from tests.crosscheck.compare import CLOSE, HORIZONS, PEAK, Case, assert_same, noisy_losses, rates_and_after
from tests.crosscheck.peers import peer
from tests.crosscheck.stepping import an_optimizer, heard, rate_of, stepped

transformers = peer("transformers")
SchedulerType, get_scheduler = transformers.SchedulerType, transformers.get_scheduler

schedule = lrsweep.schedule
FLOOR = 0.25

METRIC_DRIVEN = {"reduce_lr_on_plateau", "greedy"}


def built(kind: str, warmup: int, steps: int, **settings: Any) -> Callable[[torch.optim.Optimizer], Any]:
    """The scheduler as transformers' Trainer makes it."""
    return lambda optimizer: get_scheduler(kind, optimizer, warmup, steps, settings or None)


def one(kind: str, ours: lrsweep.Schedule, steps: int, *, holds: bool = False, **settings: Any) -> Case:
    return Case(kind, ours, stepped(built(kind, 0, steps, **settings)), steps, holds)


def decays(n: int) -> Iterator[Case]:
    yield one("constant", schedule("constant"), n, holds=True)
    yield one("constant_with_warmup", schedule("constant"), n, holds=True)
    yield one("linear", schedule("linear"), n, holds=True)
    yield one("cosine", schedule("cosine"), n)
    yield one("cosine_with_restarts", schedule("cosine_restarts", cycles=3), 3 * n, num_cycles=3, holds=True)
    for power in (0.5, 1.0, 2.0):
        ours = schedule("polynomial", power=power, floor=FLOOR)
        yield one("polynomial", ours, n, lr_end=FLOOR * PEAK, power=power, holds=True)
    yield one("inverse_sqrt", schedule("inverse_sqrt", timescale=50 / n), n, timescale=50)
    yield one("cosine_with_min_lr", schedule("cosine", floor=FLOOR), n, min_lr=FLOOR * PEAK)
    yield one("cosine_with_min_lr", schedule("cosine", floor=FLOOR), n, min_lr_rate=FLOOR)
    for shape in ("linear", "cosine", "1-sqrt"):
        ours = schedule("wsd", cooldown=f"{n} steps", shape=shape, floor=FLOOR)
        settings = {"num_decay_steps": n, "decay_type": shape, "min_lr_ratio": FLOOR}
        yield one("warmup_stable_decay", ours, 4 * n, holds=True, **settings)


CASES = [case for n in HORIZONS for case in decays(n)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_transformerss_rate(case: Case) -> None:
    """Random access to our curve gives what transformers' scheduler writes into the optimizer step by step."""
    assert_same(case)


@pytest.mark.parametrize("n", HORIZONS)
@pytest.mark.parametrize(
    ("kind", "ours", "settings"),
    [
        ("constant_with_warmup", schedule("constant"), {}),
        ("linear", schedule("linear"), {}),
        ("cosine", schedule("cosine"), {}),
        ("cosine_with_restarts", schedule("cosine_restarts", cycles=1), {}),
        ("polynomial", schedule("polynomial", floor=FLOOR), {"lr_end": FLOOR * PEAK, "power": 2.0}),
        ("cosine_with_min_lr", schedule("cosine", floor=FLOOR), {"min_lr_rate": FLOOR}),
        ("warmup_stable_decay", schedule("wsd", cooldown="1 step"), {"num_decay_steps": 1}),
    ],
)
def test_after_a_warm_up_the_rates_are_transformerss(
    kind: str, ours: lrsweep.Schedule, settings: dict[str, Any], n: int
) -> None:
    """The peak stands on the first step after the warm-up on both sides, and everything from there agrees."""
    w = max(1, n // 3)
    theirs = stepped(built(kind, w, w + n, **settings))(w + n)
    warm = ours.with_settings(warmup=f"{w} steps").rates(w + n, PEAK)
    assert theirs[w] == pytest.approx(PEAK)
    np.testing.assert_allclose(warm[w:], theirs[w:], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("n", HORIZONS)
def test_inverse_sqrt_goes_on_from_the_warm_up(n: int) -> None:
    """Its clock goes on from the warm-up (Noam), which is our ``timescale`` of warm-up over decay."""
    w = max(1, n // 3)
    theirs = stepped(built("inverse_sqrt", w, 0))(w + n)
    ours = schedule("inverse_sqrt", timescale=w / n, warmup=f"{w} steps").rates(w + n, PEAK)
    np.testing.assert_allclose(ours[w:], theirs[w:], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("n", [2, 7, 100, 600])
def test_the_cosine_that_warms_up_from_one_step_is_ours_one_step_earlier(n: int) -> None:
    """cosine_warmup_with_min_lr has (i + 1)/w, as we do with w - 1 steps; its last step has the value of the end."""
    w = max(2, n // 3)
    theirs = stepped(built("cosine_warmup_with_min_lr", w, w + n, min_lr_rate=FLOOR))(w + n)
    ours = schedule("cosine", floor=FLOOR, warmup=f"{w - 1} {'step' if w == 2 else 'steps'}")
    np.testing.assert_allclose(rates_and_after(ours, w + n - 1, w + n), theirs, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_its_plateau_is_pytorchs(mode: str) -> None:
    """reduce_lr_on_plateau takes PyTorch's settings as they are."""
    metrics = [loss if mode == "min" else 1 / loss for loss in noisy_losses(60, seed=1)]
    settings = {"mode": mode, "factor": 0.6, "patience": 1, "threshold": 0.01, "cooldown": 2, "eps": 0}
    theirs = heard(built("reduce_lr_on_plateau", 0, 60, **settings), metrics, steps_between=2)
    ours = schedule("plateau", mode=mode, gamma=0.6, patience=1, threshold=0.01, cooldown=2)
    np.testing.assert_allclose(ours.replay(metrics, 120, PEAK), theirs, rtol=0, atol=CLOSE)
    assert len(set(theirs)) > 2


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "floor", "threshold"), [(0, 0.0, 0.0), (0, 0.3, 0.01), (1, 0.1, 0.0)])
def test_its_greedy_is_ours(mode: str, patience: int, floor: float, threshold: float) -> None:
    """Up and down between min_lr and max_lr, which are our floor and peak, from our ``start``."""
    metrics = [loss if mode == "min" else 1 / loss for loss in noisy_losses(80, seed=patience)]

    def build(optimizer: torch.optim.Optimizer) -> Any:
        optimizer.param_groups[0]["lr"] = 0.5 * PEAK
        settings = {"mode": mode, "factor": 0.8, "patience": patience, "threshold": threshold, "eps": 0}
        limits = {"threshold_mode": "rel", "min_lr": floor * PEAK, "max_lr": PEAK}
        return built("greedy", 0, 80, **settings, **limits)(optimizer)

    theirs = heard(build, metrics, steps_between=2)
    ours = schedule("greedy", mode=mode, start=0.5, gamma=0.8, patience=patience, threshold=threshold, floor=floor)
    np.testing.assert_allclose(ours.replay(metrics, 160, PEAK), theirs, rtol=0, atol=CLOSE)
    assert theirs.max() > theirs[0] > theirs.min()  # it was a test: up and down


def test_every_scheduler_of_transformers_is_compared() -> None:
    """A kind that a new transformers brings fails here until it is compared."""
    one_step_earlier = {"cosine_warmup_with_min_lr"}
    compared = {case.of for case in CASES} | one_step_earlier | METRIC_DRIVEN
    assert compared == {kind.value for kind in SchedulerType}


# ── where the two differ on purpose; README.md has the whole list ────────────────────────────────────────────────────


def test_deviation_transformers_warm_up_wastes_its_first_step() -> None:
    """Its warm-up has i/w, so that the first update has the rate 0 (gpt-neox#1373, verl#3674); ours (i + 1)/(w + 1)."""
    theirs = stepped(built("linear", 4, 104))(5)
    ours = schedule("linear", warmup="4 steps").rates(104, PEAK)
    assert theirs == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert ours[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])


def test_deviation_transformers_stable_decay_warms_up_from_its_end_value() -> None:
    """Its warm-up begins at min_lr_ratio, the floor of the decay; ours at warmup_start, 0 unless it is given."""
    theirs = stepped(built("warmup_stable_decay", 4, 20, num_decay_steps=4, min_lr_ratio=0.5))(20)
    ours = schedule("wsd", cooldown="4 steps", shape="cosine", floor=0.5, warmup="4 steps").rates(20, PEAK)
    assert theirs[:5] == pytest.approx([0.2, 0.25, 0.3, 0.35, 0.4])
    assert ours[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])
    assert ours[4:] == pytest.approx(theirs[4:])


def test_deviation_transformers_stable_decay_takes_stretches_that_do_not_fit() -> None:
    """A warm-up of 8 and a decay of 5 in 10 steps: transformers never reaches the peak and jumps; ours is refused."""
    theirs = stepped(built("warmup_stable_decay", 8, 10, num_decay_steps=5, decay_type="linear"))(10)
    assert theirs[7:] == pytest.approx([0.35, 0.16, 0.08])
    with pytest.raises(lrsweep.ScheduleError, match="take 13 steps, and there are 10"):
        schedule("wsd", warmup="8 steps", cooldown="5 steps").rates(10)


def test_deviation_transformers_cosine_rises_again() -> None:
    """Planned for 10 steps and made to go on, its cosine climbs back to the peak; ours holds its end."""
    theirs = stepped(built("cosine", 0, 10))(21)
    ours = rates_and_after(schedule("cosine"), 10, 21)
    assert (theirs[10], theirs[15], theirs[20]) == pytest.approx((0.0, 0.2, 0.4))
    assert set(ours[10:]) == {0.0}


def test_deviation_transformers_inverse_sqrt_goes_on_after_the_end() -> None:
    """It has no horizon and falls for ever; ours holds the value at its end."""
    theirs = stepped(built("inverse_sqrt", 0, 10, timescale=10))(31)
    ours = rates_and_after(schedule("inverse_sqrt", timescale=1.0), 10, 31)
    assert (theirs[10], theirs[30]) == pytest.approx((0.4 / 2**0.5, 0.2))
    assert (ours[10], ours[30]) == pytest.approx((0.4 / 2**0.5, 0.4 / 2**0.5))


def rates_of_groups(kind: str, **settings: Any) -> list[float]:
    """The rates of two groups with the peaks 0.1 and 0.2 where the schedule ends, after 10 steps."""
    optimizer = an_optimizer(0.1, 0.2)
    scheduler = built(kind, 0, 10, **settings)(optimizer)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    return [rate_of(optimizer, group) for group in (0, 1)]


@pytest.mark.parametrize(
    ("kind", "settings"), [("polynomial", {"lr_end": 0.01}), ("cosine_with_min_lr", {"min_lr": 0.01})]
)
def test_deviation_transformers_end_value_is_right_for_one_group_alone(kind: str, settings: dict[str, float]) -> None:
    """An end value of 0.01 is divided by the optimizer's default rate: a group with another peak ends elsewhere.

    Ours is a fraction of each group's own peak, and says so.
    """
    assert rates_of_groups(kind, **settings) == pytest.approx([0.01, 0.02])  # 0.01 was asked for
    ends_halfway = schedule("linear", floor=0.1).extended(2.0)
    ours = lrsweep.grouped({"slow": ends_halfway, "fast": (ends_halfway, 2.0)}).rates(20, 0.1)
    assert (ours["slow"][-1], ours["fast"][-1]) == pytest.approx((0.01, 0.02))
    with pytest.raises(lrsweep.ScheduleError, match="floor must be a number in"):
        schedule("linear", floor="0.01 absolute")


def test_deviation_transformers_greedy_rewards_a_worse_negative_metric() -> None:
    """A relative threshold has PyTorch's wrong sign here too: at -1 it goes up for a worse -0.95; ours goes down."""
    metrics = [-1.0, -0.95, -0.9, -0.85]
    limits = {"min_lr": 0.0, "max_lr": 10.0, "eps": 0, "patience": 0, "threshold": 0.1, "threshold_mode": "rel"}
    theirs = heard(built("greedy", 0, 4, factor=0.5, **limits), metrics, steps_between=1)
    ours = schedule("greedy", start=0.25, gamma=0.5, threshold=0.1).replay(metrics, 4, 1.6)
    assert theirs == pytest.approx([0.4, 0.8, 1.6, 3.2])
    assert ours == pytest.approx([0.4, 0.8, 0.4, 0.2])


def test_deviation_transformers_greedy_starts_anew_after_a_while() -> None:
    """After so many drops at its lowest rate GreedyLR jumps back to where it began; ours stays low."""
    limits = {"min_lr": 0.1, "max_lr": 0.4, "eps": 0, "patience": 0, "reset_start": 2}
    theirs = heard(built("greedy", 0, 8, factor=0.5, **limits), [1.0] * 8, steps_between=1)
    ours = schedule("greedy", start=1.0, gamma=0.5, floor=0.25).replay([1.0] * 8, 8, PEAK)
    assert theirs == pytest.approx([0.4, 0.4, 0.2, 0.1, 0.4, 0.4, 0.2, 0.1])
    assert ours == pytest.approx([0.4, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])

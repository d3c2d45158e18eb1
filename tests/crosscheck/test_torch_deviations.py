"""Where PyTorch's schedulers and ours differ on purpose: both values, side by side. README.md has the whole list."""

from __future__ import annotations

import numpy as np
import pytest
from torch.optim import lr_scheduler as theirs

import lrsweep
from tests.crosscheck.compare import CLOSE, PEAK, rates_and_after
from tests.crosscheck.stepping import Build, an_optimizer, heard, stepped

schedule = lrsweep.schedule


def test_deviation_torch_one_cycle_ends_on_its_last_step() -> None:
    """PyTorch's clock has T - 1 steps: the last update gets the smallest rate. Ours ends where step T would be."""
    rates = stepped(lambda o: theirs.OneCycleLR(o, PEAK, 10, div_factor=4, final_div_factor=1, pct_start=0.5))(10)
    ours = schedule("one_cycle", start=0.25, final=0.25, rise=0.5).rates(10, PEAK)
    assert (rates[0], rates[9]) == pytest.approx((0.1, 0.1))  # the end, 0.4/4, is on step 9
    assert (rates[4], ours[5]) == pytest.approx((0.4, 0.4))  # the peak: theirs at 0.5·10 - 1, ours at 0.5·10
    assert ours[9] == pytest.approx(0.1 + 0.3 * (1 - np.cos(np.pi / 5)) / 2)  # one step before the end
    on_their_clock = schedule("one_cycle", start=0.25, final=0.25, rise=4 / 9).factor(np.arange(10) / 9)
    np.testing.assert_allclose(PEAK * on_their_clock, rates, rtol=0, atol=CLOSE)


def test_deviation_torch_one_cycle_refuses_one_more_step() -> None:
    """After its last step PyTorch raises (pytorch#38170); ours holds the last value for ever."""
    optimizer = an_optimizer()
    scheduler = theirs.OneCycleLR(optimizer, PEAK, 10)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        scheduler.step()
    assert set(rates_and_after(schedule("one_cycle"), 10, 30)[10:]) == {PEAK * schedule("one_cycle").factor(1.0)}


def test_deviation_torch_three_phases_are_a_table() -> None:
    """PyTorch's third phase falls from the foot to far below it; no family has it, and a table takes it as it is."""

    def build(optimizer: theirs.Optimizer) -> theirs.LRScheduler:  # type: ignore[name-defined]
        return theirs.OneCycleLR(optimizer, PEAK, 20, pct_start=0.4, three_phase=True)

    rates = stepped(build)(20)
    table = lrsweep.schedule_from_torch(build(an_optimizer()), 20)
    assert isinstance(table, lrsweep.Schedule)
    assert (rates[7], rates[19]) == pytest.approx((PEAK, PEAK / 25 / 1e4))
    np.testing.assert_allclose(table.rates(20, rates.max()), rates, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    ("build", "ours", "theirs_at_15"),
    [
        (lambda o: theirs.CosineAnnealingLR(o, 10), schedule("cosine"), 0.2),  # halfway up again
        (lambda o: theirs.StepLR(o, 5, gamma=0.5), schedule("step", every=0.5, gamma=0.5), 0.05),
        (lambda o: theirs.ExponentialLR(o, 0.5**0.1), schedule("exponential", final=0.5), 0.4 * 0.5**1.5),
        (lambda o: theirs.CosineAnnealingWarmRestarts(o, 5), schedule("cosine_restarts", cycles=2), 0.4),
        (lambda o: theirs.CyclicLR(o, 0.1, PEAK, 5), schedule("cyclic", cycles=1, low=0.25), 0.4),
    ],
    ids=["cosine rises again", "step", "exponential", "restarts", "cyclic"],
)
def test_deviation_torch_goes_on_after_the_end(build: Build, ours: lrsweep.Schedule, theirs_at_15: float) -> None:
    """Planned for 10 steps, five more are made: PyTorch goes on with its formula, and a cosine rises again."""
    assert stepped(build)(16)[15] == pytest.approx(theirs_at_15)
    assert rates_and_after(ours, 10, 16)[15] == pytest.approx(PEAK * ours.factor(1.0))


def test_deviation_torch_linear_lr_starts_at_its_start_factor() -> None:
    """PyTorch's first step has the start factor itself; our warm-up begins there one step before the first."""
    assert stepped(lambda o: theirs.LinearLR(o, start_factor=0.2, total_iters=4))(5) == pytest.approx(
        [0.08, 0.16, 0.24, 0.32, 0.4]
    )
    ours = schedule("constant", warmup="4 steps", warmup_start=0.2).rates(5, PEAK)
    assert ours == pytest.approx([0.144, 0.208, 0.272, 0.336, 0.4])
    from_zero = schedule("constant", warmup="4 steps").rates(5, PEAK)  # from 0: the factor 0.2 comes by itself
    assert from_zero == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])


@pytest.mark.parametrize(("start", "iterations"), [(1 / 3, 5), (0.5, 10), (0.25, 3)])
def test_any_linear_lr_is_a_warm_up_from_another_start(start: float, iterations: int) -> None:
    """Moved by that one step, a start factor f over w steps is warmup_start 1 - (1 - f)·(w + 1)/w."""
    w = iterations
    ours = schedule("constant", warmup=f"{w} steps", warmup_start=1 - (1 - start) * (w + 1) / w)
    rates = stepped(lambda o: theirs.LinearLR(o, start_factor=start, total_iters=w))(20)
    np.testing.assert_allclose(ours.rates(20, PEAK), rates, rtol=0, atol=CLOSE)


def test_deviation_torch_chained_warm_up_is_a_product() -> None:
    """Chained, the cosine runs during the warm-up; and with a lower bound PyTorch's steps are not the product either.

    Ours lets the decay wait until the warm-up is over, as SequentialLR does.
    """

    def chained(optimizer: theirs.Optimizer) -> theirs.LRScheduler:  # type: ignore[name-defined]
        warm = theirs.LinearLR(optimizer, start_factor=0.2, total_iters=4)
        cosine = theirs.CosineAnnealingLR(optimizer, 20, eta_min=0.1)
        return theirs.ChainedScheduler([warm, cosine])

    rates = stepped(chained)(5)
    cosine = 0.1 + 0.3 * (1 + np.cos(np.pi * 4 / 20)) / 2
    ours = schedule("cosine", warmup="4 steps", floor=0.25).rates(24, PEAK)
    assert ours[4] == PEAK
    assert cosine == pytest.approx(0.371352549)  # what the product of both formulas has at step 4
    assert rates[4] == pytest.approx(0.3741, abs=5e-5)  # and what PyTorch has there


def test_deviation_torch_plateau_rewards_a_worse_negative_metric() -> None:
    """With a negative best, PyTorch's relative threshold has the wrong sign (pytorch#47513, #38622)."""
    worse_and_worse = [-1.0, -0.95 + 1e-3, -0.92, -0.9]
    rates = heard(
        lambda o: theirs.ReduceLROnPlateau(o, patience=0, factor=0.5, threshold=0.1, eps=0),
        worse_and_worse,
        steps_between=1,
    )
    ours = schedule("plateau", patience=0, gamma=0.5, threshold=0.1).replay(worse_and_worse, 4, PEAK)
    assert rates.tolist() == [0.4, 0.4, 0.4, 0.4]  # every worse metric passed as an improvement
    assert ours.tolist() == [0.4, 0.4, 0.2, 0.1]


def test_deviation_torch_plateau_takes_an_infinite_metric_for_the_best() -> None:
    """After one -inf nothing is ever better for PyTorch; for us it is an evaluation that failed."""
    metrics = [1.0, float("-inf"), 0.5, 0.25, 0.125]
    rates = heard(lambda o: theirs.ReduceLROnPlateau(o, patience=1, factor=0.5, eps=0), metrics, steps_between=1)
    ours = schedule("plateau", patience=1, gamma=0.5).replay(metrics, 5, PEAK)
    assert rates.tolist() == [0.4, 0.4, 0.4, 0.4, 0.2]
    assert ours.tolist() == [0.4] * 5


def test_deviation_torch_plateau_ignores_small_drops() -> None:
    """PyTorch leaves out a drop by less than eps, 1e-8 unless told otherwise; ours drops by gamma at any size."""
    optimizer = an_optimizer(1.5e-8)
    scheduler = theirs.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for _ in range(3):
        scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 1.5e-8
    ours = schedule("plateau", patience=0, gamma=0.5).replay([1.0, 1.0, 1.0], 3, 1.5e-8)
    assert ours.tolist() == [1.5e-8, 1.5e-8, 0.75e-8]


def test_deviation_torch_plateau_goes_into_nothing_else() -> None:
    """SequentialLR and ChainedScheduler refuse a plateau (pytorch#68978, #110761); ours takes a warm-up and a base."""
    for together in (
        lambda one, other: theirs.SequentialLR(one.optimizer, [one, other], [5]),
        lambda one, other: theirs.ChainedScheduler([one, other]),
    ):
        optimizer = an_optimizer()
        with pytest.raises((TypeError, ValueError)):
            together(theirs.LinearLR(optimizer), theirs.ReduceLROnPlateau(optimizer))
    ours = schedule("plateau", base=schedule("linear"), warmup="2 steps", patience=0, gamma=0.5)
    metrics = {3: 1.0, 4: 1.0}
    assert ours.replay(metrics, 6, 0.6) == pytest.approx([0.2, 0.4, 0.6, 0.45, 0.15, 0.075])


def test_deviation_torch_cycles_the_momentum_unasked() -> None:
    """OneCycleLR and CyclicLR overwrite the optimizer's momentum by default; ours leaves it alone until told."""
    for build in (lambda o: theirs.OneCycleLR(o, PEAK, 10), lambda o: theirs.CyclicLR(o, 0.1, PEAK)):
        optimizer = an_optimizer(momentum=0.5)
        build(optimizer)
        assert optimizer.param_groups[0]["momentum"] != 0.5
    assert schedule("one_cycle").momenta(10) is None
    assert schedule("cyclic").momenta(10) is None

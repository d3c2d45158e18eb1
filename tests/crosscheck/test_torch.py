"""Every scheduler of torch.optim.lr_scheduler has the rates of one of our schedules, at every step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import lrsweep
from tests.crosscheck.compare import CLOSE, HORIZONS, PEAK, Case, assert_same, noisy_losses, own_curve
from tests.crosscheck.stepping import Build, heard, stepped

schedule = lrsweep.schedule
FLOOR = 0.25

NO_COUNTERPART = {"LRScheduler": "the base class of all others, with no curve of its own"}


def one(of: str, ours: lrsweep.Schedule, build: Build, steps: int, *, holds: bool = False) -> Case:
    return Case(of, ours, stepped(build), steps, holds)


def by_functions(n: int) -> Iterator[Case]:
    """Curves that PyTorch takes as functions of the step."""
    function = schedule("function", path="tests.crosscheck.compare:own_curve", allow_code=True)
    yield one("LambdaLR", schedule("constant"), lambda o: theirs.LambdaLR(o, lambda _: 1.0), n, holds=True)
    yield one("LambdaLR", function, lambda o: theirs.LambdaLR(o, lambda i: own_curve(min(1, i / n))), n, holds=True)
    exponential = schedule("exponential", final=0.97**n)
    yield one("MultiplicativeLR", exponential, lambda o: theirs.MultiplicativeLR(o, lambda _: 0.97), n)


def drops(n: int) -> Iterator[Case]:
    third, half, late = max(1, n // 3), max(1, n // 2), max(1, 3 * n // 4)
    yield one("StepLR", schedule("step", every=third / n, gamma=0.7), lambda o: theirs.StepLR(o, third, gamma=0.7), n)
    yield one(
        "MultiStepLR",
        schedule("multistep", at=(half / n, late / n), gamma=0.3),
        lambda o: theirs.MultiStepLR(o, [half, late], gamma=0.3),
        n,
        holds=True,
    )
    starts_low = schedule("constant", warmup=f"{third} steps", warmup_shape="constant", warmup_start=0.25)
    yield one("ConstantLR", starts_low, lambda o: theirs.ConstantLR(o, 0.25, total_iters=third), n, holds=True)
    yield one("ConstantLR", schedule("constant"), lambda o: theirs.ConstantLR(o, 1.0), n, holds=True)


def decays(n: int) -> Iterator[Case]:
    yield one("ExponentialLR", schedule("exponential", final=0.99**n), lambda o: theirs.ExponentialLR(o, 0.99), n)
    yield one("LinearLR", schedule("linear"), lambda o: theirs.LinearLR(o, 1.0, 0.0, n), n, holds=True)
    yield one("LinearLR", schedule("linear", floor=FLOOR), lambda o: theirs.LinearLR(o, 1.0, FLOOR, n), n, holds=True)
    for power in (0.5, 1.0, 3.0):
        ours = schedule("polynomial", power=power)
        yield one("PolynomialLR", ours, lambda o, p=power: theirs.PolynomialLR(o, n, p), n, holds=True)  # type: ignore[misc]
    yield one("CosineAnnealingLR", schedule("cosine"), lambda o: theirs.CosineAnnealingLR(o, n), n)
    yield one(
        "CosineAnnealingLR",
        schedule("cosine", floor=FLOOR),
        lambda o: theirs.CosineAnnealingLR(o, n, eta_min=FLOOR * PEAK),
        n,
    )
    cosine, linear = schedule("cosine", floor=FLOOR), schedule("linear", floor=FLOOR)
    yield one("SWALR", cosine, lambda o: SWALR(o, FLOOR * PEAK, anneal_epochs=n), n, holds=True)
    yield one("SWALR", linear, lambda o: SWALR(o, FLOOR * PEAK, n, anneal_strategy="linear"), n, holds=True)


def cycles(n: int) -> Iterator[Case]:
    first = max(1, n // 7)
    for multiplier, count in ((1, 5), (2, 3), (3, 3)):
        ours = schedule("cosine_restarts", cycles=count, multiplier=multiplier, floor=FLOOR)
        yield one(
            "CosineAnnealingWarmRestarts",
            ours,
            lambda o, m=multiplier: theirs.CosineAnnealingWarmRestarts(o, first, m, eta_min=FLOOR * PEAK),  # type: ignore[misc]
            first * sum(multiplier**k for k in range(count)),
        )
    up, down = 3 * first, 5 * first
    steps = 4 * (up + down)
    for mode in ("triangular", "triangular2", "exp_range"):
        final = 0.999**steps
        ours = schedule("cyclic", mode=mode, cycles=4, low=0.1, rise=up / (up + down), final=final)
        yield one("CyclicLR", ours, cyclic(mode, up, down), steps)
    pct_start = (0.3 * n + 1) / (n + 1)
    yield one("OneCycleLR", schedule("one_cycle"), lambda o: theirs.OneCycleLR(o, PEAK, n + 1, pct_start=pct_start), n)
    straight = schedule("cyclic", cycles=1, low=0.1, rise=0.3)
    yield one(
        "OneCycleLR",
        straight,
        lambda o: theirs.OneCycleLR(
            o, PEAK, n + 1, pct_start=pct_start, anneal_strategy="linear", div_factor=10, final_div_factor=1
        ),
        n,
    )


def cyclic(mode: str, up: int, down: int) -> Build:
    return lambda o: theirs.CyclicLR(o, 0.1 * PEAK, PEAK, up, down, mode=mode, gamma=0.999)  # type: ignore[arg-type]


def put_together(n: int) -> Iterator[Case]:
    """Several schedulers after or upon one another."""
    w = max(1, n // 4)
    for ours, decay in (
        (schedule("linear"), lambda o: theirs.LinearLR(o, 1.0, 0.0, n)),
        (schedule("cosine", floor=FLOOR), lambda o: theirs.CosineAnnealingLR(o, n, eta_min=FLOOR * PEAK)),
        (schedule("exponential", final=0.5), lambda o: theirs.ExponentialLR(o, 0.5 ** (1 / n))),
        (schedule("polynomial", power=0.9), lambda o: theirs.PolynomialLR(o, n, 0.9)),
    ):
        warm = ours.with_settings(warmup=f"{w} steps")
        yield one(
            "SequentialLR",
            warm,
            lambda o, d=decay: theirs.SequentialLR(o, [theirs.LinearLR(o, 1 / (w + 1), total_iters=w), d(o)], [w]),  # type: ignore[misc]
            w + n,
        )
    parts = lrsweep.sequence((schedule("exponential", final=0.99**n), f"{n} steps"), (schedule("cosine"), "rest"))
    yield one(
        "SequentialLR",
        parts,
        lambda o: theirs.SequentialLR(o, [theirs.ExponentialLR(o, 0.99), theirs.CosineAnnealingLR(o, 2 * n)], [n]),
        3 * n,
    )
    both = schedule("exponential", final=(0.99 * 0.98) ** n)
    yield one(
        "ChainedScheduler",
        both,
        lambda o: theirs.ChainedScheduler([theirs.ExponentialLR(o, 0.99), theirs.ExponentialLR(o, 0.98)]),
        n,
    )
    if n > 1:
        half, late = n // 2, 3 * n // 4
        stairs = schedule("piecewise", at=(half / n, late / n), values=(1.0, 0.5, 0.05))
        yield one(
            "ChainedScheduler",
            stairs,
            lambda o: theirs.ChainedScheduler([theirs.MultiStepLR(o, [half], 0.5), theirs.MultiStepLR(o, [late], 0.1)]),
            n,
            holds=True,
        )


CASES = [
    case
    for n in HORIZONS
    for made in (by_functions, drops, decays, cycles, put_together)
    for case in made(n)
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_pytorchs_rate(case: Case) -> None:
    """Random access to our curve gives what PyTorch's scheduler writes into the optimizer step by step."""
    assert_same(case)


@pytest.mark.parametrize("steps", HORIZONS)
def test_one_cycle_moves_the_momentum_as_pytorch_does(steps: int) -> None:
    """Down while the rate goes up, and up again, with PyTorch's own borders 0.85 and 0.95."""
    pct_start = (0.3 * steps + 1) / (steps + 1)
    ours = schedule("one_cycle", cycle_momentum=True).momenta(steps)
    asked = stepped(lambda o: theirs.OneCycleLR(o, PEAK, steps + 1, pct_start=pct_start), asked="momentum")
    assert ours is not None
    np.testing.assert_allclose(ours, asked(steps), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize("unit", [1, 10, 75])
def test_cyclic_moves_the_momentum_as_pytorch_does(mode: str, unit: int) -> None:
    """The momentum's swing shrinks with the rate's in the modes in which that one shrinks."""
    up, down, steps = 3 * unit, 5 * unit, 4 * 8 * unit
    ours = schedule(
        "cyclic",
        mode=mode,
        cycles=4,
        rise=3 / 8,
        final=0.999**steps,
        cycle_momentum=True,
        momentum_low=0.8,
        momentum_high=0.9,
    )
    momenta = ours.momenta(steps)
    assert momenta is not None
    np.testing.assert_allclose(momenta, stepped(cyclic(mode, up, down), asked="momentum")(steps), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(("patience", "cooldown", "floor"), [(0, 0, 0.0), (2, 0, 0.0), (1, 3, 0.0), (0, 1, 0.3)])
def test_a_plateau_drops_when_pytorchs_does(
    mode: str, threshold_mode: str, patience: int, cooldown: int, floor: float
) -> None:
    """Sixty positive metrics with NaN among them; the floor is PyTorch's min_lr."""
    metrics = [loss if mode == "min" else 1 / loss for loss in noisy_losses(60, seed=patience)]
    metrics[20] = metrics[41] = float("nan")
    ours = schedule(
        "plateau",
        mode=mode,
        gamma=0.6,
        patience=patience,
        threshold=0.01,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        floor=floor,
    )
    rates = heard(
        lambda o: theirs.ReduceLROnPlateau(
            o,
            mode=mode,  # type: ignore[arg-type]
            factor=0.6,
            patience=patience,
            threshold=0.01,
            threshold_mode=threshold_mode,  # type: ignore[arg-type]
            cooldown=cooldown,
            min_lr=floor * PEAK,
            eps=0,
        ),
        metrics,
        steps_between=3,
    )
    np.testing.assert_allclose(ours.replay(metrics, 180, PEAK), rates, rtol=0, atol=CLOSE)
    assert len(set(rates)) > 2  # it was a test: there were drops


def test_every_scheduler_of_pytorch_is_compared() -> None:
    """A scheduler that a new PyTorch brings fails here until it is compared, or said to have no counterpart."""
    compared = {case.of for case in CASES} | {"ReduceLROnPlateau"}
    assert compared | set(NO_COUNTERPART) == {*theirs.__all__, "SWALR"}

"""Every kind that timm's create_scheduler_v2 makes has the rates of one of our schedules, at every step."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import lrsweep
from lrsweep.schedules.course import Floats
from tests.crosscheck.compare import CLOSE, HORIZONS, PEAK, Case, assert_same, noisy_losses, rates_and_after
from tests.crosscheck.peers import peer
from tests.crosscheck.stepping import an_optimizer, rate_of

create_scheduler_v2 = peer("timm.scheduler").create_scheduler_v2
WSDLRScheduler = peer("timm.scheduler.wsd_lr").WSDLRScheduler

schedule = lrsweep.schedule
FLOOR = 0.25

NO_COUNTERPART = {"none": "makes no scheduler"}


def first(build: Callable[[torch.optim.Optimizer], Any]) -> Callable[[int], Floats]:
    """The rates of the first so many updates, when timm is told the number of each."""

    def rates(count: int) -> Floats:
        optimizer = an_optimizer()
        scheduler = build(optimizer)
        found = []
        for update in range(count):
            scheduler.step_update(update)
            found.append(rate_of(optimizer))
        return np.array(found)

    return rates


def made(kind: str, steps: int, **settings: Any) -> Callable[[torch.optim.Optimizer], Any]:
    """The scheduler as timm's factory makes it for one update per epoch."""
    settings = {"min_lr": 0.0, "step_on_epochs": False, "updates_per_epoch": 1, **settings}
    return lambda optimizer: create_scheduler_v2(optimizer, kind, steps, **settings)[0]


def one(kind: str, ours: lrsweep.Schedule, steps: int, *, lasts: int = 0, holds: bool = True, **settings: Any) -> Case:
    return Case(kind, ours, first(made(kind, steps, **settings)), lasts or steps, holds)


def decays(n: int) -> Iterator[Case]:
    yield one("constant", schedule("constant"), n)
    yield one("cosine", schedule("cosine", floor=FLOOR), n, min_lr=FLOOR * PEAK)
    yield one("tanh", schedule("tanh", low=-7.0, high=3.0), n, holds=False)
    for power in (0.5, 1.0, 3.0):  # called decay_rate
        yield one("poly", schedule("polynomial", power=power, floor=FLOOR), n, min_lr=FLOOR * PEAK, decay_rate=power)
    yield one("step", schedule("step", gamma=0.5), 3 * n, decay_epochs=n, decay_rate=0.5, holds=False)
    drops = schedule("multistep", at=(0.5, 0.75), gamma=0.2)
    one_late = [2 * n + 1, 3 * n + 1]  # timm's drops come one step before their milestones
    yield one("multistep", drops, 4 * n, decay_milestones=one_late, decay_rate=0.2)
    for shape in ("linear", "cosine", "1-sqrt"):
        ours = schedule("wsd", cooldown=f"{n} steps", shape=shape, floor=FLOOR)
        yield one("wsd", ours, 4 * n, decay_epochs=n, decay_fn=shape, min_lr=FLOOR * PEAK)
    halving = first(lambda o: WSDLRScheduler(o, 4 * n, n, decay_fn="exp", decay_ratio=0.5, t_in_epochs=False))
    yield Case("wsd", schedule("wsd", cooldown=0.25, shape="exponential"), halving, 4 * n, holds=True)


def cycles(n: int) -> Iterator[Case]:
    for multiplier, shrink, count in ((1.0, 1.0, 3), (1.0, 0.5, 4), (2.0, 0.7, 3)):
        steps = n * round(sum(multiplier**k for k in range(count)))
        ours = schedule("cosine_restarts", cycles=count, multiplier=multiplier, shrink=shrink)
        settings: dict[str, Any] = {"cycle_mul": multiplier, "cycle_decay": shrink, "cycle_limit": count}
        yield one("cosine", ours, n, lasts=steps, **settings)
    w = max(1, n // 4)
    warm = {"warmup_epochs": w, "warmup_lr": PEAK / (w + 1), "warmup_prefix": True}
    for kind, ours in (
        ("constant", schedule("constant")),
        ("cosine", schedule("cosine")),
        ("poly", schedule("polynomial", power=0.1)),
        ("wsd", schedule("wsd", cooldown=0.2, shape="1-sqrt")),
        ("tanh", schedule("tanh")),
    ):
        steps = 5 * n
        yield one(kind, ours.with_settings(warmup=f"{w} steps"), steps, lasts=w + steps, holds=kind != "tanh", **warm)


CASES = [case for n in HORIZONS for family in (decays, cycles) for case in family(n)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_timms_rate(case: Case) -> None:
    """Random access to our curve gives what timm's scheduler writes into the optimizer update by update."""
    assert_same(case)


@pytest.mark.parametrize("n", HORIZONS)
def test_rsqrt_is_our_inverse_sqrt_until_its_decay(n: int) -> None:
    """With a warm-up of w the timescale is w on both sides; what becomes of its end is among the deviations."""
    w, stable = max(1, n // 3), 4 * n
    theirs = first(made("rsqrt", 5 * n, decay_epochs=n, warmup_epochs=w, warmup_lr=PEAK / (w + 1), warmup_prefix=True))
    ours = schedule("inverse_sqrt", timescale=w / (5 * n), warmup=f"{w} steps").rates(w + 5 * n, PEAK)
    np.testing.assert_allclose(ours[: w + stable], theirs(w + stable), rtol=0, atol=CLOSE)


@pytest.mark.filterwarnings("ignore:PlateauLRScheduler is deprecated:FutureWarning")
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "floor"), [(0, 0.0), (2, 0.3)])
def test_a_plateau_drops_when_timms_does(mode: str, patience: int, floor: float) -> None:
    """timm's plateau is PyTorch's, told at the end of each epoch."""
    metrics = [loss if mode == "min" else 1 / loss for loss in noisy_losses(40, seed=patience)]
    optimizer = an_optimizer()
    settings = {"decay_rate": 0.6, "patience_epochs": patience, "plateau_mode": mode, "min_lr": floor * PEAK}
    scheduler, _ = create_scheduler_v2(optimizer, "plateau", 40, **settings)
    theirs = []
    for epoch, metric in enumerate(metrics, start=1):
        theirs.append(rate_of(optimizer))
        scheduler.step(epoch, metric)
    ours = schedule("plateau", mode=mode, gamma=0.6, patience=patience, floor=floor)
    np.testing.assert_allclose(ours.replay(metrics, 40, PEAK), theirs, rtol=0, atol=CLOSE)
    assert len(set(theirs)) > 2


def test_every_scheduler_of_timm_is_compared() -> None:
    """A kind that a new timm's factory knows fails here until it is compared, or said to have no counterpart."""
    source = inspect.getsource(create_scheduler_v2)
    named = set(re.findall(r"sched [=!]= '([\w-]+)'", source))
    several = re.findall(r"elif sched in \(([^)]*)\)", source)
    known = named | {name for group in several for name in re.findall(r"'([\w-]+)'", group)}
    assert {case.of for case in CASES} | {"plateau", "rsqrt"} | set(NO_COUNTERPART) == known


# ── where the two differ on purpose; README.md has the whole list ────────────────────────────────────────────────────


def test_deviation_timm_warm_up_takes_its_time_from_the_decay() -> None:
    """Without ``warmup_prefix`` timm's decay runs during the warm-up and is met in the middle; ours waits."""
    theirs = first(made("cosine", 20, warmup_epochs=5, warmup_lr=0.0))(20)
    ours = schedule("cosine", warmup="5 steps").rates(20, PEAK)
    assert theirs[:6] == pytest.approx([0.0, 0.08, 0.16, 0.24, 0.32, 0.2 * (1 + np.cos(np.pi / 4))])
    assert ours[5] == PEAK
    np.testing.assert_allclose(theirs[5:], schedule("cosine").rates(20, PEAK)[5:], rtol=0, atol=CLOSE)


def test_deviation_timm_multistep_drops_one_step_early() -> None:
    """timm's milestone 10 counts from step 9 on, kept for old recipes (timm#2745, #2753, #2806); ours from step 10."""
    theirs = first(made("multistep", 20, decay_milestones=[10], decay_rate=0.1))(20)
    ours = schedule("multistep", at=(0.5,), gamma=0.1).rates(20, PEAK)
    assert (theirs[8], theirs[9]) == pytest.approx((0.4, 0.04))
    assert (ours[9], ours[10]) == pytest.approx((0.4, 0.04))


def test_deviation_timm_polynomial_has_the_power_of_a_decay_rate() -> None:
    """The factory gives its ``decay_rate``, 0.1 unless told otherwise, to the polynomial as its power."""
    theirs = first(made("poly", 10))(10)
    assert theirs[5] == pytest.approx(0.4 * 0.5**0.1)
    assert schedule("polynomial").rates(10, PEAK)[5] == pytest.approx(0.4 * 0.5**2)


def test_deviation_timm_restarts_at_a_tenth() -> None:
    """The factory's second cycle has a tenth of the height unless told otherwise; ours has the whole."""
    theirs = first(made("cosine", 10, cycle_limit=2))(20)
    ours = schedule("cosine_restarts", cycles=2).rates(20, PEAK)
    assert (theirs[10], ours[10]) == pytest.approx((0.04, 0.4))


def test_deviation_timm_restarts_late_by_rounding() -> None:
    """timm counts cycles by a logarithm; at 1 + 3 + 9 + 27 + 81 = 121 that gives 4.999…, and no restart."""
    theirs = first(made("cosine", 1, cycle_mul=3.0, cycle_decay=1.0, cycle_limit=6))(122)
    ours = schedule("cosine_restarts", cycles=6, multiplier=3).rates(364, PEAK)
    assert (theirs[40], ours[40]) == (PEAK, PEAK)
    assert (theirs[121], ours[121]) == pytest.approx((0.0, PEAK))


def test_deviation_timm_tanh_falls_to_its_floor_after_the_end() -> None:
    """At its last step timm's tanh is still above 0, and after it exactly there; ours holds its end, (1 - tanh 3)/2."""
    theirs = first(made("tanh", 10))(12)
    ours = rates_and_after(schedule("tanh"), 10, 12)
    assert (theirs[10], theirs[11]) == (0.0, 0.0)
    assert ours[10] == ours[11] == pytest.approx(0.4 * (1 - np.tanh(3)) / 2)


def test_deviation_timm_rsqrt_falls_on_during_its_decay() -> None:
    """timm multiplies the decay onto a curve that goes on falling; ours cools down from where that stood."""
    theirs = first(made("rsqrt", 20, decay_epochs=10, stable_timescale=10))(20)
    ours = schedule("inverse_sqrt", timescale=0.5).cooled_down(at=0.5, over=0.5).rates(20, PEAK)
    np.testing.assert_allclose(ours[:11], theirs[:11], rtol=0, atol=CLOSE)
    assert theirs[15] == pytest.approx(0.4 * (1 + 15 / 10) ** -0.5 * 0.5)
    assert ours[15] == pytest.approx(0.4 * (1 + 10 / 10) ** -0.5 * 0.5)


@pytest.mark.filterwarnings("ignore:PlateauLRScheduler is deprecated:FutureWarning")
def test_deviation_timm_plateau_forgets_its_patience() -> None:
    """Saved and loaded in the middle of its patience, timm's plateau counts from 0 again (timm#871); ours goes on."""

    def rate_after_a_restart(saved: dict[str, Any] | None) -> float:
        optimizer = an_optimizer()
        scheduler, _ = create_scheduler_v2(
            optimizer, "plateau", 9, decay_rate=0.5, patience_epochs=1, plateau_mode="min"
        )
        for epoch in (1, 2, 3) if saved is None else (1, 2):
            scheduler.step(epoch, 1.0)
        if saved is not None:
            restarted, _ = create_scheduler_v2(
                optimizer, "plateau", 9, decay_rate=0.5, patience_epochs=1, plateau_mode="min"
            )
            restarted.load_state_dict(scheduler.state_dict())
            restarted.step(3, 1.0)
        return rate_of(optimizer)

    assert rate_after_a_restart(None) == pytest.approx(0.2)
    assert rate_after_a_restart({}) == pytest.approx(0.4)
    course = schedule("plateau", gamma=0.5, patience=1).course(9)
    states = course.begin()
    for done in (1, 2):
        states = course.heard(states, 1.0, done)
    saved = tuple(json.loads(json.dumps(state)) for state in states)
    assert PEAK * course.factor(3, course.heard(saved, 1.0, 3)) == pytest.approx(0.2)


def test_deviation_timm_noise_is_drawn_per_step() -> None:
    """timm's noise is drawn anew at every step, so that another horizon has another one; ours is part of the curve."""
    short, long = (first(made("cosine", n, noise=[0.0, 1.0], noise_std=0.1))(n) for n in (50, 100))
    plain = schedule("cosine")
    assert np.abs(short / plain.rates(50, PEAK) - long[::2] / plain.rates(100, PEAK)[::2]).max() > 0.01
    ours = schedule("cosine", noise=0.1)
    np.testing.assert_allclose(ours.rates(100)[::2], ours.rates(50), rtol=0, atol=CLOSE)


def test_deviation_timm_k_decay_is_a_table() -> None:
    """timm's cosine of u^k has no family here; a table takes it as it is."""
    theirs = first(made("cosine", 20, k_decay=2.0))(20)
    assert theirs[10] == pytest.approx(0.2 * (1 + np.cos(np.pi / 4)))
    table = schedule("table", values=list(theirs / PEAK))
    np.testing.assert_allclose(table.rates(20, PEAK), theirs, rtol=0, atol=CLOSE)

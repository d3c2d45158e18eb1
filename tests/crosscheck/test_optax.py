"""Every schedule function of optax has the rates of one of our schedules, at every step and after the end."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lrsweep
from lrsweep.schedules.course import Floats
from tests.crosscheck.compare import AFTER, CLOSE, HORIZONS, PEAK, Case, assert_same, noisy_losses, rates_and_after
from tests.crosscheck.peers import peer

jax, jnp, optax = peer("jax"), peer("jax.numpy"), peer("optax")

schedule = lrsweep.schedule
FLOOR = 0.25
STEPS = jnp.arange(20 * max(HORIZONS) + AFTER)
"""The same number of steps always: jax compiles anew for every other one."""

NO_COUNTERPART = {
    "inject_hyperparams": "wraps an optimizer and has no curve of its own",
    "inject_stateful_hyperparams": "wraps an optimizer and has no curve of its own",
}


def first(function: Callable[[Any], Any]) -> Callable[[int], Floats]:
    """The rates of the first so many steps, as optax computes them with 64 bits."""

    def rates(count: int) -> Floats:
        found = np.asarray(jax.vmap(lambda step: jnp.asarray(function(step)))(STEPS))
        assert found.dtype == np.float64
        return found[:count]

    return rates


def one(of: str, ours: lrsweep.Schedule, function: Any, steps: int, *, holds: bool = True) -> Case:
    return Case(of, ours, first(function), steps, holds)


def decays(n: int) -> Iterator[Case]:
    yield one("constant_schedule", schedule("constant"), optax.constant_schedule(PEAK), n)
    yield one("linear_schedule", schedule("linear"), optax.linear_schedule(PEAK, 0.0, n), n)
    held = max(1, n // 4)
    for power in (0.5, 3.0):
        ours = schedule("polynomial", power=power, floor=FLOOR, hold=f"{held} steps")
        function = optax.polynomial_schedule(PEAK, FLOOR * PEAK, power, n, transition_begin=held)
        yield one("polynomial_schedule", ours, function, held + n)
    for floor in (0.0, FLOOR):
        ours = schedule("cosine", floor=floor)
        yield one("cosine_decay_schedule", ours, optax.cosine_decay_schedule(PEAK, n, alpha=floor), n)
    smooth = optax.exponential_decay(PEAK, n, 0.01, end_value=0.01 * PEAK)
    yield one("exponential_decay", schedule("exponential"), smooth, n)
    stairs = optax.exponential_decay(PEAK, n, 0.5, staircase=True)
    yield one("exponential_decay", schedule("exponential", final=0.125, stairs=3), stairs, 3 * n, holds=False)
    yield one("exponential_decay", schedule("step", every=1 / 3, gamma=0.5), stairs, 3 * n, holds=False)


def pieces(n: int) -> Iterator[Case]:
    ends = (2 * n, 3 * n, 5 * n)
    scales = {ends[0]: 0.5, ends[1]: 0.1}
    ours = schedule("piecewise", at=(0.4, 0.6), values=(1.0, 0.5, 0.05))
    yield one("piecewise_constant_schedule", ours, optax.piecewise_constant_schedule(PEAK, scales), ends[2])
    lines = lrsweep.sequence(
        (schedule("knots", points=(1.0, 0.5)), 0.4),
        (schedule("knots", points=(0.5, 0.05)), 0.2),
        (schedule("knots", points=(0.05, 0.2)), 0.4),
    )
    function = optax.piecewise_interpolate_schedule("linear", PEAK, {**scales, ends[2]: 4.0})
    yield one("piecewise_interpolate_schedule", lines, function, ends[2])
    function = optax.piecewise_interpolate_schedule("cosine", PEAK, {ends[0]: 0.5, ends[2]: 1.0})
    waves = schedule("cosine", floor=0.5).extended(2.5)
    yield one("piecewise_interpolate_schedule", waves, function, ends[2])


def cycles(n: int) -> Iterator[Case]:
    steps = 20 * n
    straight = lrsweep.sequence(
        (schedule("cyclic", cycles=1, low=0.1, rise=6 / 17), 0.85), (schedule("knots", points=(0.1, 0.01)), 0.15)
    )
    function = optax.linear_onecycle_schedule(steps, PEAK, div_factor=10, final_div_factor=10)
    yield one("linear_onecycle_schedule", straight, function, steps)
    ours = schedule("one_cycle", rise=0.3)
    yield one("cosine_onecycle_schedule", ours, optax.cosine_onecycle_schedule(steps, PEAK), steps)
    heights = (1.0, 0.5, 0.25)
    restarts = [
        {
            "init_value": 0.0,
            "peak_value": PEAK * height,
            "warmup_steps": 0,
            "decay_steps": n * 2**place,
            "end_value": 0.0,
        }
        for place, height in enumerate(heights)
    ]
    ours = schedule("cosine_restarts", cycles=3, multiplier=2, shrink=0.5)
    yield one("sgdr_schedule", ours, optax.sgdr_schedule(restarts), 7 * n)


def warm_ups(n: int) -> Iterator[Case]:
    w = max(1, n // 4)
    begin = PEAK / (w + 1)  # optax starts at the value it is given; ours is one step further from 0
    warm = f"{w} steps"
    function = optax.warmup_constant_schedule(begin, PEAK, w)
    yield one("warmup_constant_schedule", schedule("constant", warmup=warm), function, w + n)
    function = optax.warmup_cosine_decay_schedule(begin, PEAK, w, w + n, end_value=FLOOR * PEAK)
    yield one("warmup_cosine_decay_schedule", schedule("cosine", floor=FLOOR, warmup=warm), function, w + n)
    function = optax.warmup_exponential_decay_schedule(begin, PEAK, w, n, 0.01, end_value=0.01 * PEAK)
    yield one("warmup_exponential_decay_schedule", schedule("exponential", warmup=warm), function, w + n)
    joined = lrsweep.sequence((schedule("linear", floor=0.5), f"{n} steps"), (schedule("cosine"), "rest"))
    parts = [optax.linear_schedule(PEAK, 0.5 * PEAK, n), optax.cosine_decay_schedule(PEAK, 2 * n)]
    yield one("join_schedules", joined, optax.join_schedules(parts, [n]), 3 * n)


CASES = [case for n in HORIZONS for made in (decays, pieces, cycles, warm_ups) for case in made(n)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_optaxs_rate(case: Case) -> None:
    """Random access to our curve gives what optax's function gives for the step."""
    assert_same(case)


def test_every_schedule_of_optax_is_compared() -> None:
    """A function that a new optax brings fails here until it is compared, or said to have no counterpart."""
    functions = {name for name, value in vars(optax.schedules).items() if inspect.isfunction(value)}
    assert {case.of for case in CASES} | set(NO_COUNTERPART) == functions


def plateau_of_optax(metrics: list[float], **settings: Any) -> Floats:
    """The scale after each metric, as ``contrib.reduce_on_plateau`` keeps it."""
    transform = optax.contrib.reduce_on_plateau(**settings)
    nothing = jnp.zeros(1, dtype=jnp.float64)
    state, update = transform.init(nothing), jax.jit(transform.update)
    scales = []
    for metric in metrics:
        _, state = update(nothing, state, value=metric)
        scales.append(float(state.scale))
    return np.array(scales)


@pytest.mark.parametrize(("patience", "cooldown", "floor"), [(1, 0, 0.0), (3, 0, 0.0), (2, 3, 0.0), (1, 1, 0.3)])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_drops_when_optaxs_does(patience: int, cooldown: int, floor: float, threshold_mode: str) -> None:
    """optax's patience of p is our p - 1: it drops at the p-th evaluation without improvement, we at the next."""
    losses = noisy_losses(60, seed=patience)
    threshold = {"rtol": 0.01, "atol": 0.0} if threshold_mode == "rel" else {"rtol": 0.0, "atol": 0.01}
    scales = plateau_of_optax(
        losses, factor=0.6, patience=patience, cooldown=cooldown, min_scale=floor, accumulation_size=1, **threshold
    )
    ours = schedule(
        "plateau",
        gamma=0.6,
        patience=patience - 1,
        threshold=0.01,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        floor=floor,
    )
    # Step i + 1 is the first that has heard of metric i.
    np.testing.assert_allclose(ours.replay(losses, 60)[1:], scales[:-1], rtol=0, atol=CLOSE)
    assert len(set(scales)) > 2


# ── where the two differ on purpose; README.md has the whole list ────────────────────────────────────────────────────


def test_deviation_optax_warm_up_wastes_its_first_step() -> None:
    """From 0 over w steps, optax's first update has the rate 0; ours has 1/(w + 1) of the peak."""
    theirs = first(optax.warmup_cosine_decay_schedule(0.0, 0.4, 4, 104))(5)
    ours = schedule("cosine", warmup="4 steps").rates(104, 0.4)
    assert theirs == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert ours[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])


def test_deviation_optax_exponential_goes_on_after_the_end() -> None:
    """Without an end value optax's exponential has no end; ours holds its final value."""
    theirs = first(optax.exponential_decay(0.4, 10, 0.5))(21)
    ours = rates_and_after(schedule("exponential", final=0.5), 10, 21)
    assert (theirs[10], theirs[20]) == pytest.approx((0.2, 0.1))
    assert (ours[10], ours[20]) == pytest.approx((0.2, 0.2))


def test_deviation_optax_one_cycle_cuts_its_peak_to_a_whole_step() -> None:
    """With 10 steps and a rise of 0.25, optax puts the peak on step 2; ours lies at 2.5, between two steps."""
    theirs = first(optax.cosine_onecycle_schedule(10, 0.4, pct_start=0.25))(10)
    ours = schedule("one_cycle", rise=0.25)
    assert theirs[2] == pytest.approx(0.4)
    assert ours.rates(10, 0.4).max() < 0.4
    assert ours.factor(0.25) == 1.0
    np.testing.assert_allclose(ours.with_settings(rise=0.2).rates(10, 0.4), theirs, rtol=0, atol=CLOSE)


def test_deviation_optax_plateau_never_drops_for_negative_metrics() -> None:
    """A metric that stays at -1 brings nothing new, but optax takes it for an improvement each time (optax#1767)."""
    metrics = [-1.0] * 6
    theirs = plateau_of_optax(metrics, factor=0.5, patience=1, rtol=0.1)
    ours = schedule("plateau", gamma=0.5, patience=0, threshold=0.1).replay(metrics, 6)
    assert theirs.tolist() == [1.0] * 6
    assert ours.tolist() == [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625]


def test_deviation_optax_plateau_counts_differently() -> None:
    """With patience 2 optax drops at the second evaluation without improvement, PyTorch and we at the third."""
    metrics = [1.0] * 6
    theirs = plateau_of_optax(metrics, factor=0.5, patience=2)
    ours = schedule("plateau", gamma=0.5, patience=2).replay(metrics, 6)
    assert theirs.tolist() == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]  # after each metric
    assert ours.tolist() == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]  # in each step, so before it


def test_deviation_optax_makes_a_constant_of_an_impossible_length() -> None:
    """A decay over no steps is a constant at the peak for optax, with a line in the log; ours is refused."""
    assert optax.linear_schedule(0.4, 0.0, 0)(5) == 0.4
    with pytest.raises(lrsweep.ScheduleError, match="total_steps must be a whole number of 1 or more, not 0"):
        schedule("linear").rates(0)

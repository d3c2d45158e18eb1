"""Every LearningRateSchedule of Keras has the rates of one of our schedules, at every step and after the end.

Keras computes in 32 bits unless told otherwise; here it is told 64, so that a difference is one of the curves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lrsweep
from lrsweep.schedules.course import Floats
from tests.crosscheck.compare import CLOSE, HORIZONS, PEAK, Case, assert_same, noisy_losses, rates_and_after
from tests.crosscheck.peers import peer

keras = peer("keras")
schedules = keras.optimizers.schedules

schedule = lrsweep.schedule
FLOOR = 0.25

NO_COUNTERPART = {"LearningRateSchedule": "the base class of all others, with no curve of its own"}


@pytest.fixture(autouse=True)
def sixty_four_bits() -> Iterator[None]:
    """Keras's numbers as ours, in this file alone."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def first(function: Callable[[int], Any]) -> Callable[[int], Floats]:
    """The rates of the first so many steps, as an optimizer asks for them one by one."""

    def rates(count: int) -> Floats:
        found = [function(step) for step in range(count)]
        assert {keras.backend.standardize_dtype(one.dtype) for one in found} == {"float64"}
        return np.array([float(one) for one in found])

    return rates


def one(ours: lrsweep.Schedule, theirs: Any, steps: int, *, holds: bool = True) -> Case:
    return Case(type(theirs).__name__, ours, first(theirs), steps, holds)


def decays(n: int) -> Iterator[Case]:
    yield one(schedule("exponential", final=0.01), schedules.ExponentialDecay(PEAK, n, 0.01), n, holds=False)
    stairs = schedules.ExponentialDecay(PEAK, n, 0.5, staircase=True)
    yield one(schedule("exponential", final=0.125, stairs=3), stairs, 3 * n, holds=False)
    for power in (0.5, 1.0, 2.0):
        theirs = schedules.PolynomialDecay(PEAK, n, FLOOR * PEAK, power)
        yield one(schedule("polynomial", power=power, floor=FLOOR), theirs, n)
    yield one(schedule("inverse_time", d=5.0), schedules.InverseTimeDecay(PEAK, n, 5.0), n, holds=False)
    yield one(schedule("inverse_power", d=5.0, p=1.0), schedules.InverseTimeDecay(PEAK, n, 5.0), n, holds=False)
    for floor in (0.0, FLOOR):
        yield one(schedule("cosine", floor=floor), schedules.CosineDecay(PEAK, n, floor), n)
    # Keras's border is the last step of the value before it; ours is the first of the value after it.
    borders = [2 * n - 1, 3 * n - 1]
    ours = schedule("piecewise", at=(0.4, 0.6), values=(1.0, 0.5, 0.05))
    yield one(ours, schedules.PiecewiseConstantDecay(borders, [PEAK, 0.5 * PEAK, 0.05 * PEAK]), 5 * n)


def cycles(n: int) -> Iterator[Case]:
    w = max(1, n // 4)
    # Keras starts at the value it is given; ours is one step further from 0.
    theirs = schedules.CosineDecay(PEAK / (w + 1), n, FLOOR, warmup_target=PEAK, warmup_steps=w)
    yield one(schedule("cosine", floor=FLOOR, warmup=f"{w} steps"), theirs, w + n)
    for multiplier, shrink, count in ((1.0, 1.0, 3), (1.0, 0.5, 4), (2.0, 0.7, 3)):
        steps = n * round(sum(multiplier**k for k in range(count)))
        ours = schedule("cosine_restarts", cycles=count, multiplier=multiplier, shrink=shrink, floor=FLOOR)
        yield one(ours, schedules.CosineDecayRestarts(PEAK, n, multiplier, shrink, FLOOR), steps, holds=False)


# Without the longest: Keras takes a millisecond per step.
CASES = [case for n in HORIZONS[:-1] for made in (decays, cycles) for case in made(n)]

# Keras on PyTorch under NumPy 2, whenever a callback reads the rate.
reads_the_rate = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_step_has_kerass_rate(case: Case) -> None:
    """Random access to our curve gives what Keras's object gives for the step."""
    assert_same(case)


def test_every_schedule_of_keras_is_compared() -> None:
    """A class that a new Keras brings fails here until it is compared, or said to have no counterpart."""
    classes = {name for name, value in vars(schedules).items() if inspect.isclass(value)}
    assert {case.of for case in CASES} | set(NO_COUNTERPART) == classes


def heard_by_keras(metrics: list[float], peak: float = PEAK, **settings: Any) -> Floats:
    """The rate of each epoch under the callback ReduceLROnPlateau, which is told a metric at the end of each."""
    optimizer = keras.optimizers.SGD(learning_rate=peak)
    callback = keras.callbacks.ReduceLROnPlateau(monitor="metric", **settings)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, metric in enumerate(metrics):
        rates.append(float(optimizer.learning_rate))
        callback.on_epoch_end(epoch, {"metric": metric})
    return np.array(rates)


@reads_the_rate
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "floor"), [(1, 0, 0.0), (3, 0, 0.0), (2, 4, 0.0), (1, 2, 0.3)])
def test_a_plateau_drops_when_kerass_does(mode: str, patience: int, cooldown: int, floor: float) -> None:
    """Keras drops at the p-th epoch without improvement, we at the next; its cool-down is one epoch shorter too."""
    metrics = [loss if mode == "min" else -loss for loss in noisy_losses(60, seed=patience)]
    settings: dict[str, Any] = {
        "mode": mode,
        "factor": 0.6,
        "patience": patience,
        "min_delta": 0.01,
        "min_lr": floor * PEAK,
    }
    theirs = heard_by_keras(metrics, cooldown=cooldown, **settings)
    ours = schedule(
        "plateau",
        mode=mode,
        gamma=0.6,
        patience=patience - 1,
        threshold=0.01,
        threshold_mode="abs",
        cooldown=max(0, cooldown - 1),
        floor=floor,
    )
    np.testing.assert_allclose(ours.replay(metrics, 60, PEAK), theirs, rtol=0, atol=CLOSE)
    assert len(set(theirs)) > 2


# ── where the two differ on purpose; README.md has the whole list ────────────────────────────────────────────────────


def test_deviation_keras_computes_in_32_bits() -> None:
    """Unless told otherwise Keras's rates are float32, a few parts in 10^8 away from ours."""
    keras.config.set_floatx("float32")
    theirs = np.array([float(schedules.CosineDecay(PEAK, 100)(step)) for step in range(100)])
    ours = schedule("cosine").rates(100, PEAK)
    difference = np.abs(theirs - ours).max()
    assert CLOSE < difference < 1e-7


def test_deviation_keras_warm_up_wastes_its_first_step() -> None:
    """From 0 over w steps, Keras's first update has the rate 0; ours has 1/(w + 1) of the peak."""
    theirs = first(schedules.CosineDecay(0.0, 100, warmup_target=0.4, warmup_steps=4))(5)
    ours = schedule("cosine", warmup="4 steps").rates(104, 0.4)
    assert theirs == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert ours[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])


def test_deviation_keras_drops_one_step_after_its_border() -> None:
    """Keras's border 5 belongs to the value before it; for us, PyTorch and optax step 5 has the value after it."""
    theirs = first(schedules.PiecewiseConstantDecay([5], [0.4, 0.1]))(10)
    ours = schedule("piecewise", at=(0.5,), values=(1.0, 0.25)).rates(10, 0.4)
    assert (theirs[5], theirs[6]) == (0.4, 0.1)
    assert (ours[4], ours[5]) == (0.4, 0.1)


def test_deviation_keras_polynomial_cycle_rises_again() -> None:
    """With ``cycle=True`` Keras stretches the decay once it is over, so that it jumps up; ours holds its end."""
    theirs = first(schedules.PolynomialDecay(0.4, 10, 0.0, power=1.0, cycle=True))(12)
    ours = rates_and_after(schedule("linear"), 10, 12)
    assert (theirs[10], theirs[11]) == pytest.approx((0.0, 0.4 * (1 - 11 / 20)))
    assert (ours[10], ours[11]) == (0.0, 0.0)


def test_deviation_keras_inverse_time_in_stairs_is_a_table() -> None:
    """No family has 1/(1 + d·floor(t)); a table takes it as it is."""
    theirs = first(schedules.InverseTimeDecay(PEAK, 5, 1.0, staircase=True))(15)
    assert theirs[[0, 4, 5, 10]] == pytest.approx([PEAK, PEAK, PEAK / 2, PEAK / 3])
    table = lrsweep.schedule("table", values=list(theirs / PEAK))
    np.testing.assert_allclose(table.rates(15, PEAK), theirs, rtol=0, atol=CLOSE)


@reads_the_rate
def test_deviation_keras_plateau_counts_differently() -> None:
    """With patience 2 Keras drops after the second bad epoch, PyTorch and we after the third."""
    metrics = [1.0] * 6
    theirs = heard_by_keras(metrics, factor=0.5, patience=2, mode="min")
    ours = schedule("plateau", gamma=0.5, patience=2, threshold_mode="abs").replay(metrics, 6, PEAK)
    assert theirs.tolist() == [0.4, 0.4, 0.4, 0.2, 0.2, 0.1]
    assert ours.tolist() == [0.4, 0.4, 0.4, 0.4, 0.2, 0.2]


def test_deviation_keras_schedule_and_plateau_exclude_each_other() -> None:
    """A Keras optimizer with a schedule refuses the callback's rate; our plateau has any curve as its base."""
    optimizer = keras.optimizers.SGD(learning_rate=schedules.CosineDecay(PEAK, 10))
    with pytest.raises(TypeError, match="learning rate is not settable"):
        optimizer.learning_rate = 0.1
    ours = schedule("plateau", base=schedule("linear"), patience=0, gamma=0.5)
    assert ours.replay({1: 1.0, 2: 1.0}, 4, 0.8) == pytest.approx([0.8, 0.6, 0.2, 0.1])

"""Real curves of ``digits``, and how a training is made of one: what is replayed in the place of training.

    python -m tests.benchmarks.scale.curves      # trains them again, and writes curves.npz beside this file

A family has one curve at each rung's length, trained at a sensible rate with SGD. A training that is replayed has its
own schedule's rates and its family's curve, stretched to its horizon, worse by as far as its peak lies from that rate,
with a little noise of its own seed: a search has something to find, and rungs and finals rank as they do in a sweep.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrsweep.records import Curve, TrainingPlan
from lrsweep.schedules import core_names

FILE = Path(__file__).parent / "curves.npz"
HORIZONS = (67, 200, 600)
GOOD_RATES = {"sgd": 0.1, "adamw": 0.01}
DIVERGES_ABOVE = {"sgd": 0.9, "adamw": 0.09}
NOISE = 0.01
"""Standard deviation of a value from seed to seed."""


@cache
def _stored() -> dict[str, NDArray[np.float64]]:
    with np.load(FILE, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


def diverges(plan: TrainingPlan) -> bool:
    return plan.peak_lr > DIVERGES_ABOVE[plan.optimizer.name]


def curve_of(plan: TrainingPlan) -> Curve:
    """The whole of it. Its losses are strictly positive and end where ``digits`` ends."""
    losses, values = _shape(plan.schedule.family, plan.horizon, plan.evaluations)
    drawn = np.random.default_rng(plan.seed)
    distance = abs(np.log10(plan.peak_lr / GOOD_RATES[plan.optimizer.name]))
    factor = float(np.exp(distance + NOISE * drawn.standard_normal()))
    evaluated_at = np.arange(1, plan.evaluations + 1) * plan.horizon // plan.evaluations
    jitter = 1 + NOISE * drawn.standard_normal(plan.horizon)
    rates = plan.schedule.replay((factor * values).tolist(), plan.horizon, plan.peak_lr)
    return Curve(rates, factor * losses * jitter, evaluated_at, {plan.metric: factor * values})


@cache
def _shape(family: str, horizon: int, evaluations: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stored, names = _stored(), core_names()
    name = family if family in names else names[len(family) % len(names)]
    nearest = min(HORIZONS, key=lambda each: abs(each - horizon))
    losses, values = stored[f"{name}.{nearest}.losses"], stored[f"{name}.{nearest}.values"]
    return _stretched(losses, horizon), _stretched(values, evaluations)


def _stretched(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(values)), values)


def make() -> None:
    """About ten seconds."""
    from lrsweep.engines.device import open_device
    from lrsweep.engines.sequential import train
    from lrsweep.records import OptimizerSpec, Record, WorkloadSpec
    from lrsweep.schedules import schedule
    from lrsweep.study.optimizers import OPTIMIZERS
    from lrsweep.workloads.base import load

    spec = WorkloadSpec("digits")
    workload = load(spec, open_device("cpu"), None)
    arrays: dict[str, NDArray[np.float32]] = {}
    for name in core_names():
        for horizon in HORIZONS:
            curve = Curve.empty()

            def hear(record: Record) -> None:
                nonlocal curve
                curve = curve.extended(record)

            optimizer = OptimizerSpec("sgd", OPTIMIZERS["sgd"].settings)
            plan = TrainingPlan(
                f"{name}-{horizon}", 1, spec, schedule(name), GOOD_RATES["sgd"], optimizer, horizon, seed=1
            )
            train(plan, workload, hear)
            arrays[f"{name}.{horizon}.losses"] = curve.train_losses.astype(np.float32)
            arrays[f"{name}.{horizon}.values"] = curve.evaluations["val_loss"].astype(np.float32)
    np.savez_compressed(FILE, allow_pickle=False, **arrays)


if __name__ == "__main__":
    make()

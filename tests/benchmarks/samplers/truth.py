"""What the samplers are let loose on: real trainings, then a surface through them.

``train`` trains points drawn at random from the space, as many for each family and optimizer, and some of them with
more seeds. ``Surface`` goes through their logarithms, with one Gaussian process for each family and optimizer, and
knows how much a seed moves a value: with both, a sampler is shown in milliseconds what a training would have shown it.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsweep.records import Json, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import core_names
from lrsweep.space import candidate, distributions_of
from lrsweep.study import ResolvedStudy, SpaceSpec
from lrsweep.sweep.by_family import at

WORKLOADS: Mapping[str, tuple[WorkloadSpec, int]] = {
    "digits, MLP": (WorkloadSpec("digits", {"model": "mlp", "noise": 0.0}), 150),
    "breast cancer, logistic": (WorkloadSpec("logistic", {"table": "breast_cancer"}), 150),
}
"""With the horizon: short, because several hundred points are trained."""

PER_PAIR = 30
"""points of each family and optimizer"""
REPEATED = 32
SEEDS = 4
SLOTS = 32

WORST = 2.5
"""A loss from here on counts as diverged: a network that knows nothing has 2.3 on ten digits."""


def a_study(workload: WorkloadSpec, horizon: int) -> ResolvedStudy:
    from lrsweep.engines.device import open_device
    from lrsweep.workloads.base import load

    facts = load(workload, open_device("cpu")).facts
    optimizers = ("sgd", "adamw")
    return ResolvedStudy(
        name="samplers",
        workload=workload,
        facts=facts,
        metric="val_loss",
        direction="minimize",
        horizon=horizon,
        seed=0,
        space=SpaceSpec(core_names(), optimizers, peak_lr={name: facts.peak_lr[name] for name in optimizers}),
        trials=100,
        source="samplers",
    )


def train(study: ResolvedStudy, say: Callable[[str], None]) -> list[Json]:
    """One entry for each training: its parameters, its seed, and its loss on the decide half; None where it diverged.

    The other half would do as well; this one is not what a search sees, so that no figure here was fitted to.
    """
    from lrsweep.engines.device import open_device
    from lrsweep.engines.fused.engine import FusedEngine
    from lrsweep.records import EngineSettings, Record
    from lrsweep.workloads.base import load

    points = _points(study)
    asked = [(point, 0) for point in points]
    asked += [(points[place], seed) for place in _spread(len(points)) for seed in range(1, SEEDS)]
    losses: dict[str, float | None] = {}

    def heard(record: Record) -> None:
        if record.outcome is not None:
            if record.outcome.status is Status.FAILED:
                raise RuntimeError(record.outcome.error)
            value = record.outcome.metrics.get("decide_loss", math.nan)
            losses[record.training_id] = value if math.isfinite(value) else None

    engine = FusedEngine(load(study.workload, open_device("cpu")), EngineSettings(), SLOTS, heard)
    for number, (params, seed) in enumerate(asked):
        point = candidate(params, study)
        engine.submit(
            TrainingPlan(
                training_id=str(number),
                attempt=1,
                workload=study.workload,
                schedule=point.schedule,
                peak_lr=point.peak_lr,
                optimizer=point.optimizer,
                horizon=study.horizon,
                seed=1000 * seed + number % 1000,
            )
        )
    shown = 0
    while not engine.is_idle:
        engine.advance()
        if len(losses) >= shown + 200:
            shown = len(losses)
            say(f"{shown} of {len(asked)} trainings")
    return [
        {"params": dict(params), "seed": seed, "loss": losses[str(number)]}
        for number, (params, seed) in enumerate(asked)
    ]


def _points(study: ResolvedStudy) -> list[dict[str, Json]]:
    rng = np.random.default_rng(1)
    return [
        {
            "family": family,
            "optimizer": optimizer,
            **{name: at(each, rng.random()) for name, each in distributions_of(study, family, optimizer).items()},
        }
        for family in study.space.families
        for optimizer in study.space.optimizers
        for _ in range(PER_PAIR)
    ]


def _spread(points: int) -> list[int]:
    return [int(place) for place in np.linspace(0, points - 1, REPEATED)]


@dataclass(frozen=True)
class Shown:
    """What a sampler sees of one training, and what is true of its point."""

    observed: float | None
    true: float


class Surface:
    """The logarithm of the loss over the space, as the trainings say it."""

    def __init__(self, study: ResolvedStudy, trainings: Sequence[Json]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        self._study = study
        self.noise = _seed_noise(trainings)
        """of the logarithm, one standard deviation from seed to seed"""
        self._fits: dict[tuple[str, str], tuple[list[str], Any]] = {}
        pairs: dict[tuple[str, str], list[Json]] = {}
        for each in trainings:
            if each["seed"] == 0:
                pairs.setdefault((each["params"]["family"], each["params"]["optimizer"]), []).append(each)
        for pair, points in pairs.items():
            names = sorted(set(points[0]["params"]) - {"family", "optimizer"})
            where = np.array([_features(each["params"], names) for each in points])
            values = np.array([_log_loss(each["loss"]) for each in points])
            kernel = ConstantKernel(1.0) * RBF(np.ones(len(names)), (0.1, 30.0)) + WhiteKernel(0.01, (1e-5, 1.0))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fit = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0)
                self._fits[pair] = names, fit.fit(_scaled(where, names, study, pair), values)
        self.best = min(float(self._at(_points_of(study, pair)).min()) for pair in self._fits)
        """the smallest loss anywhere on the surface, of 2,000 points for each family and optimizer"""

    def shown(self, params: Mapping[str, Json], rng: np.random.Generator) -> Shown:
        true = float(self._at([dict(params)])[0])
        observed = math.log(true) + self.noise * rng.standard_normal()
        return Shown(None if observed > math.log(WORST) else math.exp(observed), true)

    def _at(self, points: Sequence[Mapping[str, Json]]) -> NDArray[np.float64]:
        pair = points[0]["family"], points[0]["optimizer"]
        names, fit = self._fits[pair]
        where = np.array([_features(each, names) for each in points])
        found: NDArray[np.float64] = np.exp(fit.predict(_scaled(where, names, self._study, pair)))
        return found


def _features(params: Mapping[str, Json], names: Sequence[str]) -> list[float]:
    return [math.log(params[name]) if name.endswith("peak_lr") else float(params[name]) for name in names]


def _scaled(
    where: NDArray[np.float64], names: Sequence[str], study: ResolvedStudy, pair: tuple[str, str]
) -> NDArray[np.float64]:
    """Each number from 0 to 3 over its range."""
    ranges = distributions_of(study, *pair)
    low = np.array(_features({name: at(ranges[name], 0.0) for name in names}, names))
    high = np.array(_features({name: at(ranges[name], 1.0) for name in names}, names))
    scaled: NDArray[np.float64] = 3 * (where - low) / (high - low)
    return scaled


def _points_of(study: ResolvedStudy, pair: tuple[str, str]) -> list[dict[str, Json]]:
    rng = np.random.default_rng(2)
    ranges = distributions_of(study, *pair)
    point = {"family": pair[0], "optimizer": pair[1]}
    return [{**point, **{name: at(each, rng.random()) for name, each in ranges.items()}} for _ in range(2000)]


def _log_loss(loss: float | None) -> float:
    return math.log(WORST * 1.2 if loss is None else min(loss, WORST * 1.2))


def _seed_noise(trainings: Sequence[Json]) -> float:
    """The median over the repeated points: a few at the border of divergence would say it all in a mean."""
    by_point: dict[str, list[float]] = {}
    for each in trainings:
        if each["loss"] is not None:
            by_point.setdefault(json.dumps(each["params"], sort_keys=True), []).append(math.log(each["loss"]))
    spreads = [float(np.std(losses, ddof=1)) for losses in by_point.values() if len(losses) == SEEDS]
    return float(np.median(spreads))

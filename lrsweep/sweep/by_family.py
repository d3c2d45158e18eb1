"""Samplers for a space in which a family's settings exist only with the family.

``ByFamily`` gives each family a sampler of Optuna's and a small study of its own. There nothing depends on anything:
the peak rate is a place between the ends of its optimizer's range, so that all optimizers' rates are one parameter.
``QuasiRandom`` spreads each family's points evenly over the same box, and takes families in turn.

Both hear of trials through the study that they sample for, finished ones that were added to it as well, so a search
that is rebuilt needs nothing else.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from threadpoolctl import threadpool_limits

from lrsweep.records import Direction, Json, stable_hash
from lrsweep.space import decay_name, distributions_of, peak_lr_name
from lrsweep.study import ResolvedStudy

OPTIMIZER = "optimizer"
UNIT = FloatDistribution(0.0, 1.0)
WORSE: Mapping[Direction, float] = {"minimize": 1.0, "maximize": -1.0}
MakeSampler = Callable[[int], BaseSampler]


class Box:
    """A family's part of the space, in which nothing depends on the optimizer."""

    def __init__(self, study: ResolvedStudy, family: str) -> None:
        self._ranges = {name: self._by_role(study, family, name) for name in study.space.optimizers}
        self.distributions: dict[str, BaseDistribution] = {
            OPTIMIZER: CategoricalDistribution(study.space.optimizers),
            **{
                role: UNIT if name != role else distribution
                for ranges in self._ranges.values()
                for role, (name, distribution) in ranges.items()
            },
        }

    @staticmethod
    def _by_role(study: ResolvedStudy, family: str, optimizer: str) -> dict[str, tuple[str, BaseDistribution]]:
        roles = {peak_lr_name(family, optimizer): "peak_lr", decay_name(optimizer): "weight_decay"}
        drawn = distributions_of(study, family, optimizer)
        return {roles.get(name, name): (name, distribution) for name, distribution in drawn.items()}

    def point(self, inside: Mapping[str, Json]) -> dict[str, Json]:
        """The parameters of a place in the box."""
        params: dict[str, Json] = {OPTIMIZER: inside[OPTIMIZER]}
        for role, (name, distribution) in self._ranges[inside[OPTIMIZER]].items():
            params[name] = inside[role] if name == role else at(distribution, inside[role])
        return params

    def place(self, params: Mapping[str, Json]) -> dict[str, Json]:
        """Where a point lies in it; what its optimizer has no use for lies in the middle."""
        ranges = self._ranges[params[OPTIMIZER]]
        found: dict[str, Json] = {role: 0.5 for role, each in self.distributions.items() if each is UNIT}
        for role, (name, distribution) in ranges.items():
            found[role] = params[name] if name == role else share_of(distribution, params[name])
        return {OPTIMIZER: params[OPTIMIZER], **found}


def at(distribution: BaseDistribution, share: float) -> Json:
    """The value that lies at this share of a range or of a list of choices.

    >>> at(FloatDistribution(0.01, 1.0, log=True), 0.5), at(IntDistribution(1, 4), 0.99)
    (0.1, 4)
    """
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[min(int(share * len(choices)), len(choices) - 1)]
        case IntDistribution(low=low, high=high, log=log):
            return min(high, int(_between(low, high + 1, share, log=log)))
        case FloatDistribution(low=low, high=high, log=log):
            return min(high, max(low, _between(low, high, share, log=log)))
    raise TypeError(f"{distribution} is no distribution of a point")


def share_of(distribution: BaseDistribution, value: float) -> float:
    """Where in a range of real numbers the value lies, from 0 to 1."""
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    if low == high:
        return 0.5
    if distribution.log:
        return min(1.0, max(0.0, math.log(value / low) / math.log(high / low)))
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    return float(low * (high / low) ** share) if log else low + share * (high - low)


class WholePoints(BaseSampler):
    """Draws a whole point when the first parameter after the family is asked for."""

    def __init__(self, study: ResolvedStudy) -> None:
        self._study = study
        self._boxes: dict[str, Box] = {}
        self._points: dict[int, dict[str, Json]] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        del study, trial  # what depends on a family is not known before the family is
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        del study, trial, search_space
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        del param_distribution  # the study's, as in the box
        if param_name == "family":
            return self.family(study, trial)
        if trial.number not in self._points:
            family = trial.params["family"]
            box = self._boxes.setdefault(family, Box(self._study, family))
            inside = self.inside(study, trial, family, box)
            if OPTIMIZER in trial.params:  # it was given, and the rest has to go with it
                inside = {**inside, OPTIMIZER: trial.params[OPTIMIZER]}
            self._points[trial.number] = box.point(inside)
        return self._points[trial.number][param_name]

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: OptunaState, values: Sequence[float] | None
    ) -> None:
        del study, state, values
        self._points.pop(trial.number, None)

    def family(self, study: optuna.Study, trial: FrozenTrial) -> str:
        raise NotImplementedError

    def inside(self, study: optuna.Study, trial: FrozenTrial, family: str, box: Box) -> Mapping[str, Json]:
        """A place in the family's box."""
        raise NotImplementedError


class QuasiRandom(WholePoints):
    """Scrambled Sobol points, a sequence for each family. It learns nothing, and leaves no part of a family out."""

    def __init__(self, study: ResolvedStudy, seed: int) -> None:
        super().__init__(study)
        self._seed = seed

    def family(self, study: optuna.Study, trial: FrozenTrial) -> str:
        families = self._study.space.families
        had = [other.params["family"] for other in _others(study, trial)]
        return min(families, key=had.count)

    def inside(self, study: optuna.Study, trial: FrozenTrial, family: str, box: Box) -> Mapping[str, Json]:
        from scipy.stats.qmc import Sobol

        before = sum(other.params["family"] == family for other in _others(study, trial))
        seed = int(stable_hash([self._seed, family])[:8], 16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of fewer points than a power of two
            shares = Sobol(len(box.distributions), scramble=True, rng=seed).random(before + 1)[-1]
        return {
            name: at(each, float(share)) for (name, each), share in zip(box.distributions.items(), shares, strict=True)
        }


def _others(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False)
    return [each for each in trials if each.number != trial.number and "family" in each.params]


@dataclass
class _Small:
    """A family's own study."""

    study: optuna.Study
    asked: dict[int, optuna.Trial] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)


class ByFamily(WholePoints):
    """A sampler of Optuna's for each family, and TPE for which family.

    ``completes``: a halted trial is given as complete with the value of its rung, and a diverged one as far behind the
    family's worst as that is behind its best, to samplers that learn from complete trials alone. The first is too bad
    if a longer training would have been better; it was behind all the same.
    """

    def __init__(self, study: ResolvedStudy, make: MakeSampler, seed: int, *, completes: bool = False) -> None:
        super().__init__(study)
        make(seed)  # settings that make none are refused here, and not at the first ask of a family
        self._make = make
        self._seed = seed
        self._completes = completes
        self._which = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=False)
        self._small: dict[str, _Small] = {}

    def family(self, study: optuna.Study, trial: FrozenTrial) -> str:
        distribution = CategoricalDistribution(self._study.space.families)
        return str(self._which.sample_independent(study, trial, "family", distribution))

    def inside(self, study: optuna.Study, trial: FrozenTrial, family: str, box: Box) -> Mapping[str, Json]:
        small = self._small_of(family)
        self._hear(study, family, small, box)
        if OPTIMIZER in trial.params:
            small.study.enqueue_trial({OPTIMIZER: trial.params[OPTIMIZER]})
        with threadpool_limits(1) if self._completes else nullcontext():  # the processors belong to the engines
            asked = small.study.ask(fixed_distributions=dict(box.distributions))
        small.asked[trial.number] = asked
        return asked.params

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: OptunaState, values: Sequence[float] | None
    ) -> None:
        super().after_trial(study, trial, state, values)
        small = self._small.get(str(trial.params.get("family")))
        if small is None or trial.number not in small.asked:
            return
        asked = small.asked.pop(trial.number)
        small.known.add(trial.number)
        state, value = self._told(small, state, values[0] if values else None, trial)
        if state is not OptunaState.FAIL:
            for step, each in trial.intermediate_values.items():
                asked.report(each, step)
        small.study.tell(asked, value if state is OptunaState.COMPLETE else None, state=state)

    def _small_of(self, family: str) -> _Small:
        if family not in self._small:
            seed = int(stable_hash([self._seed, family])[:8], 16)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = self._make(seed)
            study = optuna.create_study(sampler=sampler, direction=self._study.sense)
            self._small[family] = _Small(study)
        return self._small[family]

    def _hear(self, study: optuna.Study, family: str, small: _Small, box: Box) -> None:
        """Of trials that ended without having been drawn here: those of earlier sweeps, and points that were given."""
        for trial in study.get_trials(deepcopy=False):
            if trial.params.get("family") != family or trial.number in small.known or not trial.state.is_finished():
                continue
            small.known.add(trial.number)
            state, value = self._told(small, trial.state, trial.value, trial)
            if state is OptunaState.FAIL:
                continue
            small.study.add_trial(
                optuna.create_trial(
                    state=state,
                    value=value if state is OptunaState.COMPLETE else None,
                    params=box.place(trial.params),
                    distributions=dict(box.distributions),
                    intermediate_values=dict(trial.intermediate_values),
                )
            )

    def _told(
        self, small: _Small, state: OptunaState, value: float | None, trial: FrozenTrial
    ) -> tuple[OptunaState, float | None]:
        if state is not OptunaState.PRUNED or not self._completes:
            return state, value
        reached = list(trial.intermediate_values.values())[-1:]
        if reached and math.isfinite(reached[0]):
            return OptunaState.COMPLETE, reached[0]
        values = [each.value for each in small.study.get_trials(deepcopy=False) if each.value is not None]
        if not values:
            return OptunaState.FAIL, None
        worst, best = (max(values), min(values)) if self._study.sense == "minimize" else (min(values), max(values))
        return OptunaState.COMPLETE, worst + ((worst - best) or WORSE[self._study.sense])

"""What a study means: the question as the file states it, and the same with the workload's own defaults filled in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from lrsweep.errors import InvalidInput, Problem, StudyError, did_you_mean
from lrsweep.records import (
    EVALUATIONS_PER_TRAINING,
    Direction,
    EngineSettings,
    Json,
    OptimizerSpec,
    WorkloadFacts,
    WorkloadSpec,
    stable_hash,
)
from lrsweep.schedules import Options, Search, family, json_value, schedule
from lrsweep.schedules.setting import REQUIRED
from lrsweep.scripts import command
from lrsweep.scripts.command_line import placeholders
from lrsweep.study.extra import Extra, extra_to_json
from lrsweep.workloads import catalog
from lrsweep.workloads.horizon import steps_of

OPTIMIZERS: Mapping[str, OptimizerSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
            OptimizerSpec("adamw", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}),
            OptimizerSpec("sgd_plain", {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("sgd_dampened", {"momentum": 0.9, "dampening": 0.9, "weight_decay": 0.0}),
            OptimizerSpec("nesterov", {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("rmsprop", {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
        )
    }
)

DEFAULT_OPTIMIZERS = ("sgd", "adamw")
"""What is searched unless the file says otherwise: one of each kind."""

# A shorter training wants a larger peak rate. Measured at a third of the horizon on six small workloads, the best peak
# moved with the root of the horizon under SGD and with a power between 0 and 1/4 under Adam, whose step hardly depends
# on the gradient's size. Without the correction a rung misjudges the rate of a schedule and with it the schedule.
# The others have the exponent of their kind.
RATE_EXPONENTS: Mapping[str, float] = MappingProxyType(
    {
        "sgd": 0.5,
        "adamw": 0.15,
        "sgd_plain": 0.5,
        "sgd_dampened": 0.5,
        "nesterov": 0.5,
        "rmsprop": 0.15,
        "adam": 0.15,
    }
)

TRAINING_RULES = 1
"""Changes when what a value means changes although no setting does: the rate exponents, an optimizer's fixed settings,
the divergence rules, what an evaluation is. An optimizer that is added changes nothing for the others."""

REDUCTION_FACTOR = 3
"""How much shorter the first rung is; at a ninth even the corrected rung picks badly."""

SHORTEST_HORIZON_WITH_A_RUNG = 30
"""Below it a third is under ten updates: too few for a curve to mean anything, and too cheap to be worth saving."""

PLAIN = EngineSettings()

Range = tuple[float, float]


@dataclass(frozen=True)
class SpaceSpec:
    """What is searched. ``warmup`` and ``floor`` are one number, or a range that is searched too."""

    families: tuple[str, ...]
    """in the order given: the search counts its choices by it"""
    optimizers: tuple[str, ...]
    warmup: float | Range = 0.0
    floor: float | Range = 0.0
    peak_lr: Mapping[str, Range] = field(default_factory=dict)
    """per optimizer, on a log scale; what is missing comes from the workload"""
    extra: Mapping[str, Extra] = field(default_factory=dict)
    """the script's own parameters: what is drawn, or the one value that is passed on"""

    def to_json(self) -> dict[str, Json]:
        """What is not given and was not known to earlier releases is left out, so that hashes stay."""
        extra = {name: extra_to_json(each) for name, each in self.extra.items()}
        return {
            "families": list(self.families),
            "optimizers": list(self.optimizers),
            "warmup": _number_or_list(self.warmup),
            "floor": _number_or_list(self.floor),
            "peak_lr": {name: list(searched) for name, searched in self.peak_lr.items()},
            **({"extra": extra} if extra else {}),
        }


@dataclass(frozen=True)
class Study:
    """A study file, read and checked whole."""

    name: str
    workload: WorkloadSpec
    """with all its settings, the defaults too"""
    space: SpaceSpec
    trials: int
    source: str
    """the file, for messages"""
    horizon: int | str | None = None
    """of a full training, in steps or as a text such as "30 epochs"; None: the workload's own"""
    seed: int = 0
    metric: str = "val_loss"
    direction: Direction | None = None
    """None: what the workload says of the metric, else a smaller one is better"""
    engine: EngineSettings = PLAIN

    def on_random_data(self) -> Study:
        """The same with random tensors of the true shapes for data; only its speed means anything.

        Raises InvalidInput where the workload has none.
        """
        have = [name for name in catalog.workload_names() if _has_random_data(name)]
        if self.workload.name not in have:
            raise InvalidInput(
                f"--synthetic: the workload {self.workload.name!r} has no random data in place of its own. "
                f"These have: {', '.join(have)}."
            )
        settings = {**self.workload.settings, "synthetic": True}
        return replace(self, workload=catalog.complete(WorkloadSpec(self.workload.name, settings)))

    def resolved(self, facts: WorkloadFacts) -> ResolvedStudy:
        """The study with the workload's horizon, rate ranges and direction wherever the file gives none of its own.

        Raises StudyError for an optimizer that has no range in either, a metric that the workload does not have, a
        parameter that the script does not take, or a horizon that it cannot count in steps.
        """
        problems: list[Problem] = []
        ranges = {name: self.space.peak_lr.get(name) or facts.peak_lr.get(name) for name in self.space.optimizers}
        problems += [_no_range(facts.name, name) for name, searched in ranges.items() if searched is None]
        known = {f"val_{name}": direction for name, direction in facts.metrics.items()}
        if known and self.metric not in known:
            problems.append(_no_metric(facts.name, self.metric, known))
        problems += self._not_taken(facts)
        try:
            horizon = facts.horizon if self.horizon is None else steps_of(self.horizon, facts)
        except InvalidInput as error:
            problems.append(Problem("study.horizon", str(error)))
        if problems:
            raise StudyError(self.source, problems)
        return ResolvedStudy(
            name=self.name,
            workload=self.workload,
            facts=facts,
            metric=self.metric,
            direction=self.direction or known.get(self.metric, "minimize"),
            engine=self.engine,
            horizon=horizon,
            seed=self.seed,
            space=replace(self.space, peak_lr={name: searched for name, searched in ranges.items() if searched}),
            trials=self.trials,
            source=self.source,
        )

    def _not_taken(self, facts: WorkloadFacts) -> list[Problem]:
        """Parameters that the script would refuse in every training: a wrong name costs no trial."""
        if facts.script_settings is None:
            return []
        known = facts.script_settings
        on_its_command_line = placeholders(command.command_of(self.workload).command)
        return [
            Problem(
                f"space.extra.{name}",
                f"the script's lrsweep.attach(settings=...) has no {name!r}.{did_you_mean(name, known)} "
                f"It has {', '.join(known)}. Add the name there with the script's own value, or take it out here.",
            )
            for name in self.space.extra
            if name not in known and name not in on_its_command_line
        ]


@dataclass(frozen=True)
class ResolvedStudy:
    """A study in which nothing is left to a default; two of them can be compared by their hashes."""

    name: str
    workload: WorkloadSpec
    """what a plan says of it: more than its facts, where settings change no result"""
    facts: WorkloadFacts
    metric: str
    direction: Direction
    """what Optuna is told; halting and the choice of the best go by it too"""
    horizon: int
    seed: int
    space: SpaceSpec
    trials: int
    source: str
    engine: EngineSettings = PLAIN

    @property
    def evaluations(self) -> int:
        return EVALUATIONS_PER_TRAINING

    @property
    def rungs(self) -> tuple[int, ...]:
        """The horizons of a trial's trainings in steps, shortest first; the last is the full horizon."""
        if self.horizon < SHORTEST_HORIZON_WITH_A_RUNG:
            return (self.horizon,)
        # A third of a whole number never ends in a half, so there is nothing to choose in the rounding.
        return (round(self.horizon / REDUCTION_FACTOR), self.horizon)

    def rate_scale(self, optimizer: str, horizon: int) -> float:
        """(T / T_r)**a: what the peak rate of the full horizon T is multiplied by in a training of T_r steps.

        ``a`` is the optimizer's exponent. At the full horizon the factor is 1.
        """
        return float((self.horizon / horizon) ** self._rate_exponent(optimizer))

    def optimizer(self, name: str) -> OptimizerSpec:
        """By the name that trials have; a script's own is a name alone."""
        return OptimizerSpec(name) if name == command.OPTIMIZER else OPTIMIZERS[name]

    def _rate_exponent(self, optimizer: str) -> float:
        if optimizer == command.OPTIMIZER:
            return command.command_of(self.workload).rate_exponent
        return RATE_EXPONENTS[optimizer]

    @property
    def meaning(self) -> str:
        """Hash of all that makes two values comparable.

        The space, the budget and the seed are left out: they decide which values are drawn, not what one of them says.
        So are the optimizers: how they train is the same for every study, and ``TRAINING_RULES`` stands for it.
        """
        return stable_hash(self._comparable())

    @property
    def generation(self) -> str:
        """Hash of the meaning and the space: sweeps of one generation share their trials.

        A larger budget continues a sweep, and so does another seed: trials that exist keep theirs, new ones get it.
        What a release of lrsweep searches inside the families, and what it gives the searched optimizers, belongs to
        the space although no file says it.
        """
        return stable_hash({"meaning": self.meaning, "space": self._searched(), "optimizers": self._optimizers()})

    def spec(self) -> dict[str, Json]:
        """Everything, for people and for later releases that read a study back from the results."""
        return {
            "name": self.name,
            "source": self.source,
            **self._comparable(),
            "seed": self.seed,
            "space": self._searched(),
            "optimizers": self._optimizers(),
            "budget": {"trials": self.trials},
            "meaning": self.meaning,
            "generation": self.generation,
        }

    def _searched(self) -> dict[str, Json]:
        settings = {name: _family_settings(name, self.direction) for name in self.space.families}
        flags = dict(command.command_of(self.workload).families) if self.workload.name == command.NAME else {}
        return {**self.space.to_json(), "settings": settings, **({"flags": flags} if flags else {})}

    def _optimizers(self) -> dict[str, Json]:
        return {
            name: {"settings": dict(self.optimizer(name).settings), "rate_exponent": self._rate_exponent(name)}
            for name in self.space.optimizers
        }

    def _comparable(self) -> dict[str, Json]:
        engine = self.engine.changed()
        return {
            "workload": {
                "name": self.facts.name,
                "settings": dict(self.facts.settings),
                "version": self.facts.version,
                "data_hash": self.facts.data_hash,
                "batch_size": self.facts.batch_size,
            },
            "metric": self.metric,
            "direction": self.direction,
            "horizon": self.horizon,
            "rungs": list(self.rungs),
            "evaluations": self.evaluations,
            "training_rules": TRAINING_RULES,
            **({"engine": engine} if engine else {}),
        }


MODES: Mapping[Direction, str] = MappingProxyType({"minimize": "min", "maximize": "max"})
"""A reactive schedule's word for what it waits for."""


def mode_of(family_name: str, direction: Direction) -> dict[str, Json]:
    """The setting that tells a reactive family which way its metric is better; nothing for the others.

    >>> mode_of("plateau", "maximize"), mode_of("cosine", "maximize")
    ({'mode': 'max'}, {})
    """
    return {"mode": MODES[direction]} if hears(family_name) else {}


@functools.cache
def hears(family_name: str) -> bool:
    """Whether its rates follow from a metric; the families that need settings of their own are time-driven."""
    needs = any(setting.default is REQUIRED for setting in family(family_name).settings())
    return not needs and schedule(family_name).needs_metric


def _family_settings(name: str, direction: Direction) -> dict[str, Json]:
    """Per setting of the family: its range, or the value that it always has. Warm-up and floor are the study's.

    Each number of a list has its own range, so that a longer list is another space. A setting that is implied where it
    is not written says nothing, so that a release which adds one keeps the hashes.
    """
    known: dict[str, Json] = {}
    for setting in family(name).settings():
        if setting.search:
            known |= {drawn: _search_to_json(search) for drawn, search in setting.searched().items()}
        elif not setting.implied and setting.name not in ("warmup", "floor"):
            known[setting.name] = json_value(setting.default)
    return known | mode_of(name, direction)


def _search_to_json(search: Search | Options) -> Json:
    if isinstance(search, Options):
        return list(search.names)
    return [search.low, search.high, search.log, *(["whole"] if search.whole else [])]


def _number_or_list(value: float | Range) -> Json:
    return list(value) if isinstance(value, tuple) else value


def _has_random_data(workload: str) -> bool:
    return any(setting.name == "synthetic" for setting in catalog.entry(workload).settings)


def _no_metric(workload: str, metric: str, known: Mapping[str, Direction]) -> Problem:
    guess = did_you_mean(metric, known)
    return Problem("study.metric", f"the workload {workload!r} has no {metric!r}.{guess} It has {', '.join(known)}.")


def _no_range(workload: str, optimizer: str) -> Problem:
    return Problem(
        f"space.peak_lr.{optimizer}",
        f"missing, and the workload {workload!r} names no range of its own for {optimizer}. "
        f"Write one under [space.peak_lr], for example {optimizer} = [0.001, 0.1].",
    )

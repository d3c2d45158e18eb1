"""A study in which nothing is left to a default, and the two hashes that tell such studies apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace

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
from lrsweep.schedules import Schedule
from lrsweep.scripts import command
from lrsweep.scripts.command_line import placeholders
from lrsweep.study.budgets import SearchCost, allotted
from lrsweep.study.objectives import Objective
from lrsweep.study.optimizers import OPTIMIZERS, RATE_EXPONENTS
from lrsweep.study.spaces import SpaceSpec
from lrsweep.study.specs import (
    PLAIN,
    TIMED,
    Baseline,
    BudgetSpec,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
)

TRAINING_RULES = 1
"""Changes when what a value means changes although no setting does: the rate exponents, an optimizer's fixed settings,
the divergence rules, what an evaluation is. An optimizer that is added changes nothing for the others."""

SHORTEST_RUNG = 30
"""In updates. The shortest rung that was measured had 40 (``tests/benchmarks/regret``)."""


@dataclass(frozen=True)
class ResolvedStudy:
    """A study in which nothing is left to a default; two of them can be compared by their hashes."""

    name: str
    workload: WorkloadSpec
    """what a plan says of it: more than its facts, where settings change no result"""
    facts: WorkloadFacts
    metric: str
    direction: Direction
    """of the metric; halting and the choice of the best go by ``sense``"""
    horizon: int
    seed: int
    space: SpaceSpec
    trials: int
    """that the search asks for; of a budget in another unit, what that comes to; 0 before a timed one is ``paced``"""
    source: str
    engine: EngineSettings = PLAIN
    objective: Objective = Objective()  # noqa: RUF009 (frozen values, here and below)
    search: SearchSpec = SearchSpec()  # noqa: RUF009
    budget: BudgetSpec = BudgetSpec(trials=1)  # noqa: RUF009
    selection: SelectionSpec = SelectionSpec()  # noqa: RUF009
    baseline: Baseline | None = None
    run: RunSpec = RunSpec()  # noqa: RUF009
    tracking: TrackingSpec = TrackingSpec()  # noqa: RUF009
    total_steps: int = 0
    """what the whole budget comes to in updates; the finalists get what the search leaves of it"""
    rate_exponents: Mapping[str, float] = field(default_factory=dict)
    """by optimizer, as the sweep has frozen them; where one is missing, the optimizer's default"""
    scripts_at_once: int | None = None
    """how many this machine runs side by side where the file does not say it; None before that is known"""
    devices_at_once: int | None = None
    """on how many the trainings of a workload run side by side; None before that is known"""

    @property
    def value_key(self) -> str:
        """The name under which the metrics of a training hold its value."""
        return self.objective.key(self.metric)

    @property
    def sense(self) -> Direction:
        """Which way the *value* is better: time to a target is better small, whatever the metric."""
        return self.objective.sense(self.direction)

    @property
    def evaluations(self) -> int:
        return EVALUATIONS_PER_TRAINING

    @property
    def rungs(self) -> tuple[int, ...]:
        """The horizons of a trial's trainings in steps, shortest first; the last is the full horizon.

        Each is ``reduction_factor`` times as long as the one before it. Those that would be too short for a curve to
        mean anything, or shorter than twice what the space gives as a count, are left out.
        """
        if self.search.fidelity == "full":
            return (self.horizon,)
        shortest = max(SHORTEST_RUNG, 2 * self.space.counted_steps())
        factors = (self.search.reduction_factor**place for place in reversed(range(1, self.search.rungs)))
        return (*(round(self.horizon / each) for each in factors if self.horizon / each >= shortest), self.horizon)

    # ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def cost(self) -> SearchCost:
        halts = self.search.pruner.name != "none"
        return SearchCost(self.rungs, self.search.reduction_factor, halts)

    @property
    def devices(self) -> int:
        """How many a sweep uses at a time: those that the executor has, or those of all scripts that run side by
        side."""
        if self.workload.name != command.NAME:
            return max(1, self.devices_at_once or 1)
        script = command.command_of(self.workload)
        return max(1, script.gpus_per_training) * (script.concurrency or self.scripts_at_once or 1)

    @property
    def script_settings(self) -> dict[str, Json]:
        """What the script itself gives its parameters, where that is known: a command with places in braces was asked
        with anything in them, and its values may be made of that."""
        if not self.facts.script_settings or placeholders(command.command_of(self.workload).command):
            return {}
        return dict(self.facts.script_settings)

    @property
    def needs_pace(self) -> bool:
        """Whether its budget says nothing of trials until ``paced`` does."""
        return self.budget.kind in TIMED and not self.total_steps

    def paced(self, steps_per_second: float | None) -> ResolvedStudy:
        """The same with its trials and total steps. The pace is of all trainings side by side, and only budgets in time
        or money ask for it: without one these stay as they are."""
        found = allotted(
            self.budget, self.selection, self.cost, steps_per_second=steps_per_second, devices=self.devices
        )
        return self if found is None else replace(self, trials=found.trials, total_steps=found.total_steps)

    # ── the space ────────────────────────────────────────────────────────────────────────────────────────────────────

    def rate_scale(self, optimizer: str, horizon: int) -> float:
        """(T / T_r)**a: what the peak rate of the full horizon T is multiplied by in a training of T_r steps.

        ``a`` is the optimizer's exponent. At the full horizon the factor is 1.
        """
        exponent = self.rate_exponents.get(optimizer, self.default_exponent(optimizer))
        return float((self.horizon / horizon) ** exponent)

    def optimizer(self, name: str) -> OptimizerSpec:
        """By the name that trials have, with the weight decay that the space pins; a script's own is a name alone."""
        if name == command.OPTIMIZER:
            return OptimizerSpec(name)
        decay = self.space.weight_decay.get(name)
        own = OPTIMIZERS[name]
        if isinstance(decay, int | float):
            return replace(own, settings={**own.settings, "weight_decay": decay})
        return own

    def default_exponent(self, optimizer: str) -> float:
        if optimizer == command.OPTIMIZER:
            return command.command_of(self.workload).rate_exponent
        return RATE_EXPONENTS[optimizer]

    # ── the hashes ───────────────────────────────────────────────────────────────────────────────────────────────────

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

        A larger budget continues a sweep, and so does another seed, sampler or pruner: trials that exist keep theirs,
        new ones get it. What a release of lrsweep searches inside the families, and what it gives the searched
        optimizers, belongs to the space although no file says it. Exponents that a sweep has frozen do not.
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
            "objective": self.objective.to_json(),
            "search": _plain(self.search),
            "budget": {**_plain(self.budget), "trials": self.trials, "total_steps": self.total_steps},
            "selection": _plain(self.selection),
            "run": _plain(self.run),
            "tracking": _plain(self.tracking),
            **({"baseline": _plain(self.baseline)} if self.baseline else {}),
            **({"script_settings": self.script_settings} if self.script_settings else {}),
            **({"kind": kind} if (kind := self._kind()) else {}),
            "meaning": self.meaning,
            "generation": self.generation,
        }

    def _kind(self) -> dict[str, Json]:
        """What other studies are like this one by, as far as it is known and not in the meaning."""
        facts = self.facts
        known = {
            "metrics": dict(facts.metrics) or None,
            "parameters": facts.parameters,
            "examples": facts.examples_per_epoch,
            "tokens_per_example": facts.tokens_per_example,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _searched(self) -> dict[str, Json]:
        settings = {name: self.space.family_settings(name, self.direction) for name in self.space.families}
        flags = dict(command.command_of(self.workload).families) if self.workload.name == command.NAME else {}
        return {**self.space.to_json(), "settings": settings, **({"flags": flags} if flags else {})}

    def _optimizers(self) -> dict[str, Json]:
        return {
            name: {"settings": dict(self.optimizer(name).settings), "rate_exponent": self.default_exponent(name)}
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
            **({"objective": self.objective.to_json()} if self.objective.kind != "last" else {}),
            **({"engine": engine} if engine else {}),
        }


def _plain(part: object) -> Json:
    """As JSON has it, without what is not given."""
    if isinstance(part, Schedule):
        return part.to_dict()
    if isinstance(part, Mapping):
        return {name: _plain(value) for name, value in part.items()}
    if is_dataclass(part):
        given = {each.name: getattr(part, each.name) for each in fields(part)}
        return {name: _plain(value) for name, value in given.items() if value is not None}
    return part

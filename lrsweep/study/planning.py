"""What a study comes to before anything is trained: how ``lrsweep plan`` counts. Pure.

The pace and the spread from seed to seed are told; what follows from them is left open where nobody knows them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from lrsweep.records import Json
from lrsweep.study import budgets
from lrsweep.study.resolved import ResolvedStudy
from lrsweep.study.specs import BudgetSpec

FEWEST_TRIALS_OF_A_FAMILY = 8
"""On the first rung: with fewer a family's best rate is a matter of luck, and so is its place."""


@dataclass(frozen=True)
class Resolvable:
    """The smallest difference that the finalists' seeds find in 80 % of all cases (two-sided, 5 %)."""

    in_deviations: float
    """of one seed"""
    in_metric: float | None
    """where earlier trainings say how much seeds differ"""


@dataclass(frozen=True)
class Cost:
    seconds: float
    gpu_hours: float
    money: float | None


@dataclass(frozen=True)
class Plan:
    study: str
    horizon: int
    rungs: tuple[int, ...]
    trials: int
    families: tuple[tuple[str, tuple[float, ...]], ...]
    """by family, at an equal share: the trials that are expected at each rung"""
    search_trainings: float
    search_steps: float
    finalists: int
    seeds: int
    """of each finalist, where all have as many"""
    looks: tuple[int, ...]
    """seeds of those that a race has not sent home, at each time that it compares them; empty where there is none"""
    final_steps: int
    """at most"""
    design_steps: int
    """of the trainings that measure the rate exponents, where the study wants them"""
    total_steps: int
    """that the budget pays for"""
    resolvable: Resolvable | None
    steps_per_second: float | None
    cost: Cost | None
    """None where the pace is not known"""
    warnings: tuple[str, ...]

    @property
    def trainings(self) -> float:
        """Of the full horizon, that the budget is worth."""
        return self.total_steps / self.horizon

    @property
    def all_trainings(self) -> float:
        """Of all horizons, as far as they can be expected."""
        of_design = 2 * self.design_steps / (self.rungs[0] + self.rungs[-1])
        return self.search_trainings + self.finalists * self.seeds + of_design

    def to_json(self) -> dict[str, Json]:
        families = [{"family": name, "trials": list(counts)} for name, counts in self.families]
        lists = {name: list(getattr(self, name)) for name in ("rungs", "looks", "warnings")}
        return {**asdict(self), **lists, "families": families, "trainings": self.trainings}


def plan(
    study: ResolvedStudy,
    *,
    steps_per_second: float | None = None,
    deviation: float | None = None,
    design_steps: int = 0,
) -> Plan | None:
    """None for a budget in time or money without a pace: nothing follows from it yet."""
    cost, selection = study.cost, study.selection
    baseline_steps = 0.0 if study.baseline is None else cost.of_a_baseline - cost.steps(1)
    found = budgets.allotted(
        study.budget,
        selection,
        cost,
        steps_per_second=steps_per_second,
        devices=study.devices,
        reserved=design_steps + baseline_steps,
    )
    if found is None:
        return None
    reached = cost.reached(found.trials)
    # a budget in trials pays for the search, and what comes after it comes on top
    is_on_top = study.budget.trials is not None
    beside = design_steps + baseline_steps
    final_steps, total_steps = found.final_steps - (0 if is_on_top else beside), found.total_steps
    total_steps += round(beside) if is_on_top else 0
    # each family's best, the leading family's second, and the baseline
    candidates = min(found.trials, len(study.space.families) + 1 + (study.baseline is not None))
    finalists, seeds = budgets.finalists(final_steps, study.horizon, selection, candidates=candidates)
    if not budgets.kept_share(selection, found.total_steps, study.horizon):
        finalists = seeds = 0
    paid = math.floor(final_steps / study.horizon + 1e-9)
    race = budgets.raced(paid, finalists, selection.seeds) if finalists and selection.racing else ()
    resolvable = None
    if finalists:
        in_deviations = budgets.smallest_difference(seeds)
        resolvable = Resolvable(in_deviations, None if deviation is None else in_deviations * deviation)
    made = Plan(
        study=study.name,
        horizon=study.horizon,
        rungs=study.rungs,
        trials=found.trials,
        families=_by_family(study.space.families, found.trials, reached),
        search_trainings=sum(reached),
        search_steps=found.search_steps + baseline_steps,
        finalists=finalists,
        seeds=seeds,
        looks=race if len(race) > 1 else (),
        final_steps=(paid if len(race) > 1 else finalists * seeds) * study.horizon,
        design_steps=design_steps,
        total_steps=total_steps,
        resolvable=resolvable,
        steps_per_second=steps_per_second,
        cost=_cost(study, total_steps, steps_per_second),
        warnings=(),
    )
    return replace(made, warnings=tuple(_warnings(study, made, deviation)))


def _by_family(
    families: tuple[str, ...], trials: int, reached: tuple[float, ...]
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """The first of them have one trial more where they do not come out even."""
    each, left = divmod(trials, len(families))
    counts = {name: each + (place < left) for place, name in enumerate(families)}
    return tuple((name, tuple(count * rung / trials for rung in reached)) for name, count in counts.items())


def _cost(study: ResolvedStudy, steps: int, steps_per_second: float | None) -> Cost | None:
    if steps_per_second is None:
        return None
    seconds = steps / steps_per_second
    hours = seconds * study.devices / budgets.SECONDS_PER_HOUR
    price = study.budget.price_per_hour
    return Cost(seconds, hours, None if price is None else hours * price)


def _warnings(study: ResolvedStudy, made: Plan, deviation: float | None) -> list[str]:
    return [
        text
        for text in (
            _few_trials(study, made),
            _no_finalists(study, made),
            _too_coarse(study, made, deviation),
            _too_late(study, made),
        )
        if text
    ]


def _few_trials(study: ResolvedStudy, made: Plan) -> str | None:
    families = len(study.space.families)
    fewest = made.trials // families
    if fewest >= FEWEST_TRIALS_OF_A_FAMILY:
        return None
    wanted = FEWEST_TRIALS_OF_A_FAMILY * families
    needed = budgets.allotted(BudgetSpec(trials=wanted), study.selection, study.cost)
    assert needed is not None
    enough = budgets.in_unit_of(
        study.budget,
        needed.total_steps,
        study.horizon,
        trials=wanted,
        steps_per_second=made.steps_per_second,
        devices=study.devices,
    )
    fewer = made.trials // FEWEST_TRIALS_OF_A_FAMILY
    or_else = f", or {'one family' if fewer == 1 else f'{fewer} families'}," if fewer else ""
    return (
        f"a family gets {fewest or 'no'} first-rung trial{'s' * (fewest != 1)}, and under "
        f"{FEWEST_TRIALS_OF_A_FAMILY} its best is mostly luck: {enough}{or_else} would give each "
        f"{FEWEST_TRIALS_OF_A_FAMILY}."
    )


def _no_finalists(study: ResolvedStudy, made: Plan) -> str | None:
    if made.finalists or not study.selection.finalists:
        return None
    wanted = budgets.FEWEST_FINALISTS * study.selection.seeds
    if not study.selection.share:
        return f"selection.share is 0: no finalists are trained, and the best is the luckiest. Keep {wanted} trainings."
    steps = wanted * study.horizon / study.selection.share
    enough = budgets.in_unit_of(
        study.budget,
        steps,
        study.horizon,
        trials=study.cost.trials(steps * (1 - study.selection.share)) + 1,
        steps_per_second=made.steps_per_second,
        devices=study.devices,
    )
    return (
        f"the share for finalists would not pay for the {wanted} trainings of two finalists with "
        f"{study.selection.seeds} seeds each: all goes to the search, and the best is the luckiest. {enough} "
        "would do, or fewer selection.seeds."
    )


def _too_coarse(study: ResolvedStudy, made: Plan, deviation: float | None) -> str | None:
    worth, found = study.selection.worth, made.resolvable
    if worth is None or found is None or found.in_metric is None or deviation is None or found.in_metric <= worth:
        return None
    seeds = budgets.seeds_for(worth, deviation)
    enough = f"{seeds} seeds of each finalist would" if seeds else "more than 1000 seeds of each would be needed"
    return (
        f"selection.worth is {worth:g}, and {made.seeds} seeds of each finalist tell differences from "
        f"{found.in_metric:.3g} on: {enough}."
    )


def _too_late(study: ResolvedStudy, made: Plan) -> str | None:
    deadline = study.run.deadline
    if deadline is None or made.cost is None or made.cost.seconds <= deadline:
        return None
    return (
        f"run.deadline comes after {deadline:.0f} s, and the budget takes {made.cost.seconds:.0f} s: the same command "
        "continues."
    )

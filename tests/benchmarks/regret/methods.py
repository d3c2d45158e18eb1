"""The rivals: how a search without lrsweep would go about it, each as a loop over Optuna that pays in updates.

Every method draws from the space that lrsweep draws from and sees the first seeds alone. What it has found when a
share of its budget is used up goes to the finals, whose rule all methods have (``finals``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from lrsweep.space import peak_of, suggest
from lrsweep.study import ResolvedStudy
from lrsweep.study.budgets import finalists, kept_share
from tests.benchmarks.regret.pool import Pool
from tests.benchmarks.regret.table import SEARCH_SEEDS, Seen, Table

optuna.logging.set_verbosity(optuna.logging.WARNING)

Look = Callable[[Table, int, int, int], Seen]
"""What a method sees of a point, with a seed, at 1/n of the horizon; and the updates that this alone has cost."""
Sampler = Callable[[int], optuna.samplers.BaseSampler]


@dataclass(frozen=True)
class Rival:
    name: str
    about: str
    sampler: Sampler
    shares: tuple[int, ...] = ()
    """the rungs before the full horizon, as shares of it: 9 is a ninth"""
    look: Look | None = None
    """how it looks at a rung; the training goes on from there"""
    families: tuple[str, ...] = ()
    """that it searches; without any, those that lrsweep searches"""


@dataclass(frozen=True)
class Tried:
    """A trial of a search that has ended."""

    point: int
    value: float | None
    """None where it diverged"""
    share: int
    """at which it stopped: 1 is the full horizon"""
    spent: int
    """updates of the search so far, this trial's included"""


@dataclass(frozen=True)
class Pick:
    """What a method says at its end, and the updates that this took."""

    point: int
    spent: int


def cut(table: Table, point: int, seed: int, share: int) -> Seen:
    return table.cut(point, seed, share)


def annealed(table: Table, point: int, seed: int, share: int) -> Seen:
    return table.annealed(point, seed, share)


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """As people use it for a conditional space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, group=True, seed=seed)


def at_random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


RIVALS = (
    Rival("random", "full horizon", at_random),
    Rival("TPE", "full horizon", tpe),
    Rival("ASHA, cut off", "TPE, SuccessiveHalvingPruner at 1/9 and 1/3", tpe, (9, 3), cut),
    Rival("ASHA, cut off at 1/3", "TPE, SuccessiveHalvingPruner at 1/3", tpe, (3,), cut),
    Rival("cut + anneal", "TPE, halving of cooled-down copies at 1/9 and 1/3", tpe, (9, 3), annealed),
    Rival("cut + anneal at 1/3", "TPE, halving of cooled-down copies at 1/3", tpe, (3,), annealed),
)


def search(rival: Rival, table: Table, pool: Pool, study: ResolvedStudy, *, steps: int, seed: int) -> list[Tried]:
    """All that it tries until it has spent so many updates; what it tried with fewer is a beginning of this."""
    numbers = np.random.default_rng(seed)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    asked = optuna.create_study(sampler=rival.sampler(seed), pruner=pruner)
    tried: list[Tried] = []
    spent = 0
    while spent < steps:
        trial = asked.ask()
        suggest(trial, study)
        point = pool.nearest(trial.params, peak_of(trial.params))
        seen, share, cost = _train(rival, table, trial, point, int(numbers.integers(SEARCH_SEEDS)))
        spent += cost
        tried.append(Tried(point, seen.value, share, spent))
        if seen.value is None or share > 1:
            asked.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            asked.tell(trial, seen.value)
    return tried


def _train(rival: Rival, table: Table, trial: optuna.Trial, point: int, seed: int) -> tuple[Seen, int, int]:
    """The last that is seen of a trial, at which share of the horizon, and the updates in all.

    A training that goes on does so from where it was cut off; only its copy's cool-down is lost.
    """
    lost = 0
    for place, share in enumerate(rival.shares):
        assert rival.look is not None
        trained, seen = table.cut(point, seed, share), rival.look(table, point, seed, share)
        lost += max(0, seen.steps - trained.steps)
        if trained.value is None or seen.value is None:
            return Seen(None, trained.steps), share, trained.steps + lost
        trial.report(seen.value, 3**place)
        if trial.should_prune():
            return seen, share, trained.steps + lost
    full = table.full(point, seed)
    return full, 1, full.steps + lost


def finals(ranked: Sequence[int], table: Table, study: ResolvedStudy, *, steps: float) -> Pick | None:
    """The best of the finalists by the mean on the other half of validation, over fresh seeds; None where there is not
    enough left for two of them. ``ranked`` are the points found, the best first; the rule is lrsweep's."""
    points = list(dict.fromkeys(ranked))
    count, seeds = finalists(steps, table.horizon, study.selection, candidates=len(points))
    if not count:
        return None
    spent, means = 0, []
    for point in points[:count]:
        ends = [table.decided(point, table.fresh(number)) for number in range(seeds)]
        spent += sum(end.steps for end in ends)
        means.append(float(np.mean([np.inf if end.value is None else end.value for end in ends])))
    return Pick(points[int(np.argmin(means))], spent)


def pick(tried: Sequence[Tried], table: Table, study: ResolvedStudy, *, trainings: float, has_finals: bool) -> Pick:
    """What comes of a search's beginning when the budget is so many trainings; raises LookupError where it has not even
    ended one trial."""
    budget = trainings * table.horizon
    kept = kept_share(study.selection, budget, table.horizon) if has_finals else 0.0
    searched = (1 - kept) * budget
    known = [each for each in tried if each.spent <= searched and each.value is not None]
    if not known:
        raise LookupError
    # whoever was trained furthest comes first: a loss at a third says less than one at the end
    ranked = [each.point for each in sorted(known, key=lambda each: (each.share, each.value or 0.0))]
    spent = known[-1].spent
    last = finals(ranked, table, study, steps=budget - spent) if kept else None
    return Pick(ranked[0], spent) if last is None else Pick(last.point, spent + last.spent)

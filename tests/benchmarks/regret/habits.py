"""What people do instead of a search over schedules: one family for everything, or all families at one shared rate.

Each has the same budget as a search. Who always takes one family spends all of it on the peak rate, the optimizer and
the family's own settings; who shares a rate finds it for cosine with half of the search, and tries the families at it.
"""

from __future__ import annotations

import itertools

import numpy as np
import optuna

from lrsweep.schedules import core_names
from lrsweep.space import peak_of, suggest
from tests.benchmarks.regret.methods import Rival, Tried, at_random, search, tpe
from tests.benchmarks.regret.pool import Pool, study_of
from tests.benchmarks.regret.table import SEARCH_SEEDS, Table

FIXED = ("rex", "linear", "cosine")
SAMPLERS = {"TPE": tpe, "random": at_random}
HABITS = tuple(
    Rival(f"always {family}, {name}", "full horizon", sampler, families=(family,))
    for family, (name, sampler) in itertools.product(FIXED, SAMPLERS.items())
)
SHARED = "best family at one shared rate"
RATE_OF = Rival("a rate for cosine", "full horizon", tpe, families=("cosine",))


def at_one_rate(table: Table, pool: Pool, *, trainings: float, steps: float, seed: int) -> list[Tried]:
    """The best cosine, and what was tried at its optimizer and rate: a family each time, with settings at random."""
    study = study_of(table, trainings=trainings, seed=seed, families=RATE_OF.families)
    tuned = search(RATE_OF, table, pool, study, steps=round(steps / 2), seed=seed)
    known = [each for each in tuned if each.value is not None]
    if not known:
        return []
    best = min(known, key=lambda each: each.value or 0.0)
    spent = tuned[-1].spent
    tried = [Tried(best.point, best.value, 1, spent)]
    numbers = np.random.default_rng([seed, 1])
    others = [name for name in core_names() if name not in RATE_OF.families]
    studies = {name: study_of(table, trainings=trainings, seed=seed, families=(name,)) for name in others}
    drawn = {name: optuna.create_study(sampler=at_random(seed)) for name in others}
    for name in itertools.cycle(numbers.permutation(others).tolist()):
        if spent >= steps:
            return tried
        trial = drawn[name].ask()
        suggest(trial, studies[name])
        shared = table.params[best.point]
        point = pool.nearest({**trial.params, "optimizer": shared["optimizer"]}, peak_of(shared))
        seen = table.full(point, int(numbers.integers(SEARCH_SEEDS)))
        spent += seen.steps
        tried.append(Tried(point, seen.value, 1, spent))
    return tried

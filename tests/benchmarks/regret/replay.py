"""Every method on one workload, many times over: picks with their regrets, by method and budget."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from lrsweep.errors import SweepFailed
from lrsweep.study.budgets import kept_share
from tests.benchmarks.regret import habits, methods, ours
from tests.benchmarks.regret.habits import HABITS, SHARED
from tests.benchmarks.regret.methods import RIVALS, Pick
from tests.benchmarks.regret.pool import Pool, study_of
from tests.benchmarks.regret.table import Table

OURS = "lrsweep"
WITHOUT_FINALS = ", no finals"
"""After a method's name: the same, but its whole budget goes to the search, and its best value is its pick."""
NAMES = (OURS, *(rival.name for rival in RIVALS))
HABIT_NAMES = (*(habit.name for habit in HABITS), SHARED)
"""Of those that search no schedule: they have a comparison of their own (``paired.py``)."""

NOTHING_FOUND = 1.0
"""The regret of a method that has not ended one trial: no better than the pool's median point."""


@dataclass(frozen=True)
class Replay:
    """One method, with one seed, on one budget."""

    workload: str
    method: str
    seed: int
    trainings: float
    """the budget"""
    spent: float
    """what it came to, in trainings too"""
    regret: float


def replayed(
    workloads: Sequence[str], budgets: Sequence[float], repeats: int, processes: int, keep: Path | None = None
) -> list[Replay]:
    """All repeats on all workloads; those that lie in ``keep`` are not made again, and the others are put there."""
    found: list[Replay] = []
    wanted = [(workload, seed) for seed in range(repeats) for workload in workloads]
    # a process of its own beginning: a fork takes over the threads' locks of whatever was imported here
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as executor:
        jobs = [executor.submit(_kept, keep, workload, budgets, seed) for workload, seed in wanted]
        for number, job in enumerate(as_completed(jobs), 1):
            found += job.result()
            if number % len(workloads) == 0:
                print(f"{number // len(workloads)} of {repeats} repeats", flush=True)
    return sorted(found, key=lambda each: (each.workload, each.method, each.trainings, each.seed))


def _kept(keep: Path | None, workload: str, budgets: Sequence[float], seed: int) -> list[Replay]:
    if keep is None:
        return replay(workload, budgets, seed)
    path = keep / f"{workload}-{seed}-{max(budgets):g}.json"
    if not path.exists():
        found = [asdict(each) for each in replay(workload, budgets, seed)]
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)
    return [Replay(**each) for each in json.loads(path.read_text(encoding="utf-8"))]


def replay(workload: str, budgets: Sequence[float], seed: int) -> list[Replay]:
    table = Table.read(workload)
    pool = Pool(table)
    found = [_ours(table, pool, trainings, seed, has_finals) for trainings in budgets for has_finals in (True, False)]
    most = max(budgets)
    for rival in (*RIVALS, *HABITS):
        study = study_of(table, trainings=most, seed=seed, families=rival.families)
        tried = methods.search(rival, table, pool, study, steps=round(most * table.horizon), seed=seed)
        for trainings in budgets:
            for has_finals in (True, False):
                try:
                    picked = methods.pick(tried, table, study, trainings=trainings, has_finals=has_finals)
                except LookupError:
                    picked = None
                name = rival.name + ("" if has_finals else WITHOUT_FINALS)
                found.append(_replay(table, name, trainings, seed, picked))
    found += [
        _shared(table, pool, trainings, seed, has_finals) for trainings in budgets for has_finals in (True, False)
    ]
    return found


def _shared(table: Table, pool: Pool, trainings: float, seed: int, has_finals: bool) -> Replay:
    """Where the budget of the search ends decides when the families' turn comes, so each budget is a run of its own."""
    study = study_of(table, trainings=trainings, seed=seed)
    budget = trainings * table.horizon
    steps = budget * (1 - kept_share(study.selection, budget, table.horizon) if has_finals else 1)
    tried = habits.at_one_rate(table, pool, trainings=trainings, steps=steps, seed=seed)
    try:
        picked = methods.pick(tried, table, study, trainings=trainings, has_finals=has_finals)
    except LookupError:
        picked = None
    return _replay(table, SHARED + ("" if has_finals else WITHOUT_FINALS), trainings, seed, picked)


def _ours(table: Table, pool: Pool, trainings: float, seed: int, has_finals: bool) -> Replay:
    more = "" if has_finals else "[selection]\nfinalists = 0\n"
    study = study_of(table, trainings=trainings, seed=seed, more=more)
    try:
        picked = ours.pick(table, pool, study)
    except (LookupError, SweepFailed):  # none of very few trials came to an end
        picked = None
    return _replay(table, OURS + ("" if has_finals else WITHOUT_FINALS), trainings, seed, picked)


def _replay(table: Table, method: str, trainings: float, seed: int, picked: Pick | None) -> Replay:
    return Replay(
        workload=table.meta["workload"],
        method=method,
        seed=seed,
        trainings=trainings,
        spent=trainings if picked is None else picked.spent / table.horizon,
        regret=NOTHING_FOUND if picked is None else min(NOTHING_FOUND, table.regret(picked.point)),
    )

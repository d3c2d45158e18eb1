"""One sampler on one surface, again and again: what the processes of this benchmark do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrsweep.records import TrialState
from lrsweep.store.base import TrialEnd
from lrsweep.study import Plugin, ResolvedStudy, SearchSpec
from lrsweep.sweep.search import Search
from tests.benchmarks.samplers.truth import WORKLOADS, Surface, a_study

BUDGETS = (30, 60, 100)
AT_A_TIME = 2


@dataclass(frozen=True)
class Run:
    workload: str
    sampler: str
    trials: int
    repeat: int
    regret: float
    ask_ms: float
    """mean processor time of an ask and a tell"""


def searched(surface: Surface, study: ResolvedStudy, sampler: str, trials: int, repeat: int) -> tuple[float, float]:
    study = replace(study, seed=repeat, trials=trials, search=SearchSpec(sampler=Plugin(sampler)))
    search = Search(study, [], {}, sweep_id="one")
    rng = np.random.default_rng([repeat, trials])
    seen: list[tuple[float, float]] = []
    open_trials: deque[int] = deque()
    params: dict[int, Mapping[str, Any]] = {}
    seconds = 0.0
    for number in range(trials + AT_A_TIME):
        begin = time.process_time()
        if number < trials:
            trial, params[number], _ = search.ask()
            search.accept(number, trial)
            open_trials.append(number)
        if len(open_trials) > AT_A_TIME or number >= trials:
            ends = open_trials.popleft()
            seconds += time.process_time() - begin
            shown = surface.shown(params[ends], rng)
            begin = time.process_time()
            if shown.observed is None:
                search.tell(ends, TrialEnd(TrialState.PRUNED, None), rung=0)
            else:
                seen.append((shown.observed, shown.true))
                search.tell(ends, TrialEnd(TrialState.COMPLETE, shown.observed), rung=0)
        seconds += time.process_time() - begin
    _, true = min(seen)
    return true / surface.best - 1, 1e3 * seconds / trials


@dataclass(frozen=True)
class Task:
    workload: str
    sampler: str
    repeats: int


@dataclass(frozen=True)
class Done:
    runs: list[Run]
    surface: dict[str, Any]
    seconds: float


def run_task(task: Task, trainings: Sequence[Any]) -> Done:
    began = time.process_time()
    spec, horizon = WORKLOADS[task.workload]
    study = a_study(spec, horizon)
    surface = Surface(study, trainings)
    runs = []
    for repeat in range(task.repeats):
        for trials in BUDGETS:
            regret, ask_ms = searched(surface, study, task.sampler, trials, repeat)
            runs.append(Run(task.workload, task.sampler, trials, repeat, regret, ask_ms))
    facts = {
        "trainings": len(trainings),
        "horizon": horizon,
        "best_loss": round(surface.best, 4),
        "seed_noise": round(surface.noise, 4),
    }
    return Done(runs, facts, time.process_time() - began)

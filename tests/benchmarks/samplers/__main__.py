"""Which sampler finds the better point with 30, 60 and 100 trials: the ground for the search's default.

Real trainings make a surface (``truth.py``), each sampler searches it through our own ``Search`` as a sweep without
rungs would, two trials at a time, and what counts is the regret of the point that looked best: how much larger its
true loss is than the smallest on the surface, as a share. Repeats have seeds of their own, the same for each sampler.

    python -m tests.benchmarks.samplers --json samplers.json   # seven minutes of two cores
    python -m tests.benchmarks.samplers --truth truth.json     # keeps the trainings, and reads them again
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import scipy
import sklearn

from tests.benchmarks.samplers.runs import AT_A_TIME, Run, Task, run_task
from tests.benchmarks.samplers.truth import WORKLOADS, a_study, train

MOST_REPEATS = {"tpe": 10, "gp": 6}
"""Their asks take ten times as long as the others' and more."""
GOAL = "the default has the smallest median regret of all that ask in under 50 ms, over workloads and budgets"


def interval(values: Sequence[float], rng: np.random.Generator) -> list[float]:
    """Of the median, 95 %, by bootstrap."""
    medians = np.median(rng.choice(np.array(values), size=(2000, len(values))), axis=1)
    return [round(float(each), 4) for each in np.quantile(medians, [0.025, 0.975])]


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for key in sorted({(run.workload, run.trials, run.sampler) for run in runs}):
        of_it = [run for run in runs if (run.workload, run.trials, run.sampler) == key]
        regrets = [run.regret for run in of_it]
        rows.append(
            {
                "workload": key[0],
                "trials": key[1],
                "sampler": key[2],
                "n": len(of_it),
                "median_regret": round(statistics.median(regrets), 4),
                "interval": interval(regrets, rng),
                "ask_ms": round(statistics.fmean(run.ask_ms for run in of_it), 2),
            }
        )
    return rows


def overall(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Per sampler: its regrets' geometric mean over all cells, each cell by its median; and how far apart asks are."""
    rows = summary(runs)
    found = {}
    for sampler in sorted({run.sampler for run in runs}):
        of_it = [row for row in rows if row["sampler"] == sampler]
        logs = [math.log(max(row["median_regret"], 1e-3)) for row in of_it]
        found[sampler] = {
            "regret": round(math.exp(statistics.fmean(logs)), 4),
            "ask_ms": round(statistics.fmean(row["ask_ms"] for row in of_it), 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--truth", type=Path, help="a file for the trainings; read where it is there")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=["random", "qmc", "tpe_by_family", "tpe", "gp"])
    given = parser.parse_args()
    began = time.process_time()
    table: dict[str, Any] = json.loads(given.truth.read_text()) if given.truth and given.truth.exists() else {}
    for workload, (spec, horizon) in WORKLOADS.items():
        if workload not in table:
            print(f"{workload}: training", flush=True)
            table[workload] = train(a_study(spec, horizon), print)
    if given.truth:
        given.truth.write_text(json.dumps(table))
    trained = time.process_time() - began
    tasks = [
        Task(workload, sampler, min(given.repeats, MOST_REPEATS.get(sampler, given.repeats)))
        for sampler in given.samplers
        for workload in WORKLOADS
    ]
    runs: list[Run] = []
    surfaces: dict[str, Any] = {}
    seconds = trained
    with ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for task, done in zip(tasks, pool.map(run_task, tasks, [table[task.workload] for task in tasks]), strict=True):
            runs += done.runs
            seconds += done.seconds
            surfaces[task.workload] = done.surface
            print(task.workload, task.sampler, f"{done.seconds:.0f} s of a processor", flush=True)
    rows = summary(runs)
    for row in rows:
        print(row)
    print(json.dumps(overall(runs), indent=1))
    if given.json:
        versions = {each.__name__: each.__version__ for each in (optuna, scipy, sklearn, np)}
        result = {
            "goal": GOAL,
            "overall": overall(runs),
            "cells": rows,
            "surfaces": surfaces,
            "repeats": given.repeats,
            "at_a_time": AT_A_TIME,
            "cpu_seconds": round(seconds),
            "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
            "versions": versions,
        }
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

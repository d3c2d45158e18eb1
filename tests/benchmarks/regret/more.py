"""What a table gets beside its first trainings: more seeds at the full horizon, and compressed trainings at own rates.

    python -m tests.benchmarks.regret.more [--only WORKLOAD …] [--seeds 24] [--own-rate] [--folder FOLDER]

The seeds are such that no search sees, so the truth that they give owes nothing to what a method has looked at; the
first few are fresh ones of finals (``Table.fresh``), and the truth goes without these. At its own rate a compressed
schedule shows what the correction of the rate is worth (``tests/benchmarks/rungs``).

Each finished training is a line of ``FOLDER/WORKLOAD-more.jsonl`` at once, so an interrupted run goes on where it was.
Seeds are trained one after the other over all points, and what is there goes into the table by whole seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrsweep.engines.device import open_device
from lrsweep.workloads.base import load
from tests.benchmarks.regret.table import FULL_SEEDS, SEARCH_SEEDS, TRUTH, Table
from tests.benchmarks.regret.truth import OWN_RATE, Job, plan, read, study_of, train
from tests.benchmarks.regret.workloads import WORKLOADS


def jobs(table: Table, *, seeds: int, own_rate: bool) -> list[Job]:
    """The next seeds, one after the other; then compressed trainings at the points' own rates."""
    points = range(len(table.params))
    found = [Job("full", point, FULL_SEEDS + seed) for seed in range(seeds) for point in points]
    if own_rate:
        found += [Job(kind, point, seed) for kind in OWN_RATE for seed in range(SEARCH_SEEDS) for point in points]
    return found


def packed(table: Table, done: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The table's arrays with what was trained since: ``more`` [point, seed, half], and its ``more_steps``."""
    arrays = dict(table.arrays)
    ended: dict[int, dict[int, Any]] = {}
    for key, outcome in done.items():
        kind, point, seed = key.split("/")
        if kind == "full":
            ended.setdefault(int(seed), {})[int(point)] = outcome
            continue
        values = arrays.setdefault(kind, np.full((len(table.params), SEARCH_SEEDS), np.nan, dtype=np.float32))
        steps = arrays.setdefault(f"{kind}_steps", np.zeros((len(table.params), SEARCH_SEEDS), dtype=np.int32))
        values[int(point), int(seed)] = _number(outcome["value"])
        steps[int(point), int(seed)] = outcome["steps"]
    points = range(len(table.params))
    whole = [ended[seed] for seed in sorted(ended) if len(ended[seed]) == len(points)]
    if whole:
        arrays["more"] = np.array(
            [[(_number(of[point]["value"]), _number(of[point]["decide"])) for of in whole] for point in points],
            dtype=np.float32,
        )
        arrays["more_steps"] = np.array([[of[point]["steps"] for of in whole] for point in points], dtype=np.int32)
    return arrays


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def add(name: str, folder: Path, *, seeds: int, own_rate: bool) -> None:
    table = Table.read(name)
    workload = load(WORKLOADS[name], open_device("cpu"))
    study = study_of(name, workload)
    lines = folder / f"{name}-more.jsonl"
    done = read(lines)
    left = [job for job in jobs(table, seeds=seeds, own_rate=own_rate) if job.key not in done]
    for of_seed in _in_turn(left):
        plans = [plan(job, table.params[job.point], study) for job in of_seed]
        print(f"{name}, {of_seed[0].kind} {of_seed[0].seed}: {len(plans)} trainings", flush=True)
        with lines.open("a", encoding="utf-8") as file:
            for key, outcome in train(workload, plans):
                done[key] = {which: outcome[which] for which in ("value", "decide", "steps")}
                file.write(json.dumps({key: done[key]}) + "\n")
                file.flush()
    path = TRUTH / f"{name}.npz"
    with path.open("wb") as packed_file:
        arrays: dict[str, Any] = {"meta": np.array(json.dumps(table.meta)), **packed(table, done)}
        np.savez_compressed(packed_file, **arrays)
    print(f"{path}: {path.stat().st_size // 1024} KiB", flush=True)


def _in_turn(left: Sequence[Job]) -> list[list[Job]]:
    """By kind and seed, as they come: an interrupted run has whole seeds."""
    found: dict[tuple[str, int], list[Job]] = {}
    for job in left:
        found.setdefault((job.kind, job.seed), []).append(job)
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regret.more", description="Adds to the tables.")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), help="these workloads")
    parser.add_argument("--seeds", type=int, default=24, help="of each point (default: %(default)s)")
    parser.add_argument("--own-rate", action="store_true", help="compressed trainings at the points' own rates too")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "lrsweep-bench-truth",
        help="where an interrupted run is kept (default: %(default)s)",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or WORKLOADS:
        add(name, arguments.folder, seeds=arguments.seeds, own_rate=arguments.own_rate)


if __name__ == "__main__":
    main()

"""Real trainings to draw comparisons from: twelve schedules, fifty seeds each, of three workloads.

    nice python -m tests.benchmarks.regret.real_seeds [--seeds 50] [--out FILE]

The tests of ``lrsweep choose`` draw seeds from it anew (``tests/unit/test_selection_real_seeds.py``). Schedules are
one of each core family with SGD, at about its best rate; and four that are clearly worse, some families at a tenth or
at three times of that rate. All points have the same seeds, as finalists have.
Values are of the half of validation that decides.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lrsweep.engines.device import open_device
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.records import EngineSettings, Json, OptimizerSpec, Record, Status, TrainingPlan
from lrsweep.space import candidate, peak_lr_name
from lrsweep.study import ResolvedStudy
from lrsweep.workloads.base import load
from tests.benchmarks.regret.truth import study_of
from tests.benchmarks.regret.workloads import HORIZON, WORKLOADS

NAMES = ("logistic", "digits-mlp", "next-character")
SEEDS = 50
SLOTS = 32
WORSE = (("constant", 0.1), ("linear", 0.1), ("cosine", 0.1), ("rex", 3.0))
"""Of the family's best rate."""
FILE = Path(__file__).parents[2] / "fixtures" / "choose" / "real-seeds.csv"
COLUMNS = ("workload", "family", "peak_lr", "horizon", "seed", "value", "accuracy")

POINTS: Mapping[str, Sequence[Mapping[str, Json]]] = {
    "logistic": (
        {"family": "constant", "constant.sgd.peak_lr": 0.02154},
        {"family": "step", "step.sgd.peak_lr": 0.04642, "step.every": 0.4, "step.gamma": 0.09671682101338347},
        {"family": "exponential", "exponential.sgd.peak_lr": 0.04642, "exponential.final": 0.05946035575013606},
        {"family": "linear", "linear.sgd.peak_lr": 0.04642},
        {"family": "cosine", "cosine.sgd.peak_lr": 0.04642},
        {"family": "wsd", "wsd.sgd.peak_lr": 0.02154, "wsd.cooldown": 0.1875},
        {
            "family": "one_cycle",
            "one_cycle.sgd.peak_lr": 0.04642,
            "one_cycle.rise": 0.225,
            "one_cycle.start": 0.12649110640673517,
        },
        {"family": "rex", "rex.sgd.peak_lr": 0.0464159, "rex.beta": 0.325},
    ),
    "digits-mlp": (
        {"family": "constant", "constant.sgd.peak_lr": 0.1898},
        {"family": "step", "step.sgd.peak_lr": 0.342, "step.every": 0.2, "step.gamma": 0.36188120777001936},
        {"family": "exponential", "exponential.sgd.peak_lr": 0.342, "exponential.final": 0.05946035575013606},
        {"family": "linear", "linear.sgd.peak_lr": 0.342},
        {"family": "cosine", "cosine.sgd.peak_lr": 0.6162},
        {"family": "wsd", "wsd.sgd.peak_lr": 0.1898, "wsd.cooldown": 0.1875},
        {
            "family": "one_cycle",
            "one_cycle.sgd.peak_lr": 0.342,
            "one_cycle.rise": 0.475,
            "one_cycle.start": 0.012649110640673518,
        },
        {"family": "rex", "rex.sgd.peak_lr": 0.189824, "rex.beta": 0.325},
    ),
    "next-character": (
        {"family": "constant", "constant.sgd.peak_lr": 0.2378},
        {"family": "step", "step.sgd.peak_lr": 0.8446, "step.every": 0.2, "step.gamma": 0.36188120777001936},
        {"family": "exponential", "exponential.sgd.peak_lr": 0.8446, "exponential.final": 0.05946035575013606},
        {"family": "linear", "linear.sgd.peak_lr": 0.4481},
        {"family": "cosine", "cosine.sgd.peak_lr": 0.4481},
        {"family": "wsd", "wsd.sgd.peak_lr": 0.2378, "wsd.cooldown": 0.46249999999999997},
        {
            "family": "one_cycle",
            "one_cycle.sgd.peak_lr": 0.4481,
            "one_cycle.rise": 0.225,
            "one_cycle.start": 0.12649110640673517,
        },
        {"family": "rex", "rex.sgd.peak_lr": 0.4481, "rex.beta": 0.775},
    ),
}
"""Of each core family, as a search would draw it with SGD: the best of a workload's table when these were chosen. They
stay, whatever the table becomes, so that the file can be made again."""

Point = tuple[Mapping[str, Json], float]
"""What is drawn, and the part of its rate that is trained."""


def points_of(name: str) -> list[Point]:
    best = {str(params["family"]): {**params, "optimizer": "sgd"} for params in POINTS[name]}
    return [*((params, 1.0) for params in best.values()), *((best[family], part) for family, part in WORSE)]


def plans(points: list[Point], study: ResolvedStudy, seeds: int) -> dict[str, tuple[TrainingPlan, list[Any]]]:
    """By id, with the first columns of its row."""
    found = {}
    for seed in range(seeds):
        for place, (params, part) in enumerate(points):
            peak = float(f"{float(str(params[peak_lr_name(str(params['family']), 'sgd')])) * part:.4g}")
            plan = TrainingPlan(
                training_id=f"{place}/{seed}",
                attempt=1,
                workload=study.workload,
                schedule=candidate(params, study).schedule,
                peak_lr=peak,
                optimizer=OptimizerSpec("sgd", candidate(params, study).optimizer.settings),
                horizon=HORIZON,
                seed=seed,
                evaluations=1,
            )
            found[plan.training_id] = plan, [study.name, params["family"], peak, HORIZON, seed]
    return found


def trained(name: str, seeds: int) -> list[list[Any]]:
    """Rows of the file, by point and seed; without a value where a training diverged."""
    workload = load(WORKLOADS[name], open_device("cpu"))
    wanted = plans(points_of(name), study_of(name, workload), seeds)
    found: dict[str, list[Any]] = {}

    def hear(record: Record) -> None:
        outcome = record.outcome
        if outcome is None:
            return
        if outcome.status is Status.FAILED:
            raise RuntimeError(f"{record.training_id} of {name} failed: {outcome.error}")
        is_complete = outcome.status is Status.COMPLETED
        values = [f"{outcome.metrics[f'decide_{each}']:.6g}" if is_complete else "" for each in ("loss", "acc")]
        found[record.training_id] = [*wanted[record.training_id][1], *values]

    engine = FusedEngine(workload, EngineSettings(), SLOTS, hear)
    for plan, _ in wanted.values():
        engine.submit(plan)
    while not engine.is_idle:
        engine.advance()
    return [found[key] for key in sorted(found, key=lambda key: [int(each) for each in key.split("/")])]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regret.real_seeds", description="Real seeds.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each point (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FILE, help="the CSV file (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in NAMES:
        began = time.process_time()
        rows += trained(name, arguments.seeds)
        print(f"{name}: {len(rows)} rows, {time.process_time() - began:.0f} s of a core", flush=True)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    print(f"{arguments.out}: {arguments.out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()

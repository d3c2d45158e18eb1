"""What ``lrsweep.attach`` adds to an update: a loop of ``optimizer.step()`` alone beside the same loop in a sweep.

The second loop has the hooks of ``run.torch``, a call of ``scheduler.step()`` and a look at ``run.should_stop`` per
update. The optimizer has one tiny parameter per group, so that next to nothing but the calls is measured. The two
alternate, in the other order in each round, and a difference compares two loops of the same round. Run by
``make bench``, or alone::

    python -m tests.benchmarks.attach_overhead --rounds 40 --json attach_overhead.json
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lrsweep
from lrsweep.scripts.plan_file import VARIABLE, PlanFile, write_plan_file

SCHEDULES = {
    "time-driven": lrsweep.schedule("cosine", warmup=0.1),
    "cycles momentum": lrsweep.schedule("one_cycle", cycle_momentum=True),
    "reactive": lrsweep.schedule("plateau"),
}
GROUPS = (1, 10)
GOAL_US = 20


def an_optimizer(groups: int) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(groups)]
    for parameter in parameters:
        parameter.grad = torch.zeros(1)
    return torch.optim.SGD([{"params": [each]} for each in parameters], lr=0.1, momentum=0.9)


def bare(groups: int, updates: int) -> float:
    """Seconds of the loop."""
    optimizer = an_optimizer(groups)
    begin = time.perf_counter()
    for _ in range(updates):
        optimizer.step()
    return time.perf_counter() - begin


def attached(groups: int, updates: int) -> float:
    """Seconds of the same loop in a sweep; starting and attaching are outside."""
    optimizer = an_optimizer(groups)
    run = lrsweep.attach(peak_lr=0.1)
    scheduler = run.torch(optimizer)
    begin = time.perf_counter()
    for _ in range(updates):
        optimizer.step()
        scheduler.step()
        if run.should_stop:
            break
    seconds = time.perf_counter() - begin
    assert run.updates == updates
    return seconds


def added_us(groups: int, updates: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds per update of both loops, and their difference, in each round."""
    loops: dict[str, Callable[[int, int], float]] = {"bare": bare, "attached": attached}
    for loop in loops.values():
        loop(groups, min(updates, 100))  # once unseen: PyTorch imports some of itself at the first update
    times: dict[str, list[float]] = {name: [] for name in loops}
    for one in range(rounds):
        for name in sorted(loops, reverse=one % 2 == 1):
            times[name].append(1e6 * loops[name](groups, updates) / updates)
    times["added"] = [with_it - without for with_it, without in zip(times["attached"], times["bare"], strict=True)]
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and extremes: a busy moment makes a long tail, so no mean."""
    low, middle, high = statistics.quantiles(values, n=4)
    figures = {"min": min(values), "q1": low, "median": middle, "q3": high, "max": max(values)}
    return {name: round(value, 2) for name, value in figures.items()}


def measure(updates: int, rounds: int, folder: Path) -> dict[str, Any]:
    figures = {}
    for name, schedule in SCHEDULES.items():
        plan = PlanFile(folder / name, schedule=schedule, peak_lr=0.1, total_steps=10 * updates)
        os.environ[VARIABLE] = str(write_plan_file(plan))
        for groups in GROUPS:
            times = added_us(groups, updates, rounds)
            figures[f"{name}, {groups} group{'s' if groups > 1 else ''}"] = {
                loop: spread(values) for loop, values in times.items()
            }
    return {
        "benchmark": "attach_overhead",
        "rounds": rounds,
        "updates_per_loop": updates,
        "goal_us": GOAL_US,
        "us_per_update": figures,
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "lrsweep": lrsweep.__version__,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The time that lrsweep.attach adds to an update.")
    parser.add_argument("--rounds", type=int, default=40, help="of each loop (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=5000, help="in each loop (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)  # runs last, after every run has written that it ends
    result = measure(arguments.updates, arguments.rounds, Path(folder.name))
    for name, times in result["us_per_update"].items():
        added = times["added"]
        print(
            f"{name:26} bare {times['bare']['median']:6.1f} us   added {added['median']:5.1f} us"
            f"   quartiles {added['q1']:.1f} to {added['q3']:.1f}   (goal: {GOAL_US})"
        )
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What two processes of the local executor make of two cores, beside two processes that nobody drives.

    python -m tests.benchmarks.scale.two_workers                         # 10 rounds of 2 x 8 seconds
    python -m tests.benchmarks.scale.two_workers --rounds 2 --seconds 2  # a dry run; its figures mean nothing

Both train the same plans, which cannot be fused, by the sequential engine. The executor gets a new plan for each that
ends, and its records are heard; the other two train in a loop and send nothing: what they make is what the cores give.
A round has a window of each, in the other order every other time, and nobody trains in another's window. Before, it is
measured what ``--engine auto`` takes for such trainings.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from lrsweep.engines.machine import available_cores
from lrsweep.executors.choosing import Chooser, Rest
from lrsweep.executors.engine_option import as_option
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Crew, OptimizerSpec, Record, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from tests.benchmarks.sweep.figures import spread
from tests.benchmarks.sweep.machine import machine, versions

RESULT = Path(__file__).parents[1] / "results" / "two_workers.json"
WORKLOAD = "tests.benchmarks.scale.dropping:Dropping"
WORKERS = 2
GOAL = 0.9
LONG = Rest(steps=1e9, at_once=2 * WORKERS)
GO = "go"
WARM_UP_STEPS = 600

PLAN = TrainingPlan(
    training_id="t",
    attempt=1,
    workload=WorkloadSpec(WORKLOAD),
    schedule=schedule("cosine"),
    peak_lr=0.1,
    optimizer=OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
    horizon=600,
    seed=0,
)


def plans() -> Iterator[TrainingPlan]:
    """One after the other, each with a seed of its own."""
    return (replace(PLAN, training_id=f"t{seed}", seed=seed) for seed in count())


# ── by the executor ──────────────────────────────────────────────────────────────────────────────────────────────────


class Driven:
    """Two engines of the local executor, and who feeds them."""

    def __init__(self, executor: LocalExecutor) -> None:
        self._executor = executor
        self._plans = plans()

    def window(self, seconds: float) -> float:
        """Updates a second, from when all of its processes train."""
        self._counted(lambda steps, running: steps >= WARM_UP_STEPS and running >= WORKERS)
        begun_at = time.monotonic()
        steps = self._counted(lambda *_: time.monotonic() - begun_at >= seconds)
        speed = steps / (time.monotonic() - begun_at)
        for training in self._executor.in_flight:
            self._executor.stop(training)
        while self._executor.in_flight:
            self._executor.poll(0.1)
        return speed

    def _counted(self, is_over: Callable[[int, int], bool]) -> int:
        steps, running = 0, set[str]()
        while not is_over(steps, len(running)):
            while self._executor.free > 0:
                self._executor.submit(next(self._plans))
            for message in self._executor.poll(0.1):
                if isinstance(message, Lost):
                    raise SystemExit(f"{message.training_id}: {message.reason}")
                steps += len(message.rates)
                running.add(message.training_id)
        return steps


def of_auto(executor: LocalExecutor) -> dict[str, Any]:
    """What it takes, with what it measured for that."""
    some = [plan for plan, _ in zip(plans(), range(LONG.at_once), strict=False)]
    chooser = Chooser(executor, some, LONG, cores=available_cores())
    chooser.first()
    choice = chooser.choose()
    return {
        "taken": as_option(choice.crew),
        "updates_per_second": {as_option(each.crew): round(each.speed) for each in choice.bursts},
        "ratios": [
            {
                "of": as_option(each.first),
                "to": as_option(each.second),
                "is": each.value,
                "interval": [each.low, each.high],
            }
            for each in choice.ratios
        ],
        "seconds": round(choice.seconds, 1),
    }


# ── by themselves ────────────────────────────────────────────────────────────────────────────────────────────────────


class Alone:
    """A process that trains when it is told to, and then says how fast it was."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.scale.two_workers", "--alone"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, seconds: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{GO} {seconds}\n")
        self._process.stdin.flush()

    def speed(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def train_alone() -> None:
    """In such a process, until nobody asks any more."""
    from lrsweep.engines.device import open_device
    from lrsweep.engines.sequential import train
    from lrsweep.workloads.base import load

    workload, left, steps = load(PLAN.workload, open_device("cpu")), plans(), 0

    def heard(record: Record) -> None:
        nonlocal steps
        steps += len(record.rates)

    def trained_until(is_over: Callable[[], bool]) -> None:
        while not is_over():
            train(next(left), workload, heard, stopped=is_over)

    trained_until(lambda: steps >= WARM_UP_STEPS)
    for line in sys.stdin:
        begun_at, before, seconds = time.monotonic(), steps, float(line.split()[1])
        trained_until(lambda: time.monotonic() - begun_at >= seconds)  # noqa: B023 (it is over before the next line)
        print((steps - before) / (time.monotonic() - begun_at), flush=True)


def together(processes: Sequence[Alone], seconds: float) -> float:
    for each in processes:
        each.begin(seconds)
    return sum(each.speed() for each in processes)


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    with ExitStack() as stack:
        executor = stack.enter_context(closing(LocalExecutor("cpu")))
        auto = of_auto(executor)
        print(f"auto takes {auto['taken']}", flush=True)
        executor.use(Crew(WORKERS))
        driven = Driven(executor)
        alone = [stack.enter_context(closing(Alone())) for _ in range(WORKERS)]
        together(alone, 0.1)  # all have loaded
        ways = {
            "executor": lambda: driven.window(seconds),
            "cores": lambda: together(alone, seconds),
            "one core": lambda: together(alone[:1], seconds),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name in list(ways)[:: -1 if number % 2 else 1]:
                speeds[name].append(ways[name]())
            print(f"round {number + 1}: " + ", ".join(f"{name} {each[-1]:,.0f}" for name, each in speeds.items()))
    ratios = [ours / theirs for ours, theirs in zip(speeds["executor"], speeds["cores"], strict=True)]
    return {
        "benchmark": "two_workers",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": rounds,
        "window_seconds": seconds,
        "horizon": PLAN.horizon,
        "auto": auto,
        "updates_per_second": {name: spread(each) for name, each in speeds.items()},
        "of_what_the_cores_give": spread(ratios),
        "goal": GOAL,
        "runs": speeds,
        "load_average": os.getloadavg()[0],
        "machine": machine(),
        "versions": versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        train_alone()
        return
    found = measure(given.rounds, given.seconds)
    given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    share = found["of_what_the_cores_give"]
    print(
        f"two workers make {share['median']:.3f} of what the cores give ({share['min']:.3f} to {share['max']:.3f}, "
        f"n = {share['n']}; goal {GOAL}); auto takes {found['auto']['taken']}"
    )
    print(given.json)


if __name__ == "__main__":
    main()

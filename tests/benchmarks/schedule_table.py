"""A table of 1,000 mixed schedules × 10,000 steps, beside stepping PyTorch's schedulers for the same curves.

A thousand PyTorch schedulers are stepped ten million times, which takes a minute; unless ``--stepped 1000`` asks for
all, the first hundred are, and their time is scaled up. Their rates are compared with the table's rows each round: no
figure without the same curves. PyTorch's side is only what a schedule needs: no optimizer's step is in its time.

A second table, of every time-driven family with settings from the ranges that a search draws from, has no counterpart
and stands beside the first. Run by ``make bench``, or alone::

    python -m tests.benchmarks.schedule_table --rounds 5 --stepped 1000 --json schedule_table.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer, lr_scheduler

import lrsweep
from lrsweep.schedules import Options, Reactive, Schedule, Search, family, rate_table
from lrsweep.schedules.course import Floats
from lrsweep.schedules.setting import REQUIRED
from tests.benchmarks.sweep.machine import machine, versions

PEAK = 0.1
STEPS = 10_000
WARM_UP = 400
"""so that what is left is a multiple of every number of cycles"""
CLOSE = 1e-12

Build = Callable[[Optimizer], lr_scheduler.LRScheduler]
Drawn = tuple[Schedule, Build]


@dataclass(frozen=True)
class Pair:
    """One curve, ours and PyTorch's."""

    kind: str
    ours: Schedule
    theirs: Build


# ── curves that PyTorch has too: each takes the decay's own steps ────────────────────────────────────────────────────


def constant(_: np.random.Generator, steps: int) -> Drawn:
    return lrsweep.schedule("constant"), lambda o: lr_scheduler.ConstantLR(o, 1.0, steps)


def step(draw: np.random.Generator, steps: int) -> Drawn:
    every, gamma = int(draw.integers(steps // 10, steps // 2)), float(draw.uniform(0.05, 0.7))
    ours = lrsweep.schedule("step", every=every / steps, gamma=gamma)
    return ours, lambda o: lr_scheduler.StepLR(o, every, gamma)


def multistep(draw: np.random.Generator, steps: int) -> Drawn:
    drops = sorted(int(place) for place in draw.integers(steps // 5, steps, size=3))
    ours = lrsweep.schedule("multistep", at=[place / steps for place in drops], gamma=0.3)
    return ours, lambda o: lr_scheduler.MultiStepLR(o, drops, 0.3)


def exponential(draw: np.random.Generator, steps: int) -> Drawn:
    final = float(draw.uniform(1e-4, 0.5))
    return lrsweep.schedule("exponential", final=final), lambda o: lr_scheduler.ExponentialLR(o, final ** (1 / steps))


def linear(draw: np.random.Generator, steps: int) -> Drawn:
    floor = float(draw.uniform(0, 0.2))
    return lrsweep.schedule("linear", floor=floor), lambda o: lr_scheduler.LinearLR(o, 1.0, floor, steps)


def polynomial(draw: np.random.Generator, steps: int) -> Drawn:
    power = float(draw.uniform(0.5, 4.0))
    return lrsweep.schedule("polynomial", power=power), lambda o: lr_scheduler.PolynomialLR(o, steps, power)


def cosine(draw: np.random.Generator, steps: int) -> Drawn:
    floor = float(draw.uniform(0, 0.2))
    ours = lrsweep.schedule("cosine", floor=floor)
    return ours, lambda o: lr_scheduler.CosineAnnealingLR(o, steps, floor * PEAK)


def cosine_restarts(draw: np.random.Generator, steps: int) -> Drawn:
    cycles = int(draw.choice([2, 4, 5]))
    ours = lrsweep.schedule("cosine_restarts", cycles=cycles)
    return ours, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, steps // cycles)


def cyclic(draw: np.random.Generator, steps: int) -> Drawn:
    cycles, mode = int(draw.choice([2, 4, 5])), str(draw.choice(["triangular", "triangular2"]))
    up = int(draw.integers(1, steps // cycles))
    ours = lrsweep.schedule("cyclic", cycles=cycles, mode=mode, low=0.1, rise=up * cycles / steps)

    def theirs(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        down = steps // cycles - up
        return lr_scheduler.CyclicLR(optimizer, 0.1 * PEAK, PEAK, up, down, mode, cycle_momentum=False)  # type: ignore[arg-type]

    return ours, theirs


def one_cycle(draw: np.random.Generator, steps: int) -> Drawn:
    rise = float(draw.uniform(0.1, 0.6))
    on_their_clock = (rise * steps + 1) / (steps + 1)  # PyTorch's ends on its last step, ours after it
    ours = lrsweep.schedule("one_cycle", rise=rise)
    return ours, lambda o: lr_scheduler.OneCycleLR(o, PEAK, steps + 1, pct_start=on_their_clock, cycle_momentum=False)


ALONE = (one_cycle, cyclic)
"""They bring their own way up and overwrite the optimizer's rate, so PyTorch puts them after no warm-up."""
KINDS = (constant, step, multistep, exponential, linear, polynomial, cosine, cosine_restarts, *ALONE)


def pairs(count: int, seed: int) -> list[Pair]:
    """So many curves, the kinds in turn, each kind's every other one with a warm-up where it can have one."""
    draw = np.random.default_rng(seed)
    made = []
    for place in range(count):
        kind = KINDS[place % len(KINDS)]
        warm = place // len(KINDS) % 2 == 1 and kind not in ALONE
        ours, theirs = kind(draw, STEPS - WARM_UP * warm)
        name = f"{'warm-up and ' * warm}{kind.__name__}"
        made.append(
            Pair(name, ours.with_settings(warmup=f"{WARM_UP} steps"), after_a_warm_up(theirs))
            if warm
            else Pair(name, ours, theirs)
        )
    return made


def after_a_warm_up(decay: Build) -> Build:
    def build(optimizer: Optimizer) -> lr_scheduler.LRScheduler:
        warm = lr_scheduler.LinearLR(optimizer, 1 / (WARM_UP + 1), 1.0, WARM_UP)
        return lr_scheduler.SequentialLR(optimizer, [warm, decay(optimizer)], [WARM_UP])

    return build


def stepped(build: Build, steps: int) -> tuple[float, Floats]:
    """The seconds and the rates of stepping one scheduler through a training, without the training."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    rates = np.empty(steps)
    begin = time.perf_counter()
    scheduler = build(optimizer)
    optimizer.step()  # once: PyTorch warns where a scheduler is stepped before its optimizer ever was
    group = optimizer.param_groups[0]
    for place in range(steps):
        rates[place] = group["lr"]
        scheduler.step()
    return time.perf_counter() - begin, rates


# ── every family, as a search draws it ───────────────────────────────────────────────────────────────────────────────


def searched(count: int, seed: int) -> list[Schedule]:
    """So many schedules, the families in turn, each setting from its range, some with warm-up, hold, floor or noise."""
    draw = np.random.default_rng(seed)
    classes = [
        kind
        for kind in map(family, lrsweep.family_names())
        if not issubclass(kind, Reactive) and all(setting.default is not REQUIRED for setting in kind.settings())
    ]
    made: list[Schedule] = []
    while len(made) < count:
        kind = classes[len(made) % len(classes)]
        given = {
            setting.name: setting.drawn({name: drawn(draw, search) for name, search in setting.searched().items()})
            for setting in kind.settings()
            if setting.search is not None
        }
        shared = {"warmup": draw.uniform(0, 0.1), "hold": draw.uniform(0, 0.2), "floor": draw.uniform(0, 0.1)}
        chosen: dict[str, Any] = {name: float(value) for name, value in shared.items() if draw.random() < 0.5}
        if not kind.problems_with({**given, **chosen}):
            made.append(lrsweep.schedule(kind.family, **given, **chosen))
    return made


def drawn(draw: np.random.Generator, search: Search | Options) -> float | int | str:
    if isinstance(search, Options):
        return str(draw.choice(search.names))
    if search.whole:
        return int(draw.integers(int(search.low), int(search.high), endpoint=True))
    low, high = (np.log(search.low), np.log(search.high)) if search.log else (search.low, search.high)
    found = draw.uniform(low, high)
    return float(np.clip(np.exp(found) if search.log else found, search.low, search.high))


# ── the measurement ──────────────────────────────────────────────────────────────────────────────────────────────────


def timed_table(schedules: Sequence[Schedule]) -> tuple[float, Floats]:
    begin = time.perf_counter()
    table = rate_table(schedules, STEPS, PEAK)
    return time.perf_counter() - begin, table


def rounds_of(
    compared: Sequence[Pair], mixed: Sequence[Schedule], stepped_ones: int, rounds: int
) -> Iterator[dict[str, float]]:
    """The seconds of each side in each round; the sides take turns in being first."""
    sample = compared[:stepped_ones]
    for number in range(rounds):
        seconds: dict[str, float] = {}
        table, rows = np.empty(0), np.empty(0)
        sides = ("table", "torch", "every family")
        for side in sides if number % 2 == 0 else reversed(sides):
            if side == "table":
                seconds[side], table = timed_table([pair.ours for pair in compared])
            elif side == "every family":
                seconds[side], _ = timed_table(mixed)
            else:
                took, rates = zip(*(stepped(pair.theirs, STEPS) for pair in sample), strict=True)
                seconds[side], rows = sum(took) * len(compared) / len(sample), np.stack(rates)
        np.testing.assert_allclose(table[: len(sample)], rows, rtol=0, atol=CLOSE)
        yield seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def measure(count: int, stepped_ones: int, rounds: int, seed: int) -> dict[str, Any]:
    compared, mixed = pairs(count, seed), searched(count, seed)
    # Once unseen: at the first step of all PyTorch imports a part of itself, and every function is slower.
    timed_table(mixed[:100])
    for pair in compared[: 2 * len(KINDS)]:
        stepped(pair.theirs, 10)
    seconds = list(rounds_of(compared, mixed, stepped_ones, rounds))
    return {
        "benchmark": "schedule_table",
        "schedules": count,
        "steps": STEPS,
        "rounds": rounds,
        "seed": seed,
        "stepped_in_torch": {
            "schedulers": stepped_ones,
            "kinds": dict(Counter(pair.kind for pair in compared[:stepped_ones])),
            "scaled_by": count / stepped_ones,
            "rates_agree_within": CLOSE,
        },
        "seconds": {name: spread([one[name] for one in seconds]) for name in seconds[0]},
        "torch_over_table": spread([one["torch"] / one["table"] for one in seconds]),
        "each_round": [{name: round(value, 4) for name, value in one.items()} for one in seconds],
        "machine": machine(),
        "versions": {
            name: value for name, value in versions().items() if name in ("lrsweep", "python", "torch", "numpy")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A table of many schedules beside stepping PyTorch's schedulers.")
    parser.add_argument("--schedules", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--stepped", type=int, default=100, help="how many of them in PyTorch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each side (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which settings (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    least = 2 * len(KINDS)
    if not least <= arguments.stepped <= arguments.schedules:
        parser.error(f"--stepped must be from {least}, two of each kind, to --schedules, {arguments.schedules}")
    result = measure(arguments.schedules, arguments.stepped, arguments.rounds, arguments.seed)
    scaled = "" if arguments.stepped == arguments.schedules else f", {arguments.stepped} stepped and scaled up"
    titles = {
        "table": "rate_table, the curves that PyTorch has too",
        "torch": f"PyTorch's schedulers{scaled}",
        "every family": "rate_table, every time-driven family",
    }
    print(f"{result['schedules']} schedules x {STEPS} steps, {result['rounds']} rounds")
    for name, figures in result["seconds"].items():
        print(f"{titles[name]:60} median {figures['median']:8.3f} s   {figures['min']:.3f} to {figures['max']:.3f}")
    ratio = result["torch_over_table"]
    print(f"stepping takes {ratio['median']:.0f} times as long as the table, {ratio['min']:.0f} to {ratio['max']:.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

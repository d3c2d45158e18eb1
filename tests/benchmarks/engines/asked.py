"""How much is measured: the options of the command, and how long that takes on two cores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lrsweep.engines.device import AUTO, open_device
from lrsweep.engines.machine import available_cores
from tests.benchmarks.engines import many
from tests.benchmarks.engines.arrangements import Arrangement, Way, one_after_the_other, side_by_side
from tests.benchmarks.engines.problem import PROBLEMS, RECIPES, Opened
from tests.benchmarks.engines.workers import Stage

PARTS = ("ladder", "many", "occupancy", "refill", "convolutions")
SWEPT = {"cpu": ("digits-mlp",), "cuda": ("digits-mlp", "mnist-cnn")}
"""Whose slots are looked at, unless problems are asked for by name: a sweep of the others takes hours."""
LIKE = {"mnist-cnn": "digits-cnn"}
"""On a CPU, unless everything is asked for: only with the best arrangements of this one."""
LIKELY = 2
"""Of each side."""
DROP = 1.5
FULL_SLOTS, FEWER_SLOTS = (4, 8, 16, 32, 64), (4, 16, 64)
COMPILED_FROM = 16

AUTO_SECONDS, LADDER_SECONDS, COMPILING_SECONDS, REFILL_SECONDS, CONVOLUTIONS_SECONDS = 45.0, 70.0, 25.0, 20.0, 120.0
SWEEP_SECONDS_PER_SLOT = 0.55
"""All expected on two cores, and corrected by what the run takes."""


@dataclass(frozen=True)
class Asked:
    parts: tuple[str, ...]
    problems: tuple[str, ...]
    swept: tuple[str, ...]
    device: torch.device
    recipes: tuple[str, ...]
    slots: tuple[int, ...]
    occupancy_slots: tuple[int, ...]
    delays: tuple[float, ...]
    horizons: tuple[int, ...] | None
    rounds: int
    lists: many.Lists
    synthetic: bool
    quick: bool
    full: bool

    def stage(self, problem: str) -> Stage:
        return Stage(problem, str(self.device), self.recipes, self.synthetic)

    def opened(self, problem: str) -> Opened:
        return PROBLEMS[problem].opened(self.device, synthetic=self.synthetic)

    @property
    def is_short(self) -> bool:
        """Only what a CPU can do in half an hour."""
        return self.device.type == "cpu" and not self.full

    def horizons_of(self, problem: str) -> tuple[int, ...]:
        """Of the trainings in a list."""
        if self.horizons:
            return self.horizons
        full, *lower = PROBLEMS[problem].horizons
        return (full,) if self.is_short and problem != "digits-mlp" else (full, *lower)

    def rungs_of(self, problem: str) -> list[int]:
        """Of a sweep with halving."""
        return sorted(self.horizons or PROBLEMS[problem].horizons)

    def sides(self) -> tuple[list[Arrangement], list[Arrangement]]:
        """All that train one after the other, and all that train many at once."""
        kind, cores = self.device.type, available_cores()
        sequential = one_after_the_other(kind, cores)
        if self.is_short:
            fused = side_by_side(kind, cores, self.slots, compiled_from=COMPILED_FROM, compiled_with_threads=False)
        else:
            fused = side_by_side(kind, cores, self.slots)
        return (sequential[-4:], fused[:4]) if self.quick else (sequential, fused)

    def expected(self) -> dict[str, float]:
        """Seconds of each piece of the work."""
        found: dict[str, float] = {}
        if "ladder" in self.parts:
            found |= {f"ladder {name}": LADDER_SECONDS * (1 + self.rounds) / 4 for name in self.problems}
        if "many" in self.parts:
            found |= {f"many {name}": self._expected_of_lists(name) for name in self.problems}
        for part in ("occupancy", "refill"):
            if part in self.parts:
                for name in self.swept:
                    for slots in self.occupancy_slots:
                        sweeps = SWEEP_SECONDS_PER_SLOT * slots * len(self.delays) * self.rounds
                        found[f"{part} {name} {slots}"] = sweeps if part == "occupancy" else REFILL_SECONDS
        if "convolutions" in self.parts:
            found["convolutions"] = CONVOLUTIONS_SECONDS
        return found

    def _expected_of_lists(self, problem: str) -> float:
        arrangements = [each for side in self.sides() for each in side]
        if self.is_short and LIKE.get(problem) in self.problems:
            arrangements = arrangements[: 2 * LIKELY + 1]
        compiled = sum(each.way is Way.COMPILED for each in arrangements)
        rounds = 1 + (self.rounds - 1) * (0.4 if self.lists.drop else 1.0)
        windows = len(arrangements) * rounds + 4 * self.lists.duels
        of_horizon = windows * (self.lists.seconds + 0.3) + (0.0 if self.quick else AUTO_SECONDS)
        return len(self.horizons_of(problem)) * of_horizon + compiled * COMPILING_SECONDS


def likely(
    measured: many.Measured, sequential: Sequence[Arrangement], fused: Sequence[Arrangement], horizon: int
) -> tuple[list[Arrangement], list[Arrangement]]:
    """The best two of each side in another problem's list, and the baselines."""
    best, least = [], list(many.rivals(measured, sequential, horizon).values())
    for side in (list(sequential), list(fused)):
        taken: list[Arrangement] = []
        while len(taken) < LIKELY and (one := measured.best([each for each in side if each not in taken], horizon)):
            taken.append(one)
        best.append(taken)
    return list(dict.fromkeys([*best[0], *least])), best[1]


def asked_by(arguments: argparse.Namespace) -> Asked:
    device = open_device(arguments.device)
    on_gpu = device.type == "cuda"
    full = arguments.full
    parts = arguments.parts or [part for part in PARTS if on_gpu or part != "convolutions"]
    problems = arguments.only or [name for name, each in PROBLEMS.items() if on_gpu or not each.needs_gpu]
    slots = arguments.slots or ([*FULL_SLOTS, 128, 256] if on_gpu else FULL_SLOTS if full else FEWER_SLOTS)
    rounds = arguments.rounds or (5 if full else 3)
    lists = many.Lists(
        rounds, arguments.duels, arguments.seconds or (2.0 if full or on_gpu else 1.5), drop=None if full else DROP
    )
    asked = Asked(
        parts=tuple(parts),
        problems=tuple(problems),
        swept=tuple(arguments.only or SWEPT[device.type]),
        device=device,
        recipes=tuple(arguments.optimizers),
        slots=tuple(sorted(slots)),
        occupancy_slots=tuple(sorted(slots)[-1:] if arguments.slots else (8, 16, 64) if full or on_gpu else (8, 16)),
        delays=(0.0, 0.02),
        horizons=tuple(arguments.horizons) if arguments.horizons else None,
        rounds=rounds,
        lists=lists,
        synthetic=arguments.synthetic,
        quick=arguments.quick,
        full=full,
    )
    if not arguments.quick:
        return asked
    return replace(
        asked,
        problems=tuple(problems) if arguments.only else ("digits-mlp",),
        slots=(4,),
        occupancy_slots=(4,),
        horizons=(24, 8),
        rounds=1,
        lists=many.Lists(1, 1, 0.1),
    )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description="The engines, measured.")
    parser.add_argument("--full", action="store_true", help="every arrangement in every round, all horizons: 2 hours")
    parser.add_argument("--rounds", type=int, help="of everything (default: 3, with --full 5)")
    parser.add_argument("--duels", type=int, default=10, help="windows of the best (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="of a window (default: 1.5 on a CPU, else and with --full 2)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="these parts")
    parser.add_argument("--only", nargs="+", choices=list(PROBLEMS), help="these problems")
    parser.add_argument(
        "--slots", nargs="+", type=int, help="trainings at once (default: 4, 16, 64, with --full more; on a GPU to 256)"
    )
    parser.add_argument("--horizons", nargs="+", type=int, help="updates of a training (default: 600 and 200)")
    parser.add_argument(
        "--optimizers", nargs="+", choices=list(RECIPES), default=list(RECIPES), help="in turn (default: all)"
    )
    parser.add_argument("--device", default=AUTO, help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--synthetic", action="store_true", help="random pictures in place of scikit-learn's digits")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, once each; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of the results (default: results/ beside)")
    return parser.parse_args(given)

"""Every way to train that lrsweep's engines are compared with, and what the fused engine's parts cost.

    python -m tests.benchmarks.engines

On the GPU where there is one, else on the CPU; ``--device`` says otherwise. Needs torch, torchvision and numpy, and
scikit-learn for its digits, which ``--synthetic`` replaces.

ladder         one training on every rung from a tutorial's loop to lrsweep's sequential engine
many           lists of trainings, one after the other and many at once, in one and two processes and threads
occupancy      how full the slots are over a sweep with halving
refill         a new training in a slot beside a step of all slots
convolutions   K models' convolutions in three ways; on a GPU, unless it is asked for by name
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lrsweep.engines.device import AUTO, open_device
from tests.benchmarks.engines import convolutions, ladder, many, occupancy, refill
from tests.benchmarks.engines.arrangements import Arrangement, one_after_the_other, side_by_side
from tests.benchmarks.engines.auto import arrangement_of_auto
from tests.benchmarks.engines.loops import Plans
from tests.benchmarks.engines.picture import picture
from tests.benchmarks.engines.problem import PROBLEMS, RECIPES, Opened
from tests.benchmarks.engines.rungs import RUNGS, CannotRun
from tests.benchmarks.engines.workers import Stage, Workers
from tests.benchmarks.sweep.machine import machine, versions

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("ladder", "many", "occupancy", "refill", "convolutions")
SWEPT = {"cpu": ("digits-mlp",), "cuda": ("digits-mlp", "mnist-cnn")}
"""Whose slots are looked at, unless problems are asked for by name: a sweep of the others takes hours."""
OCCUPANCY_SEEDS, REFILL_SEEDS = 3_000_000_000, 4_000_000_000
"""Beyond those of the processes."""


@dataclass(frozen=True)
class Asked:
    """How much of everything."""

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

    def stage(self, problem: str) -> Stage:
        return Stage(problem, str(self.device), self.recipes, self.synthetic)

    def opened(self, problem: str) -> Opened:
        return PROBLEMS[problem].opened(self.device, synthetic=self.synthetic)

    def horizons_of(self, problem: str) -> tuple[int, ...]:
        return self.horizons or PROBLEMS[problem].horizons


def main() -> None:
    arguments = _arguments()
    asked = _asked(arguments)
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if asked.quick else RESULTS)
    device = asked.device
    on_gpu = device.type == "cuda"
    result: dict[str, Any] = {
        "benchmark": "engines",
        "quick": asked.quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": asked.rounds,
        "duels": asked.lists.duels,
        "window_seconds": asked.lists.seconds,
        "recipes": asked.recipes,
        "synthetic": asked.synthetic,
        "machine": hardware(device),
        "versions": {**versions(), "cuda": torch.version.cuda if on_gpu else None},
    }
    if "ladder" in asked.parts:
        ladders = [
            ladder.climb(asked.opened(name), RUNGS, rounds=asked.rounds, quick=asked.quick) for name in asked.problems
        ]
        result["problems"] = {each.opened.problem.name: ladder.figures(each, RUNGS) for each in ladders}
        result["runs"] = [run for each in ladders for run in ladder.runs(each)]
    if "many" in asked.parts:
        result |= measure_many(asked)
    if "occupancy" in asked.parts:
        result["occupancy"] = measure_occupancy(asked)
    if "refill" in asked.parts:
        result["refill"] = measure_refill(asked)
    if "convolutions" in asked.parts:
        slots = (1, *asked.slots)
        result["convolutions"] = convolutions.measure(device, slots, quick=asked.quick, rounds=asked.rounds)
    print(f"\n{tables(result)}\n")

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"engines{'-gpu' if on_gpu else ''}.json"
    file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(file)
    if "many" in result:
        file.with_suffix(".svg").write_text(picture(result), encoding="utf-8")
        print(file.with_suffix(".svg"))


def measure_many(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    windows: list[dict[str, Any]] = []
    cores = os.cpu_count() or 1
    sequential = one_after_the_other(asked.device.type, cores)
    fused = side_by_side(asked.device.type, cores, asked.slots)
    if asked.quick:
        sequential, fused = sequential[-4:], fused[:4]
    for name in asked.problems:
        horizons = asked.horizons_of(name)
        auto = "not asked in a smoke run" if asked.quick else arrangement_of_auto(asked.stage(name), horizons[-1], 64)

        def say(text: str, name: str = name) -> None:
            print(f"{name}  {text}", flush=True)

        with Workers(asked.stage(name)) as workers:
            measured = many.measure(workers, [*sequential, *fused], horizons, asked.lists, say)
            for horizon in horizons:
                best = [measured.best(side, horizon) for side in (sequential, fused)]
                fighters = {each: None for each in (*best, auto) if isinstance(each, Arrangement)}
                many.duel(workers, measured, list(fighters), horizon, asked.lists, say)
        found[name] = many.figures(measured, sequential, fused, horizons, auto)
        windows += many.runs(name, measured)
    return {"many": found, "windows": windows}


def measure_occupancy(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in asked.swept:
        opened = asked.opened(name)
        rungs = sorted(asked.horizons_of(name))
        found[name] = {}
        for slots in asked.occupancy_slots:
            trials = occupancy.trials_of(slots, len(rungs))
            try:
                sweeps = occupancy.Slots(opened, Plans(opened, asked.recipes, OCCUPANCY_SEEDS), slots)
                rounds = [[sweeps.sweep(trials, rungs, delay) for delay in asked.delays] for _ in range(asked.rounds)]
            except CannotRun as reason:
                found[name][str(slots)] = {"reason": str(reason)}
                continue
            found[name][str(slots)] = {
                "trials": trials,
                **{
                    f"answers_after_{1000 * delay:g}_ms": occupancy.figures(list(of_delay))
                    for delay, of_delay in zip(asked.delays, zip(*rounds, strict=True), strict=True)
                },
            }
            print(f"{name}  occupancy of {slots} slots measured", flush=True)
    return found


def measure_refill(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds = refill.KINDS[:1] if asked.quick else refill.KINDS
    for name in asked.swept:
        opened = asked.opened(name)
        plans = Plans(opened, asked.recipes, REFILL_SEEDS)
        found[name] = {}
        for slots in asked.occupancy_slots:
            rounds = 4 * asked.rounds
            found[name][str(slots)] = {
                **refill.of_a_bank(opened, plans, slots, asked.horizons_of(name), rounds),
                "made": {kind: refill.made(opened, plans, slots, compiled=kind == "compiled") for kind in kinds},
            }
            print(f"{name}  refill of {slots} slots measured", flush=True)
    return found


def tables(result: dict[str, Any]) -> str:
    """Medians; spreads and all rounds are in the JSON file."""
    parts = []
    if "problems" in result:
        parts.append(ladder.table(result["problems"]))
    if "many" in result:
        parts.append(many.table(result["many"]))
    for name, problem in result.get("occupancy", {}).items():
        for slots, found in problem.items():
            for what, each in found.items():
                if isinstance(each, dict):
                    parts.append(
                        f"{name}: {slots} slots, {each['trainings']} trainings, {what.replace('_', ' ')}: busy "
                        f"{each['occupancy']['median']:.1%} of the steps until the last ask, "
                        f"{each['occupancy_by_time']['median']:.1%} of the time"
                    )
    for name, problem in result.get("refill", {}).items():
        for slots, found in problem.items():
            parts.append(
                f"{name}: a step of {slots} slots takes {found['step_ms']['median']:.3g} ms; a refill writes for "
                f"{found['writes_of_a_step']['median']:.1%} of that, and its model takes "
                f"{found['model_of_a_step']['median']:.1%}"
                + "".join(
                    f"; {horizon} updates: {share['median']:.1%} of all time"
                    for horizon, share in found["of_all_time"].items()
                )
                + "".join(f"; {what}: {told(each)}" for what, each in found["made"].items())
            )
    if "convolutions" in result:
        parts.append("Microseconds per model, forward and backward\n" + convolutions.table(result["convolutions"]))
    return "\n\n".join(parts)


def told(made: dict[str, Any]) -> str:
    if "reason" in made:
        return str(made["reason"])
    before, after = made["before"], made["after"]
    return f"{before} times before {made['refills']} refills, {after} after"


def hardware(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {**machine(), "device": device.type, "gpu": gpu, "threads": torch.get_num_threads()}


def _asked(arguments: argparse.Namespace) -> Asked:
    device = open_device(arguments.device)
    on_gpu = device.type == "cuda"
    parts = arguments.parts or [part for part in PARTS if on_gpu or part != "convolutions"]
    problems = arguments.only or [name for name, each in PROBLEMS.items() if on_gpu or not each.needs_gpu]
    slots = arguments.slots or [4, 8, 16, 32, 64, *([128, 256] if on_gpu else [])]
    asked = Asked(
        parts=tuple(parts),
        problems=tuple(problems),
        swept=tuple(arguments.only or SWEPT[device.type]),
        device=device,
        recipes=tuple(arguments.optimizers),
        slots=tuple(sorted(slots)),
        occupancy_slots=tuple(each for each in slots if each in (16, 64)) or (max(slots),),
        delays=(0.0, 0.05),
        horizons=tuple(arguments.horizons) if arguments.horizons else None,
        rounds=arguments.rounds,
        lists=many.Lists(arguments.rounds, arguments.duels, arguments.seconds),
        synthetic=arguments.synthetic,
        quick=arguments.quick,
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description="The engines, measured.")
    parser.add_argument("--rounds", type=int, default=5, help="of everything (default: %(default)s)")
    parser.add_argument("--duels", type=int, default=10, help="windows of the best (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="these parts")
    parser.add_argument("--only", nargs="+", choices=list(PROBLEMS), help="these problems")
    parser.add_argument("--slots", nargs="+", type=int, help="trainings at once (default: 4 to 64, on a GPU to 256)")
    parser.add_argument("--horizons", nargs="+", type=int, help="updates of a training (default: 600 and 200)")
    parser.add_argument(
        "--optimizers", nargs="+", choices=list(RECIPES), default=list(RECIPES), help="in turn (default: all)"
    )
    parser.add_argument("--device", default=AUTO, help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--synthetic", action="store_true", help="random pictures in place of scikit-learn's digits")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, once each; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of the results (default: results/ beside)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

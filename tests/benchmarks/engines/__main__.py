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

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.engines import convolutions, ladder, many, occupancy, refill
from tests.benchmarks.engines.asked import LIKE, Asked, arguments, asked_by, likely
from tests.benchmarks.engines.auto import Auto, arrangement_of_auto
from tests.benchmarks.engines.loops import Plans
from tests.benchmarks.engines.many import Measured
from tests.benchmarks.engines.picture import picture
from tests.benchmarks.engines.progress import Progress
from tests.benchmarks.engines.rungs import RUNGS, CannotRun
from tests.benchmarks.engines.workers import Workers
from tests.benchmarks.sweep.machine import machine, versions

RESULTS = Path(__file__).parents[1] / "results"
OCCUPANCY_SEEDS, REFILL_SEEDS = 3_000_000_000, 4_000_000_000
"""Beyond those of the processes."""
AT_ONCE = 64
"""What a search of 384 trials keeps in flight."""


def main() -> None:
    given = arguments()
    asked = asked_by(given)
    folder = given.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if asked.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    run = Running(asked, folder / f"engines{'-gpu' if asked.device.type == 'cuda' else ''}.json")
    measure = {
        "ladder": run.ladder,
        "many": run.many,
        "occupancy": run.occupancy,
        "refill": run.refill,
        "convolutions": run.convolutions,
    }
    for part in asked.parts:
        measure[part]()
    run.result["is_whole"] = True
    run.keep()
    print(f"\n{tables(run.result)}\n")
    print(run.file)
    if "many" in run.result:
        print(run.file.with_suffix(".svg"))


class Running:
    """What was measured so far is in the file: a run that is cut keeps it."""

    def __init__(self, asked: Asked, file: Path) -> None:
        self.asked = asked
        self.file = file
        self.progress = Progress(asked.expected())
        self._slots_of_auto: dict[str, int] = {}
        """of each process, where it takes the fused engine for trainings of the full horizon"""
        self.result: dict[str, Any] = {
            "benchmark": "engines",
            "is_whole": False,
            "quick": asked.quick,
            "full": asked.full,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "rounds": asked.rounds,
            "duels": asked.lists.duels,
            "window_seconds": asked.lists.seconds,
            "dropped_if_slower": asked.lists.drop,
            "recipes": asked.recipes,
            "synthetic": asked.synthetic,
            "machine": hardware(asked.device),
            "versions": {**versions(), "cuda": torch.version.cuda if asked.device.type == "cuda" else None},
        }

    def keep(self) -> None:
        beside = self.file.with_suffix(".part")
        beside.write_text(json.dumps(self.result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(self.file)
        if "many" in self.result:
            self.file.with_suffix(".svg").write_text(picture(self.result), encoding="utf-8")

    def done(self, piece: str) -> None:
        self.progress.reached(piece)
        self.progress.say(f"{piece}: measured")
        self.keep()

    def ladder(self) -> None:
        self.result |= {"problems": {}, "runs": []}
        for name in self.asked.problems:
            one = ladder.climb(self.asked.opened(name), RUNGS, rounds=self.asked.rounds, quick=self.asked.quick)
            self.result["problems"][name] = ladder.figures(one, RUNGS)
            self.result["runs"] += ladder.runs(one)
            self.done(f"ladder {name}")

    def many(self) -> None:
        self.result |= {"many": {}, "windows": []}
        before: dict[str, Measured] = {}
        for name in self.asked.problems:
            before[name] = self._lists(name, before)
            self.done(f"many {name}")

    def _lists(self, name: str, before: dict[str, Measured]) -> Measured:
        asked, piece = self.asked, f"many {name}"
        horizons = asked.horizons_of(name)
        sequential, fused = asked.sides()
        like = before.get(LIKE.get(name, "")) if asked.is_short else None
        if like is not None:
            sequential, fused = likely(like, sequential, fused, horizons[0])
        windows = asked.rounds * (len(sequential) + len(fused)) * len(horizons)
        of_rounds = windows / (windows + 5 * asked.lists.duels * len(horizons))
        seen = 0

        def say(text: str) -> None:
            nonlocal seen
            seen += 1
            self.progress.reached(piece, min(0.95, of_rounds * seen / windows))
            self.progress.say(f"{name}  {text}")

        autos = {horizon: self._auto(name, horizon) for horizon in horizons}
        with Workers(asked.stage(name)) as workers:
            measured = many.measure(workers, [*sequential, *fused], horizons, asked.lists, say)
            seen = max(seen, windows)
            for horizon in horizons:
                fighters = many.fighters(measured, sequential, fused, horizon, autos[horizon].taken)
                many.duel(workers, measured, fighters, horizon, asked.lists, say)
        taken = autos[horizons[0]].taken
        if taken is not None and taken.slots is not None:
            self._slots_of_auto[name] = taken.slots
        self.result["many"][name] = many.figures(measured, sequential, fused, autos)
        self.result["windows"] += many.runs(name, measured)
        return measured

    def _auto(self, name: str, horizon: int) -> Auto:
        if self.asked.quick:
            return Auto(reason="not asked in a smoke run")
        auto = arrangement_of_auto(self.asked.stage(name), horizon, AT_ONCE)
        self.progress.say(f"{name}  {horizon} updates, auto: {auto.name}")
        return auto

    def occupancy(self) -> None:
        asked = self.asked
        self.result["occupancy"] = {name: {} for name in asked.swept}
        for name in asked.swept:
            opened, rungs = asked.opened(name), asked.rungs_of(name)
            for slots in sorted({*asked.occupancy_slots, self._slots_of_auto.get(name, asked.occupancy_slots[0])}):
                trials = occupancy.trials_of(slots, len(rungs))
                found: dict[str, Any] = {"trials": trials, "in_flight": occupancy.most_in_flight(trials)}
                self.result["occupancy"][name][str(slots)] = found
                try:
                    sweeps = occupancy.Slots(opened, Plans(opened, asked.recipes, OCCUPANCY_SEEDS), slots)
                    rounds = [
                        [sweeps.sweep(trials, rungs, delay) for delay in asked.delays] for _ in range(asked.rounds)
                    ]
                except CannotRun as reason:
                    found["reason"] = str(reason)
                else:
                    for delay, of_delay in zip(asked.delays, zip(*rounds, strict=True), strict=True):
                        found[f"{1000 * delay:g}_ms_for_each_result"] = occupancy.figures(list(of_delay))
                self.done(f"occupancy {name} {slots}")

    def refill(self) -> None:
        asked = self.asked
        self.result["refill"] = {name: {} for name in asked.swept}
        kinds = refill.KINDS[:1] if asked.quick else refill.KINDS
        for name in asked.swept:
            opened = asked.opened(name)
            plans = Plans(opened, asked.recipes, REFILL_SEEDS)
            for slots in asked.occupancy_slots:
                self.result["refill"][name][str(slots)] = {
                    **refill.of_a_bank(opened, plans, slots, asked.rungs_of(name), 4 * asked.rounds),
                    "made": {kind: refill.made(opened, plans, slots, compiled=kind == "compiled") for kind in kinds},
                }
                self.done(f"refill {name} {slots}")

    def convolutions(self) -> None:
        asked = self.asked
        slots = (1, *asked.slots)
        found = convolutions.measure(asked.device, slots, quick=asked.quick, rounds=asked.rounds)
        self.result["convolutions"] = found
        self.done("convolutions")


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
                        f"{name}: {slots} slots, {each['trainings']} trainings, {found['in_flight']} in flight, "
                        f"{what.replace('_', ' ')}: busy "
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


if __name__ == "__main__":
    main()

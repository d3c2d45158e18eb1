"""How good a pick is for the updates spent on it, lrsweep beside other searches: ``python -m tests.benchmarks.regret``.

Nothing is trained: every training that a method asks for is looked up in a table of real ones (``truth.py`` makes it).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.benchmarks.regret.figures import comparison, curves, pooled
from tests.benchmarks.regret.picture import draw
from tests.benchmarks.regret.replay import NAMES, WITHOUT_FINALS, Replay, replay
from tests.benchmarks.regret.table import TRUTH, Table
from tests.benchmarks.sweep.machine import machine, versions

BUDGETS = (5, 8, 12, 18, 27, 40, 60)
"""Trainings at the full horizon, finals included. Beyond, regrets fall below what five seeds of the truth can tell."""
QUICK_BUDGETS = (5, 12)
RESULTS = Path(__file__).parents[1] / "results"


def replayed(workloads: Sequence[str], budgets: Sequence[float], repeats: int, processes: int) -> list[Replay]:
    found: list[Replay] = []
    with ProcessPoolExecutor(processes) as executor:
        jobs = [executor.submit(replay, workload, budgets, seed) for seed in range(repeats) for workload in workloads]
        for number, job in enumerate(as_completed(jobs), 1):
            found += job.result()
            if number % len(workloads) == 0:
                print(f"{number // len(workloads)} of {repeats} repeats", flush=True)
    return sorted(found, key=lambda each: (each.workload, each.method, each.trainings, each.seed))


def report(replays: Sequence[Replay], repeats: int, *, quick: bool) -> dict[str, Any]:
    by_workload = curves(replays)
    together = pooled(by_workload)
    return {
        "benchmark": "regret",
        "quick": quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "repeats": repeats,
        "machine": machine(),
        "versions": versions(),
        "truth": {
            workload: {key: Table.read(workload).meta[key] for key in ("facts", "cpu_seconds", "machine", "versions")}
            | {"points": len(Table.read(workload).params), "regret_of_1": Table.read(workload).scale}
            for workload in by_workload
        },
        "workloads": by_workload,
        "pooled": together,
        "comparison": {workload: comparison(methods) for workload, methods in by_workload.items()}
        | {"all": comparison(together)},
    }


def table(result: dict[str, Any]) -> str:
    """Median regret by budget, and below it what the best rival's regret costs lrsweep."""
    lines = []
    for workload, methods in [*result["workloads"].items(), ("all", result["pooled"])]:
        budgets = [point["trainings"] for point in next(iter(methods.values()))]
        lines += ["", f"{workload:28}" + "".join(f"{f'{budget:g}':>9}" for budget in budgets)]
        for name in [*NAMES, *(f"{name}{WITHOUT_FINALS}" for name in NAMES)]:
            lines.append(f"  {name:26.36}" + "".join(f"{point['regret']:9.3f}" for point in methods[name]))
        shares = (
            "behind" if each["share"] is None else f"{each['share']:.2f}" for each in result["comparison"][workload]
        )
        lines.append(f"  {'share of the best rival':26}" + "".join(f"{share:>9}" for share in shares))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regret", description="Regret over updates.")
    known = sorted(path.stem for path in TRUTH.glob("*.npz"))
    parser.add_argument("--only", nargs="+", choices=known, help="these workloads")
    parser.add_argument("--repeats", type=int, default=10, help="with other seeds (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="side by side (default: all cores)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: two small budgets, two repeats")
    parser.add_argument("--out", type=Path, help="the folder of regret.json and regret.svg (default: results/ beside)")
    arguments = parser.parse_args()
    repeats, budgets = (2, QUICK_BUDGETS) if arguments.quick else (arguments.repeats, BUDGETS)
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)

    replays = replayed(arguments.only or known, budgets, repeats, arguments.processes or 1)
    result = report(replays, repeats, quick=arguments.quick)
    print(f"{table(result)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "regret.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(result, folder / "regret.svg")
    print(f"{folder / 'regret.json'} and regret.svg beside it")


if __name__ == "__main__":
    main()

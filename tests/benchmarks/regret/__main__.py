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
from pathlib import Path
from typing import Any

from tests.benchmarks.regret.figures import comparison, curves, pooled
from tests.benchmarks.regret.paired import scores
from tests.benchmarks.regret.picture import draw, draw_scores
from tests.benchmarks.regret.replay import HABIT_NAMES, NAMES, WITHOUT_FINALS, Replay, replayed
from tests.benchmarks.regret.table import TRUTH, Table
from tests.benchmarks.sweep.machine import machine, versions

BUDGETS = (5, 8, 12, 18, 27, 40, 60)
"""Trainings at the full horizon, finals included. Beyond, regrets fall below what five seeds of the truth can tell."""
QUICK_BUDGETS = (5, 12)
RESULTS = Path(__file__).parents[1] / "results"


def report(replays: Sequence[Replay], repeats: int, *, quick: bool) -> dict[str, Any]:
    by_workload = curves(replays)
    together = pooled(by_workload)
    return {
        **_head("regret", repeats, quick=quick),
        "truth": {workload: _about(Table.read(workload)) for workload in by_workload},
        "workloads": by_workload,
        "pooled": together,
        "comparison": {workload: comparison(methods) for workload, methods in by_workload.items()}
        | {"all": comparison(together)},
    }


def selector(replays: Sequence[Replay], repeats: int, *, quick: bool) -> dict[str, Any]:
    """``regret.json`` has each method's curve; here is every rival's difference from lrsweep."""
    return {**_head("selector", repeats, quick=quick), "rivals": scores(replays)}


def _head(benchmark: str, repeats: int, *, quick: bool) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "quick": quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "repeats": repeats,
        "machine": machine(),
        "versions": versions(),
    }


def _about(found: Table) -> dict[str, Any]:
    return {key: found.meta[key] for key in ("facts", "cpu_seconds", "machine", "versions")} | {
        "points": len(found.params),
        "regret_of_1": found.scale,
        "noise_of_a_point": found.noise,
        "seeds": found.seeds_of_truth,
    }


def scores_table(result: dict[str, Any]) -> str:
    """lrsweep's mean regret less each rival's: ``+`` where the interval says ahead, ``!`` where it says behind."""
    [first, *_] = result["rivals"].values()
    columns = ["mean" if each["trainings"] is None else f"{each['trainings']:g}" for each in first]
    lines = [f"{'less than 0: lrsweep is better':44}" + "".join(f"{each:>9}" for each in columns)]
    signs = {"ahead": "+", "behind": "!", "not told apart": " "}
    for name, found in result["rivals"].items():
        lines.append(f"{name:44}" + "".join(f"{each['difference']:8.3f}{signs[each['lrsweep_is']]}" for each in found))
    return "\n".join(lines)


def table(result: dict[str, Any]) -> str:
    """Median regret by budget, and below it what the best rival's regret costs lrsweep."""
    lines = []
    for workload, methods in [*result["workloads"].items(), ("all", result["pooled"])]:
        budgets = [point["trainings"] for point in next(iter(methods.values()))]
        lines += ["", f"{workload:28}" + "".join(f"{f'{budget:g}':>9}" for budget in budgets)]
        names = (*NAMES, *HABIT_NAMES)
        for name in [*names, *(f"{name}{WITHOUT_FINALS}" for name in names)]:
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
    parser.add_argument("--keep", type=Path, help="a folder of finished replays: an interrupted run goes on from there")
    parser.add_argument("--quick", action="store_true", help="a smoke run: two small budgets, two repeats")
    parser.add_argument("--out", type=Path, help="the folder of the JSON files and pictures (default: results/ beside)")
    arguments = parser.parse_args()
    repeats, budgets = (2, QUICK_BUDGETS) if arguments.quick else (arguments.repeats, BUDGETS)
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)

    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    replays = replayed(arguments.only or known, budgets, repeats, arguments.processes or 1, arguments.keep)
    result = report(replays, repeats, quick=arguments.quick)
    scored = selector(replays, repeats, quick=arguments.quick)
    print(f"{table(result)}\n\n{scores_table(scored)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    for each in (result, scored):
        path = folder / f"{each['benchmark']}.json"
        path.write_text(json.dumps(each, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(result, folder / "regret.svg")
    draw_scores(scored, folder / "selector.svg")
    print(f"{folder}: regret.json, selector.json and their pictures")


if __name__ == "__main__":
    main()

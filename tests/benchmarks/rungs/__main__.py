"""How far a short look at a training says where its full length ends: ``python -m tests.benchmarks.rungs``.

Nothing is trained: looks and truth are those of the tables of ``tests/benchmarks/regret``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrsweep.selection.statistics import listed
from tests.benchmarks.regret.table import RATE_EXPONENTS, SEARCH_SEEDS, TRUTH, Table
from tests.benchmarks.rungs.judged import DRAWS, MEASURES, Judged, judged
from tests.benchmarks.rungs.looks import CEILING, CUT, KINDS, exponents, looks, unseen
from tests.benchmarks.rungs.picture import draw
from tests.benchmarks.sweep.machine import machine, versions

SHARES = (3, 9)
OVERFITTING = ("wrong-labels",)
"""Where longer training is worse in the end; everywhere else it is not."""
QUICK_DRAWS = 20
RESULTS = Path(__file__).parents[1] / "results"


def known() -> list[str]:
    """The tables by name, those of longer horizons in folders of their own: ``1080/digits-mlp``."""
    paths = sorted(TRUTH.glob("*.npz")) + sorted(TRUTH.glob("*/*.npz"))
    return [path.relative_to(TRUTH).with_suffix("").as_posix() for path in paths]


def report(names: Sequence[str], *, draws: int, quick: bool) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    by_share: dict[int, dict[str, Mapping[str, Judged]]] = {share: {} for share in SHARES}
    same_half: dict[int, dict[str, Mapping[str, Judged]]] = {share: {} for share in SHARES}
    for name in names:
        table = Table.read(name)
        truth = unseen(table)
        tables[name] = _about(table, truth)
        for share in SHARES:
            seen = looks(table, share)
            found = judged(table, truth, seen, draws=draws)
            by_share[share][name] = found
            same_half[share][name] = judged(table, unseen(table, ("search",)), seen, draws=draws)
            tables[name][f"1/{share}"] = {
                "looks": {
                    kind: {
                        "cost": _rounded(seen[kind].cost),
                        "lost": _rounded(seen[kind].lost),
                        **_figures(found[kind]),
                    }
                    for kind in (*KINDS, CEILING)
                    if kind in seen
                },
                "exponents": {
                    optimizer: {"usual": RATE_EXPONENTS[optimizer], "fitted": _rounded(each.mean)}
                    | {"interval": listed(each.interval), "curves": each.curves}
                    for optimizer, each in (
                        exponents(table, share) if "third_own_steps" in table.arrays else {}
                    ).items()
                },
            }
        print(f"{name} is measured", flush=True)
    return {
        "benchmark": "rungs",
        "quick": quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "draws": draws,
        "seeds_of_a_look": SEARCH_SEEDS,
        "tables": tables,
        "means": _by_group(names, by_share),
        "means_on_the_looks_half_of_validation": _by_group(names, same_half),
    }


def _by_group(names: Sequence[str], by_share: Mapping[int, Mapping[str, Mapping[str, Judged]]]) -> dict[str, Any]:
    return {
        group: {f"1/{share}": means({name: by_share[share][name] for name in members}) for share in SHARES}
        for group, members in groups(names).items()
        if members
    }


def groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Over which tables means are taken: by horizon, and there all or those that overfit or do not."""
    horizons = sorted({Table.read(name).horizon for name in names})
    found = {}
    for horizon in horizons:
        of_it = [name for name in names if Table.read(name).horizon == horizon]
        found[f"{horizon} updates"] = of_it
        found[f"{horizon} updates, not overfitting"] = [each for each in of_it if not _overfits(each)]
        found[f"{horizon} updates, overfitting"] = [each for each in of_it if _overfits(each)]
    return found


def means(by_table: Mapping[str, Mapping[str, Judged]]) -> dict[str, Any]:
    """Of each kind that all the tables hold: the mean over tables, and how much it is above that of cutting off."""
    kinds = [kind for kind in (*KINDS, CEILING) if all(kind in found for found in by_table.values())]
    found: dict[str, Any] = {}
    for kind in kinds:
        mean = _mean([of_table[kind] for of_table in by_table.values()])
        less = _mean([of_table[CUT] for of_table in by_table.values()])
        apart = Judged(
            {each: mean.found[each] - less.found[each] for each in MEASURES},
            {each: mean.draws[each] - less.draws[each] for each in MEASURES},
        )
        found[kind] = {**_figures(mean), "above_cut_off": _figures(apart)}
    return found


def _mean(of_tables: Sequence[Judged]) -> Judged:
    return Judged(
        {each: float(np.mean([one.found[each] for one in of_tables])) for each in MEASURES},
        {each: np.mean([one.draws[each] for one in of_tables], axis=0) for each in MEASURES},
    )


def _figures(one: Judged) -> dict[str, Any]:
    return {
        each: {
            "value": _rounded(one.found[each]),
            "interval": [_rounded(float(bound)) for bound in np.nanpercentile(one.draws[each], (2.5, 97.5))],
        }
        for each in MEASURES
    }


def _about(table: Table, truth: Any) -> dict[str, Any]:
    later = table.arrays["more"].shape[1] if table.has_later else 0
    return {
        "workload": table.meta["workload"],
        "horizon": table.horizon,
        "points": len(table.params),
        "overfitting": _overfits(table.meta["workload"]),
        "seeds_of_the_truth": table.arrays["decide"].shape[1] - SEARCH_SEEDS + later,
        "points_that_diverge": int(np.isinf(truth).sum()),
    }


def _overfits(name: str) -> bool:
    return name.rpartition("/")[2] in OVERFITTING


def table(result: Mapping[str, Any]) -> str:
    """Per table and share, and for means over tables, a line of each kind of look."""
    lines = []
    for share in (f"1/{share}" for share in SHARES):
        for name, of_table in result["tables"].items():
            lines.append(f"\n{name} at {share:24}" + "".join(f"{each:>26}" for each in MEASURES) + "    cost   lost")
            for kind, figures in of_table[share]["looks"].items():
                lines.append(_line(kind, figures) + f"   {figures['cost']:.3f}  {figures['lost']:.3f}")
        for key in ("means", "means_on_the_looks_half_of_validation"):
            for group, of_group in result[key].items():
                lines.append(f"\n{key.replace('_', ' ')}, {group}, at {share}")
                lines += [_line(kind, figures) for kind, figures in of_group[share].items()]
    return "\n".join(lines)


def _line(kind: str, figures: Mapping[str, Any]) -> str:
    cells = (f"{figures[each]['value']:.2f} ({_bounds(figures[each]['interval'])})" for each in MEASURES)
    return f"  {kind:34.34}" + "".join(f"{cell:>26}" for cell in cells)


def _bounds(interval: Sequence[float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rungs", description="What short looks say.")
    parser.add_argument("--only", nargs="+", choices=known(), help="these tables")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DRAWS} draws: its intervals mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of rungs.json and rungs.svg (default: results/ beside)")
    arguments = parser.parse_args()
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)
    result = report(arguments.only or known(), draws=QUICK_DRAWS if arguments.quick else DRAWS, quick=arguments.quick)
    print(f"{table(result)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rungs.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draw(result, folder / "rungs.svg")
    print(f"{folder / 'rungs.json'} and rungs.svg beside it")


if __name__ == "__main__":
    main()

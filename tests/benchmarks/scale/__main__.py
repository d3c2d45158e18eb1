"""Where each part of lrsweep saturates: ``python -m tests.benchmarks.scale [PART…]``.

    throughput   trainings a second of the driver, with and without MLflow, on SQLite and on PostgreSQL
    occupancy    how full it keeps 256 slots of 16 Ray actors, and its memory meanwhile
    looks        list, status, show, choose and the service on a study with 100,000 trainings
    sizes        what a training of 1,000 steps with three curves takes in the store
    views        MLflow's page on 2,000 runs, in a real browser
    soak         20 minutes of a real sweep with a service beside it: memory, handles, threads, connections

Engines replay real curves (``curves``), but for the soak, which trains. Each part is written to
``results/scale_PART.json`` as it ends.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.scale import driven, looking, sizes, soaking, viewing
from tests.benchmarks.scale.figures import DATABASES, RESULTS, write


@dataclass(frozen=True)
class Part:
    measure: Callable[[argparse.Namespace], dict[str, Any]]
    told: Callable[[dict[str, Any]], str]
    is_asked: bool = False
    """whether it runs only where it is named"""


PARTS = {
    "throughput": Part(
        lambda given: driven.throughput(given.trainings, given.mirrored, given.databases), driven.throughput_told
    ),
    "occupancy": Part(
        lambda given: driven.occupancy(given.trials, given.step_seconds, given.databases), driven.occupancy_told
    ),
    "looks": Part(lambda given: looking.measure(given.stored, given.rounds, given.databases), looking.told),
    "sizes": Part(lambda given: sizes.measure(given.sized), sizes.told),
    "views": Part(lambda given: viewing.measure(given.runs, given.rounds), viewing.told),
    "soak": Part(lambda given: soaking.measure(given.minutes, given.every), soaking.told, is_asked=True),
}
QUICK = {
    "trainings": 60,
    "mirrored": 40,
    "trials": 100,
    "stored": 3_000,
    "sized": 40,
    "runs": 60,
    "minutes": 2.0,
    "rounds": 1,
    "step_seconds": 0.002,
    "every": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="these (default: all but the soak)")
    parser.add_argument("--trainings", type=int, default=10_000, help="of throughput (default: %(default)s)")
    parser.add_argument("--mirrored", type=int, default=1_000, help="of throughput into MLflow (default: %(default)s)")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES), help="(default: both)")
    parser.add_argument("--trials", type=int, default=2_400, help="of occupancy (default: %(default)s)")
    parser.add_argument(
        "--step-seconds", type=float, default=0.15, help="of an update of occupancy (default: %(default)s)"
    )
    parser.add_argument("--stored", type=int, default=100_000, help="trainings of looks (default: %(default)s)")
    parser.add_argument("--sized", type=int, default=2_000, help="trainings of sizes (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=2_000, help="of views (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=20.0, help="of the soak (default: %(default)s)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of looks and views (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of the results (default: results/ beside)")
    given = parser.parse_args()
    if given.quick:
        vars(given).update({name: value for name, value in QUICK.items() if value < getattr(given, name)})
    folder = given.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if given.quick else RESULTS)
    for name in given.parts or [name for name, part in PARTS.items() if not part.is_asked]:
        load, began = os.getloadavg()[0], time.monotonic()
        print(f"{name}:", flush=True)
        found = PARTS[name].measure(given)
        file = write(name, found, folder, is_quick=given.quick, began=load)
        print(f"{PARTS[name].told(found)}\n{file}, after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

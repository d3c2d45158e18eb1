"""How long ``import lrsweep`` takes, as wall time of ``python -c "import lrsweep"`` beside ``python -c pass``.

The two alternate, so that a busy moment of the machine falls on both. Run by ``make bench``, or alone::

    python -m tests.benchmarks.import_time --runs 20 --json import_time.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lrsweep

PROGRAMS = {
    "pass": "pass",
    "import lrsweep": "import lrsweep",
    "one schedule": "import lrsweep; lrsweep.schedule('wsd')",
}


def seconds_of(program: str) -> float:
    """Wall time of one new interpreter that runs ``program`` and ends."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - begin


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and extremes in milliseconds: start-up times have a long tail, so no mean."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    figures = {"min": min(seconds), "q1": low, "median": middle, "q3": high, "max": max(seconds)}
    return {name: round(1000 * value, 1) for name, value in figures.items()}


def measure(runs: int) -> dict[str, Any]:
    for program in PROGRAMS.values():
        seconds_of(program)  # once unseen: the first run writes bytecode
    rounds = [{name: seconds_of(program) for name, program in PROGRAMS.items()} for _ in range(runs)]
    times = {name: [one[name] for one in rounds] for name in PROGRAMS}
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    return {
        "benchmark": "import_time",
        "runs": runs,
        "milliseconds": {name: spread(seconds) for name, seconds in times.items()},
        "added_by_import_ms": round(1000 * (medians["import lrsweep"] - medians["pass"]), 1),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "lrsweep": lrsweep.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The time that `import lrsweep` adds to the start of Python.")
    parser.add_argument("--runs", type=int, default=20, help="of each program (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    result = measure(arguments.runs)
    for name, figures in result["milliseconds"].items():
        print(f"{name:16} median {figures['median']:6.1f} ms   quartiles {figures['q1']:.1f} to {figures['q3']:.1f}")
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

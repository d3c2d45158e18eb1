"""lrsweep's demo sweep beside the loops that people write, in one run: ``python -m tests.benchmarks.sweep``.

Every contender runs once per round, in a fresh process and a fresh folder; the order is rotated from round to round.
The peers are ``naive.py``, ``expert.py``, ``expert_thin.py`` and ``ray_tune.py``; ``floor.py`` only trains.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.sweep.figures import OURS, TRIALS_OF_A_SWEEP, as_json, summary
from tests.benchmarks.sweep.machine import machine, versions
from tests.benchmarks.sweep.picture import picture
from tests.benchmarks.sweep.process import Contender, Run, run
from tests.benchmarks.sweep.workload import Job

CONTENDERS = (
    Contender(OURS, "ours", "the demo: SQL, MLflow, every step kept", trials=TRIALS_OF_A_SWEEP),
    # four to ten seconds a trial where every step is a transaction: a few say as much as sixty
    Contender("naive", "naive", "Optuna + MLflow, log_metric at each step", trials=10),
    Contender("expert", "expert", "Optuna + MLflow, one log_batch per trial", trials=TRIALS_OF_A_SWEEP),
    Contender("expert, thinned", "expert_thin", "the same, but only 100 points a curve", trials=TRIALS_OF_A_SWEEP),
    Contender(
        "Ray Tune",
        "ray_tune",
        "its MLflow callback, 2 trials at a time, no steps",
        trials=16,
        needs="ray",
        install=".venv/bin/pip install -c constraints.txt 'ray[tune]'",
    ),
    Contender("training alone", "floor", "lrsweep's engine; no search, nothing logged", trials=16, logs=False),
)

FULL_HORIZON = 600
QUICK = Job(trials=2, horizon=60)
RESULTS = Path(__file__).parents[1] / "results"


def rotated(contenders: Sequence[Contender], places: int) -> list[Contender]:
    return [*contenders[places % len(contenders) :], *contenders[: places % len(contenders)]]


def measure(contenders: Sequence[Contender], *, rounds: int, quick: bool) -> list[Run]:
    runs = []
    for number in range(rounds):
        for contender in rotated(contenders, number):
            job = QUICK if quick else Job(contender.trials, FULL_HORIZON)
            done = run(contender, job, round_number=number)
            runs.append(done)
            print(
                f"round {number + 1} of {rounds}  {contender.name:16} {job.trials:3} trials in "
                f"{done.result.seconds:6.1f} s (and {done.startup_seconds:.1f} s to start and end)",
                flush=True,
            )
    return runs


def report(contenders: Sequence[Contender], runs: Sequence[Run], *, rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "benchmark": "sweep",
        "quick": quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": rounds,
        "horizon": QUICK.horizon if quick else FULL_HORIZON,
        "machine": machine(),
        "versions": versions(),
        "contenders": {contender.name: summary(contender, runs) for contender in contenders},
        "runs": [as_json(each) for each in runs],
    }


def table(result: dict[str, Any]) -> str:
    """Medians; the whole story is in the JSON file."""
    columns = ("s/1,000 steps", "× lrsweep", f"s/{TRIALS_OF_A_SWEEP} trials", "× lrsweep", "start-up s", "points/trial")
    keys = (
        "seconds_per_1000_steps",
        "times_ours_per_step",
        f"seconds_per_{TRIALS_OF_A_SWEEP}_trials",
        "times_ours_per_sweep",
        "startup_seconds",
        "mlflow_points_per_trial",
    )
    lines = [f"{'':16}" + "".join(f"{column:>15}" for column in columns)]
    for name, figures in result["contenders"].items():
        cells = (f"{figures[key]['median']:.4g}" if key in figures else "" for key in keys)
        lines.append(f"{name:16}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sweep", description="lrsweep beside its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[each.module for each in CONTENDERS], help="these contenders")
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, once each; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of sweep.json and sweep.svg (default: results/ beside)")
    arguments = parser.parse_args()
    contenders = [each for each in CONTENDERS if not arguments.only or each.module in arguments.only]
    for missing in [each for each in contenders if not each.is_installed]:
        print(f"{missing.name} is left out: it is not installed. To have it: {missing.install}")
        contenders.remove(missing)
    rounds = 1 if arguments.quick else arguments.rounds
    # a smoke run must not stand where figures are read
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)

    runs = measure(contenders, rounds=rounds, quick=arguments.quick)
    result = report(contenders, runs, rounds=rounds, quick=arguments.quick)
    print(f"\n{table(result)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "sweep.svg").write_text(picture(result), encoding="utf-8")
    print(f"{folder / 'sweep.json'} and sweep.svg beside it")


if __name__ == "__main__":
    main()

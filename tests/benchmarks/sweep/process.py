"""One contender in a process and a folder of its own: ``run`` is the parent's side, ``main`` the child's.

The parent takes nothing on trust that it can see for itself: how long the process lived, and what is in its MLflow
database afterwards.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.sweep.workload import MLFLOW_DATABASE, Job, Result

REPOSITORY = Path(__file__).parents[3]
CHANCE_LOSS = math.log(10)
"""What guessing among ten digits costs."""

ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONPATH": str(REPOSITORY),
    "RAY_USAGE_STATS_ENABLED": "0",
}
NOT_INHERITED = ("LRSWEEP_", "MLFLOW_", "OPTUNA_", "RAY_", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Contender:
    name: str
    """what figures call it"""
    module: str
    """the file here that has its ``sweep``"""
    about: str
    trials: int
    """per run: fewer where one takes long"""
    needs: str | None = None
    """a package that may not be there, and ``install`` is how to get it"""
    install: str = ""
    logs: bool = True

    @property
    def is_installed(self) -> bool:
        return self.needs is None or find_spec(self.needs) is not None


@dataclass(frozen=True)
class Run:
    """One sweep of one contender."""

    contender: str
    round: int
    result: Result
    startup_seconds: float
    """all of the process's life but ``seconds``: imports, databases, workers, and the way out"""
    load_before: float
    """how many processes wanted a core, averaged over the minute before; about 1 is due to the contender before it"""
    mlflow_runs: int
    mlflow_points: int
    """rows in MLflow's table of metrics"""

    @property
    def seconds_per_1000_steps(self) -> float:
        return 1000 * self.result.seconds / self.result.steps

    @property
    def seconds_per_trial(self) -> float:
        return self.result.seconds / self.result.trials


def run(contender: Contender, job: Job, *, round_number: int) -> Run:
    """Raises RuntimeError where the contender fails, or did not do what it claims to have done."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    with tempfile.TemporaryDirectory(prefix="lrsweep-bench-") as folder:
        load_before = os.getloadavg()[0]
        begin = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-m", __name__, contender.module, json.dumps(asdict(job))],
            cwd=folder,
            env=kept | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        wall_seconds = time.perf_counter() - begin
        if process.returncode != 0:
            raise RuntimeError(f"{contender.name} ended with exit code {process.returncode}:\n{process.stderr[-4000:]}")
        result = Result(**json.loads(process.stdout.splitlines()[-1]))
        runs, points = _rows(Path(folder) / MLFLOW_DATABASE) if contender.logs else (0, 0)
    if result.trials != job.trials or not result.best_val_loss < CHANCE_LOSS:
        raise RuntimeError(f"{contender.name} did not do its job of {job.trials} trials: {result}")
    if contender.logs and (runs < job.trials or points < job.trials):
        raise RuntimeError(f"{contender.name} logged {runs} runs and {points} points for {job.trials} trials")
    return Run(contender.name, round_number, result, wall_seconds - result.seconds, load_before, runs, points)


def _rows(database: Path) -> tuple[int, int]:
    """MLflow's runs and points; none where there is no database."""
    if not database.exists():
        return 0, 0
    with closing(sqlite3.connect(database)) as connection:
        runs, points = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "metrics")
        )
        return runs, points


def main(module: str, job: str) -> None:
    contender = importlib.import_module(f"tests.benchmarks.sweep.{module}")
    result: Result = contender.sweep(Job(**json.loads(job)))
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(*sys.argv[1:])

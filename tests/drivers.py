"""Real drivers in processes of their own that start in a moment, to be killed, stopped and started again.

Everything of such a driver is real, from what is typed to the exit code: the lease, the databases, MLflow, Optuna. Only
its trainings are not: in the place of engines, which load PyTorch for seconds, a double ends them by a script. And it
is forked from a process that has imported what a driver imports.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn

import numpy as np
import pytest

from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Record, TrainingPlan, WorkloadFacts
from lrsweep.tracking import Tracker
from tests.agreement import assert_agreement, mlflow_client, results
from tests.commands import LONGEST_SECONDS, Ran, wait_for
from tests.scripted import Dies, End, ScriptedExecutor, completed, diverged, value_of
from tests.sweeps import FACTS

STUDY = """\
[study]
name = "tiny"
workload = "digits"
horizon = 90
[space]
families = ["constant", "cosine"]
optimizers = ["sgd"]
[budget]
trials = {trials}
[selection]
share = 0.6
finalists = 2
seeds = 2
[baseline]
family = "exponential"
peak_lr = 0.2
optimizer = "sgd"
"""


def a_study(folder: Path, *, trials: int = 6, text: str = STUDY) -> Path:
    """A baseline, two families, two rungs; it ends with finals."""
    file = folder / "tiny.toml"
    file.write_text(text.format(trials=trials))
    return file


NOISE = "NOISE"
"""Set to a number: values differ by so much from seed to seed."""


def mixed(plan: TrainingPlan) -> End:
    """By the trial's own seed one in five dies with its engine at its first attempt, and one in five diverges."""
    if plan.seed % 5 == 0 and plan.attempt == 1:
        return Dies()
    if plan.seed % 5 == 1:
        return diverged(plan)
    noise = float(os.environ.get(NOISE, "0")) * float(np.random.default_rng([plan.seed, plan.horizon]).normal())
    return completed(plan, value_of(plan) + noise)


class QuickExecutor(ScriptedExecutor):
    """A test double of ``LocalExecutor`` that trains nothing."""

    pids: Sequence[int] = ()

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(mixed)

    def start(self, *_: object) -> None:
        """There is nothing to start."""

    arrangement = "sequential"
    far_device = None

    def fit(self, *_: object, **__: object) -> None:
        """There is one crew."""

    def describe(self, *_: object) -> WorkloadFacts:
        return FACTS

    def poll(self, seconds: float) -> list[Record | Lost]:
        until = time.monotonic() + float(os.environ.get("PACE", "0.01"))
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))  # Linux may hand a second signal to a thread that does not wake this one
        return super().poll(seconds)

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        """The oldest training ends as it gives way."""
        self.last_words = self.poll(0.0) if self.in_flight else []
        return super().drain(tick)


STALL = "STALL"
"""Set to a number of seconds: the engines are real, and so silent at most."""

DEATHS = "DEATHS"
"""Set to a number: so many workers may die as they drive one sweep."""

SLOW = {"PACE": "0.3"}
"""For what a test does from outside meanwhile."""
PRELOAD = ["pytest", "tests.drivers", "lrsweep.sweep.run", "lrsweep.cli.sweeping", "mlflow", "optuna", "matplotlib"]


def _live(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> NoReturn:
    from lrsweep import cli

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder.parent)
    sys.argv = ["lrsweep", *arguments]
    stall = os.environ.pop(STALL, None)
    executor = QuickExecutor if stall is None else partial(LocalExecutor, stall_seconds=float(stall))
    pytest.MonkeyPatch().setattr("lrsweep.executors.opening.LocalExecutor", executor)
    if (deaths := os.environ.pop(DEATHS, None)) is not None:
        pytest.MonkeyPatch().setattr("lrsweep.cli.working.driving.MOST_DEATHS", int(deaths))
    cli.main()
    sys.exit(0)


@dataclass
class Driver:
    """A process that runs, or has run."""

    process: ForkServerProcess
    folder: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def send(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)

    @property
    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def wait(self, seconds: float = LONGEST_SECONDS) -> Ran:
        self.process.join(seconds)
        assert self.process.exitcode is not None, "it did not end in time"
        return Ran(self.process.exitcode, (self.folder / "out").read_text(), (self.folder / "err").read_text())


@dataclass
class Home:
    """A folder with a study and what its sweeps leave, and drivers on it."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    trials: int = 6
    path: Path = Path()
    """of results and copies; a folder in ``folder`` unless it is told"""
    study: str = STUDY
    _started: int = 0

    def __post_init__(self) -> None:
        self.path = self.folder / "home" if self.path == Path() else self.path
        self.path.mkdir(parents=True)
        if not self.environ:
            shutil.copy(_empty_mlflow(), self.path / "mlflow.db")
        a_study(self.folder, trials=self.trials, text=self.study)

    def start(self, *options: str, fault: str = "", **environ: str) -> Driver:
        return self.start_command("run", str(self.folder / "tiny.toml"), *options, fault=fault, **environ)

    def start_command(self, *arguments: str, fault: str = "", **environ: str) -> Driver:
        """Another one than ``run``."""
        self._started += 1
        folder = self.folder / f"driver-{self._started}"
        folder.mkdir()
        for name in ("out", "err"):
            (folder / name).touch()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))}
        own = {"LRSWEEP_HOME": str(self.path), "LRSWEEP_ENGINE": "sequential", "LRSWEEP_FAULT": fault}
        process = context.Process(target=_live, args=(arguments, {**outer, **own, **self.environ, **environ}, folder))
        process.start()
        atexit.register(process.kill)  # a stopped one that a failed test leaves would be waited for
        return Driver(process, folder)

    def run(self, *options: str, fault: str = "", seconds: float = LONGEST_SECONDS, **environ: str) -> Ran:
        return self.start(*options, fault=fault, **environ).wait(seconds)

    def shrink(self) -> None:
        """The budget becomes what the sweep has asked so far, and two trials more."""
        with results(self.path, self.environ) as store:
            self.trials = len(store.trials("tiny")) + 2
        a_study(self.folder, trials=self.trials, text=self.study)

    def finish(self) -> dict[str, Any]:
        """The same command again, to its end; then everything must agree. What it answered."""
        ran = self.run("--json")
        assert ran.code == 0, ran.err
        assert ran.answer["status"] == "finished", ran.err
        self.assert_whole()
        return ran.answer

    def assert_whole(self) -> None:
        """One result per trial in all three databases, and a history that breaks no rule."""
        assert_agreement(self.path, "tiny", trials=self.trials, environ=self.environ)


@cache
def _empty_mlflow() -> Path:
    """A database with MLflow's 71 tables, which take seconds to make."""
    folder = Path(mkdtemp(prefix="lrsweep-chaos-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    Tracker.connect(uri, artifact_root=folder / "artifacts")
    with mlflow_client(uri):  # as it is left the connection is closed
        pass
    return folder / "mlflow.db"


def until(condition: Callable[[], bool], driver: Driver) -> None:
    """Waits for what a driver does; it must not end before."""
    wait_for(lambda: condition() or driver.process.exitcode is not None)
    assert driver.process.exitcode is None, driver.wait().err

"""Loops of others in a sweep: real packages under torchrun, two processes that accumulate four micro-batches.

The scripts are in ``tests/trainers``. Their optimizer writes down the rate of each update from inside of its ``step``.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lrsweep.executors.local import LocalExecutor
from lrsweep.records import OptimizerSpec, Outcome, Record, Status, TrainingPlan
from lrsweep.schedules import Schedule, schedule
from lrsweep.scripts.command import Command
from lrsweep.scripts.plan_file import CHECKPOINT, REPORTS, STOP, VARIABLE, PlanFile, write_plan_file
from lrsweep.scripts.reports import Begin, End, Line, Report, Wrong, from_line

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "tests" / "trainers"
PATIENCE = 240.0
"""One that fails to end takes the whole: imports alone take ten seconds of a processor's in each process."""

BARE = "bare_loop.py"
EACH_BATCH = "bare_loop.py --each-batch"
HUGGING_FACE = "huggingface_trainer.py"
LIGHTNING = "lightning_trainer.py"
LOOPS = [BARE, "accelerate_loop.py", "accelerate_loop.py --prepare", HUGGING_FACE, LIGHTNING]
LIBRARIES = {
    "accelerate_loop.py": "transformers.trainer",
    HUGGING_FACE: "transformers.trainer",
    LIGHTNING: "lightning.pytorch",
}
"""By script what its process has imported before; the Trainer imports Accelerate."""

STEPS = 12
PEAK = 0.5
COSINE = schedule("cosine", warmup=0.25)


# ── a sweep's own engine runs the bare loop ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Trained:
    folder: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """As it is and with its mistake, at the same time, each with two devices that nobody uses."""
    folders = {script: tmp_path_factory.mktemp("training") for script in (BARE, EACH_BATCH)}
    executor = LocalExecutor("cpu", environ=_environ() | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    for script, folder in folders.items():
        executor.submit(_plan(script, folder))
    outcomes: dict[str, Outcome] = {}
    give_up = time.monotonic() + PATIENCE
    while len(outcomes) < len(folders):
        assert time.monotonic() < give_up
        for message in executor.poll(0.2):
            assert isinstance(message, Record), message
            if message.outcome is not None:
                outcomes[message.training_id] = message.outcome
    executor.close()
    return {script: Trained(folder, outcomes[script]) for script, folder in folders.items()}


def _plan(script: str, folder: Path) -> TrainingPlan:
    torchrun = f"{sys.executable} -m torch.distributed.run --nproc-per-node 2"
    return TrainingPlan(
        training_id=script,
        attempt=1,
        workload=Command(f"{torchrun} {SCRIPTS}/{script}", gpus_per_training=2).spec(),
        schedule=COSINE,
        peak_lr=PEAK,
        optimizer=OptimizerSpec("script"),
        horizon=STEPS,
        seed=7,
        checkpoint_url=str(folder),
    )


def _environ() -> dict[str, str]:
    """No network, and a thread per process: two processes train on two cores."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def test_a_script_under_torchrun_is_completed(bare: dict[str, Trained]) -> None:
    """The sweep's own engine runs it by its command line."""
    outcome = bare[BARE].outcome
    assert (outcome.status, outcome.steps, outcome.error) == (Status.COMPLETED, STEPS, None)


def test_a_loop_that_updates_at_each_micro_batch_fails_with_both_counts(bare: dict[str, Trained]) -> None:
    """4 micro-batches were meant to be one update; it is ended as soon as it reports more than the plan has."""
    outcome = bare[EACH_BATCH].outcome
    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert "it reported step 15, and this training has 12 updates" in outcome.error


# ── every loop under torchrun ────────────────────────────────────────────────────────────────────────────────────────


class Preloaded:
    """Runs scripts in children of a process that has imported their library already."""

    def __init__(self, library: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPTS / "preloaded.py"), library],
            env=_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, script: str, environ: Mapping[str, str], processes: int = 0) -> tuple[int, str]:
        """The exit code, and what it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        name, *arguments = script.split()
        self._process.stdin.write(
            json.dumps([str(folder), dict(environ), processes, [str(SCRIPTS / name), *arguments]]) + "\n"
        )
        self._process.stdin.flush()
        return int(self._process.stdout.readline()), (folder / "log.txt").read_text()

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def preloaded() -> Iterator[Callable[[str], Preloaded]]:
    """By script; both libraries are imported at the same time."""
    by_library = {library: Preloaded(library) for library in sorted(set(LIBRARIES.values()))}
    yield lambda script: by_library[LIBRARIES[script.split()[0]]]
    for one in by_library.values():
        one.close()


@pytest.fixture(scope="module")
def trained(
    preloaded: Callable[[str], Preloaded], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """By script the folder of its training with two processes, which is done when it is first asked for."""

    @cache
    def folder_of(script: str) -> Path:
        if script == BARE:
            folder: Path = request.getfixturevalue("bare")[script].folder
            return folder
        folder = tmp_path_factory.mktemp("training")
        code, log = preloaded(script).run(folder, script, _in_sweep(folder), 2)
        assert code == 0, log
        return folder

    return folder_of


def _in_sweep(
    folder: Path, schedule: Schedule = COSINE, steps: int = STEPS, metric: str = "val_loss"
) -> dict[str, str]:
    plan = PlanFile(folder, schedule=schedule, peak_lr=PEAK, total_steps=steps, seed=7, metric=metric)
    return {VARIABLE: str(write_plan_file(plan))}


def _rates(folder: Path, rank: int = 0) -> list[list[float]]:
    """By update the rate of each group."""
    return [json.loads(line) for line in (folder / f"rates-{rank}.jsonl").read_text().splitlines()]


def _told(folder: Path) -> list[Line | None]:
    return [from_line(line) for line in (folder / REPORTS).read_text().splitlines()]


@pytest.mark.parametrize("script", LOOPS)
def test_each_update_in_each_process_has_the_rate_of_the_plan(script: str, trained: Callable[[str], Path]) -> None:
    """To the bit, and there are as many updates; the groups of a user's own keep their ratio of 4 to 1."""
    ratio = 1.0 if script == HUGGING_FACE else 0.25
    expected = [[rate, rate * ratio] for rate in COSINE.rates(STEPS, PEAK).tolist()]
    assert [_rates(trained(script), rank) for rank in (0, 1)] == [expected, expected]


@pytest.mark.parametrize("script", LOOPS)
def test_one_process_reports_each_evaluation_with_the_updates_done(script: str, trained: Callable[[str], Path]) -> None:
    """After 5, 10 and all 12 updates, told once each, after the one process that began; the engine begins as well."""
    told = [line for line in _told(trained(script)) if not isinstance(line, End)]  # a fork of Python's ends without one
    begun = [line for line in told if line == Begin(1)]
    steps = [(line.step, line.updates) for line in told[len(begun) :] if isinstance(line, Report)]
    assert (len(begun), steps) == (2 if script == "bare_loop.py" else 1, [(5, 5), (10, 10), (12, 12)])
    assert len(told) == len(begun) + len(steps)


def test_the_hugging_face_trainer_logs_the_rate_that_its_optimizer_used(trained: Callable[[str], Path]) -> None:
    """Its own scheduler runs on, a cosine with a warm-up of three steps, and nobody sees it."""
    logged = json.loads((trained(HUGGING_FACE) / "logged.json").read_text())
    assert logged == COSINE.rates(STEPS, PEAK).tolist()


# ── one process: stopped and resumed, outside of a sweep, refused ────────────────────────────────────────────────────


@pytest.mark.parametrize(("script", "metric"), [(HUGGING_FACE, "eval_loss"), (LIGHTNING, "val_loss")])
def test_a_schedule_that_reacts_goes_on_where_a_stopped_trainer_was(
    script: str, metric: str, preloaded: Callable[[str], Preloaded], tmp_path: Path
) -> None:
    """Asked to leave after 17 of 40 updates it saves and leaves; with what it had heard, the next attempt goes on."""
    halves = schedule("plateau", mode="max", gamma=0.5, patience=0)  # at each loss that is lower
    environ = _in_sweep(tmp_path, halves, 40, metric)
    code, log = preloaded(script).run(tmp_path, script, environ | {"STOP_AFTER": "17"})
    assert code == 0, log
    assert 17 <= len(_rates(tmp_path)) < 40
    (tmp_path / STOP).unlink()
    (tmp_path / CHECKPOINT / "checkpoint-999").mkdir()  # what a kill leaves of the Trainer's next one
    code, log = preloaded(script).run(tmp_path, script, environ)
    assert code == 0, log
    metrics = {line.step: line.metrics[metric] for line in _told(tmp_path) if isinstance(line, Report)}
    expected = halves.replay(metrics, 40, PEAK).tolist()
    assert [rates[0] for rates in _rates(tmp_path)] == expected
    assert set(metrics) >= {5, 10, 15, 20, 25, 30, 35, 40}  # Lightning evaluates once more when it leaves
    assert expected[9] > expected[16] > expected[39]  # it has reacted before and after


def _warm_up_and_cosine(step: int) -> float:
    return step / 3 if step < 3 else 0.5 * (1 + math.cos(math.pi * (step - 3) / 17))


@pytest.mark.parametrize(
    ("script", "factor"), [(HUGGING_FACE, _warm_up_and_cosine), (LIGHTNING, lambda step: step / 1000)]
)
def test_outside_of_a_sweep_the_trainers_own_scheduler_holds(
    script: str, factor: Callable[[int], float], preloaded: Callable[[str], Preloaded], tmp_path: Path
) -> None:
    """A warm-up of 3 and a cosine over the other 17 updates; in Lightning a thousandth of the rate more each time."""
    code, log = preloaded(script).run(tmp_path, script, {})
    assert code == 0, log
    assert [rates[0] for rates in _rates(tmp_path)] == pytest.approx([0.4 * factor(step) for step in range(20)])
    assert not (tmp_path / REPORTS).exists()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            f"{HUGGING_FACE} --own-numbers",
            "give TrainingArguments max_steps=run.total_steps (it makes 20 updates, and the plan has 12) and "
            "seed=run.seed (it has 42, and the plan 7)",
        ),
        (f"{LIGHTNING} --own-numbers", "max_steps=20 and the plan 12 updates; give Trainer(max_steps=run.total_steps)"),
        (f"{LIGHTNING} --two-optimizers", "the module has 2 optimizers, and a plan has the rates of one"),
    ],
)
def test_a_trainer_that_would_not_train_the_plan_is_refused(
    script: str, told: str, preloaded: Callable[[str], Preloaded], tmp_path: Path
) -> None:
    """Before its first update, with what to write; the sweep hears it too."""
    code, log = preloaded(script).run(tmp_path, script, _in_sweep(tmp_path))
    assert code == 1
    assert told in log
    assert [told in line.text for line in _told(tmp_path) if isinstance(line, Wrong)] == [True]
    assert not (tmp_path / "rates-0.jsonl").exists()

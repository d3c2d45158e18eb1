"""What must hold after a round, whatever the monkey did: each check raises AssertionError and says what is wrong."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrsweep.cli.reproduce import read_asked, reproduce
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Curve, Status, TrainingRow
from lrsweep.store.base import Event, Store
from lrsweep.sweep.reproducing import Verdict, compared
from tests.agreement import assert_agreement, results
from tests.chaos.monkey import study
from tests.chaos.monkey.processes import all_end
from tests.chaos.monkey.world import World, engine_environ
from tests.commands import lrsweep

ENGINES_END_IN = 60.0

Key = tuple[int, int, int, float, str]


@dataclass(frozen=True)
class Checked:
    trials: int
    trainings: int
    attempts: int
    steps: int
    compared: int
    """trainings whose every value is that of an undisturbed one"""
    beside: str
    """what they were compared with"""


def checked(world: World, kind: str, *, seed: int, trials: int) -> Checked:
    """Of a finished sweep. ``kind`` is that of its study."""
    environ = {"LRSWEEP_DATABASE_URL": world.postgres.url(study.NAME), "MLFLOW_TRACKING_URI": world.mlflow.url}
    home = world.home.folder / "home"
    assert_agreement(home, study.NAME, trials=trials, environ=environ)
    left = all_end(world.engines_seen, ENGINES_END_IN)
    assert not left, f"engines have outlived their drivers: {left}"
    with results(home, environ) as store:
        rows = list(store.trainings(study.NAME))
        assert_attempts_add_up(store.events(study.NAME), rows)
        assert_none_failed(rows)
        assert_nothing_is_left(home / "checkpoints")
        if kind == "alike":
            compared_with = "an undisturbed sweep of the same seed"
            count = assert_alike(store, rows, world.folder / "undisturbed", seed=seed, trials=trials)
        else:
            compared_with = "their own plans, trained again"
            count = assert_reproduced(store, rows, world.folder)
    return Checked(
        trials=trials,
        trainings=len(rows),
        attempts=sum(row.attempt for row in rows),
        steps=sum(row.steps for row in rows),
        compared=count,
        beside=compared_with,
    )


def assert_attempts_add_up(events: Sequence[Event], rows: Sequence[TrainingRow]) -> None:
    """As many attempts in the rows as were begun, and each of them has one end: a result, or the queue again."""
    kinds = Counter(event.kind for event in events)
    begun, attempts = kinds["training_started"], sum(row.attempt for row in rows)
    assert begun == attempts, f"{begun} attempts were begun, and the rows say {attempts}"
    ends = kinds["training_ended"] + kinds["training_queued_again"]
    assert begun == ends, f"{begun} attempts were begun, and {ends} have an end"


def assert_none_failed(rows: Sequence[TrainingRow]) -> None:
    failed = [f"training {row.training_id} has failed: {row.error}" for row in rows if row.status is Status.FAILED]
    assert not failed, "\n".join(failed)


def assert_nothing_is_left(checkpoints: Path) -> None:
    left = sorted(each.name for each in checkpoints.glob("*"))
    assert not left, f"checkpoints of trainings that have ended are left: {left}"


def assert_alike(store: Store, rows: Sequence[TrainingRow], folder: Path, *, seed: int, trials: int) -> int:
    """Every trial, value and curve is that of a sweep that nobody has disturbed, to the last bit."""
    file = study.write(folder, "alike", seed=seed, trials=trials)
    environ = {**engine_environ(folder), study.PAUSE: "0", "LRSWEEP_ENGINE": "sequential:2"}
    ran = lrsweep("run", str(file), home=folder / "home", environ=environ)
    assert ran.code == 0, f"the undisturbed sweep did not end well:\n{ran.err}"
    with results(folder / "home") as other:
        theirs = {_key(row): row for row in other.trainings(study.NAME)}
        curves = {key: _curve(other, row) for key, row in theirs.items()}
        points = {row.number: (row.params, row.state, row.value) for row in other.trials(study.NAME)}
    ours = {_key(row): row for row in rows}
    for trial in store.trials(study.NAME):
        found, wanted = (trial.params, trial.state, trial.value), points[trial.number]
        assert found == wanted, f"trial {trial.number} is {found}; undisturbed it is {wanted}"
    assert ours.keys() == theirs.keys(), f"trained in one sweep alone: {sorted(ours.keys() ^ theirs.keys())}"
    for key, row in ours.items():
        assert_same(row, theirs[key].metrics, _curve(store, row), curves[key])
    return len(ours)


def assert_reproduced(store: Store, rows: Sequence[TrainingRow], folder: Path) -> int:
    """Every training comes out again by its own plan, to the last bit."""
    executor = LocalExecutor("cpu")
    with contextlib.chdir(folder), contextlib.closing(executor):  # where the workload is found
        for row in rows:
            found = reproduce(read_asked(store, study.NAME, row.training_id), executor, seeds=0)
            assert found.verdict is Verdict.REPRODUCED, f"training {row.training_id}: {found.sentence}"
            assert found.bits is not None
            assert found.bits.first is None, f"training {row.training_id}: {found.sentence}"
    return len(rows)


def assert_same(row: TrainingRow, metrics: Mapping[str, float], ours: Curve, theirs: Curve) -> None:
    bits = compared(theirs, ours)
    assert bits.first is None, f"training {row.training_id}, attempt {row.attempt}: {bits.first} is another"
    assert dict(row.metrics) == dict(metrics), f"training {row.training_id}: {row.metrics} is not {metrics}"


def _key(row: TrainingRow) -> Key:
    return row.trial, row.horizon, row.seed, row.rate_scale, row.purpose.value


def _curve(store: Store, row: TrainingRow) -> Curve:
    curve = store.curve(row.training_id)
    assert curve is not None, f"training {row.training_id} has no curve"
    return curve

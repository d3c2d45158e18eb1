"""The benchmark of scale measures what it says: replayed trainings are whole, slots are counted, growth is seen."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.opening import open_executor
from lrsweep.executors.place import Place
from lrsweep.records import Curve, OptimizerSpec, Outcome, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.store import open_store
from lrsweep.study import parse_study
from tests.benchmarks.scale.curves import curve_of
from tests.benchmarks.scale.filled import FINALISTS, SEEDS, STUDY, SWEEP, fill
from tests.benchmarks.scale.processes import held
from tests.benchmarks.scale.replaying import ReplayExecutor
from tests.benchmarks.scale.soaking import slope
from tests.benchmarks.scale.stations import a_cluster

PATIENCE = 60.0
PLAN = TrainingPlan(
    "t", 1, WorkloadSpec("digits"), schedule("wsd"), 0.1, OptimizerSpec("sgd", {"momentum": 0.9}), horizon=600, seed=7
)


def plans(count: int, horizon: int = 40) -> list[TrainingPlan]:
    return [replace(PLAN, training_id=f"t{number}", horizon=horizon, seed=number) for number in range(count)]


def all_of(executor: OpenedExecutor, given: list[TrainingPlan]) -> dict[str, list[Record]]:
    """What was said of each until all have an outcome."""
    heard: dict[str, list[Record]] = defaultdict(list)
    waiting, ended, end = list(given), 0, time.monotonic() + PATIENCE
    while ended < len(given):
        assert time.monotonic() < end, "the trainings did not end"
        while waiting and executor.free:
            executor.submit(waiting.pop(0))
        for record in executor.poll(0.05):
            assert not isinstance(record, Lost)
            heard[record.training_id].append(record)
            ended += record.outcome is not None
    assert not executor.in_flight
    return heard


def whole(records: list[Record]) -> tuple[Curve, Outcome]:
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    assert records[-1].outcome is not None
    return curve, records[-1].outcome


def test_a_replayed_training_is_its_curve_and_its_value() -> None:
    """The schedule's own rates, and the last evaluation as its value; the same again for the same plan."""
    executor = ReplayExecutor(slots=4)
    heard = all_of(executor, plans(9))
    for plan in plans(9):
        curve, outcome = whole(heard[plan.training_id])
        assert np.array_equal(curve.rates, plan.schedule.rates(plan.horizon, plan.peak_lr))
        assert (
            outcome.metrics["val_loss"]
            == curve.evaluations["val_loss"][-1]
            == curve_of(plan).evaluations["val_loss"][-1]
        )
        assert (outcome.status, outcome.steps, curve.steps) == (Status.COMPLETED, 40, 40)
    assert executor.ended == 9


def test_a_rate_that_is_too_large_diverges() -> None:
    """It ends early, without a value."""
    [records] = all_of(ReplayExecutor(), [replace(PLAN, peak_lr=5.0, horizon=40)]).values()
    curve, outcome = whole(records)
    assert (outcome.status, outcome.metrics, curve.steps) == (Status.DIVERGED, {}, 2)


def test_slots_with_a_clock_take_their_time_and_are_counted() -> None:
    """Twelve trainings of 0.2 s in two slots take 1.2 s at least, and the updates that they made are counted."""
    executor = ReplayExecutor(slots=2, step_seconds=0.005)
    began = time.monotonic()
    all_of(executor, plans(12))
    assert time.monotonic() - began >= 1.2
    busy = executor.busy
    assert busy is not None
    assert busy.slots == 2
    assert busy.slot_steps >= 12 * 40 * 0.99
    assert busy.slot_steps <= 2 * busy.steps + 2


def test_stations_of_a_cluster_train_the_same() -> None:
    """Whatever the order in which their records come."""
    pytest.importorskip("ray", reason="Ray is not installed")
    study = parse_study(
        '[study]\nname = "driven"\nworkload = "digits"\nhorizon = 40\n[budget]\ntrials = 12\n', "a.toml"
    )
    with a_cluster(2, slots=2, step_seconds=0.001) as cluster:
        stations = open_executor(Place("cpu", ExecutorOption.parsed(cluster)), print)
        try:
            resolved = study.resolved(stations.describe(study.workload))
            stations.fit(EngineOption(), resolved, Rest(steps=1e6, at_once=12))
            far, near = all_of(stations, plans(12)), all_of(ReplayExecutor(), plans(12))
        finally:
            stations.close()
    for name, records in near.items():
        (ours, end), (theirs, their_end) = whole(records), whole(far[name])
        assert np.array_equal(ours.train_losses, theirs.train_losses)
        assert end.metrics == their_end.metrics


def test_a_filled_store_has_what_it_says(tmp_path: Path) -> None:
    """Three trainings of each trial and the finals of six, each with its curve and its events."""
    url = f"sqlite:///{tmp_path / 'results.db'}"
    filled = fill(url, 210)
    store = open_store(url)
    rows = store.trainings(STUDY)
    assert filled.trials == len(store.trials(STUDY)) == (210 - FINALISTS * SEEDS) // 3
    assert filled.trainings == len(rows) == 3 * filled.trials + FINALISTS * SEEDS
    assert sum(each.count for each in store.extracts.training_counts(SWEEP)) == len(rows)
    assert all((curve := store.curve(row.training_id)) is not None and curve.steps == row.steps for row in rows)
    assert sum(event.kind == "training_ended" for event in store.events(STUDY)) == len(rows)
    assert store.extracts.unmirrored(SWEEP) == 0
    store.close()


@pytest.mark.parametrize("growth", [0.0, 5.0])
def test_what_grows_is_told_from_what_only_varies(growth: float) -> None:
    """Of 20 minutes with noise: the interval holds the growth, and holds 0 where there is none."""
    drawn = np.random.default_rng(3)
    points = [(hour, 100 + growth * hour + 0.1 * drawn.standard_normal()) for hour in np.linspace(0, 1 / 3, 200)]
    found = slope(points)
    assert found["low"] is not None
    assert found["high"] is not None
    assert found["low"] <= growth <= found["high"]
    assert (found["low"] > 0) is (growth > 0)


def test_a_process_is_seen_with_what_it_opens(tmp_path: Path) -> None:
    """One handle more for each file that is open."""
    before = held(os.getpid())
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        during = held(os.getpid())
    assert during.handles - before.handles == 2
    assert before.rss_mib > 10
    assert before.threads >= 1

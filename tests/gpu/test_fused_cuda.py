"""The fused engine on a GPU: the same draws, the same trainings within rounding, and memory that runs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrsweep.engines import checkpoints
from lrsweep.engines.device import open_device
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.measuring import Benches
from lrsweep.engines.sequential import train
from lrsweep.records import Curve, EngineSettings, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import Workload, load

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

FIRST_UPDATES = 20
BOUND = 1e-3
"""Of the losses of the first updates, before rounding grows; the same as between a GPU and a CPU."""


def digits(model: str) -> Workload:
    return load(WorkloadSpec("digits", {"model": model, "noise": 0.1}), open_device("cuda"))


def plan(number: int, **changes: object) -> TrainingPlan:
    """Every one with another seed, rate, schedule and horizon, the optimizers in turn."""
    base = TrainingPlan(
        training_id=f"t{number}",
        attempt=1,
        workload=WorkloadSpec("digits"),
        schedule=schedule(("cosine", "linear", "one_cycle")[number % 3]),
        peak_lr=0.01 * (1 + number),
        optimizer=OPTIMIZERS["sgd" if number % 2 else "adamw"],
        horizon=60 + 10 * number,
        seed=number,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def fused(workload: Workload, plans: Sequence[TrainingPlan], slots: int) -> tuple[dict[str, list[Record]], FusedEngine]:
    heard: dict[str, list[Record]] = {each.training_id: [] for each in plans}
    engine = FusedEngine(workload, plans[0].engine, slots, lambda record: heard[record.training_id].append(record))
    for each in plans:
        engine.submit(each)
    while not engine.is_idle:
        engine.advance()
    return heard, engine


def curve_of(records: Sequence[Record]) -> Curve:
    outcome = records[-1].outcome
    assert outcome is not None
    assert outcome.status is Status.COMPLETED, outcome.error or outcome.reason
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    return curve


def sequential(workload: Workload, one: TrainingPlan) -> Curve:
    records: list[Record] = []
    train(one, workload, records.append)
    return curve_of(records)


def assert_near(curve: Curve, other: Curve) -> None:
    """The rates to the last bit, and losses within rounding while that is small."""
    np.testing.assert_array_equal(curve.rates, other.rates)
    np.testing.assert_array_equal(curve.evaluation_steps, other.evaluation_steps)
    first = slice(FIRST_UPDATES)
    np.testing.assert_allclose(curve.train_losses[first], other.train_losses[first], rtol=BOUND)


@pytest.mark.parametrize("settings", [EngineSettings(), EngineSettings(compile=True), EngineSettings(clip_norm=1.0)])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_fused_trainings_are_the_sequential_ones(model: str, settings: EngineSettings) -> None:
    """Nine trainings through four slots, so that most begin while others are under way."""
    workload = digits(model)
    plans = [plan(number, engine=settings) for number in range(9)]
    heard, engine = fused(workload, plans, slots=4)
    assert engine.slots == 4
    assert engine.traces == 1
    for each in plans:
        alone = replace(each, engine=replace(settings, compile=False))
        assert_near(curve_of(heard[each.training_id]), sequential(workload, alone))


def test_a_slot_gets_the_bits_that_the_workload_draws_for_one() -> None:
    """Inputs and targets of three slots at steps of their own, in another epoch too; and those of a CPU."""
    seeds, steps = [3, 4, 3], [0, 25, 7]
    workload = digits("mlp")
    inputs, targets = workload.feed()(seeds, steps)
    for slot, (seed, step) in enumerate(zip(seeds, steps, strict=True)):
        own_inputs, own_targets = workload.batch(seed, step)
        assert inputs[slot].equal(own_inputs)
        assert targets[slot].equal(own_targets)
    on_cpu = load(WorkloadSpec("digits", {"model": "mlp"}), torch.device("cpu"))
    plain = load(WorkloadSpec("digits", {"model": "mlp"}), torch.device("cuda"))
    for there, here in zip(plain.feed()(seeds, steps), on_cpu.feed()(seeds, steps), strict=True):
        assert there.cpu().equal(here)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_sequential_engine_goes_on_from_a_checkpoint_of_the_fused_one(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 30 of 60 updates; the whole curve is near the one of a training that nobody stopped."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    workload = digits("mlp")
    plans = [
        plan(number, horizon=60, optimizer=OPTIMIZERS[optimizer], checkpoint_url=str(tmp_path / str(number)))
        for number in range(3)
    ]
    engine = FusedEngine(workload, EngineSettings(), 3, lambda _: None)
    for each in plans:
        engine.submit(each)
    while engine.steps < 30:
        engine.advance()
    for each in plans:
        records: list[Record] = []
        train(replace(each, attempt=2), workload, records.append)
        resumed = curve_of(records)
        assert len(records[0].rates) >= 27  # a checkpoint was there: this is what came from it
        assert_near(resumed, sequential(workload, replace(each, checkpoint_url=None)))


def test_the_slots_halve_when_memory_runs_out() -> None:
    """All trainings complete, with the right curves, and none of them tells of it."""
    spec = WorkloadSpec("mnist", {"model": "cnn", "synthetic": True, "batch_size": 1000})
    workload = load(spec, open_device("cuda"))
    plans = [plan(number, workload=spec, horizon=12, evaluations=2) for number in range(32)]
    torch.cuda.reset_peak_memory_stats()
    _, alone = fused(workload, plans[:2], slots=2)  # what two need is known to fit, whatever the GPU has in all
    assert alone.slots == 2
    needed = torch.cuda.max_memory_allocated()
    del alone
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 3 * needed / total))
    try:
        heard, engine = fused(workload, plans, slots=32)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.slots < 32
    for each in (plans[0], plans[-1]):
        assert_near(curve_of(heard[each.training_id]), sequential(workload, each))
    for each in plans:
        assert curve_of(heard[each.training_id]).steps == 12
        attempts = [record for record in heard[each.training_id] if record.outcome is not None]
        assert len(attempts) == 1


@pytest.mark.parametrize("slots", [None, 4])
def test_it_is_measured(slots: int | None) -> None:
    """Also the sequential engine, which has a thread of its own there."""
    benches = Benches()
    try:
        for _ in range(2):
            updates, seconds = benches.run(digits("mlp"), [plan(0), plan(1)], slots, 0.2)
            assert updates > 0
            assert seconds >= 0.2
    finally:
        benches.close()

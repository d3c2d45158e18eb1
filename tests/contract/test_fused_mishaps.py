"""What goes wrong around a step: each mishap ends as it does in the sequential engine, and costs nobody else a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.records import EngineSettings, Status, TrainingPlan, WorkloadSpec
from lrsweep.workloads.base import Half
from tests.fused import PLAN, Ended, Heard, curves_apart, ended, fresh_engine, sequentially
from tests.fused_workloads import Cnn, Mlp, Together
from tests.trainings import assert_same_curve

BOUND = 1e-9
PLANS = [replace(PLAN, training_id=f"seed {seed}", seed=seed, horizon=12, evaluations=3) for seed in range(10)]
SHORTAGE = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."


class Tiny(Mlp, Together):
    pass


def run(engine: FusedEngine, plans: list[TrainingPlan]) -> None:
    for plan in plans:
        engine.submit(plan)
    while not engine.is_idle:
        engine.advance()


def all_of(heard: Heard) -> dict[str, Ended]:
    return {name: ended(records) for name, records in heard.records.items()}


def last_line(one: Ended) -> str:
    return (one.outcome.error or "").strip().rpartition("\n")[2]


# ── evaluations ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RefusesOne(Cnn):
    """The outputs of seed 1 are NaN where it is evaluated, and no training loss sees it."""

    alone = 0

    def model(self, seed: int) -> nn.Module:
        model = super().model(seed)
        model.register_buffer("shown", torch.tensor(torch.nan if seed == 1 else 0.0, dtype=self.dtype))
        model.register_forward_hook(lambda model, _, outputs: outputs if model.training else outputs + model.shown)
        return model

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        self.alone += 1
        return _refused(super().evaluate(model, half))

    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]]:
        return [_refused(metrics) for metrics in super().evaluate_many(forward, half)]


def _refused(metrics: dict[str, float]) -> dict[str, float]:
    if math.isnan(metrics["loss"]):
        raise ValueError("no such value")
    return metrics


def test_one_that_cannot_be_evaluated_leaves_the_others_their_bits() -> None:
    """The workload evaluates together, and raises for all where it means one."""
    workload = RefusesOne()
    found, undisturbed = fresh_engine(workload, 3, EngineSettings()), fresh_engine(RefusesOne(), 3, EngineSettings())
    run(found[0], PLANS[:3])
    assert workload.alone == 1
    run(undisturbed[0], [PLANS[0], PLANS[3], PLANS[2]])
    failed, alone = all_of(found[1])["seed 1"], sequentially(PLANS[1], RefusesOne())
    assert (failed.outcome.status, failed.outcome.steps) == (Status.FAILED, alone.outcome.steps)
    assert last_line(failed) == last_line(alone) == "ValueError: no such value"
    for name in ("seed 0", "seed 2"):
        one, other = all_of(found[1])[name], all_of(undisturbed[1])[name]
        assert_same_curve(one.curve, other.curve)
        assert one.outcome.metrics == other.outcome.metrics


class TakesANumber(nn.Module):
    """Only where it is evaluated."""

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x * (1 + 0 * float(x.sum()))


class OnlyAlone(Together):
    asked = 0

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), TakesANumber(), nn.ReLU(), nn.Linear(8, 3))

    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]]:
        self.asked += half == "search"
        return super().evaluate_many(forward, half)


def test_a_model_that_cannot_be_evaluated_with_others_is_evaluated_alone() -> None:
    """And others are not tried with it at each evaluation: once all of them, and once the first by itself."""
    workload = OnlyAlone()
    heard = Heard()
    engine = FusedEngine(workload, EngineSettings(), 3, heard)
    run(engine, PLANS[:5])
    for plan in PLANS[:5]:
        one = all_of(heard)[plan.training_id]
        assert one.outcome.status is Status.COMPLETED
        assert curves_apart(one, sequentially(plan, workload)) < BOUND
    assert workload.asked == 2


class WithoutLoss(Tiny):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {"acc": super().evaluate(model, half)["acc"]}


def test_a_training_that_begins_trained_misses_its_loss_in_the_same_words() -> None:
    """Before its first update."""
    plan = replace(PLANS[0], workload=WorkloadSpec("small", {"init": "weights.pt"}))
    engine, heard = fresh_engine(WithoutLoss(), 2, EngineSettings())
    run(engine, [plan])
    one, alone = all_of(heard)[plan.training_id], sequentially(plan, WithoutLoss())
    assert (one.outcome.status, one.outcome.steps) == (Status.FAILED, 0)
    assert last_line(one) == last_line(alone)
    assert "wanted 'loss' too" in last_line(one)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TrainingPlan:
    """Its checkpoint after 4 updates waits for its evaluation."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    plan = replace(PLANS[1], checkpoint_url=str(tmp_path / "written"))
    calls = iter(range(1, 100))
    sequentially(plan, Tiny(), stopped=lambda: next(calls) == 5)
    return replace(plan, attempt=2)


def test_a_checkpoint_whose_evaluation_raises_has_failed_alone(
    written: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes into its slot; those in the other slots go on."""
    workload = Tiny()
    evaluate, calls = Bank.evaluate, iter(range(100))

    def raises(*_: Any) -> Any:
        raise ValueError("no such value")

    def at_first(self: Bank, slots: Any, half: Half) -> Any:
        return raises() if next(calls) < 2 else evaluate(self, slots, half)

    monkeypatch.setattr(Bank, "evaluate", at_first)
    engine, heard = fresh_engine(workload, 3, EngineSettings())
    engine.submit(PLANS[0])
    engine.submit(written)
    engine.submit(PLANS[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workload, "evaluate", raises)
        engine.advance()
    run(engine, [])
    failed = all_of(heard)["seed 1"]
    assert (failed.outcome.status, failed.outcome.steps) == (Status.FAILED, 4)
    assert last_line(failed) == "ValueError: no such value"
    for plan in (PLANS[0], PLANS[2]):
        assert curves_apart(all_of(heard)[plan.training_id], sequentially(plan, Tiny())) < BOUND


# ── those that wait ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_that_waits_and_is_stopped_keeps_what_it_had_done(written: TrainingPlan) -> None:
    """The curve of its newest checkpoint."""
    engine, heard = fresh_engine(Tiny(), 1, EngineSettings())
    engine.submit(PLANS[0])
    engine.submit(written)
    engine.advance()
    engine.stop(written.training_id)
    run(engine, [])
    stopped = all_of(heard)[written.training_id]
    assert (stopped.outcome.status, stopped.outcome.steps) == (Status.STOPPED, 4)
    assert stopped.curve.train_losses.tolist() == sequentially(PLANS[1], Tiny()).curve.train_losses[:4].tolist()


@pytest.mark.parametrize("error", [ValueError("no such model"), RuntimeError(SHORTAGE)], ids=["error", "memory"])
def test_one_that_waits_and_cannot_be_made_to_be_stopped_takes_no_other_with_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one slot's training completes; the other is stopped, as was asked for, and tells why it has no curve."""
    workload = Tiny()
    model = workload.model

    def made(seed: int) -> nn.Module:
        if seed == 1:
            raise error
        return model(seed)

    engine, heard = fresh_engine(workload, 1, EngineSettings())
    monkeypatch.setattr(workload, "model", made)
    for plan in PLANS[:2]:
        engine.submit(plan)
    engine.advance()
    engine.stop("seed 1")
    run(engine, [])
    assert {name: each.outcome.status for name, each in all_of(heard).items()} == {
        "seed 0": Status.COMPLETED,
        "seed 1": Status.STOPPED,
    }
    assert str(error) in (all_of(heard)["seed 1"].outcome.error or "")


def test_the_row_of_one_that_had_no_batch_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first; those that come later, one at a time, are not disturbed by its seed."""
    workload = Tiny()
    batch = workload.batch

    def given(seed: int, step: int) -> tuple[Tensor, Tensor]:
        if seed == 1:
            raise ValueError("no such batch")
        return batch(seed, step)

    engine, heard = fresh_engine(workload, 2, EngineSettings())
    monkeypatch.setattr(workload, "batch", given)
    run(engine, PLANS[:2])
    for plan in PLANS[2:4]:
        run(engine, [plan])
    assert last_line(all_of(heard).pop("seed 1")) == "ValueError: no such batch"
    assert [heard.records[f"seed {seed}"][-1].outcome.status for seed in (0, 2, 3)] == [Status.COMPLETED] * 3  # type: ignore[union-attr]


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def short_at(calls: range, method: str, patch: pytest.MonkeyPatch) -> None:
    """Of the bank, at these calls, counted from 1."""
    called, count = getattr(Bank, method), iter(range(1, 10_000))

    def short(*given: Any) -> Any:
        if next(count) in calls:
            raise RuntimeError(SHORTAGE)
        return called(*given)

    patch.setattr(Bank, method, short)


def test_slots_halve_twice_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """8, 4, 2, without a step between: ten trainings have one outcome each, and the curves that they have alone."""
    engine, heard = fresh_engine(Tiny(), 8, EngineSettings())
    short_at(range(3, 5), "step", monkeypatch)
    run(engine, PLANS)
    assert engine.slots == 2
    found = all_of(heard)
    assert sorted(found) == [plan.training_id for plan in PLANS]
    for plan in PLANS:
        assert found[plan.training_id].outcome.status is Status.COMPLETED
        assert curves_apart(found[plan.training_id], sequentially(plan, Tiny())) < BOUND


def test_no_slot_fits_after_a_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has taken the memory: all that wait have failed with what to do; the next ones find it free."""
    engine, heard = fresh_engine(Tiny(), 4, EngineSettings())
    for plan in PLANS[:6]:
        engine.submit(plan)
    short_at(range(2, 3), "step", monkeypatch)
    engine.advance()
    with pytest.MonkeyPatch.context() as patch:
        short_at(range(1, 100), "__init__", patch)
        run(engine, [])
    for one in all_of(heard).values():
        assert one.outcome.status is Status.FAILED
        assert (one.outcome.error or "").startswith("out of memory on the CPU: 4.00 KiB were asked for; ")
    assert len(heard.records) == 6
    run(engine, PLANS[6:7])
    assert all_of(heard)["seed 6"].outcome.status is Status.COMPLETED

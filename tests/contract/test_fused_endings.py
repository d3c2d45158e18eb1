"""What fails or is stopped in the fused engine ends alone, and with the words of the sequential one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.records import EngineSettings, Status
from lrsweep.workloads.base import Half
from tests.fused import PLAN, SPECS, Ended, curves_apart, fresh_engine, fused, sequentially, stop
from tests.fused_workloads import Cnn, Mlp, Small, small

BAD = 13
"""The seed of the one that fails."""
PLANS = [replace(PLAN, training_id=f"seed {seed}", seed=seed, horizon=12, evaluations=3) for seed in (1, 2, BAD, 4, 5)]
BOUND = 1e-9


def makes_no_model(workload: Small, patch: pytest.MonkeyPatch) -> None:
    model = workload.model

    def made(seed: int) -> nn.Module:
        if seed == BAD:
            raise ValueError("no such model")
        return model(seed)

    patch.setattr(workload, "model", made)


def has_no_batch(workload: Small, patch: pytest.MonkeyPatch) -> None:
    batch = workload.batch

    def given(seed: int, step: int) -> tuple[Tensor, Tensor]:
        if (seed, step) == (BAD, 5):
            raise ValueError("no such batch")
        return batch(seed, step)

    patch.setattr(workload, "batch", given)


def cannot_be_evaluated(workload: Small, patch: pytest.MonkeyPatch) -> None:
    """Its weights are not those of the others: the seed is not known to ``evaluate``."""
    evaluate = workload.evaluate
    sign = workload.model(BAD).get_parameter("0.weight")[0, 0].item()

    def evaluated(model: nn.Module, half: Half) -> dict[str, float]:
        if abs(model.get_parameter("0.weight")[0, 0].item() - sign) < 0.05:
            raise ValueError("no such value")
        return evaluate(model, half)

    patch.setattr(workload, "evaluate", evaluated)


@pytest.mark.parametrize("fails", [makes_no_model, has_no_batch, cannot_be_evaluated])
def test_one_that_fails_takes_no_other_with_it(
    fails: Callable[[Small, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have the curves of sequential trainings; it has their error and their number of updates."""
    workload = Mlp()
    wanted = {plan.training_id: sequentially(plan, workload) for plan in PLANS}
    fails(workload, monkeypatch)
    failed = sequentially(PLANS[2], workload)
    assert failed.outcome.status is Status.FAILED

    ran = fused(PLANS, workload, 3)

    assert ran["seed 13"].outcome.status is Status.FAILED
    assert last_line(ran["seed 13"]) == last_line(failed)
    assert ran["seed 13"].outcome.steps == failed.outcome.steps
    for plan in (PLANS[0], PLANS[1], *PLANS[3:]):
        assert ran[plan.training_id].outcome.status is Status.COMPLETED
        assert curves_apart(ran[plan.training_id], wanted[plan.training_id]) < BOUND


def last_line(ended: Ended) -> str:
    assert ended.outcome.error is not None
    return ended.outcome.error.strip().rpartition("\n")[2]


@pytest.mark.parametrize("workload", ["mlp", "cnn"], ids=["one after the other", "together"])
def test_a_metric_that_is_not_there_is_told_as_ever(workload: str) -> None:
    """By the one that asks for it, at its first evaluation."""
    asks = replace(PLANS[2], metric="val_f1")
    failed = sequentially(asks, small(workload))
    ran = fused([*PLANS[:2], asks, *PLANS[3:]], small(workload), 3)
    assert [each.outcome.status for each in ran.values()].count(Status.COMPLETED) == 4
    assert last_line(ran[asks.training_id]) == last_line(failed)
    assert "'val_f1'" in last_line(failed)
    assert ran[asks.training_id].outcome.steps == failed.outcome.steps


def test_one_that_waits_is_stopped_before_it_begins() -> None:
    """Five for two slots: the last has made no update; an id that nobody has is no error, twice neither."""

    def stops(engine: FusedEngine) -> None:
        for name in ("seed 5", "seed 5", "nobody"):
            engine.stop(name)

    ran = fused(PLANS, small("mlp"), 2, during={2: stops})
    assert (ran["seed 5"].outcome.status, ran["seed 5"].outcome.steps) == (Status.STOPPED, 0)
    assert [each.outcome.status for each in ran.values()].count(Status.COMPLETED) == 4


def test_one_that_is_stopped_after_it_exploded_has_diverged() -> None:
    """Its loss was not finite before the stop came: as the sequential engine tells it."""
    explodes = replace(PLAN, training_id="explodes", peak_lr=1e30, horizon=40, evaluations=1)
    ran = fused([explodes], small("mlp"), 2, during={20: stop(explodes)})["explodes"]
    assert ran.outcome.status is Status.DIVERGED
    wanted = sequentially(explodes, small("mlp")).outcome
    assert (ran.outcome.reason, ran.outcome.steps) == (wanted.reason, wanted.steps)


EXPLODES = replace(PLAN, training_id="explodes", optimizer=SPECS["adam"], peak_lr=1.0, seed=2, horizon=60)


@pytest.mark.parametrize("workload", ["mlp", "cnn"])
def test_the_validation_loss_tells_of_a_divergence_in_the_same_words(workload: str) -> None:
    """Above four times the first loss at three evaluations in a row, with their numbers and the update."""
    wanted = sequentially(EXPLODES, small(workload)).outcome
    assert wanted.reason is not None
    assert "at 3 evaluations in a row" in wanted.reason
    ran = fused([*PLANS, EXPLODES], small(workload), 3)["explodes"].outcome
    assert (ran.status, ran.reason, ran.steps) == (Status.DIVERGED, wanted.reason, wanted.steps)


def test_evaluations_that_had_exploded_before_a_break_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the three came before it: the resumed training diverges at the third."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    wanted = sequentially(EXPLODES, small("cnn")).outcome
    plan = replace(EXPLODES, checkpoint_url=str(tmp_path))
    fused([plan], small("cnn"), 3, during={wanted.steps - 1: stop(plan)})
    ran = fused([replace(plan, attempt=2)], small("cnn"), 3)["explodes"]
    assert len(ran.records[0].rates) == wanted.steps - 1
    assert (ran.outcome.status, ran.outcome.reason, ran.outcome.steps) == (wanted.status, wanted.reason, wanted.steps)


def test_slots_are_counted() -> None:
    """Five trainings of 12 updates in three slots: 24 steps of the bank, 60 of trainings; and it is traced once."""
    engine, _ = fresh_engine(Cnn(), 3, EngineSettings())
    for plan in PLANS:
        engine.submit(plan)
    while not engine.is_idle:
        engine.advance()
    assert (engine.slots, engine.steps, engine.slot_steps, engine.traces) == (3, 24, 60, 1)

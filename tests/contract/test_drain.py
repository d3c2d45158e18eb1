"""A training that gives way leaves all that it has done in a checkpoint, whichever engine trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from lrsweep.engines.sequential import Drained, train
from lrsweep.records import Record, Status, TrainingPlan
from tests.fused import curves_apart, engine_of, fused, sequentially
from tests.fused_workloads import small
from tests.trainings import PLAN, Constant, assert_same_curve, digits, files, joined, trained

HORIZON, EVALUATIONS = 24, 6
BOUND = 1e-9


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    return replace(PLAN, horizon=HORIZON, evaluations=EVALUATIONS, checkpoint_url=str(tmp_path / "training"))


def after(steps: int) -> Callable[[], bool]:
    """Says yes once, after so many steps."""
    asked = count(1)
    return lambda: next(asked) == steps


@pytest.mark.parametrize("done", [9, 12], ids=["between evaluations", "at one"])
def test_a_drained_training_goes_on_with_the_same_bits(done: int, plan: TrainingPlan, tmp_path: Path) -> None:
    """No minute has passed, and its checkpoint is of the step before; what it said reaches as far and has no end."""
    workload = digits()
    records: list[Record] = []
    with pytest.raises(Drained):
        train(plan, workload, records.append, gives_way=after(done))
    assert all(record.outcome is None for record in records)
    assert joined(records).steps == done
    assert files(tmp_path / "training") == [f"step-{done}"]

    curve, again = trained(replace(plan, attempt=2), workload)

    assert len(again[0].rates) == done
    assert_same_curve(curve, trained(replace(plan, checkpoint_url=None), workload)[0])


def test_without_a_folder_it_gives_way_all_the_same() -> None:
    """Then another attempt begins at its first step."""
    records: list[Record] = []
    with pytest.raises(Drained):
        train(replace(PLAN, horizon=HORIZON), digits(), records.append, gives_way=after(5))
    assert joined(records).steps == 5


def test_one_that_has_diverged_by_then_has_an_outcome() -> None:
    """It would diverge again."""

    class Explodes(Constant):
        def loss(self, outputs, targets):  # type: ignore[no-untyped-def]
            return (outputs**2).mean() * float("inf")

    records: list[Record] = []
    train(replace(PLAN, horizon=HORIZON), Explodes(), records.append, gives_way=after(1))
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.DIVERGED


def test_slots_that_are_drained_go_on_from_there(tmp_path: Path) -> None:
    """Two of three are in slots: their curves are those of undisturbed trainings; the third begins at its first."""
    workload = small("mlp")
    plans = [
        replace(PLAN, training_id=f"{seed}", seed=seed, horizon=HORIZON, evaluations=EVALUATIONS) for seed in (1, 2, 3)
    ]
    wanted = {each.training_id: sequentially(each, workload) for each in plans}
    kept = [replace(each, checkpoint_url=str(tmp_path / each.training_id)) for each in plans]
    engine, heard = engine_of(workload, 2, PLAN.engine)
    heard.records = {}
    for each in kept:
        engine.submit(each)
    for _ in range(9):
        engine.advance()
    engine.drain()
    assert engine.is_idle
    assert {name: joined(records).steps for name, records in heard.records.items()} == {"1": 9, "2": 9}
    assert not any(record.outcome for records in heard.records.values() for record in records)
    assert [files(tmp_path / name) for name in "12"] == [["step-9"]] * 2

    ran = fused([replace(each, attempt=2) for each in kept], workload, 2)

    assert {name: len(each.records[0].rates) for name, each in ran.items()} == {"1": 9, "2": 9, "3": 0}
    for name, undisturbed in wanted.items():
        assert curves_apart(ran[name], undisturbed) < BOUND

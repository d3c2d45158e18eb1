"""A training goes on from its checkpoint by either engine, in any slot and at any K; here with real files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from shutil import copytree

import pytest
import torch

from lrsweep.engines.checkpoints import Checkpoint, Checkpoints, identity
from lrsweep.records import Status, TrainingPlan
from tests.fused import SPECS, Ended, curves_apart, fused, plan_of, sequentially, stop, tensors
from tests.fused_workloads import small
from tests.trainings import assert_same_curve

HORIZON, EVALUATIONS = 24, 6
BOUND = 1e-9
OPTIMIZERS = ("sgd", "sgd_dampened", "rmsprop", "adamw")
"""Momenta that cycle, and three schedules that react, on the CNN with its statistics."""
ELSEWHERE = [
    replace(plan_of("cnn", optimizer), horizon=horizon, evaluations=2)
    for optimizer, horizon in (("nesterov", 5), ("adam", 16), ("sgd_plain", 11))
]
"""Neighbours, so that a resumed training comes to another slot than it had, and later than others."""


@pytest.fixture
def plans(tmp_path: Path) -> list[TrainingPlan]:
    return in_folders(tmp_path)


def in_folders(folder: Path) -> list[TrainingPlan]:
    return [replace(each, checkpoint_url=str(folder / each.training_id)) for each in shortened()]


def shortened() -> list[TrainingPlan]:
    return [replace(plan_of("cnn", each), horizon=HORIZON, evaluations=EVALUATIONS) for each in OPTIMIZERS]


@lru_cache
def undisturbed() -> dict[str, Ended]:
    """By the sequential engine."""
    return {plan.training_id: sequentially(plan, small("cnn"), [HORIZON]) for plan in shortened()}


def again(plans: Sequence[TrainingPlan]) -> list[TrainingPlan]:
    return [replace(plan, attempt=2) for plan in plans]


@contextmanager
def every_update() -> Iterator[None]:
    """Writes a checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
        yield


def broken_off_fused(plans: Sequence[TrainingPlan], slots: int, after: int) -> None:
    """A training that is stopped leaves its files as one that is killed does."""
    with every_update():
        fused(plans, small("cnn"), slots, during={after: stop(*plans)})


def broken_off_sequentially(plans: Sequence[TrainingPlan], after: int) -> None:
    for plan in plans:
        updates = count(1)
        with every_update():
            sequentially(plan, small("cnn"), stopped=lambda updates=updates: next(updates) == after + 1)  # type: ignore[misc]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """What four slots have written after so many updates; to be copied."""

    @cache
    def by_four_slots(after: int) -> Path:
        folder = tmp_path_factory.mktemp("written")
        broken_off_fused(in_folders(folder), 4, after)
        return folder

    return by_four_slots


def assert_gone_on(ran: Mapping[str, Ended], done: int) -> None:
    """From that update on, to the end that the undisturbed trainings have."""
    for name, wanted in undisturbed().items():
        assert (ran[name].records[0].first_step, len(ran[name].records[0].rates)) == (0, done)
        assert ran[name].outcome.status is Status.COMPLETED
        assert curves_apart(ran[name], wanted) < BOUND


@pytest.mark.parametrize("after", [9, 12], ids=["between evaluations", "at one"])
@pytest.mark.parametrize("engine", ["sequential", "fused/2", "fused/4", "fused/8"])
def test_what_four_slots_wrote_goes_on_by(
    engine: str, after: int, plans: list[TrainingPlan], written: Callable[[int], Path], tmp_path: Path
) -> None:
    """Sequential, or in two, four or eight slots, behind neighbours."""
    copytree(written(after), tmp_path, dirs_exist_ok=True)
    if engine == "sequential":
        ran = {plan.training_id: sequentially(plan, small("cnn")) for plan in again(plans)}
    else:
        ran = fused([*ELSEWHERE, *again(plans)], small("cnn"), int(engine.removeprefix("fused/")))
    assert_gone_on(ran, after)


@pytest.mark.parametrize("after", [9, 12], ids=["between evaluations", "before one"])
def test_what_the_sequential_engine_wrote_goes_on_in_slots(after: int, plans: list[TrainingPlan]) -> None:
    """Its checkpoint at an evaluation is written before it: the fused engine evaluates before its first step."""
    broken_off_sequentially(plans, after)
    assert_gone_on(fused([*ELSEWHERE, *again(plans)], small("cnn"), 4), after)


def test_a_checkpoint_after_the_last_update_only_wants_its_evaluation(plans: list[TrainingPlan]) -> None:
    """The sequential engine writes one there; the fused one ends it without a step, as completed."""
    model = small("cnn").model(plans[0].seed)
    for plan in plans:
        last = undisturbed()[plan.training_id].states[HORIZON]
        assert plan.checkpoint_url is not None
        Checkpoints(plan.checkpoint_url, identity(plan, model)).save(last)
    assert_gone_on(fused(again(plans), small("cnn"), 4), HORIZON)


def test_at_the_same_k_it_goes_on_to_the_bit(plans: list[TrainingPlan]) -> None:
    """The curve of a training that nothing disturbed in four slots, and its last checkpoint."""
    whole = fused(shortened(), small("cnn"), 4, wanted=[HORIZON - 1])
    broken_off_fused(plans, 4, 9)
    with every_update():
        resumed = fused(again(plans), small("cnn"), 4)
    for plan in plans:
        one, other = resumed[plan.training_id], whole[plan.training_id]
        assert_same_curve(one.curve, other.curve)
        assert one.outcome.metrics == other.outcome.metrics
        assert_same_state(read(plan), other.states[HORIZON - 1])


@pytest.mark.parametrize("after", [9, 12])
def test_what_lies_on_the_disk_is_what_the_slots_held(after: int, written: Callable[[int], Path]) -> None:
    """Bit for bit: model, optimizer, what the schedule has heard, and the curve."""
    held = fused(shortened(), small("cnn"), 4, wanted=[after])
    for plan in in_folders(written(after)):
        assert_same_state(read(plan), held[plan.training_id].states[after])


def read(plan: TrainingPlan) -> Checkpoint:
    """The newest from its file."""
    found = Checkpoints(plan.checkpoint_url, identity(plan, small("cnn").model(plan.seed))).newest()
    assert found is not None
    return found


def assert_same_state(one: Checkpoint, other: Checkpoint) -> None:
    ours, theirs = tensors(one), tensors(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert json.dumps(one.states) == json.dumps(other.states)
    assert_same_curve(one.curve, other.curve)


@pytest.mark.parametrize("optimizer", SPECS)
def test_pytorchs_optimizer_goes_on_from_the_state_of_a_slot(optimizer: str, plans: list[TrainingPlan]) -> None:
    """Each of the seven, from after its first update on, when some have a state that is half there."""
    plan = replace(plans[0], training_id=optimizer, optimizer=SPECS[optimizer], peak_lr=0.01)
    broken_off_fused([plan], 4, 1)
    resumed = sequentially(replace(plan, attempt=2), small("cnn"))
    assert len(resumed.records[0].rates) == 1
    assert curves_apart(resumed, sequentially(replace(plan, checkpoint_url=None), small("cnn"))) < BOUND

"""What a slot's neighbours do changes no bit of its training, and each of them ends as it would have ended alone.

The watched training is always in the third of four slots. Around it others explode to NaN, end early, are stopped, and
begin while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.updates import Updates
from lrsweep.engines.sequential import never
from lrsweep.records import OptimizerSpec, Status, TrainingPlan
from lrsweep.schedules import schedule
from tests.fused import (
    PLAN,
    SPECS,
    During,
    Ended,
    curves_apart,
    fused,
    sequentially,
    states_apart,
    stop,
    submit,
    tensors,
)
from tests.fused_workloads import WORKLOADS, small
from tests.trainings import assert_same_curve

SLOTS = 4
SHORT = replace(PLAN, horizon=30, evaluations=6)
SEEN = (1, 8, 29)
BOUND = 1e-9


def plan(name: str, optimizer: str = "sgd", **changes: Any) -> TrainingPlan:
    return replace(SHORT, training_id=name, optimizer=SPECS[optimizer], **changes)


REACTS = schedule("plateau", patience=0, threshold=0.2)
WATCHED = plan("watched", "adam", seed=11, peak_lr=0.02, schedule=REACTS)
CALM = [plan(f"calm {seed}", seed=seed) for seed in (21, 22, 23)]
EXPLODES = plan("explodes", "nesterov", seed=31, peak_lr=1e30, schedule=schedule("constant"))
ENDS = plan("ends", "rmsprop", seed=32, peak_lr=0.01, horizon=7, evaluations=3)
STOPPED = plan("stopped", "sgd_plain", seed=33)
LATER = [
    plan("later 1", "sgd", seed=41, horizon=13, evaluations=2),
    plan("later 2", "adamw", seed=42, peak_lr=0.01, horizon=9),
    plan("later 3", "sgd_dampened", seed=43, horizon=40, evaluations=5, schedule=REACTS),
    plan("later 4", "rmsprop", seed=44, peak_lr=1e20, schedule=schedule("constant")),
]
EVERYONE = [WATCHED, EXPLODES, ENDS, STOPPED, *LATER]

Neighbourhood = tuple[list[TrainingPlan], During]


def calm(watched: TrainingPlan = WATCHED) -> Neighbourhood:
    """All begin and end with it."""
    return [*CALM[:2], watched, CALM[2]], {}


def rough(watched: TrainingPlan = WATCHED) -> Neighbourhood:
    """One explodes, one ends, one is stopped; others take their slots, some of them submitted only then."""
    return [EXPLODES, ENDS, watched, STOPPED, *LATER[:2]], {5: submit(*LATER[2:]), 9: stop(STOPPED)}


def alone(watched: TrainingPlan = WATCHED) -> Neighbourhood:
    """They are stopped after their first step."""
    return [*CALM[:2], watched, CALM[2]], {1: stop(*CALM)}


def late(watched: TrainingPlan = WATCHED) -> Neighbourhood:
    """It takes the slot of one that has exploded, while the others are in the middle of theirs."""
    return [*CALM[:2], EXPLODES, CALM[2]], {3: submit(watched)}


def ran(
    neighbourhood: Neighbourhood, workload: str, float_type: torch.dtype = torch.float64, slots: int = SLOTS
) -> dict[str, Ended]:
    plans, during = neighbourhood
    return fused(plans, small(workload, float_type), slots, during=during, wanted=SEEN)


# ── the watched one ──────────────────────────────────────────────────────────────────────────────────────────────────


STACKED = [("mlp", "rmsprop"), ("tuned", "nesterov"), ("tuned", "rmsprop")]
"""Their rows are updated in one operation with their neighbours'."""


@pytest.mark.parametrize(
    ("workload", "optimizer"), [("mlp", "adam"), ("cnn", "adam"), ("transformer", "adam"), *STACKED]
)
@pytest.mark.parametrize("float_type", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_neighbours_change_no_bit(float_type: torch.dtype, workload: str, optimizer: str) -> None:
    """At the same K and in the same slot: the curve, and the states on the way."""
    watched = replace(WATCHED, optimizer=SPECS[optimizer])
    wanted = ran(calm(watched), workload, float_type)["watched"]
    assert wanted.outcome.status is Status.COMPLETED
    for neighbourhood in (rough(watched), alone(watched), late(watched)):
        assert_same_bits(ran(neighbourhood, workload, float_type)["watched"], wanted)


def assert_same_bits(one: Ended, other: Ended) -> None:
    assert_same_curve(one.curve, other.curve)
    assert one.outcome.metrics == other.outcome.metrics
    assert one.states.keys() == other.states.keys()
    for step, state in one.states.items():
        ours, theirs = tensors(state), tensors(other.states[step])
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


# ── its neighbours ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_ends_as_it_would_have_ended_alone(workload: str) -> None:
    """Curves and states to 1e-9; the one that is stopped at the same step, those that diverge with the same reason."""
    found = ran(rough(), workload)
    ends = {name: (each.outcome.status, each.outcome.steps, each.outcome.reason) for name, each in found.items()}
    assert ends == {
        one.training_id: (by_itself.outcome.status, by_itself.outcome.steps, by_itself.outcome.reason)
        for one in EVERYONE
        if (by_itself := ended_alone(workload, one))
    }
    assert ends["stopped"] == (Status.STOPPED, 9, None)
    assert [ends[name][0] for name in ("explodes", "later 4")] == [Status.DIVERGED] * 2
    assert largest_difference(found, workload) < BOUND


def largest_difference(found: Mapping[str, Ended], workload: str) -> float:
    """Of those that did not explode."""
    differences = [0.0]
    for each in (WATCHED, ENDS, STOPPED, *LATER[:3]):
        ours, theirs = found[each.training_id], ended_alone(workload, each)
        if ours.outcome.status is not theirs.outcome.status:
            return math.inf
        differences.append(curves_apart(ours, theirs))
        differences += [states_apart(state, theirs.states[step]) for step, state in ours.states.items()]
    return max(differences)


def ended_alone(workload: str, one: TrainingPlan) -> Ended:
    return _all_alone(workload)[one.training_id]


@lru_cache
def _all_alone(workload: str) -> dict[str, Ended]:
    updates = count(1)

    def ninth() -> bool:
        return next(updates) == 9

    return {
        one.training_id: sequentially(one, small(workload), SEEN, stopped=ninth if one is STOPPED else never)
        for one in EVERYONE
    }


# ── the same checks fail for an engine that does it wrongly ──────────────────────────────────────────────────────────


def keeps(
    kind: type, method: str, tensors_of: Callable[[Any], Mapping[str, Tensor]], patch: pytest.MonkeyPatch
) -> None:
    """``put`` leaves these tensors of a slot as the training before has left them."""
    put = getattr(kind, method)

    def forgets(self: Any, slot: int, *given: Any) -> None:
        before = {name: each[slot].clone() for name, each in tensors_of(self).items()}
        put(self, slot, *given)
        for name, each in before.items():
            tensors_of(self)[name][slot] = each

    patch.setattr(kind, method, forgets)


def optimizer_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    keeps(Updates, "put", lambda updates: updates._buffers, patch)


def statistics_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    keeps(Bank, "put", lambda bank: bank._buffers, patch)


def seed_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    """Of the masks."""
    keeps(Bank, "put", lambda bank: {name: each for name, each in bank._buffers.items() if ".seed" in name}, patch)


def clock_of_the_one_before(patch: pytest.MonkeyPatch) -> None:
    put = Updates.put

    def goes_on(self: Updates, slot: int, spec: OptimizerSpec, state: Any, steps: int) -> None:
        before = int(self._steps[slot])
        put(self, slot, spec, state, steps)
        self._steps[slot] = before

    patch.setattr(Updates, "put", goes_on)


def weight_decay_of_a_neighbour(patch: pytest.MonkeyPatch) -> None:
    put = Updates.put

    def mixed_up(self: Updates, slot: int, *given: Any) -> None:
        put(self, slot, *given)
        decays = self._settings["weight_decay"]
        decays[slot] = decays[slot - 1]

    patch.setattr(Updates, "put", mixed_up)


def metrics_of_a_neighbour(patch: pytest.MonkeyPatch) -> None:
    evaluate = Bank.evaluate

    def mixed_up(self: Bank, slots: list[int], half: Any) -> Any:
        return evaluate(self, [(slot + 1) % self.slots for slot in slots], half)

    patch.setattr(Bank, "evaluate", mixed_up)


@pytest.mark.parametrize(
    ("wrong", "workload"),
    [
        (optimizer_of_the_one_before, "mlp"),
        (statistics_of_the_one_before, "cnn"),
        (seed_of_the_one_before, "dropping"),
        (clock_of_the_one_before, "mlp"),
        (weight_decay_of_a_neighbour, "mlp"),
        (metrics_of_a_neighbour, "cnn"),
    ],
)
def test_what_is_left_or_taken_of_another_shows(
    wrong: Callable[[pytest.MonkeyPatch], None], workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    found = ran(rough(), workload)
    assert largest_difference(found, workload) > 100 * BOUND

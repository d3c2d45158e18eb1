"""Fused equals sequential in float64: one step from the same state to 1e-12, and 200 on their own to 1e-9.

For the one step the states are 50 along the trajectory of a sequential training: at each of them its checkpoint is a
training of its own, all 50 make one step together in 50 slots, and are compared with the state that the sequential
engine had next.

For the 200 the seven optimizers train side by side in one bank, with schedules that fall, react and let momenta cycle;
two of the workloads have their gradients clipped. Their peak rates are below half of that at which such a training
diverges: above it one in the last place grows until two trainings have nothing in common, whoever trains them.

Both are in this file because both are compared with the same trajectories, which take a quarter of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.updates import Updates
from lrsweep.records import OptimizerSpec
from tests.contract import test_fused_neighbours as among_others
from tests.fused import (
    CASES,
    DIVERGES,
    STATES,
    Ended,
    apart,
    curves_apart,
    engine_of,
    fused,
    kept,
    plan_of,
    remembered,
    states_apart,
    trajectory,
)
from tests.fused_workloads import small

AFTER_ONE, AFTER_ALL = 1e-12, 1e-9
"""How far the two may be apart."""
SEEN = (1, 40, 80, 120, 160, 196)
"""Updates of the 200 after which the states are compared too."""
Wrong = Callable[[pytest.MonkeyPatch], None]


# ── one step ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def after_one_step(workload: str, optimizer: str) -> dict[str, float]:
    """The largest differences at the 50 states, relative to the largest number of each tensor: of the state after the
    step, of the training loss before it, and of the validation loss where one was due before the step."""
    path = trajectory(workload, optimizer)
    plans = {step: kept(replace(path.plan, training_id=f"from {step}")) for step in STATES}
    given = {plans[step].training_id: path.ended.states[step] for step in STATES if step}
    losses: list[Tensor] = []
    trained = small(workload)
    engine, heard = engine_of(trained, len(STATES), path.plan.engine)
    with pytest.MonkeyPatch.context() as patch, remembered([step + 1 for step in STATES], given) as states:
        patch.setattr(Bank, "step", _noting(Bank.step, losses))
        patch.setattr(trained, "model", cache(trained.model))  # it is filled from a checkpoint, and copied into a row
        for plan in plans.values():
            engine.submit(plan)
        engine.advance()
        for plan in plans.values():
            engine.stop(plan.training_id)
        engine.advance()
    assert engine.is_idle

    wanted = path.ended.curve
    found = {"state": 0.0, "loss": 0.0, "evaluation": 0.0}
    [of_slots] = losses
    for slot, (step, plan) in enumerate(plans.items()):
        [after] = states[plan.training_id].values()
        found["state"] = max(found["state"], states_apart(after, path.ended.states[step + 1]))
        found["loss"] = max(found["loss"], apart(of_slots[slot].item(), path.losses[step]))
        if step in wanted.evaluation_steps:
            index = wanted.evaluation_steps.tolist().index(step)
            seen = after.curve.evaluations["val_loss"].tolist()[index]
            found["evaluation"] = max(found["evaluation"], apart(seen, wanted.evaluations["val_loss"].tolist()[index]))
        heard.records.pop(plan.training_id)
    return found


def _noting(step: Callable[..., Tensor], losses: list[Tensor]) -> Callable[..., Tensor]:
    def noting(*given: Any) -> Tensor:
        losses.append(step(*given).clone())
        return losses[-1]

    return noting


@pytest.mark.parametrize(("workload", "optimizer"), CASES)
def test_a_step_from_the_same_state_is_the_same_step(workload: str, optimizer: str) -> None:
    """Parameters, buffers, what the optimizer holds, the training loss and the validation loss."""
    found = after_one_step(workload, optimizer)
    assert max(found.values()) < AFTER_ONE, found


@pytest.mark.parametrize("optimizer", ["sgd_dampened", "rmsprop", "adamw"])
def test_the_schedules_that_react_were_moved_by_what_they_heard(optimizer: str) -> None:
    """Otherwise the states above would say nothing of them."""
    path = trajectory("mlp", optimizer)
    unmoved = path.plan.schedule.replay({}, path.plan.horizon, path.plan.peak_lr)
    assert not np.array_equal(path.ended.curve.rates, unmoved)


# ── 200 steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def side_by_side(workload: str) -> dict[str, Ended]:
    plans = [plan_of(workload, optimizer) for optimizer in DIVERGES[workload]]
    return fused(plans, small(workload), len(plans), wanted=SEEN)


once_side_by_side = lru_cache(side_by_side)


def differences(workload: str, optimizer: str, ran: dict[str, Ended]) -> dict[str, float]:
    ours, theirs = ran[f"{workload}-{optimizer}"], trajectory(workload, optimizer).ended
    apart = {f"state {step}": states_apart(ours.states[step], theirs.states[step]) for step in SEEN}
    return apart | {"curve": curves_apart(ours, theirs)}


@pytest.mark.parametrize(("workload", "optimizer"), CASES)
def test_a_training_among_others_is_the_training_alone(workload: str, optimizer: str) -> None:
    """Rates, losses, evaluations, the outcome's metrics; on the way parameters, statistics and optimizer."""
    found = differences(workload, optimizer, once_side_by_side(workload))
    assert max(found.values()) < AFTER_ALL, found


# ── the same checks fail for an engine that does it wrongly ───────────────────────────────────────────────────────────


def rate_a_millionth_too_high(patch: pytest.MonkeyPatch) -> None:
    apply = Updates.apply
    patch.setattr(
        Updates,
        "apply",
        lambda self, theta, gradients, rates, *rest: apply(self, theta, gradients, rates * 1.000001, *rest),
    )


def batch_of_a_neighbour(patch: pytest.MonkeyPatch) -> None:
    step = Bank.step
    patch.setattr(
        Bank, "step", lambda self, inputs, targets, *rest: step(self, inputs.roll(1, 0), targets.roll(1, 0), *rest)
    )


def one_clock_for_all(patch: pytest.MonkeyPatch) -> None:
    apply = Updates.apply

    def shared(self: Updates, *given: Any) -> None:
        self._steps[:] = self._steps.max()
        apply(self, *given)

    patch.setattr(Updates, "apply", shared)


def masks_of_the_next_step(patch: pytest.MonkeyPatch) -> None:
    step: Callable[..., Tensor] = Bank.step

    def later(self: Bank, *given: Any) -> Tensor:
        steps, active = given[-2:]
        return step(self, *given[:-2], steps + 1, active)

    patch.setattr(Bank, "step", later)


def statistics_of_a_neighbour(patch: pytest.MonkeyPatch) -> None:
    keep = Bank._keep

    def rolled(self: Bank, after: Mapping[str, Tensor], active: NDArray[np.bool_]) -> None:
        keep(self, {name: each.roll(1, 0) for name, each in after.items()}, active)

    patch.setattr(Bank, "_keep", rolled)


def gradients_that_are_not_clipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("lrsweep.engines.fused.bank.clip", lambda *_: None)


def gradients_clipped_by_the_norm_of_all_slots(patch: pytest.MonkeyPatch) -> None:
    def together(gradients: Tensor, largest: float) -> None:
        gradients.mul_((largest / (gradients.norm() + 1e-6)).clamp(max=1.0))

    patch.setattr("lrsweep.engines.fused.bank.clip", together)


def layers_without_rates_of_their_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("lrsweep.engines.fused.updates.Coefficients.scaled", lambda self, name: self[name])


def momenta_that_do_not_cycle(patch: pytest.MonkeyPatch) -> None:
    apply = Updates.apply

    def still(self: Updates, theta: Tensor, gradients: Tensor, rates: Any, momenta: Any, active: Any) -> None:
        apply(self, theta, gradients, rates, None, active)

    patch.setattr(Updates, "apply", still)


def optimizer_that_begins_anew(patch: pytest.MonkeyPatch) -> None:
    put = Updates.put

    def forgotten(self: Updates, slot: int, spec: OptimizerSpec, state: object, steps: int) -> None:
        put(self, slot, spec, {}, steps)

    patch.setattr(Updates, "put", forgotten)


@pytest.mark.parametrize(
    ("wrong", "workload", "optimizer"),
    [
        (rate_a_millionth_too_high, "mlp", "sgd_plain"),
        (batch_of_a_neighbour, "mlp", "sgd_plain"),
        (one_clock_for_all, "mlp", "adam"),
        (masks_of_the_next_step, "dropping", "sgd"),
        (statistics_of_a_neighbour, "cnn", "sgd_plain"),
        (gradients_that_are_not_clipped, "tuned", "sgd"),
        (gradients_clipped_by_the_norm_of_all_slots, "tuned", "sgd"),
        (layers_without_rates_of_their_own, "tuned", "adamw"),
        (momenta_that_do_not_cycle, "mlp", "adam"),
        (momenta_that_do_not_cycle, "mlp", "sgd"),
        (optimizer_that_begins_anew, "cnn", "nesterov"),
    ],
)
def test_a_step_that_is_computed_wrongly_is_another_step(
    wrong: Wrong, workload: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    found = after_one_step(workload, optimizer)
    assert max(found.values()) > 100 * AFTER_ONE, found


@pytest.mark.parametrize(
    ("wrong", "workload", "optimizer"),
    [
        (rate_a_millionth_too_high, "mlp", "sgd_plain"),
        (masks_of_the_next_step, "dropping", "sgd"),
        (statistics_of_a_neighbour, "cnn", "adam"),
        (gradients_clipped_by_the_norm_of_all_slots, "tuned", "sgd"),
        (among_others.weight_decay_of_a_neighbour, "mlp", "rmsprop"),
        (among_others.metrics_of_a_neighbour, "cnn", "sgd_dampened"),
    ],
)
def test_a_training_that_is_computed_wrongly_is_another(
    wrong: Wrong, workload: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bound is missed, each time in the states and the curve together."""
    wrong(monkeypatch)
    found = differences(workload, optimizer, side_by_side(workload))
    assert max(found.values()) > 100 * AFTER_ALL, found

"""From the same state, one step of the fused engine is one step of the sequential one, to 1e-12 in float64.

The states are 50 along the trajectory of a sequential training: at each of them its checkpoint is a training of its
own, all 50 make one step together in 50 slots, and are compared with the state that the sequential engine had next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.updates import Updates
from lrsweep.records import OptimizerSpec
from tests.fused import CASES, STATES, apart, engine_of, kept, remembered, states_apart, trajectory
from tests.fused_workloads import small

BOUND = 1e-12


def after_one_step(workload: str, optimizer: str) -> dict[str, float]:
    """The largest differences at the 50 states, relative to the largest number of each tensor: of the state after the
    step, of the training loss before it, and of the validation loss where one was due before the step."""
    path = trajectory(workload, optimizer)
    plans = {step: kept(replace(path.plan, training_id=f"from {step}")) for step in STATES}
    given = {plans[step].training_id: path.ended.states[step] for step in STATES if step}
    losses: list[Tensor] = []
    engine, heard = engine_of(small(workload), len(STATES), path.plan.engine)
    with pytest.MonkeyPatch.context() as patch, remembered([step + 1 for step in STATES], given) as states:
        patch.setattr(Bank, "step", _noting(Bank.step, losses))
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
    assert max(found.values()) < BOUND, found


@pytest.mark.parametrize("optimizer", ["sgd_dampened", "rmsprop", "adamw"])
def test_the_schedules_that_react_were_moved_by_what_they_heard(optimizer: str) -> None:
    """Otherwise the states above would say nothing of them."""
    path = trajectory("mlp", optimizer)
    unmoved = path.plan.schedule.replay({}, path.plan.horizon, path.plan.peak_lr)
    assert not np.array_equal(path.ended.curve.rates, unmoved)


# ── the same check fails for an engine that does it wrongly ──────────────────────────────────────────────────────────


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
        (optimizer_that_begins_anew, "cnn", "nesterov"),
    ],
)
def test_a_step_that_is_computed_wrongly_is_another_step(
    wrong: Callable[[pytest.MonkeyPatch], None],
    workload: str,
    optimizer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong(monkeypatch)
    found = after_one_step(workload, optimizer)
    assert max(found.values()) > 100 * BOUND, found

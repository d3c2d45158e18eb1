"""Each optimizer by its name, against its update written out in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.optimizers import NAMES, make_optimizer, set_momentum, set_rate, trained_groups
from lrsweep.errors import InvalidInput
from lrsweep.records import OptimizerSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import ParamGroup
from tests.trainings import PLAN, Constant, trained

RATES = [0.1, 0.2, 0.1, 0.05, 0.02]
SGD = {"momentum": 0.5, "dampening": 0.0, "weight_decay": 0.1}
ADAM = {"beta1": 0.5, "beta2": 0.9, "eps": 0.01, "weight_decay": 0.1}


def slope(weight: float) -> float:
    """Of the loss w²."""
    return 2 * weight


def sgd(dampening: float = 0.0, nesterov: bool = False) -> Iterator[float]:
    """v = g at first, then momentum·v + (1 - dampening)·g; w -= rate·v, or Nesterov's rate·(g + momentum·v)."""
    weight, velocity = 1.0, None
    for rate in RATES:
        gradient = slope(weight) + 0.1 * weight
        velocity = gradient if velocity is None else 0.5 * velocity + (1 - dampening) * gradient
        weight -= rate * (gradient + 0.5 * velocity if nesterov else velocity)
        yield weight


def plain() -> Iterator[float]:
    """w -= rate·g."""
    weight = 1.0
    for rate in RATES:
        weight -= rate * (slope(weight) + 0.1 * weight)
        yield weight


def rmsprop() -> Iterator[float]:
    """s = alpha·s + (1 - alpha)·g²; v = momentum·v + g / (√s + eps); w -= rate·v."""
    weight, square, velocity = 1.0, 0.0, 0.0
    for rate in RATES:
        gradient = slope(weight) + 0.1 * weight
        square = 0.9 * square + 0.1 * gradient**2
        velocity = 0.5 * velocity + gradient / (math.sqrt(square) + 0.01)
        weight -= rate * velocity
        yield weight


def adam(decoupled: bool) -> Iterator[float]:
    """Means of g and g², corrected for their beginning; the decay in the gradient, or of the weight itself."""
    weight, mean, square = 1.0, 0.0, 0.0
    for number, rate in enumerate(RATES, start=1):
        gradient = slope(weight)
        if decoupled:
            weight -= rate * 0.1 * weight
        else:
            gradient += 0.1 * weight
        mean = 0.5 * mean + 0.5 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        weight -= rate * (mean / (1 - 0.5**number)) / (math.sqrt(square / (1 - 0.9**number)) + 0.01)
        yield weight


UPDATES = {
    "sgd": ({"momentum": 0.5, "weight_decay": 0.1}, list(sgd())),
    "sgd_plain": ({**SGD, "momentum": 0.0}, list(plain())),
    "sgd_dampened": ({**SGD, "dampening": 0.25}, list(sgd(dampening=0.25))),
    "nesterov": (SGD, list(sgd(nesterov=True))),
    "rmsprop": ({"alpha": 0.9, "eps": 0.01, "momentum": 0.5, "weight_decay": 0.1}, list(rmsprop())),
    "adam": (ADAM, list(adam(decoupled=False))),
    "adamw": (ADAM, list(adam(decoupled=True))),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_moves_a_weight_as_its_formula_says(name: str) -> None:
    """Five updates under a rate that changes; the loss is w², from w = 1."""
    settings, wanted = UPDATES[name]
    weight = nn.Parameter(torch.ones(1))
    optimizer = make_optimizer(OptimizerSpec(name, settings), [{"params": [weight], "rate_scale": 1.0}])
    got = []
    for rate in RATES:
        set_rate(optimizer, rate)
        weight.grad = slope(weight.detach())  # type: ignore[arg-type, assignment]
        optimizer.step()
        got.append(weight.item())
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_no_two_of_them_are_the_same() -> None:
    """The formulas above tell all seven apart."""
    assert len({tuple(wanted) for _, wanted in UPDATES.values()}) == len(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name in OPTIMIZERS])
def test_what_a_study_gives_an_optimizer_is_what_it_needs(name: str) -> None:
    """The settings of every optimizer that a study file may name."""
    make_optimizer(OPTIMIZERS[name], [nn.Parameter(torch.ones(1))])


def test_every_optimizer_that_a_study_may_name_exists() -> None:
    """And a study may name each of them."""
    assert set(OPTIMIZERS) == set(NAMES)


def test_an_unknown_optimizer_is_refused_by_name() -> None:
    """It names those that there are."""
    with pytest.raises(InvalidInput, match=r"'lion'; there are sgd, sgd_plain, .*, adam, adamw"):
        make_optimizer(OptimizerSpec("lion"), [nn.Parameter(torch.ones(1))])


def test_a_momentum_is_written_where_the_optimizer_has_it() -> None:
    """RMSprop's own; Adam's first beta, and the second stays."""
    parameters = [nn.Parameter(torch.ones(1))]
    moving = make_optimizer(OptimizerSpec("rmsprop", UPDATES["rmsprop"][0]), parameters)
    set_momentum(moving, 0.7)
    assert moving.param_groups[0]["momentum"] == 0.7
    moving = make_optimizer(OptimizerSpec("adam", ADAM), parameters)
    set_momentum(moving, 0.7)
    assert moving.param_groups[0]["betas"] == (0.7, 0.9)


# ── parameter groups ─────────────────────────────────────────────────────────────────────────────────────────────────


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.body, self.stem = (nn.Parameter(torch.zeros(1)) for _ in range(3))

    def forward(self, _: Tensor) -> Tensor:
        return self.head + self.body + self.stem


class Three(Constant):
    """Three weights whose gradients are 1: a group with the schedule's rate, one with half of it, and a frozen one."""

    seen: nn.Module

    def model(self, seed: int) -> nn.Module:
        self.seen = Sum()
        return self.seen

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        named = dict(model.named_parameters())
        return [ParamGroup("head", [named["head"]]), ParamGroup("body", [named["body"]], rate=0.5)]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum()


def test_each_group_has_its_own_share_of_the_rate_and_the_rest_is_frozen() -> None:
    """Plain SGD over rates that sum to 5 moves the head by 5, the body by 2.5 and the stem not at all."""
    three = Three()
    plan = replace(PLAN, schedule=schedule("constant"), peak_lr=0.5, optimizer=OPTIMIZERS["sgd_plain"], horizon=10)
    curve, _ = trained(plan, three)
    assert curve.rates.tolist() == [0.5] * 10
    moved = {name: -part.item() for name, part in three.seen.named_parameters()}
    assert moved == {"head": pytest.approx(5.0), "body": pytest.approx(2.5), "stem": 0.0}
    assert {name: part.requires_grad for name, part in three.seen.named_parameters()} == {
        "head": True,
        "body": True,
        "stem": False,
    }


def test_a_workload_that_trains_nothing_is_refused() -> None:
    """Groups without a parameter are a mistake, not a fast training."""
    with pytest.raises(InvalidInput, match="nothing to train"):
        trained_groups(nn.Linear(1, 1), [ParamGroup("all", [])], tensor_rates=False)

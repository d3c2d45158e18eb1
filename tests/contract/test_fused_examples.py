"""The losses of single examples: those that finals keep, by either engine, and what they have to do with the metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Status, WorkloadSpec
from lrsweep.workloads import labelled
from lrsweep.workloads.base import Forward, Half, Workload, load
from tests.fused import PLAN, fused, sequentially
from tests.fused_workloads import Mlp, Small, Together
from tests.trainings import digits

PLANS = [
    replace(PLAN, training_id=f"seed {seed}", seed=seed, horizon=12, evaluations=3, keeps_examples=seed != 2)
    for seed in range(6)
]
"""Of six that end at the same step, all but one keep them: they are evaluated in groups of four."""


class Told(Small):
    """A ``Small`` that tells what each of its examples loses."""

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        inputs, targets = self._held_out(half)
        return torch.stack([functional.cross_entropy(each, targets, reduction="none") for each in forward(inputs)])


class ToldAlone(Told, Mlp):
    """One model after the other is evaluated."""


class ToldTogether(Told, Together):
    def make(self) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def logistic() -> Workload:
    return load(WorkloadSpec("logistic"), torch.device("cpu"))


@pytest.mark.parametrize(
    "make", [ToldAlone, ToldTogether, digits, logistic], ids=["alone", "together", "digits", "table"]
)
def test_both_engines_keep_the_same_losses_whose_mean_is_the_metric(make: Callable[[], Workload]) -> None:
    """In float32, in the order of the data; a training that was not asked has none."""
    workload = make()
    ran = fused(PLANS, workload, 4)
    for plan in PLANS:
        wanted, found = sequentially(plan, workload).outcome, ran[plan.training_id].outcome
        assert found.status is wanted.status is Status.COMPLETED
        if not plan.keeps_examples:
            assert found.example_losses is None
            assert wanted.example_losses is None
            continue
        assert found.example_losses is not None
        assert wanted.example_losses is not None
        assert found.example_losses.dtype == wanted.example_losses.dtype == np.float32
        np.testing.assert_allclose(found.example_losses, wanted.example_losses, rtol=1e-5, atol=1e-6)
        for outcome, losses in ((wanted, wanted.example_losses), (found, found.example_losses)):
            assert losses.mean(dtype=np.float64) == pytest.approx(outcome.metrics["decide_loss"], rel=1e-5)
            assert losses.std() > 0


@pytest.mark.parametrize("make", [Mlp, digits], ids=["does not know", "too many"])
def test_what_a_workload_does_not_know_is_none(make: Callable[[], Workload], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing of its examples, and one whose half has more of them than are kept."""
    monkeypatch.setattr(labelled, "MOST_EXAMPLES", 214)
    workload = make()
    assert sequentially(PLANS[0], workload).outcome.example_losses is None
    assert fused(PLANS[:1], workload, 4)["seed 0"].outcome.example_losses is None
    monkeypatch.setattr(labelled, "MOST_EXAMPLES", 215)
    assert (sequentially(PLANS[0], workload).outcome.example_losses is None) == isinstance(workload, Mlp)


def test_a_training_is_the_same_whether_it_keeps_them_or_not() -> None:
    """Its curve and its metrics, to the bit."""
    kept = sequentially(PLANS[0], digits())
    other = sequentially(replace(PLANS[0], keeps_examples=False), digits())
    assert kept.curve.to_bytes() == other.curve.to_bytes()
    assert kept.outcome.metrics == other.outcome.metrics


@pytest.mark.parametrize("make", [ToldAlone, ToldTogether], ids=["alone", "together"])
def test_a_workload_that_raises_fails_those_that_ask_alone(
    make: Callable[[], Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its error; the one that keeps nothing completes."""

    def raises(*_: object) -> Tensor:
        raise ValueError("no such loss")

    workload = make()
    monkeypatch.setattr(workload, "example_losses", raises)
    ran = fused(PLANS, workload, 3)
    for plan in PLANS:
        outcome = ran[plan.training_id].outcome
        assert outcome.status is sequentially(plan, workload).outcome.status
        assert (outcome.status is Status.FAILED) == plan.keeps_examples
        assert "no such loss" in (outcome.error or "no such loss")

"""The losses of single examples: those that finals keep, by either engine, and what they have to do with the metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.engines import examples
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


# ── a workload that tells them wrongly ───────────────────────────────────────────────────────────────────────────────


class NoModels(Told):
    """Of one model it gives a row that is no row of a table."""

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found[0]


class Turned(Told):
    """A row for each example."""

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found.T


class Integers(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found.long()


class InNumpy(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found.numpy()  # type: ignore[return-value]


class NoExamples(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        return torch.empty(len(forward(self._held_out(half)[0])), 0)


class Smoothed(Told):
    """What is trained on, and not what ``evaluate`` says."""

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        inputs, targets = self._held_out(half)
        rows = [
            functional.cross_entropy(each, targets, reduction="none", label_smoothing=0.1) for each in forward(inputs)
        ]
        return torch.stack(rows)


class Undefined(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        found[:, 3] = torch.nan
        return found


class Raises(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        raise ValueError("no such\nloss")


class OutOfMemory(Told):
    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        raise torch.OutOfMemoryError("tried to allocate 8 GiB")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """PyTorch writes thousands of lines beside it."""
    return [record.getMessage() for record in caplog.records if record.name == "lrsweep.engines.examples"]


WRONG = {
    NoModels: "example_losses gives [24] of float64 for ",
    Turned: "example_losses gives [24, ",
    Integers: "of int64 for ",
    InNumpy: "example_losses gives ndarray for ",
    NoExamples: ", 0] of float32 for ",
    Smoothed: "example_losses has a mean of ",
    Undefined: "example_losses gives NaN for 1 of 24 examples, and evaluate a loss of ",
    Raises: "example_losses raised ValueError: no such loss (test_fused_examples.py, line ",
    OutOfMemory: "example_losses raised OutOfMemoryError: tried to allocate 8 GiB",
}


@pytest.mark.parametrize("evaluated", [Mlp, Together], ids=["alone", "together"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_losses_told_wrongly_cost_no_training_and_are_said_once(
    wrong: type[Told], evaluated: type[Small], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All complete with the metrics that they have anyway, without losses of examples, by either engine; of many such
    trainings one line is logged, with what was given, what is wanted and what to do."""

    class Own(wrong, evaluated):  # type: ignore[misc, valid-type]
        make = ToldTogether.make

    workload, right = Own(), ToldTogether()
    monkeypatch.setattr(examples, "_said", set())
    sequential = [sequentially(plan, workload).outcome for plan in PLANS[:2]]
    [by_sequential] = said(caplog)
    monkeypatch.setattr(examples, "_said", set())
    caplog.clear()
    ran = fused(PLANS, workload, 4)
    [by_fused] = said(caplog)

    for outcome in (*sequential, *(ran[plan.training_id].outcome for plan in PLANS)):
        assert (outcome.status, outcome.error, outcome.example_losses) == (Status.COMPLETED, None, None)
    assert sequential[0].metrics == sequentially(PLANS[0], right).outcome.metrics
    for message in (by_sequential, by_fused):
        assert message.startswith("small: ")
        assert WRONG[wrong] in message
        assert message.endswith(
            "so there are no intervals over examples; mend it, and ask lrsweep check-workload small"
        )
        assert "\n" not in message


def test_a_training_whose_losses_are_wrong_costs_no_other_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group that is asked together the others keep theirs."""

    class Second(ToldTogether):
        def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
            found = super().example_losses(forward, half)
            assert found is not None
            found[1] *= 2
            return found

    monkeypatch.setattr(examples, "_said", set())
    ran = fused(PLANS[:2], Second(), 4)
    assert ran["seed 0"].outcome.example_losses is not None
    assert ran["seed 1"].outcome.example_losses is None


@pytest.mark.parametrize(
    ("losses", "loss", "agrees"),
    [
        ([1.0, 3.0], 2.0, True),
        ([1.0, 3.0], 2.0019, True),
        ([1.0, 3.0], 2.003, False),
        ([1.0, 3.0], 4.0, False),
        ([0.0, 0.0], 9e-7, True),
        ([0.0, 0.0], 2e-6, False),
        ([1.0, math.inf], math.inf, True),
        ([1.0, math.inf], 2.0, False),
        ([1.0, 3.0], math.inf, False),
    ],
)
def test_a_mean_agrees_with_the_loss_to_a_thousandth(losses: Sequence[float], loss: float, agrees: bool) -> None:
    """Near zero to a millionth; where an example loses without limit, so does the mean."""
    wrong = examples.disagreement(torch.tensor(losses), loss)
    assert (wrong is None) == agrees
    assert wrong is None or f"a loss of {loss:.6g}" in wrong


def test_a_model_whose_loss_is_no_number_has_no_losses_of_examples(caplog: pytest.LogCaptureFixture) -> None:
    """And no fault: nothing is said."""
    workload = ToldAlone()
    model = workload.model(0)
    assert examples.of_model(workload, model, math.nan) is None
    assert not said(caplog)

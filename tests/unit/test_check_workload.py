"""Each check of a workload: it holds for a workload as it should be, and fails for one with that one fault."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines import checking, side_by_side
from lrsweep.engines.questions import Check, Training
from lrsweep.engines.watched import Watched
from lrsweep.records import EngineSettings, Json, OptimizerSpec, WorkloadFacts, WorkloadSpec
from lrsweep.workloads.base import Half, Workload, draw_weights, evaluating
from lrsweep.workloads.draw import epoch_order, normal
from lrsweep.workloads.dropout import Dropout

CPU = torch.device("cpu")
SGD = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})


class Small(Workload):
    """Which of two numbers is larger: 64 examples to train on, 20 in each other part."""

    def __init__(
        self, settings: Mapping[str, Json] | None = None, device: torch.device = CPU, data: Path = Path()
    ) -> None:
        self.device = device
        points = normal(0, 0, "points", 2 * 124).float().view(124, 2)
        self.points, self.labels = points, (points[:, 0] > points[:, 1]).long()
        self.facts = WorkloadFacts(
            name="small",
            settings={},
            version=1,
            data_hash="one",
            batch_size=16,
            horizon=40,
            peak_lr={"sgd": (0.01, 1.0)},
            metrics={"loss": "minimize"},
            examples_per_epoch=64,
        )

    def model(self, seed: int) -> nn.Module:
        return draw_weights(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), seed)

    def chosen(self, seed: int, step: int) -> Tensor:
        epoch, position = divmod(step, 4)
        return epoch_order(seed, epoch, 64)[position * 16 : (position + 1) * 16]

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        chosen = self.chosen(seed, step)
        return self.points[chosen], self.labels[chosen]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets)

    def part(self, half: Half) -> slice:
        begin = 64 + 20 * ["search", "decide", "test"].index(half)
        return slice(begin, begin + 20)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        with evaluating(model):
            return {"loss": self.loss(model(self.points[self.part(half)]), self.labels[self.part(half)]).item()}


class NumpyWeights(Small):
    def model(self, seed: int) -> nn.Module:
        return super().model(int(np.random.default_rng().integers(1 << 30)))


class NumpyDropout(Small):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().loss(outputs * np.random.default_rng().uniform(0.5, 1.0), targets)


class TakesTheNext(Small):
    asked = 0

    def chosen(self, seed: int, step: int) -> Tensor:
        self.asked += 1
        return super().chosen(seed, self.asked)


class Shuffles(Small):
    """Right in the first epoch alone: what an epoch's end draws anew is not drawn from the seed."""

    def chosen(self, seed: int, step: int) -> Tensor:
        return super().chosen(seed, step) if step < 4 else torch.randperm(64)[:16]


class SmallerBatch(Small):
    def chosen(self, seed: int, step: int) -> Tensor:
        return super().chosen(seed, step)[:7]


class EvaluatesInTrainingMode(Small):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {"loss": self.loss(model(self.points[self.part(half)]), self.labels[self.part(half)]).item()}


class UndeclaredMetric(Small):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {**super().evaluate(model, half), "acc": 1.0}


class TensorMetric(Small):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {"loss": torch.tensor(super().evaluate(model, half)["loss"])}  # type: ignore[dict-item]


class NotANumber(Small):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {"loss": float("nan")}


class DecidesOnTheSearch(Small):
    def part(self, half: Half) -> slice:
        return super().part("search" if half == "decide" else half)


class EvaluatesOnTraining(Small):
    def part(self, half: Half) -> slice:
        return slice(0, 20) if half == "search" else super().part(half)


class Noisy(Small):
    """Each example is another one at each step."""

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(seed, step)
        return inputs + normal(seed, step, "noise", inputs.numel()).view_as(inputs).float(), targets


class NoisyAndEvaluatesOnTraining(Noisy, EvaluatesOnTraining):
    pass


class NoisyAndDecidesOnTheSearch(Noisy, DecidesOnTheSearch):
    pass


class MirroredAndEvaluatesOnTraining(EvaluatesOnTraining):
    """Half of a batch stays as it is."""

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(seed, step)
        mirrored = normal(seed, step, "mirror", len(inputs)) > 0
        return torch.where(mirrored.unsqueeze(1), -inputs, inputs), targets


class HidesItsParts(Small):
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        first, norm, last = model.children()
        with evaluating(model):
            outputs = last(norm(first(self.points[self.part(half)])))
            return {"loss": self.loss(outputs, self.labels[self.part(half)]).item()}


class OwnDropout(Small):
    def model(self, seed: int) -> nn.Module:
        return draw_weights(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), Dropout(0.2), nn.Linear(4, 2)), seed)


class TorchDropout(Small):
    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(super().model(seed), nn.Dropout(0.1))


class ChangesLater(Small):
    """After 8 calls the model's output grows, by a thousandth, and no tensor knows how many there were."""

    def model(self, seed: int) -> nn.Module:
        calls = itertools.count()
        model = super().model(seed)
        model.register_forward_hook(lambda _, __, outputs: outputs * 1.001 if next(calls) >= 8 else outputs)
        return model


class EvaluatesMany(Small):
    """All models in one pass."""

    more: Mapping[str, float] = {}

    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]] | None:
        outputs, labels = forward(self.points[self.part(half)]), self.labels[self.part(half)]
        return [{"loss": self.loss(each, labels).item() + self.more.get(half, 0.0)} for each in outputs]


class EvaluatesManyOtherwise(EvaluatesMany):
    more: Mapping[str, float] = {"search": 1e-4}


class DecidesManyOtherwise(EvaluatesMany):
    more: Mapping[str, float] = {"decide": 1e-4}


class WithAccuracy(Small):
    """Two halves of the examples change their places when all models are evaluated at once."""

    shift = 0

    def accuracy(self, outputs: Tensor, labels: Tensor) -> float:
        return (outputs.argmax(dim=1).roll(self.shift) == labels).double().mean().item()

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        with evaluating(model):
            outputs = model(self.points[self.part(half)])
        return super().evaluate(model, half) | {"acc": self.accuracy(outputs, self.labels[self.part(half)])}

    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]] | None:
        outputs, labels = forward(self.points[self.part(half)]), self.labels[self.part(half)]
        return [{"loss": self.loss(each, labels).item(), "acc": self.accuracy(each, labels)} for each in outputs]


class OtherAccuracy(WithAccuracy):
    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]] | None:
        self.shift = 7
        found = super().evaluate_many(forward, half)
        self.shift = 0
        return found


class TellsExamples(Small):
    smoothing = 0.0

    def example_losses(self, forward: Callable[[Tensor], Tensor], half: Half) -> Tensor | None:
        outputs, labels = forward(self.points[self.part(half)]), self.labels[self.part(half)]
        rows = [
            nn.functional.cross_entropy(each, labels, reduction="none", label_smoothing=self.smoothing)
            for each in outputs
        ]
        return torch.stack(rows)


class SmoothsExamples(TellsExamples):
    smoothing = 0.1


class TellsOneModel(TellsExamples):
    def example_losses(self, forward: Callable[[Tensor], Tensor], half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found[0]


class MixesModels(TellsExamples):
    def example_losses(self, forward: Callable[[Tensor], Tensor], half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        return found.flip(0)


class MixesExamples(TellsExamples):
    asked = 0

    def example_losses(self, forward: Callable[[Tensor], Tensor], half: Half) -> Tensor | None:
        found = super().example_losses(forward, half)
        assert found is not None
        self.asked += 1
        return found.roll(self.asked, dims=1)


class IgnoresTheSeed(Small):
    def model(self, seed: int) -> nn.Module:
        return super().model(0)

    def chosen(self, seed: int, step: int) -> Tensor:
        return super().chosen(0, step)


class Raises(Small):
    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        raise FileNotFoundError("no such picture: 7.png")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in an engine's process; small models on several threads of a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def training(folder: Path, steps: int = 6) -> Training:
    return Training(WorkloadSpec("small"), SGD, EngineSettings(), steps, "cpu", folder)


def reproduces(workload: Workload) -> checking.Answer:
    return checking.seeds(workload, training(Path()), [])


@pytest.mark.parametrize("check", [checking.weights, checking.batches, checking.evaluation, checking.parts, reproduces])
def test_a_workload_as_it_should_be_passes(check: checking.Question) -> None:
    """Every check holds for it."""
    passed, text = check(Small())
    assert passed, text


@pytest.mark.parametrize(
    ("check", "workload", "told"),
    [
        (checking.weights, NumpyWeights, "draw the weights from the seed"),
        (checking.batches, TakesTheNext, "batch(1, 5) depends on what was asked before"),
        (checking.batches, Shuffles, "batch(1, 5) depends on what was asked before"),
        (checking.batches, SmallerBatch, "a batch has 7 examples, and facts.batch_size says 16"),
        (checking.evaluation, EvaluatesInTrainingMode, "with evaluating(model)"),
        (checking.evaluation, UndeclaredMetric, "gives acc, loss, and facts.metrics declares loss"),
        (checking.evaluation, TensorMetric, "as of .item()"),
        (checking.evaluation, NotANumber, "finite numbers"),
        (checking.parts, DecidesOnTheSearch, "20 of 20 examples are in search and in decide"),
        (checking.parts, EvaluatesOnTraining, "20 of 20 examples are in search and in train"),
        (checking.parts, NoisyAndDecidesOnTheSearch, "20 of 20 examples are in search and in decide"),
        (checking.parts, MirroredAndEvaluatesOnTraining, "of 20 examples are in search and in train"),
        (checking.examples, SmoothsExamples, "over 20 examples, and evaluate gives a loss of"),
        (checking.examples, MixesModels, "over 20 examples, and evaluate gives a loss of"),
        (checking.examples, TellsOneModel, "gives [20] of float32 for 2 models; wanted is a tensor [2, examples]"),
        (checking.examples, MixesExamples, "two answers for the same models: keep the examples' order"),
        (reproduces, NumpyDropout, "first in its loss at step 0"),
        (reproduces, IgnoresTheSeed, "seeds 1 and 2 give the same training"),
        (reproduces, Raises, "no such picture: 7.png"),
    ],
)
def test_each_fault_is_found_and_says_how_to_mend_it(
    check: checking.Question, workload: type[Small], told: str
) -> None:
    """The check that is for it fails, with the words that lead to it."""
    passed, text = check(workload())
    assert passed is False
    assert told in text


def test_losses_of_examples_may_be_told_or_not() -> None:
    """Where they are told, they were compared; where not, the text says what a choice then lacks."""
    assert checking.examples(TellsExamples()) == (True, "the losses of 20 examples have the loss for their mean")
    passed, text = checking.examples(Small())
    assert passed
    assert text.endswith("a choice then has no intervals over examples")


def fuses(workload: Workload) -> checking.Answer:
    runs: list[Watched] = []
    asked = training(Path(), steps=12)
    passed, text = checking.seeds(workload, asked, runs)
    return checking.fusing(workload, asked, Check("seeds_reproduce", passed, text), runs, [])


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A speed is measured, but from few steps."""
    monkeypatch.setattr(checking, "TIMED_SECONDS", 0.0)
    monkeypatch.setattr(side_by_side, "TIMED_SECONDS", 0.001)


@pytest.mark.usefixtures("untimed")
@pytest.mark.parametrize("workload", [Small, OwnDropout, EvaluatesMany, WithAccuracy])
def test_trainings_that_fuse_give_what_each_gives_alone(workload: type[Small]) -> None:
    """With running statistics, dropout from ``draw``, and one or all models evaluated at once."""
    passed, text = fuses(workload())
    assert passed, text
    assert text.startswith("4 trainings side by side give what each gives alone, up to rounding")


@pytest.mark.parametrize(
    ("workload", "told"),
    [
        (ChangesLater, "seed 1 beside others is another training than alone: train_loss number 8 is"),
        (EvaluatesManyOtherwise, "val_loss number 1 is"),
        (DecidesManyOtherwise, "decide_loss number 1 is"),
        (OtherAccuracy, "val_acc number 1 is"),
    ],
)
def test_trainings_that_are_others_beside_others_are_found(workload: type[Small], told: str) -> None:
    """Also by a ten-thousandth in the loss: with the place, and with what to do until it is mended."""
    passed, text = fuses(workload())
    assert passed is False
    assert told in text
    assert text.endswith("until this is mended, train it with --engine sequential")


def test_a_workload_that_cannot_be_fused_has_no_fault() -> None:
    """It is told what is in the way; the check has neither passed nor failed."""
    passed, text = fuses(TorchDropout())
    assert passed is None
    assert text.startswith("trained one after the other: the module '1' (Dropout) draws from PyTorch's generator")


def test_what_does_not_reproduce_is_not_compared() -> None:
    """Its curves differ anyway."""
    passed, text = fuses(NumpyDropout())
    assert passed is None
    assert "as long as seeds do not reproduce" in text


def test_parts_that_cannot_be_seen_are_not_called_apart() -> None:
    """Neither passed nor failed, with the reason."""
    passed, text = checking.parts(HidesItsParts())
    assert passed is None
    assert "cannot be seen" in text


@pytest.mark.parametrize("workload", [Noisy, NoisyAndEvaluatesOnTraining])
def test_a_part_that_is_changed_at_each_step_is_not_called_apart(workload: type[Small]) -> None:
    """With noise on them, examples that leaked into the evaluation cannot be known again, nor their absence."""
    passed, text = checking.parts(workload())
    assert passed is None
    assert text == "training examples are changed at each step, so only the held-out parts were compared"


def test_of_a_large_part_a_sample_is_enough_to_see_that_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 of the 64 examples are looked at in each epoch: about 16 of them are the same."""
    monkeypatch.setattr(checking, "MOST_EXAMPLES", 32)
    passed, text = checking.parts(Small())
    assert passed, text


def test_what_the_users_code_raises_fails_that_check_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the error, the file and the line; the other checks have their answers, and nothing is timed."""
    monkeypatch.setattr(checking, "load", lambda *_: Raises())
    looked = checking.look(training(tmp_path))
    found = {check.name: check for check in looked.checks}
    assert found["weights_follow_the_seed"].passed
    assert found["evaluate_only_looks"].passed
    assert found["batches_stand_alone"].passed is False
    assert (
        "FileNotFoundError: no such picture: 7.png (test_check_workload.py, line" in found["batches_stand_alone"].text
    )
    assert (looked.trace, looked.steps_per_second, looked.fused) == (None, None, None)


@pytest.mark.usefixtures("untimed")
def test_half_a_training_is_left_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a checkpoint within the first half to the same trace; without one there is nothing to compare."""
    monkeypatch.setattr(checking, "load", lambda *_: Small())
    looked = checking.look(training(tmp_path))
    assert looked.fused is not None
    assert looked.fused.steps_per_second > 0
    steps = [int(path.name.split("-")[1]) for path in tmp_path.glob("step-*.ckpt")]
    assert steps
    assert max(steps) <= 3
    repeated = checking.again(training(tmp_path))
    assert looked.trace == repeated.whole == repeated.resumed
    assert checking.again(dataclasses.replace(training(tmp_path), checkpoints=tmp_path / "none")).resumed is None

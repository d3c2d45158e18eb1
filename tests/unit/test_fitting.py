"""Which trainings can be fused, and what is said of the others: each fault by a small workload that has that one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.engines.fused.fitting import CannotFuse, why_not
from lrsweep.errors import InvalidInput
from lrsweep.records import EngineSettings, WorkloadFacts
from lrsweep.workloads.base import Feed, Half, ParamGroup, Workload, draw_weights
from lrsweep.workloads.draw import draw, normal
from lrsweep.workloads.dropout import Dropout

PLAIN = EngineSettings()


class Small(Workload):
    """Sequences of 6 points of 4 numbers each, 8 in a batch, and two classes."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        self.device = torch.device("cpu")
        self.make = make
        self.facts = WorkloadFacts(
            name="small",
            settings={},
            version=1,
            data_hash="one",
            batch_size=8,
            horizon=40,
            peak_lr={"sgd": (0.01, 1.0)},
            metrics={"loss": "minimize"},
            examples_per_epoch=32,
        )

    def model(self, seed: int) -> nn.Module:
        return draw_weights(self.make(), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return normal(seed, step, "inputs", 8 * 6 * 4).view(8, 6, 4).float(), draw(seed, step, "targets", 8) % 2

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs.mean(dim=1), targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        raise AssertionError("nobody has to evaluate for this")


def layers(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), *between, nn.Linear(4, 2))


class Normalised(nn.Module):
    """Over the points, with running statistics."""

    def __init__(self, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class Step(nn.Module):
    """One function in the place of a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Recurrent(nn.LSTM):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        outputs: Tensor = super().forward(x)[0]
        return outputs


class Counted(nn.Module):
    """Its output grows with each call, by a number that no tensor holds."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * (1 + 0.01 * self.calls)


class Masked(nn.Module):
    """As attention is to what came before, by a mask of infinities."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((6, 6), float("-inf")).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(1, 2) + self.mask).softmax(dim=-1) @ x


class ThenItem(nn.Module):
    """It takes out a number after a module of its own has run."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.inner(x)
        return outputs / outputs.max().item()


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x


def encoder(dropout: float) -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)


def into_zeros(x: Tensor) -> Tensor:
    zeros = torch.zeros(8, 6, 4)
    zeros += x
    return zeros


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in an engine's process; small models on several threads of a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "make",
    [
        layers,
        lambda: layers(Normalised()),
        lambda: layers(Dropout(0.5)),
        lambda: layers(nn.Dropout(0.0)),
        lambda: layers(encoder(0.0)),
        lambda: layers(Masked()),
        lambda: layers(Step(lambda x: x * 2)).double(),
    ],
    ids=["mlp", "batch norm", "our dropout", "dropout of 0", "transformer", "infinite mask", "float64"],
)
def test_what_is_a_function_of_numbers_can_be_fused(make: Callable[[], nn.Module]) -> None:
    """In float32 and float64, with buffers, and with dropout from ``draw``."""
    workload = Small(make)
    if next(make().parameters()).dtype == torch.float64:
        single = workload.batch
        workload.batch = lambda seed, step: (single(seed, step)[0].double(), single(seed, step)[1])  # type: ignore[method-assign]
    assert why_not(workload, PLAIN) is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: layers(nn.Dropout(0.5)), "the module '1' (Dropout) draws from PyTorch's generator"),
        (lambda: layers(Step(functional.dropout)), "the module '1' (Step) draws from PyTorch's generator"),
        (
            lambda: layers(Step(lambda x: x + torch.rand(4, generator=torch.Generator().manual_seed(0)))),
            "the module '1' (Step) draws from PyTorch's generator",
        ),
        (
            lambda: layers(encoder(0.1)),
            "the module '1.self_attn' (MultiheadAttention), the module '1.dropout1' (Dropout), the module '1.dropout' "
            "(Dropout) and 1 more draw from PyTorch's generator",
        ),
        (lambda: layers(Step(lambda x: x / x.max().item())), "the module '1' (Step) takes a number out of a tensor"),
        (lambda: layers(ThenItem()), "the module '1' (ThenItem) takes a number out of a tensor"),
        (lambda: layers(Normalised(momentum=None)), "the module '1.norm' (BatchNorm1d) takes a number out of a tensor"),
        (lambda: layers(Step(lambda x: x if x.sum() > 0 else -x)), "(Step) branches on what a tensor holds"),
        (lambda: layers(Step(lambda x: x + x[x > 0].mean())), "(Step) makes a tensor whose shape depends on"),
        (lambda: layers(Step(into_zeros)), "(Step) writes into a tensor that all models share"),
        (lambda: layers(Step(lambda x: x * float(x.detach().numpy().max()))), "(Step) takes the numbers out"),
        (lambda: layers(Recurrent(4, 4, batch_first=True)), "the module '1' (Recurrent) calls aten::lstm"),
        (lambda: layers(Counted()), "two models side by side do not give what each gives alone (a loss is"),
        (lambda: layers(Idle()), "the parameter '1.unused.weight' has no part in the loss"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2).double()), "parameters of several types"),
    ],
)  # fmt: skip
def test_what_a_model_has_in_the_way_is_named(make: Callable[[], nn.Module], told: str) -> None:
    """With the module where it is, and with what to do."""
    reason = why_not(Small(make), PLAIN)
    assert reason is not None
    assert told in reason
    assert ":" in reason or ";" in reason
    assert "\n" not in reason


class DrawsInLoss(Small):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().loss(outputs * torch.rand(2), targets)


class PythonRandomLoss(Small):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().loss(outputs * random.uniform(0.5, 1.0), targets)


class PartBatch(Small):
    """The last of an epoch's 5 batches is half a one."""

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(seed, step)
        return (inputs[:4], targets[:4]) if step % 5 == 4 else (inputs, targets)


class OtherType(Small):
    """Bytes in the first epoch, numbers later."""

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(seed, step)
        return inputs, targets if step < 4 else targets.int()


class WidthFromSeed(Small):
    def model(self, seed: int) -> nn.Module:
        return draw_weights(nn.Sequential(nn.Linear(4, 4 + seed), nn.Linear(4 + seed, 2)), seed)


class RateFromSeed(Small):
    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return [ParamGroup("all", list(model.parameters()), 1.0 + float(next(model.parameters()).sum()))]


class ScaleFromSeed(Small):
    def model(self, seed: int) -> nn.Module:
        return draw_weights(layers(Step(lambda x: x * (1 + 0.01 * seed))), seed)


class LossTrains(Small):
    """A number of the loss's own is trained with the model."""

    weight = nn.Parameter(torch.ones(2))

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return [*super().groups(model), ParamGroup("loss", [self.weight])]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().loss(outputs * self.weight, targets)


class OtherFeed(Small):
    """Its feed gives every slot the batch of the first one's step."""

    def feed(self) -> Feed:
        feed = super().feed()
        return lambda seeds, steps: feed(seeds, [steps[0]] * len(steps))


class SameFeed(Small):
    asked = 0

    def feed(self) -> Feed:
        feed = super().feed()

        def counted(seeds: Sequence[int], steps: Sequence[int]) -> tuple[Tensor, Tensor]:
            self.asked += 1
            return feed(seeds, steps)

        return counted


class Pair(Small):
    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = super().batch(seed, step)
        return (inputs, inputs), targets  # type: ignore[return-value]


class NotANumber(Small):
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().loss(outputs, targets) * float("nan")


class Raises(Small):
    def model(self, seed: int) -> nn.Module:
        raise FileNotFoundError("no such weights: best.pt")


class TooLarge(Small):
    def model(self, seed: int) -> nn.Module:
        raise MemoryError


class PartTrained(Small):
    """The first layers are frozen, their statistics too."""

    def model(self, seed: int) -> nn.Module:
        model = draw_weights(layers(Normalised()), seed)
        model[1].eval()  # type: ignore[index]
        return model

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return [ParamGroup("head", list(model[2].parameters()), 10.0)]  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (DrawsInLoss, "the loss draws from PyTorch's generator"),
        (PythonRandomLoss, "two models side by side do not give what each gives alone ("),
        (PartBatch, "the inputs are [8, 6, 4] of float32 at step 0 and [4, 6, 4] of float32 at step 4"),
        (OtherType, "the targets are [8] of int64 at step 0 and [8] of int32 at step 4"),
        (WidthFromSeed, "another seed makes a model of another structure"),
        (RateFromSeed, "another seed makes a model of another structure"),
        (ScaleFromSeed, "two models side by side do not give what each gives alone (a loss is"),
        (LossTrains, "groups gives parameters that are not the model's"),
        (OtherFeed, "feed gives other batches than batch"),
        (Pair, "a batch is not one tensor of inputs and one of targets"),
        (NotANumber, "the loss of one model alone is not finite"),
        (Raises, "one model alone cannot be trained: FileNotFoundError: no such weights: best.pt"),
        (TooLarge, "do not fit into the memory"),
    ],
)
def test_what_a_workload_has_in_the_way_is_named(kind: type[Small], told: str) -> None:
    """Its loss, its batches, its groups and its seeds; and what the user's code raises comes as a sentence too."""
    reason = why_not(kind(layers), PLAIN)
    assert reason is not None
    assert told in reason


def test_a_part_that_is_frozen_is_no_hindrance() -> None:
    """Nor a rate of its own, nor a module that stays in evaluation mode."""
    assert why_not(PartTrained(layers), PLAIN) is None


def test_a_feed_of_its_own_is_asked() -> None:
    """As many times as there are batches to compare."""
    workload = SameFeed(layers)
    assert why_not(workload, PLAIN) is None
    assert workload.asked == 2


@pytest.mark.parametrize("name", ["channels_last", "graphs"])
def test_settings_of_the_sequential_engine_are_named(name: str) -> None:
    """Before anything of the workload is asked for."""
    reason = why_not(Raises(layers), EngineSettings(**{name: True}))  # type: ignore[arg-type]
    assert reason == f"{name} = true belongs to the sequential engine alone: leave it out of [study.engine]"


def test_bfloat16_is_for_a_model_alone() -> None:
    """Autocast would reach products without a bias and leave the others in float32."""
    reason = why_not(Raises(layers), EngineSettings(precision="bfloat16"))
    assert reason is not None
    assert reason.startswith('precision = "bfloat16" belongs to the sequential engine alone')


@pytest.mark.parametrize("settings", [{"clip_norm": 1.0}, {"compile": True}])
def test_the_other_settings_are_no_hindrance(settings: dict[str, object]) -> None:
    """Nor to seeing what is one."""
    assert why_not(Small(lambda: layers(Normalised())), EngineSettings(**settings)) is None  # type: ignore[arg-type]
    assert why_not(DrawsInLoss(layers), EngineSettings(**settings)) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [layers, lambda: layers(nn.Dropout(0.5))])
def test_generators_are_left_as_they_were(make: Callable[[], nn.Module]) -> None:
    """Whether the model draws or not: PyTorch initialises its layers from them."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    why_not(Small(make), PLAIN)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reason_is_raised_as_invalid_input() -> None:
    """So whoever cannot act on it shows its sentence."""
    assert issubclass(CannotFuse, InvalidInput)

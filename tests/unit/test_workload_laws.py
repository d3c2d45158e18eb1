"""What holds for every built-in workload, on small files that torchvision's own classes read."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads import catalog
from lrsweep.workloads.base import Half, Workload, load
from lrsweep.workloads.pictures import Crops
from tests.datasets import a_text, write_all

CPU = torch.device("cpu")
HALVES: tuple[Half, ...] = ("search", "decide", "test")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than such small pictures gain by them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text("to be or not to be, that is the question. " * 60)
    (folder / "places.txt").write_text(a_text(2000), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        write_all(folder, patch)
        yield folder


def a_spec(name: str, folder: Path, **more: object) -> WorkloadSpec:
    known: dict[str, dict[str, object]] = {
        "mnist": {"batch_size": 32},
        "fashion_mnist": {"batch_size": 32, "model": "mlp"},
        "cifar10": {"batch_size": 10},
        "cifar100": {"batch_size": 10},
        "char_lm": {"text": str(folder / "text.txt"), "batch_size": 8, "context": 16},
    }
    return WorkloadSpec(name, known.get(name, {}) | more)


@pytest.fixture(scope="module", params=catalog.workload_names())
def workload(request: pytest.FixtureRequest, folder: Path) -> Workload:
    return load(a_spec(request.param, folder), CPU, folder)


def bits(model: nn.Module) -> list[list[float]]:
    """The parameters and the buffers."""
    return [tensor.double().flatten().tolist() for tensor in model.state_dict().values()]


def test_weights_come_from_the_seed_alone(workload: Workload) -> None:
    """The same seed gives the same bits whatever torch's own generator says, and another seed gives others."""
    torch.manual_seed(1)
    first = workload.model(1)
    torch.manual_seed(2)
    assert bits(workload.model(1)) == bits(first)
    assert bits(workload.model(2)) != bits(first)
    assert all(torch.isfinite(each).all() for each in first.parameters())
    norms = [each for each in first.modules() if isinstance(each, nn.BatchNorm2d | nn.LayerNorm)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_a_batch_is_a_function_of_seed_and_step(workload: Workload) -> None:
    """Asked for alone, or after other steps and seeds, it has the same bits; another seed or epoch has others."""
    inputs, targets = workload.batch(7, 60)
    for seed, step in ((7, 0), (8, 60), (7, 59)):
        workload.batch(seed, step)
    again, targets_again = workload.batch(7, 60)
    assert inputs.equal(again)
    assert targets.equal(targets_again)
    assert not inputs.equal(workload.batch(8, 60)[0])
    assert len(inputs) == len(targets) == workload.facts.batch_size


def test_the_facts_say_what_a_study_needs(workload: Workload) -> None:
    """All seven optimizers have a range; the metrics are those of an evaluation; an epoch is known."""
    facts = workload.facts
    assert set(facts.peak_lr) == {"sgd", "sgd_plain", "sgd_dampened", "nesterov", "rmsprop", "adam", "adamw"}
    assert facts.metrics["loss"] == "minimize"
    assert catalog.metrics(facts.name) == tuple(f"val_{name}" for name in facts.metrics)
    assert facts.examples_per_epoch is not None
    assert facts.horizon >= 1
    assert len(facts.data_hash) == 64


def test_an_evaluation_is_finite_and_changes_nothing(workload: Workload) -> None:
    """The metrics are the declared ones, BatchNorm's statistics stay, and what trained trains on."""
    model = workload.model(3)
    before = bits(model)
    for half in HALVES:
        found = workload.evaluate(model, half)
        assert set(found) == set(workload.facts.metrics)
        assert all(math.isfinite(value) for value in found.values())
    assert bits(model) == before
    assert all(module.training for module in model.modules())
    assert all(each.requires_grad and each.grad is None for each in model.parameters())


def test_training_lowers_the_loss(workload: Workload) -> None:
    """Eight steps of Adam on six examples."""
    model = workload.model(4)
    optimizer = torch.optim.Adam([each for group in workload.groups(model) for each in group.parameters], lr=3e-3)
    inputs, targets = (each[:6] for each in workload.batch(4, 0))
    losses = []
    for _ in range(8):
        loss = workload.loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", catalog.workload_names())
def test_a_batch_may_have_another_size(name: str, folder: Path) -> None:
    """Batches of 6; a size above the examples is refused."""
    smaller = load(a_spec(name, folder, batch_size=6), CPU, folder)
    assert smaller.facts.batch_size == 6
    assert len(smaller.batch(0, 0)[0]) == 6
    with pytest.raises(
        InvalidInput, match=r"batch_size 60000 is more than the|a text of .* is too short for batches of 60000"
    ):
        load(a_spec(name, folder, batch_size=60_000), CPU, folder)


@pytest.mark.parametrize(
    ("name", "train", "held_out", "test"), [("mnist", 200, 20, 40), ("fashion_mnist", 200, 20, 40)]
)
def test_the_parts_are_all_pictures_once(name: str, train: int, held_out: int, test: int, folder: Path) -> None:
    """240 published pictures in 200 to train on (two epochs show the same) and twice 20; the published test of 40."""
    workload = load(a_spec(name, folder, batch_size=20), CPU, folder)
    assert workload.facts.examples_per_epoch == train
    epochs = [seen_in(workload, seed, range(first, first + 10)) for seed, first in ((1, 0), (2, 30))]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    parts = [epochs[0], *(shown(workload, half) for half in HALVES)]
    assert [len(part) for part in parts] == [train, held_out, held_out, test]
    assert len({tuple(picture[: 28 * 28]) for part in parts for picture in part}) == train + 2 * held_out + test


def seen_in(workload: Workload, seed: int, steps: range) -> list[list[float]]:
    """Each picture with its label behind it."""
    batches = [
        torch.cat([inputs.flatten(1), targets[:, None].float()], dim=1)
        for inputs, targets in batches_of(workload, seed, steps)
    ]
    pictures: list[list[float]] = torch.cat(batches).tolist()
    return pictures


def batches_of(workload: Workload, seed: int, steps: range) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [workload.batch(seed, step) for step in steps]


def shown(workload: Workload, half: Half) -> list[list[float]]:
    watching = Watching()
    workload.evaluate(watching, half)
    pictures: list[list[float]] = torch.cat(watching.seen).flatten(1).tolist()
    return pictures


class Watching(nn.Module):
    """Keeps what it is given, and calls everything the first class."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.classes = classes

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append(inputs)
        shape = inputs.shape if inputs.dtype == torch.int64 else inputs.shape[:1]
        return functional.one_hot(torch.zeros(shape, dtype=torch.long), self.classes).float()


def test_shifted_pictures_are_still_each_seen_once(folder: Path) -> None:
    """Picture i is red = i: 90 of the 100 published in every epoch, the other ten in the halves, 20 in the test."""
    workload = load(a_spec("cifar10", folder), CPU, folder)
    epochs = []
    for seed in (1, 2):
        inputs, targets = (torch.cat(each) for each in zip(*batches_of(workload, seed, range(9)), strict=True))
        epochs.append(reds(inputs))
        assert targets.tolist() == [red % 10 for red in epochs[-1]]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    halves = []
    for half in HALVES:
        watching = Watching()
        workload.evaluate(watching, half)
        halves.append(reds(torch.cat(watching.seen)))
    assert [len(half) for half in halves] == [5, 5, 20]
    assert sorted(epochs[0] + halves[0] + halves[1]) == list(range(100))
    assert sorted(halves[2]) == list(range(100, 120))
    assert [workload.evaluate(Knowing(), half)["acc"] for half in HALVES] == [1.0, 1.0, 1.0]


def reds(pictures: torch.Tensor) -> list[int]:
    brightest = pictures[:, 0].amax(dim=(1, 2))
    return ((brightest * 0.2470 + 0.4914) * 255).round().int().tolist()


class Knowing(nn.Module):
    """Reads the label off the picture: its red, without the tens."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(torch.tensor(reds(inputs)) % 10, 10).float()


def test_shifts_and_mirrors_are_drawn_from_all_there_are() -> None:
    """The black border that comes in says where a picture went: each of 9 x 9 places; a mirrored row is reversed."""
    ramp = torch.arange(1, 33, dtype=torch.uint8).expand(600, 1, 32, 32)
    crops = Crops((ramp, torch.zeros(600, dtype=torch.long)), 600, lambda pixels: pixels)
    pixels = crops.batch(5, 0)[0][:, 0].long()
    black_above = (pixels.sum(dim=2) == 0).int().cumprod(dim=1).sum(dim=1)
    black_below = (pixels.sum(dim=2) == 0).flip(1).int().cumprod(dim=1).sum(dim=1)
    middle = pixels[:, 16]
    mirrored = middle[:, 10] > middle[:, 20]
    # Column 16 shows 17 + shift, and in a mirror 16 + shift.
    at_16 = torch.where(mirrored, 33 - middle[:, 16], middle[:, 16])
    assert set((black_above - black_below).tolist()) == set(range(-4, 5))
    assert set(at_16.tolist()) == set(range(13, 22))
    assert 250 < int(mirrored.sum()) < 350
    assert all((row.diff()[8:-8].abs() == 1).all() for row in middle)
    # The pictures are all alike, so what differs between steps and seeds is what was done to them.
    assert not crops.batch(5, 1)[0].equal(crops.batch(5, 0)[0])
    assert not crops.batch(6, 0)[0].equal(crops.batch(5, 0)[0])


def test_windows_of_a_text_lie_side_by_side(folder: Path) -> None:
    """A text of 2,000 different characters, 300 held out: 105 windows of 16, each epoch's at another place."""
    spec = a_spec("char_lm", folder, text=str(folder / "places.txt"), tokens="characters", batch_size=15)
    workload = load(spec, CPU, folder)
    assert workload.facts.examples_per_epoch == (1700 - 16) // 16 == 105
    firsts = []
    for epoch in range(4):
        inputs, targets = (
            torch.cat(each) for each in zip(*(workload.batch(1, 7 * epoch + k) for k in range(7)), strict=True)
        )
        assert inputs.equal(inputs[:, :1] + torch.arange(16))
        assert targets.equal(inputs + 1)
        starts = sorted(inputs[:, 0].tolist())
        assert starts == list(range(starts[0], starts[0] + 105 * 16, 16))
        assert starts[0] < 16
        assert starts[-1] + 16 < 1700
        firsts.append(starts[0])
    assert len(set(firsts)) > 1
    seen = []
    for half in HALVES:
        watching = Watching(classes=2000)
        workload.evaluate(watching, half)
        seen.append(torch.cat(watching.seen).flatten().tolist())
    assert [(part[0], part[-1], len(part)) for part in seen] == [(k, k + 95, 96) for k in (1700, 1800, 1900)]


@pytest.mark.parametrize(("tokens", "most"), [("bytes", 6), ("characters", 15)])
def test_a_text_takes_four_bytes_a_token(tokens: str, most: int, tmp_path: Path) -> None:
    """Beside its content: numbers of eight bytes would double that, and more than one copy of them was made.

    Characters need room for the text's own four bytes each and for sorting them as well.
    """
    size = 1 << 20
    (tmp_path / "long.txt").write_bytes(b"abcdefg " * (size // 8))
    spec = WorkloadSpec("char_lm", {"text": str(tmp_path / "long.txt"), "tokens": tokens})
    load(spec, CPU, tmp_path)
    tracemalloc.start()
    workload = load(spec, CPU, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most * size
    assert (
        sorted(set(workload.batch(0, 0)[0].flatten().tolist()))
        == {
            "bytes": [32, *range(97, 104)],  # a blank, and a to g
            "characters": list(range(8)),
        }[tokens]
    )


def test_a_causal_model_does_not_look_ahead(folder: Path) -> None:
    """Another last token changes the last place's answer alone."""
    workload = load(a_spec("char_lm", folder), CPU, folder)
    model = workload.model(0)
    inputs = workload.batch(0, 0)[0][:1]
    other = inputs.clone()
    other[0, -1] = (other[0, -1] + 1) % 256
    first, second = model(inputs), model(other)
    assert first[:, :-1].equal(second[:, :-1])
    assert not first[:, -1].equal(second[:, -1])


def test_perplexity_is_the_exponential_of_the_loss(folder: Path) -> None:
    """A model that finds all 256 bytes equally likely: loss log 256, perplexity 256."""
    workload = load(a_spec("char_lm", folder), CPU, folder)
    found = workload.evaluate(Even(), "search")
    assert found["loss"] == pytest.approx(math.log(256))
    assert found["perplexity"] == pytest.approx(256, rel=1e-5)


class Even(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*inputs.shape, 256)


@pytest.mark.parametrize(("name", "shape"), [("mnist", (64, 1, 28, 28)), ("char_lm", (32, 64))])
def test_a_synthetic_workload_has_the_true_shapes(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """It needs no file at all, and says in its facts that nothing but the speed means anything."""
    workload = load(WorkloadSpec(name, {"synthetic": True}), CPU, tmp_path)
    assert workload.batch(0, 0)[0].shape == shape
    assert workload.facts.data_hash == "synthetic"
    assert workload.facts.settings["synthetic"] is True


@pytest.mark.parametrize(
    ("text", "tokens", "message"),
    [
        (b"too short", "bytes", r"a text of 9 tokens is too short for batches of 8 windows of 16\. Give a longer"),
        (b"\xff" * 3000, "characters", r"is not UTF-8 at byte 0\. Save it as UTF-8, or set tokens = \"bytes\"\."),
        (None, "bytes", r"cannot be read: No such file or directory\. Give the path of a text file"),
    ],
    ids=["short", "not UTF-8", "not there"],
)
def test_a_text_that_cannot_be_learned_is_refused(
    text: bytes | None, tokens: str, message: str, folder: Path, tmp_path: Path
) -> None:
    """With what to do about it."""
    if text is not None:
        (tmp_path / "text").write_bytes(text)
    with pytest.raises(InvalidInput, match=message):
        load(a_spec("char_lm", folder, text=str(tmp_path / "text"), tokens=tokens), CPU, folder)

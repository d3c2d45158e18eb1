"""The workload `digits`: real data, split for ever, everything random from the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads.base import Half, Workload, load
from lrsweep.workloads.catalog import facts_without_torch

CPU = torch.device("cpu")
HALVES: tuple[Half, ...] = ("search", "decide", "test")


@pytest.fixture(scope="module")
def digits() -> Workload:
    return load(WorkloadSpec("digits"), CPU)


def parameters(workload: Workload, seed: int) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in workload.model(seed).parameters()]


def test_the_facts_name_the_data_by_its_hash(digits: Workload) -> None:
    """Another release of scikit-learn with other pixels would be another meaning."""
    assert digits.facts.data_hash == "f6d9e39f37dc45d327f6db33428ee58970ccceabb2535a5c179de35886b70443"
    assert (digits.facts.batch_size, digits.facts.horizon) == (64, 600)


def test_an_epoch_shows_every_training_example_once(digits: Workload) -> None:
    """18 batches of 64 without replacement: any two epochs of any seeds hold the same 1,152 images."""
    first, other = images_of_epoch(digits, seed=7, epoch=0), images_of_epoch(digits, seed=8, epoch=3)
    assert len(first) == 1152
    assert first != other
    assert sorted(first) == sorted(other)


def images_of_epoch(digits: Workload, *, seed: int, epoch: int) -> list[list[float]]:
    batches = [digits.batch(seed, step)[0] for step in range(18 * epoch, 18 * epoch + 18)]
    images: list[list[float]] = torch.cat(batches).tolist()
    return images


def test_a_batch_is_a_function_of_seed_and_step_alone(digits: Workload) -> None:
    """Asked for in any order, again or for another seed in between, it is the same."""
    late, _ = digits.batch(7, 500)
    digits.batch(8, 0)
    digits.batch(7, 0)
    again, _ = digits.batch(7, 500)
    assert late.equal(again)
    assert not late.equal(digits.batch(8, 500)[0])


def test_weights_come_from_the_seed(digits: Workload) -> None:
    """The same seed gives the same bits, another seed others; they lie within 1/sqrt(64) = 0.125 of 0."""
    first, again, other = parameters(digits, 1), parameters(digits, 1), parameters(digits, 2)
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    assert not any(a.equal(b) for a, b in zip(first, other, strict=True))
    assert 0.12 < float(first[0].abs().max()) <= 0.125


def test_the_four_parts_of_the_data_do_not_overlap(digits: Workload) -> None:
    """1,152 training images and 3 times 215 others are together scikit-learn's 1,797, each as often as it is there."""
    parts = [images_of_epoch(digits, seed=0, epoch=0), *(images_shown(digits, half) for half in HALVES)]
    assert [len(images) for images in parts] == [1152, 215, 215, 215]
    every_image = (load_digits().data / 16).tolist()
    assert sorted(image for images in parts for image in images) == sorted(every_image)


def images_shown(workload: Workload, half: Half) -> list[list[float]]:
    """What a model is given to be evaluated on that half."""
    watching = Watching()
    workload.evaluate(watching, half)
    images: list[list[float]] = torch.cat(watching.seen).tolist()
    return images


class Watching(torch.nn.Module):
    """A model that keeps its inputs and calls everything a zero."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append(inputs)
        return torch.nn.functional.one_hot(torch.zeros(len(inputs), dtype=torch.long), 10).float()


def test_noise_changes_the_inputs_by_its_deviation() -> None:
    """Noise 0.1 on 4,096 pixels: the difference to the clean batch has mean 0 and deviation 0.1."""
    clean, noisy = load(WorkloadSpec("digits"), CPU), load(WorkloadSpec("digits", {"noise": 0.1}), CPU)
    difference = noisy.batch(3, 5)[0] - clean.batch(3, 5)[0]
    assert abs(float(difference.std()) - 0.1) < 0.01
    assert noisy.batch(3, 5)[0].equal(noisy.batch(3, 5)[0])
    assert not noisy.batch(3, 23)[0].equal(noisy.batch(3, 5)[0])


def test_the_cnn_takes_the_same_images(digits: Workload) -> None:
    """Two convolutions and a linear layer: 16·9+16 + 32·16·9+32 + 128·10+10 = 6,090 parameters."""
    cnn = load(WorkloadSpec("digits", {"model": "cnn"}), CPU)
    model = cnn.model(0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 6090
    assert model(cnn.batch(0, 0)[0]).shape == (64, 10)


@pytest.mark.parametrize(
    "spec",
    [
        WorkloadSpec("digits"),
        WorkloadSpec("digits", {"model": "cnn", "noise": 0.1, "batch_size": 100}),
        WorkloadSpec("logistic", {"table": "wine"}),
    ],
)
def test_what_it_says_of_itself_is_the_same_without_torch(spec: WorkloadSpec) -> None:
    """And a batch that no epoch fills is refused alike."""
    assert facts_without_torch(spec) == load(spec, CPU).facts
    too_large = replace(spec, settings={**spec.settings, "batch_size": 2000})
    for said in (lambda: facts_without_torch(too_large), lambda: load(too_large, CPU)):
        with pytest.raises(InvalidInput, match="batch_size 2000 is more than the"):
            said()

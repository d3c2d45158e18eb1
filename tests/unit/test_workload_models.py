"""The built-in networks have the sizes that their names promise, and their measures the values they have by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import precision_score, recall_score
from torch import nn
from torch.nn import functional

from lrsweep.workloads import labelled
from lrsweep.workloads.labelled import HeldOut
from lrsweep.workloads.mnist import cnn, mlp
from lrsweep.workloads.resnet import Subsampled, resnet18, resnet20


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (cnn, 21_840),  # 10·25 + 10, 20·10·25 + 20, 320·50 + 50, 50·10 + 10
        (mlp, 101_770),  # 784·128 + 128, 128·10 + 10
        (lambda: resnet20(10), 269_722),
        (lambda: resnet18(10), 11_173_962),
    ],
    ids=["cnn", "mlp", "resnet20", "resnet18"],
)
def test_a_network_has_as_many_parameters_as_is_known_of_it(make: Callable[[], nn.Module], parameters: int) -> None:
    """Those of the two residual networks are the published ones."""
    with torch.device("meta"):
        assert sum(each.numel() for each in make().parameters()) == parameters


@pytest.mark.parametrize("make", [resnet20, resnet18])
def test_a_residual_network_makes_a_step(make: Callable[[int], nn.Module]) -> None:
    """Two pictures forward and backward: every parameter has a gradient, and an answer for each class."""
    model = make(7)
    outputs = model(torch.randn(2, 3, 32, 32))
    assert outputs.shape == (2, 7)
    functional.cross_entropy(outputs, torch.tensor([0, 6])).backward()  # type: ignore[no-untyped-call]
    assert all(each.grad is not None and each.grad.isfinite().all() for each in model.parameters())


def test_a_shortcut_without_parameters_keeps_every_second_pixel() -> None:
    """One channel in the middle of three, with zeros on both sides."""
    [picture] = Subsampled(1, 3)(torch.arange(16.0).view(1, 1, 4, 4))
    assert picture.tolist() == [[[0, 0], [0, 0]], [[0, 2], [8, 10]], [[0, 0], [0, 0]]]


def test_measures_agree_with_scikit_learn_and_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 answers in chunks of 7 and all at once; one class is there and never said, its precision is 0."""
    generator = torch.Generator().manual_seed(1)
    answers = torch.randn(50, 4, generator=generator)
    answers[:, 3] = -10.0
    targets = torch.randint(0, 4, (50,), generator=generator)
    held_out = HeldOut({"test": (answers, targets)})
    whole = held_out.evaluate(nn.Identity(), "test")
    monkeypatch.setattr(labelled, "CHUNK", 7)
    assert held_out.evaluate(nn.Identity(), "test") == pytest.approx(whole, rel=1e-6)
    said = answers.argmax(dim=1)
    assert whole == pytest.approx(
        {
            "loss": functional.cross_entropy(answers, targets).item(),
            "acc": (said == targets).double().mean().item(),
            "recall": recall_score(targets, said, average="macro"),
            "precision": precision_score(targets, said, average="macro", zero_division=0),
        },
        rel=1e-6,
    )

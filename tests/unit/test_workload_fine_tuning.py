"""Beginning with a checkpoint, freezing parts, and layers with rates of their own."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsweep.errors import InvalidInput
from lrsweep.workloads.base import draw_weights, evaluating
from lrsweep.workloads.fine_tuning import FineTuning

CPU = torch.device("cpu")


def make(classes: int = 3) -> nn.Module:
    """Three layers, and things without parameters between them."""
    return nn.Sequential(
        OrderedDict(
            first=nn.Linear(4, 5),
            first_norm=nn.BatchNorm1d(5),
            relu=nn.ReLU(),
            head=nn.Linear(5, classes),
        )
    )


def begun(**settings: Any) -> tuple[FineTuning, nn.Module]:
    tuning = FineTuning(settings, make, CPU)
    return tuning, tuning.begin(draw_weights(make(), seed=1))


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A model's numbers after it has seen something, so that its statistics are no longer 0 and 1."""
    model = draw_weights(make(), seed=9)
    model(torch.arange(24.0).view(6, 4))
    return saved(model.state_dict(), tmp_path)


def saved(content: object, folder: Path) -> str:
    path = folder / "checkpoint.pt"
    torch.save(content, path)
    return str(path)


def test_a_model_begins_with_the_numbers_of_its_checkpoint(checkpoint: str) -> None:
    """All of them, BatchNorm's statistics too, whatever the seed; and the hash of the data knows of it."""
    tuning, model = begun(init=checkpoint)
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["first_norm.running_mean"].abs().max() > 0
    assert all(tensor.equal(stored[name]) for name, tensor in model.state_dict().items())
    assert tuning.data_hash("data") != "data"
    assert begun()[0].data_hash("data") == "data"


def test_a_training_does_not_change_the_next_ones_beginning(checkpoint: str) -> None:
    """The numbers are copied into each model."""
    tuning, model = begun(init=checkpoint)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    again = tuning.begin(make())
    assert again.state_dict()["first.weight"].equal(torch.load(checkpoint, weights_only=True)["first.weight"])


def test_a_head_of_another_size_is_left_out_only_when_that_is_said(tmp_path: Path) -> None:
    """Two classes there and three here: refused with what to set, and with it set the head is the seed's."""
    init = saved(draw_weights(make(classes=2), seed=9).state_dict(), tmp_path)
    with pytest.raises(InvalidInput) as raised:
        begun(init=init)
    assert str(raised.value) == (
        f"workload init: {init!r} does not fit; other shapes: head.weight is 2x5, here 3x5, head.bias is 2, here 3. "
        "To leave its head out, set new_head = true."
    )
    _, model = begun(init=init, new_head=True)
    state = model.state_dict()
    assert state["first.weight"].equal(torch.load(init, weights_only=True)["first.weight"])
    assert state["head.weight"].equal(draw_weights(make(), seed=1).state_dict()["head.weight"])


def test_names_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    """What is lacking and what is too much, both in one message."""
    state: dict[str, Tensor] = draw_weights(make(), seed=9).state_dict()
    state["module.first.weight"] = state.pop("first.weight")
    init = saved(state, tmp_path)
    with pytest.raises(InvalidInput) as raised:
        begun(init=init)
    assert str(raised.value) == (
        f"workload init: {init!r} does not fit; it lacks: first.weight; the model has no: module.first.weight. "
        "Wanted is this model's state_dict."
    )


class RunsCode:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def test_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that would touch a file is refused, and the file is not there."""
    monkeypatch.chdir(tmp_path)
    Path("bad.pt").write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(InvalidInput, match=r"'bad.pt' is no checkpoint that can be read safely"):
        begun(init="bad.pt")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}, "epoch": 3}, r"is not a state_dict: .* It holds model, epoch\. Save model.state_dict\(\) alone"),
        ([1, 2], r"is not a state_dict: tensors by their names\. Save"),
        (None, r"cannot be read: No such file or directory"),
    ],
    ids=["a dictionary of more", "a list", "nothing"],
)
def test_what_is_no_state_dict_is_refused(content: object, message: str, tmp_path: Path) -> None:
    """With what it is, and what to save."""
    path = str(tmp_path / "missing.pt") if content is None else saved(content, tmp_path)
    with pytest.raises(InvalidInput, match=message):
        begun(init=path)


def test_frozen_parts_stay_as_they_are(checkpoint: str) -> None:
    """No gradient and no group for them, and BatchNorm keeps its statistics through training and evaluation."""
    tuning, model = begun(init=checkpoint, freeze=["first", "first_norm"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    [group] = tuning.groups(model)
    assert [tuple(each.shape) for each in group.parameters] == [(3, 5), (3,)]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    model(torch.randn(6, 4)).sum().backward()
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert [name for name, each in model.named_parameters() if each.grad is not None] == ["head.weight", "head.bias"]


def test_one_parameter_can_be_frozen_by_its_name() -> None:
    """A name is matched whole or up to a point: "first.weight" leaves first.bias, and "fir" is nothing."""
    tuning, model = begun(freeze=["first.weight"])
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["first.weight"]
    assert begun(freeze=["first"])[1].get_parameter("first_norm.weight").requires_grad
    assert len(tuning.groups(model)[0].parameters) == 5
    with pytest.raises(InvalidInput) as raised:
        begun(freeze=["firs"])
    assert str(raised.value) == (
        "workload freeze: the model has no part 'firs'. Did you mean 'first'? Its layers: first, first_norm, head."
    )


def test_layers_keep_rates_of_their_own() -> None:
    """With a decay of 1/2 the layers have 1/4, 1/2 and 1; the head ten times more with a head rate of 10."""
    tuning, model = begun(layer_decay=0.5)
    assert [(group.name, group.rate) for group in tuning.groups(model)] == [
        ("first", 0.25),
        ("first_norm", 0.5),
        ("head", 1.0),
    ]
    tuning, model = begun(layer_decay=0.5, head_rate=10.0, freeze=["first_norm"])
    groups = tuning.groups(model)
    assert [(group.name, group.rate) for group in groups] == [("first", 0.25), ("head", 10.0)]
    assert [id(each) for group in groups for each in group.parameters] == [
        id(each) for each in model.parameters() if each.requires_grad
    ]


def test_what_cannot_be_meant_is_refused() -> None:
    """A new head without a checkpoint, and a model of which nothing is trained."""
    with pytest.raises(InvalidInput, match="new_head: there is no init"):
        begun(new_head=True)
    with pytest.raises(InvalidInput, match="nothing of the model is left to train"):
        begun(freeze=["first", "first_norm", "head"])

"""How a model begins when its weights do not all come from the seed, and at which rates its layers go.

The settings ``init``, ``new_head``, ``freeze``, ``layer_decay`` and ``head_rate`` of the built-in workloads. A layer is
a child of the model that has parameters, in the order in which it is written, and the last one is the head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json
from lrsweep.workloads.base import ParamGroup

SHOWN = 8
"""Names in a message; a checkpoint of another network differs in hundreds."""


class FineTuning:
    """Everything that can be wrong is found when it is made, on a model without numbers. Raises InvalidInput."""

    def __init__(self, settings: Mapping[str, Json], make: Callable[[], nn.Module], device: torch.device) -> None:
        self._freeze: list[str] = list(settings.get("freeze", []))
        self._layer_decay: float = settings.get("layer_decay", 1.0)
        self._head_rate: float = settings.get("head_rate", 1.0)
        with torch.device("meta"):
            blank = make()
        self._layers = [name for name, child in blank.named_children() if any(True for _ in child.parameters())]
        self._check_freeze(blank)
        self._weights: dict[str, Tensor] = {}
        self._hash = ""
        init, new_head = settings.get("init"), settings.get("new_head", False)
        if init is not None:
            content, self._hash = _read(Path(init).expanduser())
            self._weights = self._fitting(content, blank, init, new_head, device)
        elif new_head:
            raise InvalidInput("workload new_head: there is no init whose head could be left out. Give one.")

    def data_hash(self, data: str) -> str:
        """The hash of the data, and of the checkpoint where there is one."""
        return hashlib.sha256(f"{data} {self._hash}".encode()).hexdigest() if self._hash else data

    def begin(self, model: nn.Module) -> nn.Module:
        """Puts the checkpoint's numbers in; what is frozen takes no gradients and stays in evaluation mode."""
        model.load_state_dict(self._weights, strict=False)  # compared with the model when they were read
        for name, module in model.named_modules():
            if self._is_frozen(name):
                module.eval()
        for name, parameter in model.named_parameters():
            if self._is_frozen(name):
                parameter.requires_grad_(False)
        return model

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        """One group, or where layers have rates of their own one for each that is not frozen."""
        if self._layer_decay == 1.0 and self._head_rate == 1.0:
            return [ParamGroup("all", [each for each in model.parameters() if each.requires_grad])]
        children = dict(model.named_children())
        groups = []
        for above, name in enumerate(reversed(self._layers)):
            rate = self._layer_decay**above if above else self._head_rate
            trained = [each for each in children[name].parameters() if each.requires_grad]
            if trained:
                groups.append(ParamGroup(name, trained, rate))
        return groups[::-1]

    def _is_frozen(self, name: str) -> bool:
        return any(name == part or name.startswith(f"{part}.") for part in self._freeze)

    def _check_freeze(self, blank: nn.Module) -> None:
        there = {name for name, _ in blank.named_modules()} | {name for name, _ in blank.named_parameters()}
        unknown = [name for name in self._freeze if name not in there or not name]
        if unknown:
            guess = did_you_mean(unknown[0], there)
            raise InvalidInput(
                f"workload freeze: the model has no part {unknown[0]!r}.{guess} Its layers: {', '.join(self._layers)}."
            )
        if all(self._is_frozen(name) for name, _ in blank.named_parameters()):
            raise InvalidInput("workload freeze: nothing of the model is left to train. Take a part out.")

    def _fitting(
        self, content: Mapping[str, Tensor], blank: nn.Module, init: str, new_head: bool, device: torch.device
    ) -> dict[str, Tensor]:
        head = f"{self._layers[-1]}."
        wanted = {
            name: tensor for name, tensor in blank.state_dict().items() if not (new_head and name.startswith(head))
        }
        given = {name: tensor for name, tensor in content.items() if not (new_head and name.startswith(head))}
        shapes = [
            f"{name} is {_shape(given[name])}, here {_shape(tensor)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ]
        problems = [
            f"{what}: {_shown(names)}"
            for what, names in (
                ("it lacks", [name for name in wanted if name not in given]),
                ("the model has no", [name for name in given if name not in wanted]),
                ("other shapes", shapes),
            )
            if names
        ]
        if problems:
            only_head = all(each.startswith(head) for each in shapes) and len(problems) == 1 and shapes
            advice = (
                "To leave its head out, set new_head = true." if only_head else "Wanted is this model's state_dict."
            )
            raise InvalidInput(f"workload init: {init!r} does not fit; {'; '.join(problems)}. {advice}")
        return {name: tensor.to(device) for name, tensor in given.items()}


def _read(path: Path) -> tuple[dict[str, Tensor], str]:
    """A state_dict and the SHA-256 of its file."""
    try:
        hashed = hashlib.sha256(path.read_bytes()).hexdigest()
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInput(f"workload init: {str(path)!r} cannot be read: {error.strerror}.") from error
    except Exception as error:  # of pickle, zip files and torch: there is no list of them
        raise InvalidInput(
            f"workload init: {str(path)!r} is no checkpoint that can be read safely ({type(error).__name__}). Wanted "
            "is what torch.save(model.state_dict(), path) writes: tensors by their names, and nothing else."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(each, Tensor) for each in content.values()):
        inside = f" It holds {_shown([str(key) for key in content])}." if isinstance(content, dict) else ""
        raise InvalidInput(
            f"workload init: {str(path)!r} is not a state_dict: tensors by their names.{inside} "
            "Save model.state_dict() alone."
        )
    return content, hashed


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

"""How a model lies in a row of numbers: its trained parameters side by side, in the order of the optimizer.

    theta[slot]  =  weight of layer 1 | bias of layer 1 | weight of layer 2 | …

What is not trained, and the buffers, lie beside it: one tensor by name, with a row for each slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lrsweep.errors import InvalidInput
from lrsweep.workloads.base import ParamGroup


@dataclass(frozen=True, eq=False)
class Layout:
    names: tuple[str, ...]
    """of the trained parameters, in the order in which the sequential engine's optimizer has them"""
    shapes: tuple[torch.Size, ...]
    scale: Tensor | None
    """what the schedule's rate is multiplied by, for each number of a row; None: by 1 everywhere"""
    frozen: tuple[str, ...]
    """parameters that are in no group"""
    buffers: tuple[str, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, model: nn.Module, groups: Sequence[ParamGroup]) -> Layout:
        """Of a model after ``trained_groups``. Raises InvalidInput where its numbers cannot lie in one row."""
        known = {id(parameter): name for name, parameter in model.named_parameters()}
        trained = [(known[id(parameter)], parameter, group.rate) for group in groups for parameter in group.parameters]
        names = tuple(name for name, _, _ in trained)
        dtypes = {parameter.dtype for _, parameter, _ in trained}
        if len(dtypes) > 1:
            raise InvalidInput(f"the model trains parameters of several types: {', '.join(sorted(map(str, dtypes)))}")
        scales = [rate for _, _, rate in trained]
        counts = torch.tensor([parameter.numel() for _, parameter, _ in trained])
        [dtype], first = dtypes, trained[0][1]
        scale = None
        if any(rate != 1.0 for rate in scales):
            scale = torch.repeat_interleave(torch.tensor(scales, dtype=torch.float64), counts).to(first.device, dtype)
        return cls(
            names=names,
            shapes=tuple(parameter.shape for _, parameter, _ in trained),
            scale=scale,
            frozen=tuple(name for name, _ in model.named_parameters() if name not in names),
            buffers=tuple(name for name, _ in model.named_buffers()),
            dtype=dtype,
            device=first.device,
        )

    @property
    def sizes(self) -> list[int]:
        return [shape.numel() for shape in self.shapes]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(self.sizes)

    def split(self, rows: Tensor) -> dict[str, Tensor]:
        """``[K, width]`` as the parameters by name, ``[K, *shape]`` each: views."""
        parts = torch.split(rows, self.sizes, dim=1)
        return {
            name: part.view(len(rows), *shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def pieces(self, row: Tensor) -> list[Tensor]:
        """``[width]`` as the parameters in their order: views."""
        return [part.view(shape) for part, shape in zip(torch.split(row, self.sizes), self.shapes, strict=True)]

    def joined(self, pieces: Sequence[Tensor]) -> Tensor:
        """The parameters in their order as one row: the opposite of ``pieces``."""
        return torch.cat([piece.detach().reshape(-1).to(self.device, self.dtype) for piece in pieces])

    def row(self, model: nn.Module) -> Tensor:
        parameters: Mapping[str, Tensor] = dict(model.named_parameters())
        return self.joined([parameters[name] for name in self.names])

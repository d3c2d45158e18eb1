"""The numbers of K trainings, a row of each tensor for each slot, and one update of all of them.

What happens in one row depends on nothing in the others, and a row that is not active keeps every bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrsweep.engines import examples
from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.fused.program import Program
from lrsweep.engines.fused.updates import Updates, clip
from lrsweep.engines.optimizers import trained_groups
from lrsweep.records import EngineSettings, Floats, Losses, OptimizerSpec
from lrsweep.workloads.base import Forward, Half, Workload, evaluating
from lrsweep.workloads.draw import uploaded
from lrsweep.workloads.dropout import Dropout, clocked

EVALUATED_AT_ONCE = 4
"""Models, or all where there are fewer slots. Always as many, so that the bits of one do not depend on how many others
are due at that step; few, because a group that is not full costs nearly what a full one does."""


class Bank:
    def __init__(self, workload: Workload, settings: EngineSettings, slots: int) -> None:
        """Raises InvalidInput where the model's numbers cannot lie in rows."""
        self._workload = workload
        self._settings = settings
        self.slots = slots
        self._model = model = workload.model(0)
        groups = workload.groups(model)
        trained_groups(model, groups, tensor_rates=False)
        self._dropouts: Sequence[Dropout] = clocked(model)
        self.layout = layout = Layout.of(model, groups)
        self._theta = torch.zeros(slots, layout.width, dtype=layout.dtype, device=layout.device)
        named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._pieces: dict[int, list[Tensor]] = {}
        """views of a slot's parameters, kept because to make them takes longer than to write into them"""
        self._frozen = {name: _rows(named[name], slots) for name in layout.frozen}
        self._buffers = {name: _rows(named[name], slots) for name in layout.buffers}
        self._updates = Updates(slots, layout)
        self._program = Program(model, workload.loss, layout, settings)

    @property
    def program(self) -> Program:
        return self._program

    # ── one training ─────────────────────────────────────────────────────────────────────────────────────────────────

    def put(
        self, slot: int, seed: int, model: nn.Module, optimizer: OptimizerSpec, state: Mapping[int, Any], steps: int
    ) -> None:
        """A training begins in the slot, or goes on after ``steps`` updates with what PyTorch's optimizer held then."""
        with torch.no_grad():
            named: dict[str, Tensor] = dict(model.named_parameters())
            if slot not in self._pieces:
                self._pieces[slot] = self.layout.pieces(self._theta[slot])
            torch._foreach_copy_(self._pieces[slot], [named[name] for name in self.layout.names])
            if self._frozen or self._buffers:
                named |= dict(model.named_buffers())
                for name, rows in (*self._frozen.items(), *self._buffers.items()):
                    rows[slot].copy_(named[name])
            for each in self._clocks("seed"):
                each[slot] = seed
        self._updates.put(slot, optimizer, state, steps)

    def model_of(self, slot: int) -> nn.Module:
        """The slot's model, until the next call."""
        named = {**dict(self._model.named_parameters()), **dict(self._model.named_buffers())}
        with torch.no_grad():
            for name, piece in zip(self.layout.names, self.layout.pieces(self._theta[slot]), strict=True):
                named[name].copy_(piece)
            for name, rows in (*self._frozen.items(), *self._buffers.items()):
                named[name].copy_(rows[slot])
        return self._model

    def optimizer_of(self, slot: int) -> dict[int, dict[str, Tensor]]:
        """As PyTorch's optimizer has it in its ``state_dict``."""
        return self._updates.state_of(slot)

    # ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        rates: Floats,
        momenta: Floats | None,
        steps: NDArray[np.int64],
        active: NDArray[np.bool_],
    ) -> Tensor:
        """One update of the active slots; the losses ``[K]`` before it, which in the others mean nothing."""
        if clocks := self._clocks("step"):
            now = uploaded(steps, self.layout.device)
            for each in clocks:
                each.copy_(now)
        losses, gradients, after = self._program(self._theta, self._frozen, self._buffers, inputs, targets)
        if self._settings.clip_norm is not None:
            clip(gradients, self._settings.clip_norm)
        self._updates.apply(self._theta, gradients, rates, momenta, active)
        self._keep(after, active)
        return losses

    def evaluate(self, slots: Sequence[int], half: Half) -> list[dict[str, float]] | None:
        """The metrics of these slots' models; None where the workload evaluates one model after the other."""
        found: list[dict[str, float]] = []
        with evaluating(self._model):
            for _, forward in self._forwards(slots):
                metrics = self._workload.evaluate_many(forward, half)
                if metrics is None:
                    return None
                found += metrics
        return found

    def losses_of_examples(self, decided: Mapping[int, float], *, together: bool) -> dict[int, Losses | None]:
        """Of the slots whose loss on the *decide* half is given."""
        if not together:
            return {
                slot: examples.of_model(self._workload, self.model_of(slot), loss) for slot, loss in decided.items()
            }
        found: dict[int, Losses | None] = {}
        with evaluating(self._model):
            for group, forward in self._forwards(list(decided)):
                losses = examples.of_models(self._workload, forward, [decided[slot] for slot in group])
                found |= zip(group, losses, strict=True)
        return found

    def _forwards(self, slots: Sequence[int]) -> Iterator[tuple[Sequence[int], Forward]]:
        """The slots in groups, each with what takes inputs to what the group's models say of them."""
        at_once = min(self.slots, EVALUATED_AT_ONCE)
        for begin in range(0, len(slots), at_once):
            group = list(slots[begin : begin + at_once])
            rows = uploaded(np.array(group + group[:1] * (at_once - len(group))), self.layout.device)
            others = {name: each[rows] for name, each in (*self._frozen.items(), *self._buffers.items())}
            yield group, self._program.outputs(self._theta[rows], others, wanted=len(group))

    def _keep(self, after: Mapping[str, Tensor], active: NDArray[np.bool_]) -> None:
        if active.all():
            self._buffers.update(after)
        elif after:
            mask = torch.from_numpy(active).to(self.layout.device, non_blocking=True)
            for name, new in after.items():
                rows = mask.view(-1, *(1,) * (new.dim() - 1))
                self._buffers[name] = torch.where(rows, new, self._buffers[name])

    def _clocks(self, name: str) -> list[Tensor]:
        """``seed`` or ``step`` of the modules that draw."""
        return [self._buffers[each.buffer(name)] for each in self._dropouts]


def _rows(tensor: Tensor, slots: int) -> Tensor:
    return tensor.detach().expand(slots, *tensor.shape).clone()

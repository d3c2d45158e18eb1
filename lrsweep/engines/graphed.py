"""A whole update as one CUDA graph: recorded once, then replayed, so that a small model's launches cost nothing.

The first updates run as they always do, on a stream of their own: PyTorch makes gradients, buffers and handles there,
which a recording cannot. They are updates of the training like all others, so nothing has to be put back, and the curve
is the one without a graph, but for rates in float32.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from lrsweep.engines.memory import chain
from lrsweep.errors import InvalidInput
from lrsweep.records import TrainingPlan

Update = Callable[[Tensor, Tensor], Tensor]

EAGER_UPDATES = 3
"""PyTorch's own advice; more than the one in which an optimizer makes its buffers."""


def why_not(plan: TrainingPlan, device: torch.device) -> str | None:
    """The reason why no graph can be recorded of the plan's updates; None where one can."""
    if device.type != "cuda":
        return f"graphs = true needs a CUDA device, and this training is on {device}: leave it out of [study.engine]"
    if plan.schedule.momenta(plan.horizon) is not None:
        return (
            "graphs = true with a schedule that cycles the momentum: a graph repeats the momentum that it recorded. "
            "Leave graphs out of [study.engine], or set cycle_momentum = false"
        )
    return None


class Graphed:
    """``update`` with the same meaning, for inputs of one shape. Rates that change must be tensors."""

    def __init__(self, update: Update) -> None:
        self._update = update
        self._eager_left = EAGER_UPDATES
        self._stream = first_updates_stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs = self._targets = self._loss = torch.empty(0)
        """what the graph reads and writes, by address"""

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of the update, which the next one overwrites."""
        if self._eager_left:
            self._eager_left -= 1
            return self._on_its_own_stream(inputs, targets)
        if self._graph is None:
            self._record(inputs, targets)
            assert self._graph is not None
        if inputs.shape != self._inputs.shape or targets.shape != self._targets.shape:
            raise InvalidInput(
                f"graphs = true needs batches of one shape, and after {tuple(self._inputs.shape)} came "
                f"{tuple(inputs.shape)}: leave graphs out of [study.engine], or drop the part batch"
            )
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._graph.replay()
        return self._loss

    def _on_its_own_stream(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            loss = self._update(inputs, targets)
        torch.cuda.current_stream().wait_stream(self._stream)
        return loss

    def _record(self, inputs: Tensor, targets: Tensor) -> None:
        """Runs nothing."""
        self._inputs, self._targets = inputs.clone(), targets.clone()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._loss = self._update(self._inputs, self._targets)
        except Exception as error:
            first = chain(error)[-1]  # the end of a broken recording fails as well, and says less
            reason = str(first).partition("\n")[0]
            raise InvalidInput(
                f"graphs = true, and an update of this training cannot be recorded ({type(first).__name__}: {reason}): "
                "leave graphs out of [study.engine]"
            ) from error
        self._graph = graph


@functools.cache
def first_updates_stream() -> torch.cuda.Stream:
    """One for all trainings of a process: PyTorch keeps the memory that was freed on a stream for this stream alone."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]

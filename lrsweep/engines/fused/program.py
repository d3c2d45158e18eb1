"""Loss and gradients of K models at once, as one list of operators.

A model is written for one training. ``vmap`` makes of it a function of K rows, and autograd its gradients; both cost
more at each step than a small model's numbers do. So they run once, while ``make_fx`` writes down the operators that
they come to, and from then on only those run. The bits are the same. Microseconds per training and update (the MLP of
``digits``, one thread, torch 2.15):

                     K = 4     16     64
    sequential        1101   1101   1101
    vmap               980    386    183
    traced             726    310    164
    and compiled       215    131    112    after 7 to 18 s, and with a compiler for C++
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.memory import shortage
from lrsweep.records import EngineSettings

Named = Mapping[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Stepped = tuple[Tensor, Tensor, dict[str, Tensor]]
"""Losses ``[K]``, gradients ``[K, width]``, and the buffers after the forward pass."""


class Program:
    """Traced at its first call, and again only for batches of another shape."""

    def __init__(self, model: nn.Module, loss: Loss, layout: Layout, settings: EngineSettings) -> None:
        """Of ``model`` the numbers do not matter; its modules stay in the mode they are in."""
        self._model = model
        self._loss = loss
        self._layout = layout
        self._settings = settings
        self._traced: dict[object, Callable[..., Stepped]] = {}
        self._evaluations: dict[object, Callable[..., Tensor]] = {}

    @property
    def traces(self) -> int:
        return len(self._traced)

    def knows(self, inputs: Tensor, targets: Tensor) -> bool:
        """Whether a call with these is only computation; a first one may take a while."""
        return _shape(inputs, targets) in self._traced

    def __call__(self, theta: Tensor, frozen: Named, buffers: Named, inputs: Tensor, targets: Tensor) -> Stepped:
        shape = _shape(inputs, targets)
        given = theta, frozen, buffers, inputs, targets
        if shape not in self._traced:

            def stepped(theta: Tensor, frozen: Named, buffers: Named, inputs: Tensor, targets: Tensor) -> Stepped:
                return self._stepped(theta, frozen, buffers, inputs, targets)  # make_fx counts: no bound method

            result: Stepped
            traced, result = _first_call(stepped, self._layout.device, *given)
            if not self._settings.compile:
                self._traced[shape] = traced
                return result
            self._traced[shape] = torch.compile(traced, dynamic=False)
        with torch.no_grad():
            return self._traced[shape](*given)

    def outputs(self, theta: Tensor, others: Named, *, wanted: int) -> Callable[[Tensor], Tensor]:
        """From inputs that all models share to the outputs of the first ``wanted``: what an evaluation asks for. The
        modules are in evaluation mode meanwhile."""

        def one(parameters: Named, others: Named, inputs: Tensor) -> Tensor:
            outputs: Tensor = functional_call(self._model, {**parameters, **others}, (inputs,))
            return outputs

        def many(theta: Tensor, others: Named, inputs: Tensor) -> Tensor:
            outputs: Tensor = vmap(one, in_dims=(0, 0, None))(self._layout.split(theta), others, inputs)
            return outputs

        def forward(inputs: Tensor) -> Tensor:
            outputs: Tensor
            shape = len(theta), inputs.shape, inputs.dtype
            if shape not in self._evaluations:
                self._evaluations[shape], outputs = _first_call(many, self._layout.device, theta, others, inputs)
            else:
                outputs = self._evaluations[shape](theta, others, inputs)
            return outputs[:wanted]

        return forward

    def _stepped(self, theta: Tensor, frozen: Named, buffers: Named, inputs: Tensor, targets: Tensor) -> Stepped:
        after = {name: buffer.clone() for name, buffer in buffers.items()}  # BatchNorm writes into them

        def one(parameters: Named, frozen: Named, after: Named, inputs: Tensor, targets: Tensor) -> Tensor:
            outputs = functional_call(self._model, {**parameters, **frozen, **after}, (inputs,))
            return self._loss(outputs, targets)

        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = vmap(one)(self._layout.split(leaf), frozen, after, inputs, targets)
            # one model's loss depends on no other's numbers, so the gradient of the sum is each one's own
            [gradients] = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradients, after


def _first_call(function: Callable[..., Any], device: torch.device, *given: object) -> tuple[Callable[..., Any], Any]:
    """The function traced, and what it gives. By tensors without numbers where that works: then nothing is allocated,
    and memory can only run out in the call. It does not for every model, BatchNorm1d over transposed sequences for one.
    What runs out of memory amid a tracing by numbers is never freed (torch 2.15)."""
    try:
        traced = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*given)
        for node in traced.graph.nodes:
            node.meta.clear()  # a tensor for every result
        with torch.no_grad():
            return traced, traced(*given)
    except Exception as error:
        if shortage(error, device):
            raise
    traced = make_fx(function)(*given)
    with torch.no_grad():
        return traced, traced(*given)


def _shape(inputs: Tensor, targets: Tensor) -> object:
    return inputs.shape, inputs.dtype, targets.shape, targets.dtype

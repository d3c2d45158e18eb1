"""Many trainings at once inside one CUDA graph, all at the same step: what the backends of a GPU are chosen by.

BRANCHES   each training keeps its own model and optimizer, and their updates are branches of the graph
CAPTURED   the fused engine's program and a plain update of its rows as one graph

They do less than an engine has to: all begin and end together, and nothing is refilled on the way. So they say how fast
such a backend could be.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lrsweep.engines import graphed
from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.fused.program import Program
from lrsweep.engines.optimizers import trained_groups
from lrsweep.engines.sequential import evaluation_steps
from lrsweep.records import EVALUATIONS_PER_TRAINING, EngineSettings, OptimizerSpec
from lrsweep.schedules import schedule
from tests.benchmarks.engines.fused import shares
from tests.benchmarks.engines.loops import Clock, Counted, Recorded, synchronize
from tests.benchmarks.engines.problem import RECIPES, Opened
from tests.benchmarks.engines.rungs import CannotRun


class Batch(Protocol):
    """K models whose common update can be repeated by one call."""

    def update(self, inputs: Tensor, targets: Tensor, rates: Tensor) -> None:
        """Inputs, targets and rates ``[K, …]``."""

    def evaluate(self) -> None: ...

    def reset(self, seeds: Sequence[int]) -> None: ...


class Lockstep:
    def __init__(
        self,
        opened: Opened,
        recipes: Sequence[str],
        slots: int,
        first_seed: int,
        made: Callable[[Opened, Sequence[OptimizerSpec]], Batch],
    ) -> None:
        self._opened = opened
        self._slots = slots
        self._seeds = itertools.count(first_seed, slots)
        kinds = [RECIPES[name] for name in shares(recipes, slots)]
        self._peaks = [peak_lr for _, peak_lr in kinds]
        self._batch = made(opened, [optimizer for optimizer, _ in kinds])
        self._feed = opened.workload.feed()
        self._horizon = 0

    def begin(self, horizon: int) -> None:
        self._horizon = horizon
        self._train(Clock(updates=2))
        self._batch.evaluate()
        synchronize(self._opened.device)

    def run(self, seconds: float) -> Counted:
        clock = Clock(seconds)
        while not self._train(clock):
            pass
        counted = clock.counted(self._opened.device)
        return Counted(counted.updates * self._slots, counted.seconds)

    def _train(self, clock: Clock) -> bool:
        """K trainings, until their end (False) or until the clock says so (True)."""
        first = next(self._seeds)
        seeds = list(range(first, first + self._slots))
        self._batch.reset(seeds)
        device = self._opened.device
        factors = torch.from_numpy(schedule("cosine").rates(self._horizon, 1.0)).float().to(device)
        rates = torch.outer(factors, torch.tensor(self._peaks, device=device))
        points = set(evaluation_steps(self._horizon, min(EVALUATIONS_PER_TRAINING, self._horizon)))
        for step in range(self._horizon):
            inputs, targets = self._feed(seeds, [step] * self._slots)
            self._batch.update(inputs, targets, rates[step])
            if step + 1 in points:
                self._batch.evaluate()
            if clock.is_over():
                return True
        return False


class Branches:
    """One graph that forks into K streams, each with the update of one model, and joins again."""

    def __init__(self, opened: Opened, optimizers: Sequence[OptimizerSpec]) -> None:
        if opened.device.type != "cuda":
            raise CannotRun("a CUDA graph needs a GPU")
        self._workload = opened.workload
        self._models = [Recorded(opened, optimizer, alone=False) for optimizer in optimizers]
        streams = [torch.cuda.Stream(opened.device) for _ in optimizers]  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            root = torch.cuda.current_stream()
            for stream, model in zip(streams, self._models, strict=True):
                stream.wait_stream(root)
                with torch.cuda.stream(stream):
                    model.update()
            for stream in streams:
                root.wait_stream(stream)

    def update(self, inputs: Tensor, targets: Tensor, rates: Tensor) -> None:
        torch._foreach_copy_([model.inputs for model in self._models], list(inputs))
        torch._foreach_copy_([model.targets for model in self._models], list(targets))
        torch._foreach_copy_([model.rate for model in self._models], list(rates))
        self._graph.replay()

    def evaluate(self) -> None:
        for model in self._models:
            self._workload.evaluate(model.model, "search")

    def reset(self, seeds: Sequence[int]) -> None:
        for model, seed in zip(self._models, seeds, strict=True):
            model.reset(seed)


class Rows:
    """The fused engine's layout and program, with an update of its own: momentum for SGD's rows, AdamW for the others.

    Without a GPU it does the same, but for the graph.
    """

    def __init__(self, opened: Opened, optimizers: Sequence[OptimizerSpec]) -> None:
        self._workload = workload = opened.workload
        self._model = model = workload.model(0)
        groups = workload.groups(model)
        trained_groups(model, groups, tensor_rates=False)
        self._layout = layout = Layout.of(model, groups)
        self._program = Program(model, workload.loss, layout, EngineSettings())
        self._slots = slots = len(optimizers)
        self._sgd = sum(optimizer.name == "sgd" for optimizer in optimizers)
        """rows, which come first"""
        named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._others = {
            name: named[name].detach().expand(slots, *named[name].shape).clone()
            for name in (*layout.frozen, *layout.buffers)
        }
        zeros = torch.zeros(slots, layout.width, dtype=layout.dtype, device=layout.device)
        self.theta, self._first, self._second = zeros, zeros.clone(), zeros.clone()
        self._clock = torch.zeros((), device=layout.device)
        self._settings = optimizers[0].settings, optimizers[-1].settings
        feed = workload.feed()
        self._inputs, self._targets = (each.clone() for each in feed(list(range(slots)), [0] * slots))
        self._rates = torch.zeros(slots, 1, device=layout.device)
        self.losses = torch.empty(slots)
        self._graph: torch.cuda.CUDAGraph | None = None
        if opened.device.type == "cuda":
            self._graph = self._recorded()

    def _recorded(self) -> torch.cuda.CUDAGraph:
        stream = graphed.first_updates_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(graphed.EAGER_UPDATES):
                self._update()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._update()
        return graph

    def update(self, inputs: Tensor, targets: Tensor, rates: Tensor) -> None:
        self._inputs.copy_(inputs)
        self._targets.copy_(targets)
        self._rates.copy_(rates.unsqueeze(1))
        if self._graph is not None:
            self._graph.replay()
        else:
            self._update()

    @torch.no_grad()
    def _update(self) -> None:
        frozen, buffers = self._named(self._layout.frozen), self._named(self._layout.buffers)
        self.losses, gradients, after = self._program(self.theta, frozen, buffers, self._inputs, self._targets)
        for name, new in after.items():
            self._others[name].copy_(new)
        self._clock += 1
        end = self._sgd
        if end:
            momentum = self._first[:end].mul_(self._settings[0]["momentum"]).add_(gradients[:end])
            self.theta[:end].sub_(self._rates[:end] * momentum)
        if end < self._slots:
            beta1, beta2, eps, decay = (self._settings[1][name] for name in ("beta1", "beta2", "eps", "weight_decay"))
            rates, rest = self._rates[end:], gradients[end:]
            first = self._first[end:].lerp_(rest, 1 - beta1)
            second = self._second[end:].mul_(beta2).addcmul_(rest, rest, value=1 - beta2)
            root = (second / (1 - beta2**self._clock)).sqrt_().add_(eps)
            self.theta[end:].mul_(1 - rates * decay).sub_(rates / (1 - beta1**self._clock) * first / root)

    def evaluate(self) -> None:
        others = self._others
        self._model.eval()
        if (
            self._workload.evaluate_many(self._program.outputs(self.theta, others, wanted=len(self.theta)), "search")
            is None
        ):
            raise CannotRun("the workload evaluates one model after the other")
        self._model.train()

    @torch.no_grad()
    def reset(self, seeds: Sequence[int]) -> None:
        for slot, seed in enumerate(seeds):
            model = self._workload.model(seed)
            named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            self.theta[slot] = self._layout.row(model)
            for name, rows in self._others.items():
                rows[slot].copy_(named[name])
        for each in (self._first, self._second, self._clock):
            each.zero_()

    def _named(self, names: Sequence[str]) -> dict[str, Tensor]:
        return {name: self._others[name] for name in names}

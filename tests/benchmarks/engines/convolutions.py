"""The convolution of K models with weights of their own, forward and backward: three ways to compute it.

grouped   one convolution with K groups: what ``vmap`` makes of it
unfolded  the windows as a matrix, and one batched product of matrices
loop      one convolution after the other
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lrsweep.engines.memory import shortage
from tests.benchmarks.engines.loops import synchronize
from tests.benchmarks.sweep.figures import spread

Convolve = Callable[[Tensor, Tensor, int], Tensor]
"""From inputs ``[K, B, C, H, W]``, weights ``[K, O, C, k, k]`` and a padding to outputs ``[K, B, O, H', W']``."""


@dataclass(frozen=True)
class Shape:
    name: str
    batch: int
    inputs: int
    outputs: int
    size: int
    window: int
    padding: int


SHAPES = (
    Shape("mnist conv1", 100, 1, 10, 28, 5, 0),
    Shape("mnist conv2", 100, 10, 20, 12, 5, 0),
    Shape("resnet20 stage 1", 128, 16, 16, 32, 3, 1),
    Shape("resnet20 stage 2", 128, 32, 32, 16, 3, 1),
    Shape("resnet20 stage 3", 128, 64, 64, 8, 3, 1),
)
PRECISIONS = ("float32", "tf32", "bfloat16")
LAYOUTS = ("NCHW", "NHWC")
REPEATS = 10
SHORTEST = 0.01
"""Seconds that the repeats of one round take at least."""


def grouped(inputs: Tensor, weights: Tensor, padding: int) -> Tensor:
    slots, batch = inputs.shape[:2]
    side = inputs.transpose(0, 1).flatten(1, 2)
    if _is_nhwc(inputs):
        side = side.contiguous(memory_format=torch.channels_last)
    outputs = functional.conv2d(side, weights.flatten(0, 1), padding=padding, groups=slots)
    return outputs.view(batch, slots, -1, *outputs.shape[2:]).transpose(0, 1)


def unfolded(inputs: Tensor, weights: Tensor, padding: int) -> Tensor:
    slots, batch, _, height, width = inputs.shape
    window = weights.shape[-1]
    windows = functional.unfold(inputs.flatten(0, 1), window, padding=padding)  # [K * B, C * k * k, places]
    columns = windows.view(slots, batch, windows.shape[1], -1).transpose(1, 2).flatten(2)  # [K, C * k * k, B * places]
    outputs = torch.bmm(weights.flatten(2), columns)
    rows, cols = (each + 2 * padding - window + 1 for each in (height, width))
    return outputs.view(slots, -1, batch, rows, cols).transpose(1, 2)


def loop(inputs: Tensor, weights: Tensor, padding: int) -> Tensor:
    pairs = zip(inputs, weights, strict=True)
    return torch.stack([functional.conv2d(each, weight, padding=padding) for each, weight in pairs])


WAYS: dict[str, Convolve] = {"grouped": grouped, "unfolded": unfolded, "loop": loop}


def measure(device: torch.device, slots: Sequence[int], *, quick: bool, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of a forward and backward pass per model; on a CPU in float32 alone."""
    precisions = PRECISIONS if device.type == "cuda" else PRECISIONS[:1]
    found = []
    for shape, precision, layout, count in itertools.product(
        SHAPES[:2] if quick else SHAPES, precisions, LAYOUTS, slots
    ):
        with _precision(precision):
            row: dict[str, Any] = {"shape": shape.name, "precision": precision, "layout": layout, "slots": count}
            row |= _beside(_tensors(shape, count, precision, layout, device), shape.padding, rounds)
        found.append(row)
    return found


def _beside(tensors: tuple[Tensor, Tensor], padding: int, rounds: int) -> dict[str, Any]:
    """All ways in turn, round by round."""
    inputs, weights = tensors
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    absent: dict[str, str] = {}
    for _ in range(rounds):
        for name, convolve in WAYS.items():
            if name not in absent:
                try:
                    times[name].append(1000 * _seconds(convolve, inputs, weights, padding) / len(inputs))
                except Exception as error:
                    if not (told := shortage(error, inputs.device)):
                        raise
                    absent[name] = told.strip().splitlines()[0]
    return {name: {"reason": absent[name]} if name in absent else spread(times[name]) for name in WAYS}


def _seconds(convolve: Convolve, inputs: Tensor, weights: Tensor, padding: int) -> float:
    def once() -> None:
        outputs = convolve(inputs, weights, padding)
        torch.autograd.grad(outputs, (inputs, weights), torch.ones_like(outputs))

    once()  # kernels are chosen and loaded
    repeats, seconds = 1, 0.0
    while True:
        synchronize(inputs.device)
        begin = time.perf_counter()
        for _ in range(repeats):
            once()
        synchronize(inputs.device)
        seconds = time.perf_counter() - begin
        if seconds >= SHORTEST or repeats >= REPEATS:
            return seconds / repeats
        repeats = REPEATS


def _tensors(shape: Shape, slots: int, precision: str, layout: str, device: torch.device) -> tuple[Tensor, Tensor]:
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    size = (slots, shape.batch, shape.inputs, shape.size, shape.size)
    inputs = torch.randn(size, device=device, dtype=dtype)
    if layout == "NHWC":
        inputs = inputs.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    weights = torch.randn(slots, shape.outputs, shape.inputs, shape.window, shape.window, device=device, dtype=dtype)
    return inputs.requires_grad_(), weights.requires_grad_()


def _is_nhwc(inputs: Tensor) -> bool:
    return inputs.stride(2) == 1 and inputs.shape[2] > 1


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Microseconds per model."""
    lines = [f"{'convolution':18}{'precision':10}{'layout':8}{'K':>5}" + "".join(f"{name:>12}" for name in WAYS)]
    for row in rows:
        cells = (f"{1000 * row[name]['median']:12.1f}" if "median" in row[name] else f"{'-':>12}" for name in WAYS)
        lines.append(f"{row['shape']:18}{row['precision']:10}{row['layout']:8}{row['slots']:5}" + "".join(cells))
    return "\n".join(lines)

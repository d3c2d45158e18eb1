"""Everything random in a training: one counter-based integer hash, the same bits on CPU and GPU.

A draw is a pure function of ``(seed, step, stream)``, so a training can be begun anywhere, resumed, or run in a slot
beside others, and always sees the same numbers. The hash is SplitMix64's finaliser (Steele, Lea, Flood 2014), used
three times: on the seed and the stream's name, on the step, and on the counter of the numbers wanted.

It is whole-number arithmetic modulo 2**64, written once for Python's integers, numpy's and torch's: whole numbers are
hashed in Python, and on a CPU counters in numpy, whose operations on small arrays cost a fifth of torch's; a seed or a
step that lies in a tensor stays on its device, so that a model can draw under vmap and in a CUDA graph.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = TypeVar("Numbers", int, NDArray[np.int64], Tensor)

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_STEP = 0xD1342543DE82EF95 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_LARGEST = (1 << 63) - 1
_AT_ONCE = 1 << 14
"""Numbers that are hashed at once on a CPU: they stay in its cache."""


def draw(
    seed: int | Sequence[int] | Tensor,
    step: int | Sequence[int] | Tensor,
    stream: str,
    n: int,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """``n`` integers from 0 to 2**63 - 1; ``[K, n]`` of them where seed and step are those of K slots.

    >>> bool((draw(7, 0, "order", 5) == draw([1, 7], [3, 0], "order", 5)[1]).all())
    True
    """
    if device is None:
        device = next((given.device for given in (seed, step) if isinstance(given, Tensor)), torch.device("cpu"))
    device = torch.device(device)
    if isinstance(seed, Tensor) or isinstance(step, Tensor):
        seeds = torch.as_tensor(seed, dtype=torch.int64, device=device)
        steps = torch.as_tensor(step, dtype=torch.int64, device=device)
        return _on_device(_key(seeds, steps, stream), n)
    if isinstance(seed, Sequence) or isinstance(step, Sequence):
        keys = _key(np.array(seed, dtype=np.int64, ndmin=1), np.array(step, dtype=np.int64, ndmin=1), stream)
    else:
        keys = np.array(_signed(_key(int(seed), int(step), stream)))
    if device.type == "cpu":
        return _on_host(keys, n)
    return _on_device(uploaded(keys, device), n)


def uniform(integers: Tensor) -> Tensor:
    """Draws as float64 numbers in [0, 1): their 53 upper bits."""
    return (integers >> 10).double().mul_(2.0**-53)


def normal(
    seed: int | Sequence[int],
    step: int | Sequence[int],
    stream: str,
    n: int,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """``n`` float64 numbers from the standard normal distribution, by Box and Muller; pairs share one radius.

    ``[K, n]`` of them for K slots.
    """
    pairs = (n + 1) // 2
    numbers = uniform(draw(seed, step, stream, 2 * pairs, device=device))
    radius = torch.sqrt(-2.0 * torch.log1p(-numbers[..., :pairs]))
    angle = (2.0 * math.pi) * numbers[..., pairs:]
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)[..., :n]


def epoch_order(
    seed: int | Sequence[int], epoch: int | Sequence[int], examples: int, *, device: torch.device | str | None = None
) -> Tensor:
    """A permutation of the examples: fresh per seed and epoch, without replacement. One in each row for K slots."""
    return torch.argsort(draw(seed, epoch, "order", examples, device=device), stable=True)


def uploaded(numbers: NDArray[np.int64], device: torch.device) -> Tensor:
    """On the device, which is not waited for: what is not pinned has been copied when the call returns."""
    return torch.from_numpy(numbers).to(device, non_blocking=True)


def _on_host(keys: NDArray[np.int64], n: int) -> Tensor:
    numbers = keys[..., None] + np.arange(1, n + 1, dtype=np.int64) * _GOLDEN
    for begin in range(0, n, _AT_ONCE):
        _mixed(numbers[..., begin : begin + _AT_ONCE])  # in place
    numbers &= _LARGEST
    return torch.from_numpy(numbers)


def _on_device(keys: Tensor, n: int) -> Tensor:
    counters = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device) * _GOLDEN
    return _mixed(keys.unsqueeze(-1) + counters) & _LARGEST


def _key(seed: Numbers, step: Numbers, stream: str) -> Numbers:
    """What is hashed with the counters."""
    return _mixed(_mixed(seed + _stream_key(stream)) + step * _STEP)


def _mixed(x: Numbers) -> Numbers:
    """64 bits in, 64 bits out, one to one; what can be changed in place is.

    Products of int64 wrap, and the masks make the shifts logical. Integers of Python grow instead, and their lowest 64
    bits are the answer: no higher one ever comes down.
    """
    x ^= (x >> 30) & ((1 << 34) - 1)
    x *= _FIRST
    x ^= (x >> 27) & ((1 << 37) - 1)
    x *= _SECOND
    x ^= (x >> 31) & ((1 << 33) - 1)
    return x


def _signed(x: int) -> int:
    """The lowest 64 bits as an int64."""
    return ((x + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


@lru_cache(maxsize=1024)
def _stream_key(stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little", signed=True)

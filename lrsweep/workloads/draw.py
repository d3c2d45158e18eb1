"""Everything random in a training: one counter-based integer hash on tensors, the same bits on CPU and GPU.

A draw is a pure function of ``(seed, step, stream)``, so a training can be begun anywhere, resumed, or run in a slot
beside others, and always sees the same numbers. The hash is SplitMix64's finaliser (Steele, Lea, Flood 2014), used
three times: on the seed and the stream's name, on the step, and on the counter of the numbers wanted.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_STEP = 0xD1342543DE82EF95 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_LARGEST = (1 << 63) - 1


def draw(
    seed: int | Tensor, step: int | Tensor, stream: str, n: int, *, device: torch.device | str | None = None
) -> Tensor:
    """``n`` integers from 0 to 2**63 - 1; ``[K, n]`` of them where seed and step are tensors of K slots.

    >>> bool((draw(7, 0, "order", 5) == draw(torch.tensor([1, 7]), torch.tensor([3, 0]), "order", 5)[1]).all())
    True
    """
    if device is None:
        device = next((given.device for given in (seed, step) if isinstance(given, Tensor)), torch.device("cpu"))
    seeds = torch.as_tensor(seed, dtype=torch.int64, device=device)
    steps = torch.as_tensor(step, dtype=torch.int64, device=device)
    key = _mixed(_mixed(seeds + _stream_key(stream)) + steps * _STEP)
    counters = torch.arange(1, n + 1, dtype=torch.int64, device=device) * _GOLDEN
    return _mixed(key.unsqueeze(-1) + counters) & _LARGEST


def uniform(integers: Tensor) -> Tensor:
    """Draws as float64 numbers in [0, 1): their 53 upper bits."""
    return (integers >> 10).double() * 2.0**-53


def normal(seed: int, step: int, stream: str, n: int, *, device: torch.device | str | None = None) -> Tensor:
    """``n`` float64 numbers from the standard normal distribution, by Box and Muller; pairs share one radius."""
    pairs = (n + 1) // 2
    numbers = uniform(draw(seed, step, stream, 2 * pairs, device=device))
    radius = torch.sqrt(-2.0 * torch.log1p(-numbers[:pairs]))
    angle = (2.0 * math.pi) * numbers[pairs:]
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)])[:n]


def epoch_order(seed: int, epoch: int, examples: int, *, device: torch.device | str | None = None) -> Tensor:
    """A permutation of the examples: fresh per seed and epoch, without replacement."""
    return torch.argsort(draw(seed, epoch, "order", examples, device=device), stable=True)


def _mixed(x: Tensor) -> Tensor:
    """64 bits in, 64 bits out, one to one; int64 products wrap, and the masks make the shifts logical."""
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _FIRST
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _SECOND
    return x ^ ((x >> 31) & ((1 << 33) - 1))


@lru_cache(maxsize=1024)
def _stream_key(stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little", signed=True)

"""``char_lm``: a small causal transformer that learns to go on with a text, byte by byte or character by character.

The last three twentieths of the text are held out: to search by, to decide by, and for the test, each of them at most
1,024 windows. The rest is cut into windows, in each epoch at other places, and all of them are seen once.

There is no dropout, and attention is written out: PyTorch's fused kernels have gradients that are not the same twice.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.errors import InvalidInput
from lrsweep.records import Json, WorkloadFacts
from lrsweep.workloads.base import (
    Feed,
    Forward,
    Half,
    ParamGroup,
    Workload,
    draw_weights,
    evaluating,
    peak_ranges,
    size_of,
    with_horizon,
)
from lrsweep.workloads.draw import draw
from lrsweep.workloads.fine_tuning import FineTuning
from lrsweep.workloads.labelled import Epochs, hash_of

BATCH_SIZE, CONTEXT = 32, 64
WIDTH, HEADS, BLOCKS = 128, 4, 2
HELD_OUT_SHARE = 20
MOST_WINDOWS = 1024
"""In a held-out part: more would make an evaluation longer, and the value hardly surer."""
CHUNK = 256
"""Windows that are evaluated at once."""
SYNTHETIC_TOKENS = 1_000_000
AT_ONCE = 1 << 16
"""Characters that are numbered at once."""


class CharLm(Workload):
    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        del data  # the text has a path of its own
        self.device = device
        batch_size: int = settings.get("batch_size", BATCH_SIZE)
        self._context: int = settings.get("context", CONTEXT)
        if settings.get("synthetic", False):
            tokens = np.random.default_rng(0).integers(0, 256, SYNTHETIC_TOKENS).astype(np.int32)
            self._vocabulary = 256
            data_hash = "synthetic"
        else:
            tokens, self._vocabulary = _tokens(Path(settings["text"]).expanduser(), settings["tokens"])
            data_hash = hash_of(tokens.astype("<i4", copy=False))
        self._tuning = FineTuning(settings, self._make, device)

        held_out = min(len(tokens) // HELD_OUT_SHARE, MOST_WINDOWS * self._context + 1)
        train = len(tokens) - 3 * held_out
        windows = (train - self._context) // self._context  # wherever the first of them begins
        if min(windows // batch_size, (held_out - 1) // self._context) < 1:
            raise InvalidInput(
                f"workload 'char_lm': a text of {len(tokens)} tokens is too short for batches of {batch_size} windows "
                f"of {self._context}. Give a longer text, or a smaller batch_size or context."
            )
        on_device = torch.from_numpy(tokens).to(device)
        self._train, *rest = torch.split(on_device, [train, held_out, held_out, held_out])
        halves: tuple[Half, ...] = ("search", "decide", "test")
        self._held_out = dict(zip(halves, rest, strict=True))
        self._epochs = Epochs(windows, batch_size, device)
        self._starts = lru_cache(maxsize=1)(self._starts_of_epoch)
        self._window = torch.arange(self._context + 1, device=device)
        facts = WorkloadFacts(
            name="char_lm",
            settings=dict(settings),
            version=1,
            data_hash=data_hash if data_hash == "synthetic" else self._tuning.data_hash(data_hash),
            batch_size=batch_size,
            horizon=1,
            peak_lr=peak_ranges(sgd=(0.01, 3.0), adam=(1e-4, 0.03)),
            metrics={"loss": "minimize", "perplexity": "minimize", "acc": "maximize"},
            examples_per_epoch=windows,
            tokens_per_example=self._context,
            parameters=size_of(self._make),
        )
        self.facts = with_horizon(facts, "4M tokens")

    def model(self, seed: int) -> nn.Module:
        return self._tuning.begin(draw_weights(self._make().to(self.device), seed))

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return self._tuning.groups(model)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Windows and, for each place in them, the token that comes next."""
        epoch, place = self._epochs.place(step)
        return self._windows(self._train, self._starts(seed, epoch)[place])

    def feed(self) -> Feed:
        chosen = self._epochs.many(self._starts_of_epochs)
        return lambda seeds, steps: self._windows(self._train, chosen(seeds, steps))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        with evaluating(model):
            [metrics] = self.evaluate_many(lambda inputs: model(inputs).unsqueeze(0), half)
        return metrics

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]]:
        """Of each model the loss in nats per token, and its exponential."""
        tokens = self._held_out[half]
        starts = torch.arange(0, len(tokens) - self._context, self._context, device=self.device)
        sums: Tensor | None = None
        for chunk in torch.split(starts, CHUNK):
            inputs, targets = self._windows(tokens, chunk)
            outputs = forward(inputs).float()
            losses = torch.stack([self.loss(each, targets) for each in outputs])
            right = (outputs.argmax(dim=-1) == targets).double().mean(dim=(-2, -1))
            means = torch.stack([losses.double(), right], dim=1) * (len(chunk) / len(starts))
            sums = means + (0.0 if sums is None else sums)
        assert sums is not None
        measures = torch.stack([torch.stack([loss, loss.exp(), acc]) for loss, acc in sums.unbind()])
        return [dict(zip(("loss", "perplexity", "acc"), found, strict=True)) for found in measures.tolist()]

    def _starts_of_epoch(self, seed: int, epoch: int) -> Tensor:
        """Of the windows: next to each other, the first of them at a place of this epoch's own."""
        return self._shifted(self._epochs.order(seed, epoch), seed, epoch)

    def _starts_of_epochs(self, seeds: Sequence[int], epochs: Sequence[int]) -> Tensor:
        """The same for several trainings, one in each row."""
        return self._shifted(self._epochs.orders(seeds, epochs), seeds, epochs)

    def _shifted(self, order: Tensor, seed: int | Sequence[int], epoch: int | Sequence[int]) -> Tensor:
        return order * self._context + draw(seed, epoch, "shift", 1, device=self.device) % self._context

    def _windows(self, tokens: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        windows = tokens[starts.unsqueeze(-1) + self._window].long()
        return windows[..., :-1], windows[..., 1:]

    def _make(self) -> nn.Module:
        blocks = {f"block{k}": Block(self._context) for k in range(1, BLOCKS + 1)}
        return nn.Sequential(
            OrderedDict(
                embedding=Embedding(self._vocabulary, self._context),
                **blocks,
                norm=nn.LayerNorm(WIDTH),
                head=nn.Linear(WIDTH, self._vocabulary),
            )
        )


class Embedding(nn.Module):
    """What a token is, and where it stands."""

    def __init__(self, vocabulary: int, context: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH)
        self.place = nn.Embedding(context, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        known: Tensor = self.token(tokens) + self.place.weight
        return known


class Block(nn.Module):
    """Attention to what came before, then two layers for each place by itself; both are added to what goes through."""

    mask: Tensor

    def __init__(self, context: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.mixed = nn.Linear(WIDTH, 3 * WIDTH)
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        later = torch.ones(context, context, dtype=torch.bool).triu(diagonal=1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attention(self.norm1(x))
        added: Tensor = self.narrow(functional.gelu(self.wide(self.norm2(x))))
        return x + added

    def _attention(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = self.mixed(x).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
        weights = scores.masked_fill(self.mask, float("-inf")).softmax(dim=-1)
        mixed: Tensor = self.attended((weights @ value).transpose(1, 2).reshape(batch, length, WIDTH))
        return mixed


def _tokens(path: Path, kind: str) -> tuple[NDArray[np.int32], int]:
    """The text as numbers, and how many kinds of token there are. A text is large: it is held in four bytes a token."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"workload text: {str(path)!r} cannot be read: {error.strerror}. Give the path of a text file, from the "
            "working folder or whole."
        ) from error
    if kind == "bytes":
        return np.frombuffer(content, dtype=np.uint8).astype(np.int32), 256
    try:
        characters = np.frombuffer(content.decode("utf-8").encode("utf-32-le"), dtype="<u4")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"workload text: {str(path)!r} is not UTF-8 at byte {error.start}. Save it as UTF-8, or set tokens = "
            '"bytes".'
        ) from error
    known = np.unique(characters)
    tokens = np.empty(len(characters), dtype=np.int32)
    for begin in range(0, len(characters), AT_ONCE):  # places come in eight bytes each
        tokens[begin : begin + AT_ONCE] = np.searchsorted(known, characters[begin : begin + AT_ONCE])
    return tokens, len(known)

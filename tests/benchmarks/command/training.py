"""The training that both contenders' scripts do: a network on digits with SGD, evaluated 18 times on the way.

It reads ``digits.npz`` from the working folder. With torch's start it takes a few seconds, as small scripts do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

DATA = "digits.npz"
HORIZON = 900
"""Updates of a full training."""
EVALUATIONS = 18
BATCH_SIZE = 64
WIDTH = 128

Report = Callable[[int, float], None]
"""Is given the updates done and the validation loss."""


def train(rates: Sequence[float], seed: int, report: Report) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    with np.load(DATA) as found:
        inputs, labels, val_inputs, val_labels = (
            torch.from_numpy(found[name]) for name in ("inputs", "labels", "val_inputs", "val_labels")
        )
    model = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rates[0], momentum=0.9)
    steps = len(rates)
    ends = {steps * place // EVALUATIONS for place in range(1, EVALUATIONS + 1)}
    for step in range(steps):
        chosen = torch.randint(len(labels), (BATCH_SIZE,))
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        loss = functional.cross_entropy(model(inputs[chosen]), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step + 1 in ends:
            with torch.no_grad():
                report(step + 1, functional.cross_entropy(model(val_inputs), val_labels).item())

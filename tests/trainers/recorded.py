"""What the scripts here share: data, and an optimizer that writes down the rates that its updates really use.

``STOP_AFTER`` in the environment asks the script to leave after so many updates, as a sweep does.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim import SGD
from torch.utils.data import TensorDataset

from lrsweep.scripts.plan_file import STOP, VARIABLE

FOLDER = Path(os.environ.get(VARIABLE, "plan.json")).parent

atexit.register(time.sleep, 0.3)
"""gloo's threads let go of the last tensors a moment after the last update, also where the process group is destroyed.
One that does so while the interpreter is ending aborts the process (pytorch#190489): seen on a machine with more to do
than two cores can."""


class RecordedSGD(SGD):
    """Writes a line per update with the rate of each group, inside of ``step``: no hook can change it later."""

    updates = 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss: float | None = super().step(closure)
        with (FOLDER / f"rates-{os.environ.get('RANK', '0')}.jsonl").open("a") as file:
            file.write(json.dumps([group["lr"] for group in self.param_groups]) + "\n")
        self.updates += 1
        if self.updates >= int(os.environ.get("STOP_AFTER", "1000")):
            (FOLDER / STOP).touch()
            time.sleep(0.2)  # the file is looked for every second
        return loss


def groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """The bias at a quarter of the weight's rate."""
    weight, bias = model.parameters()
    return [{"params": [weight], "lr": 0.4}, {"params": [bias], "lr": 0.1}]


def examples(count: int) -> TensorDataset:
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return TensorDataset(inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5]]))

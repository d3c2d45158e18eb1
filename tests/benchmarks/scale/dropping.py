"""Digits by a network with PyTorch's own dropout, which cannot be fused: what keeps a core busy by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from lrsweep.records import Json
from lrsweep.workloads.base import draw_weights
from lrsweep.workloads.digits import PIXELS, Digits

WIDTH = 256


class Dropping(Digits):
    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        super().__init__({"model": "mlp", "noise": 0.0, **settings}, device, data)

    def model(self, seed: int) -> nn.Module:
        layers = [nn.Linear(PIXELS, WIDTH), nn.ReLU(), nn.Dropout(0.1), nn.Linear(WIDTH, 10)]
        return draw_weights(nn.Sequential(*layers).to(self.device), seed)

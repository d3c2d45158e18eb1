"""Bridges to other libraries. PyTorch's is reached by ``s.torch(...)`` and ``lrsweep.schedule_from_torch``."""

from __future__ import annotations

from lrsweep.integrations.from_torch import rates_from_torch, schedule_from_torch
from lrsweep.integrations.torch_scheduler import TorchScheduler

__all__ = ["TorchScheduler", "rates_from_torch", "schedule_from_torch"]

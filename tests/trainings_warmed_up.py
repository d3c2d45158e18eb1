"""Imported by the process that ``tests.trainings`` forks its attempts from: PyTorch's slow first step is behind it."""

from __future__ import annotations

from lrsweep.engines.sequential import warm_up
from tests.trainings import digits

warm_up(digits())

"""``[baseline]``: what the user runs today, which a study trains as its trial 0.

family = "cosine"                 with its settings
file = "schedules/now.json"       what ``to_json`` wrote; relative to the study's file
scheduler = "CosineAnnealingLR"   one of torch.optim.lr_scheduler, stepped after each update, with its arguments
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from lrsweep.records import Direction, Json
from lrsweep.schedules import Schedule
from lrsweep.study.spaces import mode_of
from lrsweep.study.specs import Baseline


@dataclass(frozen=True)
class AskedBaseline:
    """As the file has it: exactly one of ``schedule`` and ``scheduler``."""

    peak_lr: float
    """for a scheduler of PyTorch's, the rate of its optimizer"""
    optimizer: str
    schedule: Schedule | None = None
    scheduler: str | None = None
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """of the scheduler"""
    optimizer_settings: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)

    def on(self, horizon: int, direction: Direction) -> Baseline:
        """For a full training of so many updates; a schedule that reacts hears the study's metric.

        Raises ScheduleError for a scheduler that PyTorch does not make of these arguments.
        """
        if self.schedule is not None:
            schedule, peak_lr = self.schedule, self.peak_lr
        else:
            # by name: only such a baseline needs torch
            named = importlib.import_module("lrsweep.integrations.scheduler_names")
            schedule, peak_lr = named.schedule_by_name(self.scheduler, self.arguments, self.peak_lr, horizon)
        if schedule.needs_metric and (mode := mode_of(schedule.family, direction)):
            schedule = schedule.with_settings(**mode)
        return Baseline(schedule, peak_lr, self.optimizer, dict(self.optimizer_settings), dict(self.extra))

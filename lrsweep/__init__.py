"""lrsweep finds the learning-rate schedule that trains a model best, proves it, and keeps every curve.

>>> import lrsweep
>>> lrsweep.schedule("linear").rates(4, peak_lr=1.0).tolist()
[1.0, 0.75, 0.5, 0.25]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# A name here is loaded from its home when it is first used: `import lrsweep` itself loads none of them, nor numpy.
_HOMES = {
    "Grouped": "lrsweep.schedules",
    "Schedule": "lrsweep.schedules",
    "family_names": "lrsweep.schedules",
    "grouped": "lrsweep.schedules",
    "grouped_from_json": "lrsweep.schedules",
    "layerwise": "lrsweep.schedules",
    "schedule": "lrsweep.schedules",
    "schedule_from_json": "lrsweep.schedules",
    "schedule_from_params": "lrsweep.schedules",
    "sequence": "lrsweep.schedules",
    "attach": "lrsweep.integrations.attach",
    "rates_from_torch": "lrsweep.integrations.from_torch",
    "schedule_from_torch": "lrsweep.integrations.from_torch",
    "suggest": "lrsweep.space.objectives",
    "results": "lrsweep.frames",
    "load_choice": "lrsweep.loading",
    "load_schedule": "lrsweep.loading",
    "LrsweepError": "lrsweep.errors",
    "NeedsMetric": "lrsweep.errors",
    "ScheduleError": "lrsweep.errors",
    "StudyError": "lrsweep.errors",
}

__all__ = [
    "Grouped",
    "LrsweepError",
    "NeedsMetric",
    "Schedule",
    "ScheduleError",
    "StudyError",
    "__version__",
    "attach",
    "family_names",
    "grouped",
    "grouped_from_json",
    "layerwise",
    "load_choice",
    "load_schedule",
    "rates_from_torch",
    "results",
    "schedule",
    "schedule_from_json",
    "schedule_from_params",
    "schedule_from_torch",
    "sequence",
    "suggest",
]

if TYPE_CHECKING:
    from lrsweep.errors import LrsweepError, NeedsMetric, ScheduleError, StudyError
    from lrsweep.frames import results
    from lrsweep.integrations.attach import attach
    from lrsweep.integrations.from_torch import rates_from_torch, schedule_from_torch
    from lrsweep.loading import load_choice, load_schedule
    from lrsweep.schedules import (
        Grouped,
        Schedule,
        family_names,
        grouped,
        grouped_from_json,
        layerwise,
        schedule,
        schedule_from_json,
        schedule_from_params,
        sequence,
    )
    from lrsweep.space.objectives import suggest


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lrsweep' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

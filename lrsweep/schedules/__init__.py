"""Schedules as frozen values: a family, its settings, and the rate as a pure function of progress.

>>> import lrsweep
>>> s = lrsweep.schedule("cosine", floor=0.01, warmup=0.05)
>>> s.factor(1.0)
0.01
>>> s == lrsweep.schedule_from_json(s.to_json())
True

The convention, the same for all families. Without a warm-up, step i of T (i = 0…T-1) gets peak·factor(i/T): the first
step has the whole peak, and the last is one step short of the end.

>>> lrsweep.schedule("linear").rates(4, peak_lr=0.8).tolist()
[0.8, 0.6000000000000001, 0.4, 0.2]

A warm-up is rounded (halves up, at least 1) to w whole steps, which get peak·(i+1)/(w+1); the decay's own clock then
runs from step w to the end. Here w = 1 of 5, and the decay has four steps:

>>> lrsweep.schedule("linear", warmup=0.2).rates(5).tolist()
[0.5, 1.0, 0.75, 0.5, 0.25]

Nothing else is rounded. A drop holds from its progress on; after the end the value at 1 holds.

``base.py`` has all of this once. A family is one file with one class, which adds ``decay``, and an entry in
``families.py``.
"""

from __future__ import annotations

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.constant import Constant
from lrsweep.schedules.cosine import Cosine
from lrsweep.schedules.exponential import Exponential
from lrsweep.schedules.families import family, family_names, schedule
from lrsweep.schedules.linear import Linear
from lrsweep.schedules.one_cycle import OneCycle
from lrsweep.schedules.reading import schedule_from_json
from lrsweep.schedules.rex import Rex
from lrsweep.schedules.setting import Interval, Search, Setting
from lrsweep.schedules.step import Step
from lrsweep.schedules.wsd import Wsd

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "Interval",
    "Linear",
    "OneCycle",
    "Rex",
    "Schedule",
    "Search",
    "Setting",
    "Step",
    "Wsd",
    "family",
    "family_names",
    "schedule",
    "schedule_from_json",
]

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
``registry.py``; a reactive one adds a state machine; a composition is made of other schedules. ``course.py`` lays any
of them out on a horizon.
"""

from __future__ import annotations

from lrsweep.schedules.base import Schedule, json_value
from lrsweep.schedules.compositions.cooled_down import CooledDown
from lrsweep.schedules.compositions.extended import Extended
from lrsweep.schedules.compositions.sequence import Part, Sequence, sequence
from lrsweep.schedules.course import Course
from lrsweep.schedules.families.constant import Constant
from lrsweep.schedules.families.cosine import Cosine
from lrsweep.schedules.families.cosine_restarts import CosineRestarts
from lrsweep.schedules.families.cyclic import Cyclic
from lrsweep.schedules.families.exponential import Exponential
from lrsweep.schedules.families.function import Function
from lrsweep.schedules.families.inverse_power import InversePower
from lrsweep.schedules.families.inverse_sqrt import InverseSqrt
from lrsweep.schedules.families.inverse_time import InverseTime
from lrsweep.schedules.families.knots import Knots
from lrsweep.schedules.families.linear import Linear
from lrsweep.schedules.families.multistep import MultiStep
from lrsweep.schedules.families.one_cycle import OneCycle
from lrsweep.schedules.families.piecewise import Piecewise
from lrsweep.schedules.families.polynomial import Polynomial
from lrsweep.schedules.families.rex import Rex
from lrsweep.schedules.families.step import Step
from lrsweep.schedules.families.table import Table
from lrsweep.schedules.families.tanh import Tanh
from lrsweep.schedules.families.wsd import Wsd
from lrsweep.schedules.groups import Group, Grouped, grouped, grouped_from_json, layerwise
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.params import schedule_from_params
from lrsweep.schedules.reactive.base import Reactive
from lrsweep.schedules.reactive.greedy import Greedy
from lrsweep.schedules.reactive.plateau import Plateau
from lrsweep.schedules.reactive.slope import Slope
from lrsweep.schedules.reactive.threshold import Threshold
from lrsweep.schedules.reading import schedule_from_json
from lrsweep.schedules.registry import core_names, family, family_names, schedule
from lrsweep.schedules.setting import Options, Search, Setting
from lrsweep.schedules.tables import rate_table

__all__ = [
    "Constant",
    "CooledDown",
    "Cosine",
    "CosineRestarts",
    "Course",
    "Cyclic",
    "Exponential",
    "Extended",
    "Function",
    "Greedy",
    "Group",
    "Grouped",
    "Interval",
    "InversePower",
    "InverseSqrt",
    "InverseTime",
    "Knots",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Options",
    "Part",
    "Piecewise",
    "Plateau",
    "Polynomial",
    "Reactive",
    "Rex",
    "Schedule",
    "Search",
    "Sequence",
    "Setting",
    "Slope",
    "Step",
    "Table",
    "Tanh",
    "Threshold",
    "Wsd",
    "core_names",
    "family",
    "family_names",
    "grouped",
    "grouped_from_json",
    "json_value",
    "layerwise",
    "rate_table",
    "schedule",
    "schedule_from_json",
    "schedule_from_params",
    "sequence",
]

"""Schedules that react to a metric: a time-driven base, and a pure state machine that is fed at each evaluation.

``base.py`` has what they share and the policy for metrics that are not finite; a family is one file with one rule;
``slots.py`` moves the machines of many trainings at once.
"""

from __future__ import annotations

from lrsweep.schedules.reactive.base import Reactive
from lrsweep.schedules.reactive.greedy import Greedy
from lrsweep.schedules.reactive.plateau import Plateau
from lrsweep.schedules.reactive.slope import Slope
from lrsweep.schedules.reactive.slots import Slots, SlotStates
from lrsweep.schedules.reactive.threshold import Threshold

__all__ = ["Greedy", "Plateau", "Reactive", "Slope", "SlotStates", "Slots", "Threshold"]

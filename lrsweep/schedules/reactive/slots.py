"""Many reactive schedules that train side by side: one call moves the machines of all slots.

>>> import lrsweep
>>> from lrsweep.schedules.reactive import Slots
>>> slots = Slots([lrsweep.schedule("plateau", patience=0, gamma=0.5), lrsweep.schedule("threshold", levels=[1.0])])
>>> states = slots.heard(slots.begin(), [2.0, 2.0])
>>> states = slots.heard(states, [2.5, 0.9])
>>> slots.multipliers(states).tolist()
[0.5, 0.3]
>>> slots.state_of(states, 1)
{'reached': 1, 'multiplier': 0.3}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrsweep.errors import ScheduleError
from lrsweep.schedules.course import Floats, State
from lrsweep.schedules.kinds import listing
from lrsweep.schedules.reactive.base import Reactive, finite_or_nan
from lrsweep.schedules.reactive.columns import Columns, longest_list, merged, stacked, state_in


@dataclass(frozen=True)
class _Family:
    """The slots that one family's rule moves, and their constants."""

    rule: type[Reactive]
    slots: NDArray[np.int64]
    own: Columns
    width: int


@dataclass(frozen=True, eq=False)
class SlotStates:
    """The states of all slots; a value, for ``Slots`` to read."""

    columns: tuple[Columns, ...]
    """one for each family of the slots"""


@dataclass(frozen=True)
class Slots:
    """K slots, each with a reactive schedule of any family and settings. K slots are K machines alone, bit for bit, and
    what is heard in one changes no other."""

    schedules: Sequence[Reactive]

    def __post_init__(self) -> None:
        schedules = tuple(self.schedules)
        problems = [
            f"slot {slot} must have a reactive family such as lrsweep.schedule('plateau'), not {shortened(given)}"
            for slot, given in enumerate(schedules)
            if not isinstance(given, Reactive)
        ]
        if problems:
            raise ScheduleError(listing("slots", problems))
        object.__setattr__(self, "schedules", schedules)

    @cached_property
    def _families(self) -> tuple[_Family, ...]:
        slots_of: dict[type[Reactive], list[int]] = {}
        for slot, schedule in enumerate(self.schedules):
            slots_of.setdefault(type(schedule), []).append(slot)
        made = []
        for rule, slots in slots_of.items():
            constants = [self.schedules[slot].constants() for slot in slots]
            width = longest_list(constants)
            made.append(_Family(rule, np.array(slots), stacked(constants, width), width))
        return tuple(made)

    def begin(self) -> SlotStates:
        """The states before the first metric."""
        return self._stacked([schedule.begin() for schedule in self.schedules])

    def resumed(self, states: Sequence[object]) -> SlotStates:
        """The states from one JSON state for each slot, all checked."""
        if len(states) != len(self.schedules):
            raise ScheduleError(f"slots: {len(states)} states for {len(self.schedules)} slots; give one for each")
        return self._stacked(
            [schedule.checked_state(state) for schedule, state in zip(self.schedules, states, strict=True)]
        )

    def heard(self, states: SlotStates, metrics: ArrayLike, mask: ArrayLike | None = None) -> SlotStates:
        """The states after an evaluation in the slots where the mask is set, or in all. The others stay as they are,
        whatever stands in their places of ``metrics``."""
        heard, now = self._checked_metrics(metrics), self._checked_mask(mask)
        return SlotStates(
            tuple(
                merged(now[one.slots], one.rule.advanced(one.own, old, heard[one.slots]), old)
                for one, old in zip(self._families, states.columns, strict=True)
            )
        )

    def multipliers(self, states: SlotStates) -> Floats:
        """Each slot's reactive factor."""
        found = np.empty(len(self.schedules))
        for one, columns in zip(self._families, states.columns, strict=True):
            found[one.slots] = columns["multiplier"]
        return found

    def state_of(self, states: SlotStates, slot: int) -> State:
        """One slot's state as JSON, the same as its machine's alone."""
        at, row = self._place(slot)
        return state_in(states.columns[at], row)

    def with_state(self, states: SlotStates, slot: int, state: object) -> SlotStates:
        """The states with another state in one slot, checked; ``schedules[slot].begin()`` begins it anew."""
        at, row = self._place(slot)
        family = self._families[at]
        one = stacked([self.schedules[slot].checked_state(state)], family.width)
        here = np.arange(len(family.slots)) == row
        changed = list(states.columns)
        changed[at] = merged(here, one, states.columns[at])
        return SlotStates(tuple(changed))

    def _stacked(self, states: Sequence[State]) -> SlotStates:
        return SlotStates(tuple(stacked([states[slot] for slot in one.slots], one.width) for one in self._families))

    def _place(self, slot: int) -> tuple[int, int]:
        for at, one in enumerate(self._families):
            if (rows := np.flatnonzero(one.slots == slot)).size:
                return at, int(rows[0])
        raise ScheduleError(f"slots: there is no slot {shortened(slot)}; they are 0 to {len(self.schedules) - 1}")

    def _checked_metrics(self, metrics: ArrayLike) -> Floats:
        found = _as_array(metrics)
        if found.dtype.kind not in "iuf" or found.shape != (len(self.schedules),):
            raise ScheduleError(
                f"metrics must be {len(self.schedules)} numbers, one for each slot, not {shortened(metrics)}: "
                "give NaN where an evaluation failed, and a mask where there was none"
            )
        return finite_or_nan(found)

    def _checked_mask(self, mask: ArrayLike | None) -> NDArray[np.bool_]:
        found = np.ones(len(self.schedules), dtype=bool) if mask is None else _as_array(mask)
        if found.dtype.kind != "b" or found.shape != (len(self.schedules),):
            raise ScheduleError(
                f"mask must be {len(self.schedules)} times true or false, one for each slot, not {shortened(mask)}: "
                "true where the slot was evaluated now"
            )
        return found


def _as_array(given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError:  # rows of different lengths
        return np.asarray(None)

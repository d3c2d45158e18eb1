"""Many schedules as one array of rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.checks import checked_horizon, needs_metric
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import listing


def rate_table(schedules: Sequence[Schedule], total_steps: SupportsIndex, peak_lr: float = 1.0) -> Floats:
    """The rates of each schedule at each step, an array of schedules × steps: row k is ``schedules[k].rates(…)``.

    >>> import lrsweep
    >>> rate_table([lrsweep.schedule("linear"), lrsweep.schedule("constant")], total_steps=2).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    steps, peak = checked_horizon(total_steps, peak_lr, "rate_table")
    table = np.empty((len(schedules), steps))
    problems = []
    for place, (row, schedule) in enumerate(zip(table, schedules, strict=True)):
        if schedule.needs_metric:
            raise needs_metric(schedule.family, f"rate_table: schedules[{place}]")
        try:
            row[:] = schedule.course(steps).fixed[:-1]
        except ScheduleError as refused:  # a count of steps that does not fit
            problems.append(f"schedules[{place}]: {refused}")
    if problems:
        raise ScheduleError(listing("rate_table", problems))
    if peak != 1.0:
        table *= peak
    return table

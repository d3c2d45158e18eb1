"""What a caller gives to a schedule: progress, a horizon, a peak, metrics. Read, or refused with what is wanted."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as shortened
from typing import SupportsFloat, SupportsIndex

import numpy as np

from lrsweep.errors import NeedsMetric, ScheduleError
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import as_number, listing


def checked_progress(given: object) -> Floats:
    try:
        progress = np.asarray(given)
    except ValueError:  # rows of different lengths
        progress = np.asarray(None)
    if progress.dtype.kind not in "iuf":
        raise ScheduleError(f"progress must be a number or an array of numbers, not {shortened(given)}")
    refused = progress[~(progress >= 0)]
    if refused.size:
        raise ScheduleError(
            f"progress must be 0 or more, not {refused.flat[0]}: 0 is the start of the training and 1 its end; "
            "step i of T stands at i/T"
        )
    return progress.astype(np.float64)


def checked_horizon(
    total_steps: SupportsIndex, peak_lr: float, asked: str = "rates", problems: Iterable[str] = ()
) -> tuple[int, float]:
    """The horizon and the peak as numbers; what is wrong with them is told with the problems found before."""
    try:
        steps = 0 if isinstance(total_steps, bool) else operator.index(total_steps)
    except TypeError:
        steps = 0
    peak = as_number(peak_lr)
    problems = [*problems]
    if steps < 1:
        problems.append(
            f"total_steps must be a whole number of 1 or more, not {shortened(total_steps)}: the number of updates"
        )
    if not 0 < peak < math.inf:
        problems.append(f"peak_lr must be a finite number above 0, not {shortened(peak_lr)}: the largest rate")
    if problems:
        raise ScheduleError(listing(asked, problems))
    return steps, peak


def as_metric(given: object) -> float | None:
    """A metric as a float, infinite where it is too large for one; None for what is not one number."""
    if not isinstance(given, SupportsFloat) or isinstance(given, bool | np.bool_ | complex | np.complexfloating):
        return None
    try:
        return float(given)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError, RuntimeError):  # an array or a tensor of several numbers
        return None


def checked_metrics(metrics: Mapping[int, float] | Sequence[float], steps: int) -> list[tuple[int, float]]:
    """Pairs of updates done and metric, in order."""
    try:
        values = [] if isinstance(metrics, Mapping) else list(metrics)
    except TypeError as error:
        raise ScheduleError(
            "replay: metrics must be a list of numbers, or a mapping such as {100: 0.7} from the updates done before "
            f"an evaluation to its metric, not {shortened(metrics)}"
        ) from error
    if len(values) > steps:
        raise ScheduleError(
            f"replay: {len(values)} metrics are more than the {steps} steps that they are spread over; "
            "give at most one for each step, or a longer horizon"
        )
    spread = [(steps * place // len(values), value) for place, value in enumerate(values, start=1)]
    pairs = [
        (done, value, as_metric(value)) for done, value in (metrics.items() if isinstance(metrics, Mapping) else spread)
    ]
    problems = [
        f"metrics are by the number of updates done, from 1 to {steps}, not {shortened(done)}"
        for done, _, _ in pairs
        if isinstance(done, bool) or not isinstance(done, (int, np.integer)) or not 1 <= done <= steps
    ]
    problems += [
        f"the metric after {done} updates must be a number, not {shortened(value)}"
        for done, value, read in pairs
        if read is None
    ]
    if problems:
        raise ScheduleError(listing("replay", problems))
    return sorted((int(done), read) for done, _, read in pairs if read is not None)


def needs_metric(family: str, asked: str) -> NeedsMetric:
    """The refusal of a rate before there are metrics."""
    return NeedsMetric(
        f"{asked}: {family!r} reacts to a metric, and has no rate before there are metrics. "
        "For the rates that known metrics give, call s.replay(metrics, total_steps); "
        "in a training, s.torch(optimizer, total_steps) and then .step(metric)"
    )

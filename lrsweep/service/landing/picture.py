"""A schedule, drawn small: its rates as shares of the peak over the training."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lrsweep.errors import LrsweepError
from lrsweep.records import Floats
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.service.landing.markup import Markup, tag

WIDTH, HEIGHT, EDGE = 120, 36, 2
POINTS = 117
"""As many as there are pixels between the edges, and one."""
LAID_OUT = 20_000
"""Steps of which each has its rate; of a longer training the limit of many steps is drawn."""


@lru_cache(maxsize=500)
def picture(schedule: str, horizon: int) -> Markup | None:
    """``schedule`` is JSON. None of one that has no rates to draw."""
    try:
        read = schedule_from_json(schedule)
        factors = _factors(read, horizon)
    except LrsweepError:
        return None
    across = np.linspace(EDGE, WIDTH - EDGE, len(factors))
    down = EDGE + (HEIGHT - 2 * EDGE) * (1 - factors)
    points = " ".join(f"{x:.4g},{y:.3g}" for x, y in zip(across, down, strict=True))
    about = "its base, before it reacts to a metric" if read.needs_metric else "its rates over the training"
    return tag(
        "svg",
        tag("title", f"{read.family}: {about}"),
        tag("polyline", points=points),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=str(WIDTH),
        height=str(HEIGHT),
        role="img",
    )


def _factors(schedule: Schedule, horizon: int) -> Floats:
    steps = min(horizon, LAID_OUT)
    if schedule.needs_metric:
        rates = schedule.replay({}, steps)
    elif horizon > LAID_OUT:
        return np.asarray(schedule.factor(np.linspace(0.0, 1.0, POINTS), horizon))
    else:
        rates = schedule.rates(steps)
    places = np.linspace(0, steps - 1, min(POINTS, max(steps, 2))).round().astype(int)
    return np.asarray(rates[places])

"""Times as people write them."""

from __future__ import annotations

import math


def seconds_of(given: str | float) -> float | None:
    """``90``, ``"90s"``, ``"10m"``, ``"6h"`` or ``"7d"`` in seconds; None for what is no time above 0.

    >>> seconds_of("10m"), seconds_of("soon")
    (600.0, None)
    """
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(given[-1:].lower()) if isinstance(given, str) else None
    number = given[:-1] if isinstance(given, str) and factor is not None else given
    try:
        seconds = float(number) * (factor or 1)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None

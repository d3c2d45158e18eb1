"""The learning-rate range test: the rate grows exponentially through one short training, and the loss says which rates
train. numpy alone.

    growing ──an engine, once per seed──> rates, losses ──read_curve──> SeedReading ──read_range──> RangeReading

A curve is read by its *gain*: from the level at which the loss starts to the lowest that it reaches. So neither the
loss's scale nor its zero matters, but for what counts as flat.

1. Spikes are cut off one gain above the start, and the loss is smoothed over half a decade of the rate, or over 7
   points if these are more: a running median, which keeps edges where they are, and then a mean over half as much.
2. A curve is flat, and says nothing, when its gain is less than a hundredth of the start, or less than 7 standard
   errors of the smoothed loss.
3. The steepest point is where the smoothed loss falls fastest per decade, before it is at its lowest.
4. It diverges at the first rate after the lowest point at which half of the gain is lost again, or where the loss is
   not finite.

The suggested range of peak rates goes from a third of the steepest point, of the seed that has it first, to the lowest
point of the seed that has it last; where a seed diverges below that, to its divergence. A single rate lies
half-way between steepest and lowest point, on a log scale. These are rules of thumb: a schedule's best peak depends on
its shape and on the length of the training, which is what a sweep finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lrsweep.records import Floats
from lrsweep.schedules import Schedule, schedule

SMOOTHED_OVER = 0.5
"""Decades of the rate."""
FEWEST_SMOOTHED = 7
FEWEST_POINTS = 30
"""Of one curve: below it the steepest point is one of a handful."""
SMALLEST_GAIN = 0.01
CERTAIN = 7.0
"""Standard errors: of curves of noise alone, 1 in 50 to 300 still has a gain above that."""
LOST = 0.5
BELOW_STEEPEST = 3.0


@dataclass(frozen=True, eq=False)
class SeedReading:
    """One curve. ``rates`` and ``losses`` are as given, ``smoothed`` ends where it diverges."""

    rates: Floats
    losses: Floats
    smoothed: Floats
    steepest: float | None = None
    lowest: float | None = None
    divergence: float | None = None
    """the first rate at which it has diverged; None: not up to the highest"""
    falls_at_once: bool = False
    """the steepest point is within half a decade of the lowest rate"""
    falls_to_the_end: bool = False
    """the lowest point is among the last"""
    unclear: str | None = None
    """why it says nothing; then it has neither a steepest nor a lowest point"""


@dataclass(frozen=True)
class Spread:
    """A rate over the seeds: their median, smallest and largest."""

    rate: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, rates: Sequence[float | None]) -> Spread | None:
        known = [rate for rate in rates if rate is not None]
        if not known:
            return None
        return cls(float(np.exp(np.median(np.log(known)))), min(known), max(known), len(known))


@dataclass(frozen=True)
class RangeReading:
    """What all seeds say together; ``suggested`` is None where they say too little, and ``notes`` tell why."""

    steepest: Spread | None
    lowest: Spread | None
    divergence: Spread | None
    """of the seeds that diverged"""
    suggested: tuple[float, float] | None
    """a range for the search of the peak rate"""
    peak_lr: float | None
    """one rate, to begin with"""
    notes: tuple[str, ...]


def growing(low: float, high: float, steps: int) -> Schedule:
    """The rates from ``low`` to ``high``, each the same multiple of the one before; its peak is ``high``.

    >>> growing(0.01, 1.0, 3).rates(3, peak_lr=1.0).round(9).tolist()
    [0.01, 0.1, 1.0]
    """
    return schedule("table", values=tuple(np.minimum(np.geomspace(low / high, 1.0, steps), 1.0).tolist()))


def read_curve(rates: Floats, losses: Floats) -> SeedReading:
    """What one training says: ``losses[i]`` is the loss after the update at ``rates[i]``; these grow. A loss may be NaN
    or infinite."""
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    broke = float(rates[end]) if end < len(losses) else None
    if end < FEWEST_POINTS:
        return SeedReading(
            rates, losses, losses[:0], divergence=broke, unclear=f"it has {end} losses, and {FEWEST_POINTS} are needed"
        )
    decades, given = np.log10(rates[:end]), losses[:end]
    width = max(FEWEST_SMOOTHED, round(SMOOTHED_OVER * end / max(decades[-1] - decades[0], SMOOTHED_OVER)) | 1)
    start = float(np.median(given[:width]))
    smoothed = _mean(_median(np.minimum(given, 2 * start - given.min()), width), width // 2 | 1)
    at_lowest = int(np.argmin(smoothed))
    gain = start - float(smoothed[at_lowest])

    falling = slice(0, at_lowest + 1)
    noise = 1.4826 * float(np.median(np.abs(given - smoothed)[: max(at_lowest, 2 * width)]))
    error = noise / np.sqrt(width)
    if gain <= max(SMALLEST_GAIN * abs(start), CERTAIN * error):
        why = f"the loss does not fall: it starts at {start:.4g}, and its lowest level is {start - gain:.4g}"
        return SeedReading(rates, losses, smoothed, divergence=broke, unclear=why)

    back = np.flatnonzero(smoothed[at_lowest:] > start - LOST * gain)
    diverged = at_lowest + int(back[0]) if back.size else end
    at_steepest = int(np.argmin(_slopes(decades, smoothed, width)[falling]))
    return SeedReading(
        rates,
        losses,
        smoothed[:diverged],
        steepest=float(rates[at_steepest]),
        lowest=float(rates[at_lowest]),
        divergence=float(rates[diverged]) if diverged < len(rates) else None,
        falls_at_once=at_steepest <= width,
        falls_to_the_end=broke is None and at_lowest >= end - 1 - width // 4,
    )


def read_range(seeds: Sequence[SeedReading]) -> RangeReading:
    """The seeds together. More than half of them must be clear for a suggestion."""
    clear = [seed for seed in seeds if seed.unclear is None]
    notes = [f"{_seeds(len(seeds) - len(clear), len(seeds))}: {why}" for why in _first_reason(seeds)]
    steepest = Spread.of([seed.steepest for seed in clear])
    lowest = Spread.of([seed.lowest for seed in clear])
    divergence = Spread.of([seed.divergence for seed in seeds])
    if steepest is None or lowest is None or 2 * len(clear) <= len(seeds):
        return RangeReading(steepest, lowest, divergence, None, None, tuple(notes))

    first, last = min(float(seed.rates[0]) for seed in clear), max(float(seed.rates[-1]) for seed in clear)
    high = min(lowest.high, divergence.low) if divergence is not None else lowest.high
    low = min(max(steepest.low / BELOW_STEEPEST, first), high / BELOW_STEEPEST)
    peak_lr = float(np.clip(np.sqrt(steepest.rate * lowest.rate), low, high))
    if any(seed.falls_at_once for seed in clear):
        notes.append(f"the loss falls from the first rates on, so lower ones may train too: --low {first / 100:g}")
    if any(seed.falls_to_the_end for seed in clear):
        notes.append(f"the loss still falls at the highest rate, so higher ones may train too: --high {last * 100:g}")
    elif divergence is None:
        notes.append(f"no seed diverges up to {last:g}")
    if steepest.high > 10 * steepest.low:
        notes.append("the seeds' steepest points are more than a decade apart: more --steps or --seeds would tell more")
    return RangeReading(steepest, lowest, divergence, (low, high), peak_lr, tuple(notes))


def _first_reason(seeds: Sequence[SeedReading]) -> list[str]:
    return [seed.unclear for seed in seeds if seed.unclear is not None][:1]


def _seeds(count: int, of: int) -> str:
    return f"{count} of {of} seeds" if of > 1 else "the seed"


def _windows(values: Floats, width: int, reflected: Literal["even", "odd"] = "even") -> NDArray[np.float64]:
    """A row of ``width`` values around each. Beyond an end the curve is its mirror image; or, where it is ``odd``, goes
    on with the same slope."""
    return sliding_window_view(np.pad(values, width // 2, mode="reflect", reflect_type=reflected), width)


def _median(values: Floats, width: int) -> Floats:
    smoothed: Floats = np.median(_windows(values, width), axis=1)
    return smoothed


def _mean(values: Floats, width: int) -> Floats:
    smoothed: Floats = _windows(values, width).mean(axis=1)
    return smoothed


def _slopes(places: Floats, values: Floats, width: int) -> Floats:
    """Of the straight line through the points of each window, by least squares."""
    x, y = _windows(places, width, "odd"), _windows(values, width, "odd")
    x = x - x.mean(axis=1, keepdims=True)
    slopes: Floats = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    return slopes

"""Results of anybody's trainings, as rows: what was trained, for how long, with which seed, and what came of it."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lrsweep.errors import ScheduleError
from lrsweep.records import Direction, Json, Losses
from lrsweep.schedules import Schedule, family_names, schedule, schedule_from_json
from lrsweep.selection.arms import Arm
from lrsweep.selection.coarse import with_least_spreads
from lrsweep.selection.ranking import cost

UNKNOWN = 99.0
"""The complexity of a label that names no family of ours: any known one is simpler."""
FEWEST = 3
"""Seeds that make a point a finalist, or as many as any point has: fewer say nothing of what chance does."""


@dataclass(frozen=True)
class Point:
    """What is trained: the family's label, the schedule as JSON where it is known, and the peak rate."""

    family: str
    schedule: str = ""
    peak_lr: float | None = None
    beside: str = ""
    """what else a training of it has, such as optimizer and batch size, as JSON"""

    @property
    def name(self) -> str:
        """Unique among points."""
        rate = "" if self.peak_lr is None else f" at {self.peak_lr!r}"
        return " ".join(filter(None, [f"{self.family}{rate}", self.schedule, self.beside]))


@dataclass(frozen=True)
class Result:
    """Of one training."""

    point: Point
    horizon: int
    seed: str
    value: float | None
    """None, or not finite, where it diverged"""
    cost: float | None = None
    """what the training took, in whatever unit all rows have"""
    block: str = ""
    """how it was trained (engine, slots, kind of device), where that is known: another block's values are not compared,
    since the last digits of a training depend on it"""
    examples: Losses | None = field(default=None, compare=False, repr=False)
    """the loss of each example that the value is the mean of, where that was kept"""

    @property
    def has_diverged(self) -> bool:
        return self.value is None or not math.isfinite(self.value)


def horizons(results: Iterable[Result]) -> list[int]:
    return sorted({each.horizon for each in results})


def at_horizon(results: Iterable[Result], horizon: int) -> dict[Point, list[Result]]:
    """By point, in the order in which they come."""
    found: dict[Point, list[Result]] = defaultdict(list)
    for each in results:
        if each.horizon == horizon:
            found[each.point].append(each)
    return dict(found)


def finalists(points: Mapping[Point, Sequence[Result]]) -> dict[Point, list[Result]]:
    """Those with seeds enough to be compared. A sweep tries many points once and a few several times: the best of many
    single values is mostly luck, and where others have more seeds it is no finalist."""
    most = max((len(rows) for rows in points.values()), default=0)
    return {point: list(rows) for point, rows in points.items() if len(rows) >= min(FEWEST, most)}


@dataclass(frozen=True)
class LeftOut:
    """A point that was trained at the deciding horizon and is not compared."""

    point: Point
    seeds: int
    is_baseline: bool = False

    def to_json(self) -> dict[str, Json]:
        return {
            "family": self.point.family,
            "schedule": self.point.schedule or None,
            "peak_lr": self.point.peak_lr,
            "seeds": self.seeds,
            "is_baseline": self.is_baseline,
        }


def left_out(points: Mapping[Point, Sequence[Result]], baseline: Point | str | None) -> list[LeftOut]:
    """Those that have too few seeds to be finalists, most seeds first. A family that is the baseline is left out with
    all of its points or not at all."""
    final = finalists(points)
    of_family = isinstance(baseline, str) and not any(point.family == baseline for point in final)
    found = [
        LeftOut(point, len(rows), point == baseline or (of_family and point.family == baseline))
        for point, rows in points.items()
        if point not in final
    ]
    return sorted(found, key=lambda each: -each.seeds)


def largest_block(results: Sequence[Result], horizon: int) -> tuple[list[Result], dict[str, int]]:
    """Those that were trained as most were that came to a value at the horizon, and how many others were trained
    otherwise.

    >>> one, other = (Result(Point("a"), 9, "0", 1.0, block=block) for block in ("fused/8 on cuda", "command on cpu"))
    >>> largest_block([one, one, other], 9)[1]
    {'command on cpu': 1}
    """
    counts = Counter(each.block for each in results if each.horizon == horizon and not each.has_diverged)
    if not counts:
        return list(results), {}
    [(largest, _)] = counts.most_common(1)
    others = Counter(each.block for each in results if each.block != largest)
    return [each for each in results if each.block == largest], dict(others.most_common())


def arms_of(points: Mapping[Point, Sequence[Result]], direction: Direction, baseline: Point | None) -> list[Arm]:
    """In the order of the points, which is the order of the trials where they are a study's."""
    arms = [
        Arm(
            name=point.name,
            family=point.family,
            costs=tuple(cost(row.value, direction) for row in rows if row.value is not None and not row.has_diverged),
            diverged=sum(row.has_diverged for row in rows),
            is_baseline=point == baseline,
            complexity=complexity(point),
            order=order,
        )
        for order, (point, rows) in enumerate(points.items())
    ]
    return with_least_spreads(arms)


def mean_cost(rows: Iterable[Result]) -> float | None:
    """Of those whose cost is known; None where it is of none."""
    costs = [row.cost for row in rows if row.cost is not None]
    return math.fsum(costs) / len(costs) if costs else None


def complexity(point: Point) -> float:
    """A constant rate is the simplest; every number that a schedule needs beside its family makes it less simple.

    >>> [complexity(Point(name)) for name in ("constant", "cosine", "step", "mine")]
    [0.0, 1.0, 3.0, 99.0]
    """
    known = _schedule(point)
    if known is None:
        return UNKNOWN
    written = json.loads(known.to_json())
    own = {name: value for name, value in written.items() if name not in ("version", "family")}
    return float((known.family != "constant") + sum(_numbers(value) for value in own.values()))


def _numbers(value: Json) -> int:
    """How many a setting holds; a warm-up or floor of 0 is none."""
    if isinstance(value, dict):
        return sum(map(_numbers, value.values()))
    if isinstance(value, list):
        return sum(max(1, _numbers(each)) for each in value)
    return 0 if value in (0.0, "constant") else 1


def _schedule(point: Point) -> Schedule | None:
    try:
        if point.schedule:
            found = schedule_from_json(point.schedule)
            return found if isinstance(found, Schedule) else None
        return schedule(point.family) if point.family in family_names() else None
    except ScheduleError:  # a family whose settings must be given
        return None

"""The canaries since limits began: tonight's champion and baseline on their charts, before tonight is one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lrsweep.selection.nights.drifting import FEWEST, Course, Divergences, Shift
from lrsweep.selection.nights.judgement import Chart, Rules
from lrsweep.selection.nights.rows import Outcomes
from lrsweep.selection.ranking import cost
from lrsweep.selection.statistics import turned

CHAMPION = "champion"
LEAD = "champion less baseline"
"""By seeds that both share, so that what moves both cancels: where it moves, the champion is losing its lead."""
DIVERGENCES = "divergences of the champion"


@dataclass(frozen=True)
class Seen:
    """Of tonight's canary."""

    charts: tuple[Chart, ...]
    diverged: tuple[int, int]
    """seeds of the champion, and how many ended"""
    diverged_before: tuple[int, int]
    nights: int
    """before tonight, since limits began"""
    more_diverge: bool
    """than one night's chance explains"""
    drift_of_divergences: Shift | None

    @property
    def drift(self) -> Shift | None:
        """The shortest that any chart shows."""
        found = [chart.shift for chart in self.charts if chart.shift is not None]
        found += [self.drift_of_divergences] if self.drift_of_divergences is not None else []
        return min(found, key=lambda shift: shift.nights, default=None)

    @property
    def is_out(self) -> bool:
        return self.more_diverge or self.drift is not None or any(chart.is_out for chart in self.charts)


class Canaries:
    def __init__(self, since: str, rules: Rules) -> None:
        self.since = since
        self._sign = cost(1.0, rules.direction)
        self._nights = 0
        self._courses = {CHAMPION: Course(), LEAD: Course()}
        self._divergences = Divergences()

    def seen(self, champion: Outcomes, baseline: Outcomes) -> Seen:
        both = [seed for seed in champion.costs if seed in baseline.costs]
        values = {
            CHAMPION: list(champion.costs.values()),
            LEAD: [champion.costs[seed] - baseline.costs[seed] for seed in both],
        }
        ended, diverged = len(champion.seeds), len(champion.diverged)
        before, nights = self._divergences.so_far, self._nights
        more = nights >= FEWEST and self._divergences.are_out(ended, diverged)
        charts = tuple(self._chart(name, values[name]) for name in values if name == CHAMPION or self._has_lead(both))
        if ended:
            self._nights += 1
            self._divergences.add(ended, diverged)
        shift = self._divergences.shift() if diverged else None
        return Seen(charts, (diverged, ended), before, nights, more, shift)

    def _has_lead(self, both: Sequence[int]) -> bool:
        return bool(both) or self._courses[LEAD].nights > 0

    def _chart(self, name: str, values: Sequence[float]) -> Chart:
        course, sign = self._courses[name], self._sign
        nights, before, limits = course.nights, course.mean, course.limits(max(1, len(values)))
        shift = None
        if values:
            course.add(values)
            shift = course.shift()
        return Chart(
            name=name,
            tonight=sign * sum(values) / len(values) if values else None,
            seeds=len(values),
            nights=nights,
            before=None if before is None else sign * before,
            limits=turned(limits, sign),
            seed_deviation=course.seed_deviation,
            shift=None if shift is None else replace(shift, by=sign * shift.by, before=sign * shift.before),
        )

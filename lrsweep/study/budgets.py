"""What a budget pays for: trials of the search, finalists and their seeds, in updates, hours and money. Pure.

    trainings, steps ─┐                         ┌─ (1 - share): the search's trials, by what one of them costs
    hours, money ── pace ──> updates in all ────┤
    trials ── their cost / (1 - share) ─┘       └─ share: finalists at the full horizon

The unit of account is an update. A training at the full horizon is as many of them as the horizon has, whatever the
budget is written in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.records import Status, SweepRow, TrainingRow
from lrsweep.study.specs import TIMED, BudgetSpec, SelectionSpec

FEWEST_CALIBRATION_TRIALS = 8
"""With fewer nothing is concluded from them."""
CALIBRATION_EVERY = 10
"""One trial in ten runs all rungs."""

FEWEST_FINALISTS = 2
"""One alone is compared with nobody."""

POWER = 0.8

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class SearchCost:
    """What trials cost before their values are known."""

    rungs: tuple[int, ...]
    """horizons in updates, shortest first"""
    reduction_factor: int
    halts: bool = True
    """False: every trial runs all rungs"""

    def reached(self, trials: float) -> tuple[float, ...]:
        """How many of the trials are trained at each rung: calibrating ones go on whatever their value, of the others
        one in ``reduction_factor``.

        >>> SearchCost((200, 600), 3).reached(40)
        (40.0, 16.0)
        """
        calibrating = trials / CALIBRATION_EVERY if self.halts else trials
        others = trials - calibrating
        return tuple(calibrating + others / self.reduction_factor**rung for rung in range(len(self.rungs)))

    def steps(self, trials: float) -> float:
        """Updates of so many trials. A training that diverges ends early and is repeated at its own rate: the two are
        counted as one.

        >>> SearchCost((200, 600), 3).steps(40)
        17600.0
        """
        return sum(count * horizon for count, horizon in zip(self.reached(trials), self.rungs, strict=True))

    def after(self, rung: int) -> float:
        """Updates that a trial is still expected to take once it has been trained at a rung.

        >>> SearchCost((200, 600), 3).after(0), SearchCost((200, 600), 3).after(1)
        (240.0, 0.0)
        """
        longer = SearchCost(self.rungs[rung:], self.reduction_factor, self.halts)
        return longer.steps(1) - self.rungs[rung]

    @property
    def of_a_baseline(self) -> int:
        """Updates of a trial that goes through all rungs, whatever its value."""
        return sum(self.rungs)

    def trials(self, steps: float) -> int:
        """The most trials that so many updates pay for; at least one.

        >>> SearchCost((200, 600), 3).trials(17_600)
        40
        """
        low, high = 1, max(1, math.floor(steps / self.rungs[0]))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.steps(middle) <= steps else (low, middle - 1)
        return low


@dataclass(frozen=True)
class Allotment:
    """What a budget comes to."""

    trials: int
    search_steps: float
    """expected of those trials"""
    total_steps: int
    """finalists included"""

    @property
    def final_steps(self) -> float:
        """What the search is expected to leave."""
        return max(0.0, self.total_steps - self.search_steps)


def allotted(
    budget: BudgetSpec,
    selection: SelectionSpec,
    cost: SearchCost,
    *,
    steps_per_second: float | None = None,
    devices: int = 1,
    reserved: float = 0.0,
) -> Allotment | None:
    """None for a budget in time or money where it is not known how many updates a second all devices make together.

    ``reserved``: updates of the search's part that are spent on something else.
    """
    horizon = cost.rungs[-1]
    if budget.trials is not None:
        search = cost.steps(budget.trials)
        share = kept_share(selection, search / (1 - selection.share), horizon)
        return Allotment(budget.trials, search, math.ceil(search / (1 - share)))
    total = _total_steps(budget, horizon, steps_per_second, devices)
    if total is None:
        return None
    trials = cost.trials(total * (1 - kept_share(selection, total, horizon)) - reserved)
    return Allotment(trials, cost.steps(trials), total)


def kept_share(selection: SelectionSpec, total_steps: float, horizon: int) -> float:
    """Of the whole budget. Where it would not pay for two finalists nothing is kept, and the search gets all of it.

    >>> kept_share(SelectionSpec(), 15 * 600, 600), kept_share(SelectionSpec(), 14 * 600, 600)
    (0.4, 0.0)
    """
    count, _ = finalists(selection.share * total_steps, horizon, selection, candidates=FEWEST_FINALISTS)
    return selection.share if count else 0.0


def _total_steps(budget: BudgetSpec, horizon: int, steps_per_second: float | None, devices: int) -> int | None:
    if budget.trainings is not None:
        return round(budget.trainings * horizon)
    if budget.steps is not None:
        return budget.steps
    seconds = seconds_of(budget, devices)
    if steps_per_second is None or seconds is None:
        return None
    return max(1, round(seconds * steps_per_second))


def seconds_of(budget: BudgetSpec, devices: int = 1) -> float | None:
    """The wall clock of a budget in time or money; None for the others."""
    if budget.wall_clock is not None:
        return budget.wall_clock
    hours = budget.gpu_hours
    if budget.money is not None:
        assert budget.price_per_hour is not None
        hours = budget.money / budget.price_per_hour
    return None if hours is None else hours * SECONDS_PER_HOUR / devices


def counts_devices(budget: BudgetSpec) -> bool:
    """Whether the time of each device is paid for, and not the clock's alone."""
    return budget.gpu_hours is not None or budget.money is not None


def in_unit_of(
    budget: BudgetSpec, steps: float, horizon: int, *, trials: int, steps_per_second: float | None, devices: int
) -> str:
    """So many updates, or so many trials of the search, as the study's own budget would be written. The pace is of all
    devices together."""
    if budget.kind == "trials":
        return f"trials = {trials}"
    if budget.kind == "steps":
        return f"steps = {math.ceil(steps)}"
    if budget.kind in TIMED and steps_per_second is not None:
        seconds = steps / steps_per_second
        if budget.kind == "wall_clock":
            return f'wall_clock = "{math.ceil(seconds / 60)}m"'
        had = seconds_of(budget, devices)
        assert had is not None
        amount = budget.gpu_hours if budget.gpu_hours is not None else budget.money
        assert amount is not None
        return f"{budget.kind} = {seconds / had * amount:.3g}"
    return f"trainings = {math.ceil(steps / horizon)}"


# ── finalists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def finalists(steps: float, horizon: int, selection: SelectionSpec, *, candidates: int) -> tuple[int, int]:
    """How many finalists, and how many fresh seeds of each, so many updates pay for at the full horizon.

    As many finalists as are wanted with at least ``seeds`` each; fewer finalists before fewer seeds; (0, 0) where not
    even two are paid for.

    >>> [finalists(paid * 600, 600, SelectionSpec(), candidates=60) for paid in (20, 13, 5)]
    [(6, 3), (4, 3), (0, 0)]
    """
    trainings = math.floor(steps / horizon + 1e-9)
    count = min(selection.finalists, candidates, trainings // selection.seeds)
    if count < FEWEST_FINALISTS:
        return 0, 0
    return count, trainings // count


FIRST_LOOK = 3
"""Seeds of each finalist before any is compared, or ``seeds`` where that is more: two say nothing of their spread."""
MOST_LOOKS = 5
"""Each has its part of what may be claimed wrongly."""
APART = 1.5
"""Each look at so many times the seeds of the one before it, or further: a gap that is half as wide takes four times as
many."""


def looks(first: int, most: int) -> tuple[int, ...]:
    """Seeds of those still in a race at each of its looks, evenly apart as factors: the last has all that is paid for.

    >>> looks(3, 18), looks(3, 9), looks(3, 4)
    ((3, 5, 7, 12, 18), (3, 5, 9), (3,))
    """
    if most <= first:
        return (first,)
    count = min(MOST_LOOKS, 1 + math.floor(math.log(most / first) / math.log(APART) + 1e-9))
    if count == 1:
        return (first,)
    return tuple(round(first * (most / first) ** (place / (count - 1))) for place in range(count))


def raced(trainings: int, count: int, seeds: int) -> tuple[int, ...]:
    """The looks of a race of so many finalists for so many trainings: as many as it would pay for if all that the first
    one leaves went to two of them. Where that is one, all have as many seeds as can be paid for.

    >>> raced(20, 4, 3), raced(40, 4, 3), raced(9, 3, 3)
    ((3, 5, 7), (3, 5, 7, 11, 17), (3,))
    """
    each = trainings // count
    first = min(max(FIRST_LOOK, seeds), each)
    found = looks(first, first + (trainings - count * first) // 2)
    return found if len(found) > 1 else (each,)


def smallest_difference(seeds: int) -> float:
    """The difference of two means of so many seeds each that a t-test at 5 % (two-sided) finds in 80 % of all cases, in
    standard deviations of one seed. Seeds that finalists share make the true one smaller.

    >>> round(smallest_difference(17), 2), round(smallest_difference(3), 1)
    (0.99, 3.1)
    """
    from scipy.special import nctdtr, stdtrit  # scipy.stats takes three times as long to import

    freedom = 2 * seeds - 2
    critical = stdtrit(freedom, 0.975)
    low, high = 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        power = 1 - nctdtr(freedom, middle * math.sqrt(seeds / 2), critical)  # the other tail is under a millionth
        low, high = (middle, high) if power < POWER else (low, middle)
    return high


def seeds_for(difference: float, deviation: float, *, most: int = 1000) -> int | None:
    """The fewest seeds of each of two finalists that resolve this difference of the metric; None above ``most``."""
    if smallest_difference(most) * deviation > difference:
        return None
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if smallest_difference(middle) * deviation <= difference else (middle + 1, high)
    return low


# ── what earlier sweeps say ──────────────────────────────────────────────────────────────────────────────────────────


def pace(sweep: SweepRow, trainings: Sequence[TrainingRow], *, removed_steps: int = 0) -> float | None:
    """Updates per second of all the sweep's trainings side by side, evaluations and the driver's own work included;
    None where none has ended. ``removed_steps``: of trainings that are gone, whose seconds are still in the sweep's."""
    steps = removed_steps + sum(row.steps for row in trainings if row.status.is_outcome)
    return steps / sweep.seconds if steps and sweep.seconds > 0 else None


def seed_deviation(trainings: Sequence[TrainingRow], value_key: str) -> float | None:
    """The standard deviation from seed to seed of one point at one horizon, pooled over the points that were trained
    with several; None where there are none.

    >>> rows = [TrainingRow(str(seed), "s", 0, "w", 1, 600, seed, 1.0, status=Status.COMPLETED,
    ...                     metrics={"loss": 0.1 * seed}) for seed in (1, 2, 3)]
    >>> round(seed_deviation(rows, "loss"), 6)
    0.1
    """
    groups: dict[tuple[str, int, int, float], list[float]] = {}
    for row in trainings:
        if row.status is Status.COMPLETED and value_key in row.metrics:
            groups.setdefault((row.sweep_id, row.trial, row.horizon, row.rate_scale), []).append(row.metrics[value_key])
    squares, freedom = 0.0, 0
    for values in groups.values():
        mean = sum(values) / len(values)
        squares += sum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else None

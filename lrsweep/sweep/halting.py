"""What follows when a training ends: the trial goes to its next rung, repeats this one, or is told. Pure functions, and
the values that they compare.

Halving happens inside a family, because a rung ranks the points of one family well and the families only roughly. Of
all families together it is only asked whether a value is in the better half: otherwise each family's first trials
would go on, however far they are behind. Two values of a rung are compared only where their peak rates were raised by
the same rule; at the full horizon nothing is raised, so there the values of all sweeps of a generation are comparable.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lrsweep.records import (
    Direction,
    Origin,
    Purpose,
    Status,
    SweepRow,
    TrainingRow,
    TrialRow,
    TrialState,
    stable_hash,
    training_id,
)
from lrsweep.selection import cost
from lrsweep.store.base import TrialEnd
from lrsweep.study import REDUCTION_FACTOR, ResolvedStudy
from lrsweep.study.budgets import CALIBRATION_EVERY

RATE_EXPONENTS_KEY = "rate_exponents"
"""Where a sweep's settings hold the exponents that it has frozen."""

OF_ALL = 2
"""One in so many of all families' values may go on, if it leads its family too."""


@dataclass(frozen=True)
class Next:
    """Either the trial is told, or it has more trainings to run."""

    tell: TrialEnd | None = None
    queue: tuple[TrainingRow, ...] = ()
    only_calibrates: bool = False
    """whether it goes on although its value would have halted it"""


class OtherRules:
    """Which sweeps of a generation raised the rates of an optimizer otherwise than the study does now."""

    def __init__(self, study: ResolvedStudy, sweeps: Sequence[SweepRow] = ()) -> None:
        """``sweeps`` are the generation's; one that has frozen nothing had the optimizers' defaults."""
        self._study = study
        self._theirs = {
            sweep.sweep_id: replace(study, rate_exponents=dict(sweep.settings.get(RATE_EXPONENTS_KEY, {})))
            for sweep in sweeps
        }

    def hold_for(self, trial: TrialRow, row: TrainingRow) -> bool:
        """Whether the value of the trial's training at this rung must not be compared with the study's own."""
        if row.sweep_id not in self._theirs:
            return False
        optimizer = str(trial.params["optimizer"])
        ours, theirs = (each.rate_scale(optimizer, row.horizon) for each in (self._study, self._theirs[row.sweep_id]))
        return not math.isclose(ours, theirs)


class Rivals(NamedTuple):
    """Values that other trials reached at a rung, the best first."""

    of_family: Sequence[float]
    of_all: Sequence[float]
    """those of its family among them"""


class Reached:
    """The values that trials have reached, by family and rung; kept in order, so that none is looked at one by one.

    Only what the search trained counts: neither finalists' fresh seeds, nor the trainings of a design.
    """

    def __init__(self, study: ResolvedStudy, others: OtherRules | None = None) -> None:
        self._study = study
        self._others = others or OtherRules(study)
        self._values: dict[tuple[str, int], list[float]] = defaultdict(list)
        self._of_all: dict[int, list[float]] = defaultdict(list)

    def add(self, trial: TrialRow, row: TrainingRow) -> None:
        value = row.metrics.get(self._study.value_key)
        if row.purpose is not Purpose.SEARCH or row.status is not Status.COMPLETED or value is None:
            return
        if not self._others.hold_for(trial, row):
            for values in (self._values[_family(trial), row.rung], self._of_all[row.rung]):
                insort(values, value, key=lambda each: cost(each, self._study.sense))

    def by(self, family: str, rung: int) -> Rivals:
        return Rivals(self._values[family, rung], self._of_all[rung])

    def is_behind(self, trial: TrialRow, row: TrainingRow) -> bool:
        """Whether a completed training that is among these has a value that the others of now would halt."""
        value = row.metrics.get(self._study.value_key)
        among = self.by(_family(trial), row.rung)
        if value is None or value not in among.of_family:
            return False
        rivals = Rivals(_without(value, among.of_family), _without(value, among.of_all))
        return not goes_on(value, rivals, self._study.sense, self._study.search.reduction_factor)


def after(
    ended: TrainingRow,
    study: ResolvedStudy,
    *,
    rivals: Rivals,
    calibrates: bool,
    scale: float,
    next_rung: int | None = None,
    halted: bool | None = None,
) -> Next:
    """What follows the outcome of ``ended``, a training of the search.

    ``rivals`` are the values that other trials reached at its rung; ``scale`` is the rate scale of the trial's next
    rung, which is the one above unless ``next_rung`` says another. ``halted`` is the word of a pruner that is not ours,
    and False at a rung that was dropped; then the rivals do not matter.
    """
    value = ended.metrics.get(study.value_key)
    if ended.status is Status.FAILED:
        return Next(tell=TrialEnd(TrialState.FAILED, None))
    if ended.status is Status.DIVERGED or value is None:
        if ended.rate_scale != 1.0:  # it may be the rung's raised rate that was too much, not the trial's own
            return Next(queue=(sibling(ended, ended.rung, ended.horizon, 1.0),))
        return Next(tell=TrialEnd(TrialState.PRUNED, None))
    if ended.rung == len(study.rungs) - 1:
        return Next(tell=TrialEnd(TrialState.COMPLETE, value))
    is_good = goes_on(value, rivals, study.sense, study.search.reduction_factor) if halted is None else not halted
    if calibrates or is_good:
        onward = ended.rung + 1 if next_rung is None else next_rung
        following = sibling(ended, onward, study.rungs[onward], scale)
        return Next(queue=(following,), only_calibrates=not is_good)
    return Next(tell=TrialEnd(TrialState.PRUNED, value))


def goes_on(value: float, rivals: Rivals, direction: Direction = "minimize", factor: int = REDUCTION_FACTOR) -> bool:
    """Whether the value is among the best ``1 / factor`` of its family's so far and in the better half of all, itself
    included; where that is less than one place, the best has it.

    >>> family = [0.1, 0.3, 0.4, 0.5, 0.6]
    >>> goes_on(0.2, Rivals(family, family)), goes_on(0.2, Rivals(family, [*[0.05] * 6, *family]))
    (True, False)
    """
    return _leads(value, rivals.of_family, direction, factor) and _leads(value, rivals.of_all, direction, OF_ALL)


def _leads(value: float, rivals: Sequence[float], direction: Direction, factor: int) -> bool:
    places = max(1, (len(rivals) + 1) // factor)
    return bisect_left(rivals, cost(value, direction), key=lambda rival: cost(rival, direction)) < places


def _without(value: float, values: Sequence[float]) -> list[float]:
    place = values.index(value)
    return [*values[:place], *values[place + 1 :]]


def calibrates(trial: TrialRow) -> bool:
    """Whether a trial runs all rungs whatever its value: one of each ten, drawn by lot.

    Only on these can the rank correlation between a rung and the full horizon be measured without bias. The baseline
    is one of them, for what the user runs today is compared at the full horizon.
    """
    if trial.origin is Origin.BASELINE:
        return True
    turn, place = divmod(trial.number, CALIBRATION_EVERY)
    return place == _drawn(trial.study, turn)


def calibrating_numbers(study: str, last: int) -> list[int]:
    """The numbers that were drawn, up to the last or a few beyond."""
    turns = range(last // CALIBRATION_EVERY + 1)
    return [turn * CALIBRATION_EVERY + _drawn(study, turn) for turn in turns]


def _drawn(study: str, turn: int) -> int:
    return int(stable_hash(["calibration", study, turn]), 16) % CALIBRATION_EVERY


def is_behind_anywhere(trial: TrialRow, trainings: Sequence[TrainingRow], reached: Reached) -> bool:
    """Whether a calibrating trial that has not ended came past a rung only because it calibrates.

    That is not kept, so it is judged by the values of now: a trial near the border may change sides at a restart.
    """
    return any(row.status is Status.COMPLETED and reached.is_behind(trial, row) for row in trainings)


def sibling(training: TrainingRow, rung: int, horizon: int, rate_scale: float) -> TrainingRow:
    """The same trial and seed at another horizon or rate scale: a training of its own."""
    return TrainingRow(
        training_id=training_id(training.sweep_id, training.trial, horizon, training.seed, rate_scale),
        study=training.study,
        trial=training.trial,
        sweep_id=training.sweep_id,
        rung=rung,
        horizon=horizon,
        seed=training.seed,
        rate_scale=rate_scale,
    )


def rung_step(rung: int, factor: int = REDUCTION_FACTOR) -> int:
    """Optuna's step for a rung: 1, 3, 9. Its stock pruners see rungs only where they are a factor apart."""
    return int(factor**rung)


def rung_values(trainings: Sequence[TrainingRow], value_key: str, factor: int) -> dict[int, float]:
    """Optuna's step -> value of one trial's ended trainings of the search; NaN where it diverged at its own rate."""
    values: dict[int, float] = {}
    for training in trainings:
        if training.purpose is not Purpose.SEARCH:
            continue
        if training.status is Status.COMPLETED and value_key in training.metrics:
            values[rung_step(training.rung, factor)] = training.metrics[value_key]
        elif training.status is Status.DIVERGED and training.rate_scale == 1.0:
            values[rung_step(training.rung, factor)] = math.nan
    return values


def _family(trial: TrialRow) -> str:
    return str(trial.params["family"])

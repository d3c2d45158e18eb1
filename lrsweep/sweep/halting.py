"""What follows when a training ends: the trial goes to its next rung, repeats this one, or is told. Pure functions, and
the values that they compare.

Halving happens inside a family, because a rung ranks the points of one family well and the families only roughly.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.records import Direction, Status, TrainingRow, TrialState, stable_hash, training_id
from lrsweep.selection import cost
from lrsweep.store.base import TrialEnd
from lrsweep.study import REDUCTION_FACTOR, ResolvedStudy

CALIBRATION_EVERY = 10
FEWEST_CALIBRATION_TRIALS = 8


@dataclass(frozen=True)
class Next:
    """Either the trial is told, or it has more trainings to run."""

    tell: TrialEnd | None = None
    queue: tuple[TrainingRow, ...] = ()
    only_calibrates: bool = False
    """whether it goes on although its value would have halted it"""


class Reached:
    """The values that trials have reached, by family and rung; kept in order, so that none is looked at one by one."""

    def __init__(self, study: ResolvedStudy) -> None:
        self._study = study
        self._values: dict[tuple[str, int], list[float]] = defaultdict(list)

    def add(self, family: str, row: TrainingRow) -> None:
        value = row.metrics.get(self._study.metric)
        if row.status is Status.COMPLETED and value is not None:
            insort(self._values[family, row.rung], value, key=lambda each: cost(each, self._study.direction))

    def by(self, family: str, rung: int) -> Sequence[float]:
        """The best first."""
        return self._values[family, rung]

    def is_behind(self, family: str, row: TrainingRow) -> bool:
        """Whether a completed training that is among these has a value that the others of now would halt."""
        value = row.metrics.get(self._study.metric)
        if value is None:
            return False
        rivals = [*self._values[family, row.rung]]
        rivals.remove(value)
        return not goes_on(value, rivals, self._study.direction)


def after(ended: TrainingRow, study: ResolvedStudy, *, rivals: Sequence[float], calibrates: bool, scale: float) -> Next:
    """What follows the outcome of ``ended``.

    ``rivals`` are the values that other trials of its family reached at its rung, the best first; ``scale`` is the rate
    scale of the trial's next rung.
    """
    value = ended.metrics.get(study.metric)
    if ended.status is Status.FAILED:
        return Next(tell=TrialEnd(TrialState.FAILED, None))
    if ended.status is Status.DIVERGED or value is None:
        if ended.rate_scale != 1.0:  # it may be the rung's raised rate that was too much, not the trial's own
            return Next(queue=(sibling(ended, ended.rung, ended.horizon, 1.0),))
        return Next(tell=TrialEnd(TrialState.PRUNED, None))
    if ended.rung == len(study.rungs) - 1:
        return Next(tell=TrialEnd(TrialState.COMPLETE, value))
    is_good = goes_on(value, rivals, study.direction)
    if calibrates or is_good:
        following = sibling(ended, ended.rung + 1, study.rungs[ended.rung + 1], scale)
        return Next(queue=(following,), only_calibrates=not is_good)
    return Next(tell=TrialEnd(TrialState.PRUNED, value))


def goes_on(value: float, rivals: Sequence[float], direction: Direction = "minimize") -> bool:
    """Whether the value is among the best third of its family's so far, itself included, and at least the best.

    The rivals come the best first.

    >>> goes_on(0.2, [0.1]), goes_on(0.2, [0.1, 0.3, 0.4, 0.5, 0.6])
    (False, True)
    """
    places = max(1, (len(rivals) + 1) // REDUCTION_FACTOR)
    return bisect_left(rivals, cost(value, direction), key=lambda rival: cost(rival, direction)) < places


def calibrates(trial: int, place: int, families: int, *, study: str) -> bool:
    """Whether a trial runs all rungs whatever its value: the generation's first trials, and later a random tenth.

    Only on these can the rank correlation between a rung and the full horizon be measured without bias.
    """
    if place < max(FEWEST_CALIBRATION_TRIALS, families):
        return True
    number = int(stable_hash(["calibration", study, trial]), 16)
    return number % CALIBRATION_EVERY == 0


def is_behind_anywhere(trainings: Sequence[TrainingRow], reached: Reached, family: str) -> bool:
    """Whether a calibrating trial that has not ended came past a rung only because it calibrates.

    That is not kept, so it is judged by the values of now: a trial near the border may change sides at a restart.
    """
    return any(row.status is Status.COMPLETED and reached.is_behind(family, row) for row in trainings)


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


def rung_step(rung: int) -> int:
    """Optuna's step for a rung: 1, 3, 9. Its stock pruners see rungs only where they are a factor apart."""
    return int(REDUCTION_FACTOR**rung)


def rung_values(trainings: Sequence[TrainingRow], metric: str) -> dict[int, float]:
    """Optuna's step -> value of one trial's ended trainings; NaN where it diverged at its own rate."""
    values: dict[int, float] = {}
    for training in trainings:
        if training.status is Status.COMPLETED and metric in training.metrics:
            values[rung_step(training.rung)] = training.metrics[metric]
        elif training.status is Status.DIVERGED and training.rate_scale == 1.0:
            values[rung_step(training.rung)] = math.nan
    return values

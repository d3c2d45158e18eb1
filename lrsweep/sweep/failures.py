"""Trainings that fail and engines that die: when one is trained again, held to account, or ends the sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lrsweep.errors import SweepFailed
from lrsweep.executors.messages import Lost
from lrsweep.executors.placing import DEATHS_THAT_FAIL
from lrsweep.records import Outcome, Status, TrainingRow
from lrsweep.sweep.node_faults import node_fault

MOST_RETRIES = 2
"""Of a training that the machine failed: a fault that stays costs each training so many attempts."""


class Failures:
    """Counted over the life of one driver."""

    def __init__(self, that_stop: int) -> None:
        """``that_stop``: how many in a row end the sweep."""
        self._that_stop = that_stop
        self._deaths: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._in_a_row = 0

    def fault_of(self, lost: Lost) -> str | None:
        """Counts a training that was lost; the error, once its own fault is the likeliest reason."""
        if lost.was_running:
            self._deaths[lost.training_id] += 1
        if self._deaths[lost.training_id] < DEATHS_THAT_FAIL:
            return None
        return f"{lost.reason}\n(for the {DEATHS_THAT_FAIL}rd time)"

    def passing(self, training_id: str, outcome: Outcome) -> str | None:
        """Counts a failure by the machine's fault that another attempt may not meet: what it was; None for all else."""
        if outcome.status is not Status.FAILED or self._retries[training_id] >= MOST_RETRIES:
            return None
        fault = node_fault(outcome.error or "")
        if fault is not None:
            self._retries[training_id] += 1
        return fault

    def count(self, ended: TrainingRow) -> None:
        """Raises SweepFailed at the last of too many failures in a row."""
        self._in_a_row = self._in_a_row + 1 if ended.status is Status.FAILED else 0
        if self._in_a_row >= self._that_stop:
            many = f"{self._that_stop} trainings in a row" if self._that_stop > 1 else "A training"
            raise SweepFailed(
                f"{many} failed, so the sweep was stopped. The last one:\n{ended.error}\n"
                "Mend the cause; the same command then goes on with the rest of the budget, of which failed trials "
                "have used up their part. `--new` starts another sweep with all of it."
            )


def refuse_total_failure(trainings: Iterable[TrainingRow], *, is_old: bool) -> None:
    """Raises SweepFailed where all have failed; ``is_old``: all that in an earlier run."""
    ended = [row for row in trainings if row.status.is_outcome]
    if ended and all(row.status is Status.FAILED for row in ended):
        when = " earlier, and the budget is used up: nothing was trained now" if is_old else ""
        raise SweepFailed(
            f"every training failed{when} ({len(ended)} of {len(ended)}). The last one:\n{ended[-1].error}\n"
            "Mend the cause; `--new` then starts another sweep."
        )

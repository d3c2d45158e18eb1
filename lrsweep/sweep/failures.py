"""Trainings that fail and engines that die: when a training is held to account, and when a sweep ends by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lrsweep.errors import SweepFailed
from lrsweep.executors.messages import Lost
from lrsweep.executors.placing import DEATHS_THAT_FAIL
from lrsweep.records import Status, TrainingRow

FAILURES_THAT_STOP = 5


class Failures:
    """Counted over the life of one driver."""

    def __init__(self) -> None:
        self._deaths: Counter[str] = Counter()
        self._in_a_row = 0

    def fault_of(self, lost: Lost) -> str | None:
        """Counts a training that was lost; the error, once its own fault is the likeliest reason."""
        if lost.was_running:
            self._deaths[lost.training_id] += 1
        if self._deaths[lost.training_id] < DEATHS_THAT_FAIL:
            return None
        return f"{lost.reason}\n(for the {DEATHS_THAT_FAIL}rd time)"

    def count(self, ended: TrainingRow) -> None:
        """Raises SweepFailed at the last of too many failures in a row."""
        self._in_a_row = self._in_a_row + 1 if ended.status is Status.FAILED else 0
        if self._in_a_row >= FAILURES_THAT_STOP:
            raise SweepFailed(
                f"{FAILURES_THAT_STOP} trainings in a row failed, so the sweep was stopped. "
                f"The last one:\n{ended.error}\n"
                "Mend the cause; the same command then goes on with the rest of the budget."
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

"""Trainings that fail and engines that die: when one is trained again, held to account, or ends the sweep.

What failures have stopped is tried again by the next driver, for its user is expected to have mended the cause: the
same trials, so that the budget is used up by what was trained and not by what went wrong. Each is tried again once:
what fails a second time is a result, so that a sweep gets past points that fail by themselves. The history says which
they are, for an attempt can also be lost to a kill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from lrsweep.errors import SweepFailed
from lrsweep.executors.messages import Lost
from lrsweep.executors.placing import DEATHS_THAT_FAIL
from lrsweep.records import Outcome, Purpose, Status, SweepRow, SweepStatus, TrainingRow
from lrsweep.store.base import Lease, Store
from lrsweep.sweep.node_faults import node_fault

MOST_RETRIES = 2
"""Of a training that the machine failed: a fault that stays costs each training so many attempts."""

STOPPED_KEY = "stopped_by_failures"
"""Where a sweep's settings say that failures stopped it, and that what failed was not yet tried again. It is written
before the last failure is committed: a driver that is killed between the two has only one failure less."""

WHOLE_HISTORY = 2**31 - 1


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

    def will_stop(self, status: Status) -> bool:
        """Whether ``count`` would raise for a training that ends so."""
        return status is Status.FAILED and self._in_a_row + 1 >= self._that_stop

    def count(self, ended: TrainingRow) -> None:
        """Raises SweepFailed at the last of too many failures in a row."""
        self._in_a_row = self._in_a_row + 1 if ended.status is Status.FAILED else 0
        if self._in_a_row >= self._that_stop:
            many = f"{self._that_stop} trainings in a row" if self._that_stop > 1 else "A training"
            raise SweepFailed(
                f"{many} failed, so the sweep was stopped. The last one:\n{ended.error}\n"
                "Mend the cause; the same command then goes on, and tries again what failed, once: what fails a second "
                "time stays so, and the sweep goes on past it. Where the points themselves fail, raise "
                f"run.failures_that_stop (now {self._that_stop}) in the study file. `--new` starts another sweep."
            )


def refuse_total_failure(store: Store, sweep: SweepRow, trainings: Iterable[TrainingRow], *, is_old: bool) -> None:
    """Raises SweepFailed where all have failed; ``is_old``: all that in an earlier run."""
    ended = [row for row in trainings if row.status.is_outcome]
    if ended and all(row.status is Status.FAILED for row in ended):
        when = " earlier, and the budget is used up: nothing was trained now" if is_old else ""
        left = len(_not_tried_again(store, sweep, ended))
        what = "all" if left == len(ended) else f"{left}"
        then = (
            f"Mend the cause; the same command then tries {what} of them again. `--new` starts another sweep."
            if left
            else "Each of them has been tried again before: mend the cause, and start another sweep with `--new`."
        )
        raise SweepFailed(
            f"every training failed{when} ({len(ended)} of {len(ended)}). The last one:\n{ended[-1].error}\n{then}"
        )


def to_try_again(store: Store, sweep: SweepRow) -> list[TrainingRow]:
    """What failed in a sweep that failures stopped, and was not tried again before.

    Of any other sweep nothing: there a failure is a result. Where there are only failures, and nothing waits, they have
    stopped it, also where its driver was killed before it could note that.
    """
    is_stopped = sweep.settings.get(STOPPED_KEY)
    if not is_stopped and sweep.status is not SweepStatus.RUNNING:
        return []
    rows = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    if is_stopped or all(row.status is Status.FAILED for row in rows):
        return _not_tried_again(store, sweep, rows)
    return []


def _not_tried_again(store: Store, sweep: SweepRow, rows: Iterable[TrainingRow]) -> list[TrainingRow]:
    """Those that failed for the first time."""
    failed = [row for row in rows if row.status is Status.FAILED]
    if not failed:
        return []
    reopened = store.last_events(sweep.study, WHOLE_HISTORY, kind="training_reopened")
    # one that the end of a budget had stopped is opened again too, and has no error
    tried = {event.data["training_id"] for event in reopened if "error" in event.data}
    return [row for row in failed if row.training_id not in tried]


def trials_of(failed: Iterable[TrainingRow]) -> set[int]:
    """The numbers of the trials that have ended with one of these."""
    return {row.trial for row in failed if row.purpose is Purpose.SEARCH}


def try_again(store: Store, lease: Lease, sweep: SweepRow, failed: Collection[TrainingRow]) -> SweepRow:
    """Each waits for another attempt; whoever is killed in it finds the rest the next time. With none it only forgets
    that failures stopped the sweep: from here on a failure is a result again."""
    is_noted = sweep.settings.get(STOPPED_KEY)
    if not is_noted and not failed:
        return sweep
    if not is_noted:
        store.update_sweep(lease, sweep.sweep_id, settings={STOPPED_KEY: True})
    for row in failed:
        store.reopen_failed(lease, row.training_id, reason="its sweep goes on after the failures that stopped it")
    return store.update_sweep(lease, sweep.sweep_id, settings={STOPPED_KEY: False})


def tried_again_sentence(failed: Collection[TrainingRow]) -> str:
    """
    >>> row = TrainingRow("t", "digits", trial=0, sweep_id="s", rung=0, horizon=200, seed=7, rate_scale=1.0)
    >>> tried_again_sentence([row])
    'failures had stopped this sweep: 1 failed trial is tried again'
    """
    trials, others = len(trials_of(failed)), sum(row.purpose is not Purpose.SEARCH for row in failed)
    parts = [
        f"{count} failed {one if count == 1 else many}"
        for count, one, many in (
            (trials, "trial", "trials"),
            (others, "training beside the search", "trainings beside the search"),
        )
        if count
    ]
    are = "is" if trials + others == 1 else "are"
    return f"failures had stopped this sweep: {' and '.join(parts)} {are} tried again"

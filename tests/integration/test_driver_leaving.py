"""A driver that leaves early leaves in order: trainings give way, what they said is committed, and waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from lrsweep.errors import DeadlinePassed, Interrupted
from lrsweep.executors.messages import Lost
from lrsweep.records import Record, Status, TrainingPlan, TrialState
from lrsweep.sweep.stopping import Cancelled, Stop
from tests.scripted import Bench, End, ScriptedExecutor, Stays, completed, in_turn, late, only_sgd
from tests.sweeps import a_record


def interrupted(stop: Stop) -> Callable[[TrainingPlan], End]:
    """A training that goes on for ever, and a signal as it begins."""

    def script(_: TrainingPlan) -> End:
        stop.signum = 15
        return Stays()

    return script


class LastWords(ScriptedExecutor):
    """While it is drained the first goes on for ten steps, and the second ends."""

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        first, second = self._waiting
        rates = first.schedule.rates(first.horizon, first.peak_lr).tolist()
        last = a_record(
            30, evaluations={30: {"val_loss": 0.5}}, outcome=completed(second), training_id=second.training_id
        )
        self.last_words = [
            a_record(10, rates[10:20], training_id=first.training_id),
            a_record(0, rates, training_id=second.training_id),
            last,
        ]
        return super().drain(tick)


def test_what_is_said_while_it_drains_is_committed() -> None:
    """Ten steps more of one curve, and the outcome of another training, from which its next one follows."""
    bench = Bench(only_sgd(trials=4))
    stop = Stop()
    executor = LastWords(interrupted(stop))
    driver = bench.driver(executor, stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    first, second, *following = bench.trainings()
    curve = bench.store.curve(first.training_id)
    assert curve is not None
    assert (first.status, curve.steps) == (Status.QUEUED, 20)
    assert [(row.status, row.trial) for row in (second, *following)] == [
        (Status.COMPLETED, 1),
        (Status.QUEUED, 1),
    ]
    bench.drive()
    bench.assert_done(4)
    assert bench.store.training(second.training_id).attempt == 1


def test_a_sweep_that_is_cancelled_drains_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver sees it as it renews its lease, and leaves as at a signal."""
    monkeypatch.setattr("lrsweep.sweep.driver.RENEW_EVERY", -1.0)
    bench = Bench(only_sgd(trials=6))

    def cancels(plan: TrainingPlan) -> End:
        bench.store.ask_to_cancel(bench.sweep.sweep_id)
        return Stays()

    executor = ScriptedExecutor(in_turn(completed, completed, cancels))
    driver = bench.driver(executor, stop=Stop(deadline=time.monotonic() + 300))
    with pytest.raises(Cancelled):
        driver.run()
    assert len(executor.drained) == 2
    assert Counter(row.status for row in bench.trainings())[Status.COMPLETED] == 2


def test_a_deadline_drains_too() -> None:
    """As a signal does."""
    bench = Bench(only_sgd(trials=3))
    stop = Stop()
    executor = ScriptedExecutor(late(stop))
    with pytest.raises(DeadlinePassed):
        bench.driver(executor, stop=stop).run()
    assert len(executor.drained) == 2
    [row] = [row for row in bench.trainings() if row.status is Status.RUNNING]
    curve = bench.store.curve(row.training_id)
    assert curve is not None
    assert curve.steps == 10


def test_a_trial_that_was_drained_is_told_once() -> None:
    """Drained at every third training, eight times; nothing is trained twice that has an outcome."""
    bench = Bench(only_sgd(trials=5))
    for _ in range(8):
        stop = Stop()
        executor = ScriptedExecutor(in_turn(completed, completed, interrupted(stop)))
        driver = bench.driver(executor, stop=stop)
        try:
            driver.run()
        except Interrupted:
            driver.queue_running_again(reason="Interrupted")
    bench.drive()
    bench.assert_done(5)
    assert {trial.state for trial in bench.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}

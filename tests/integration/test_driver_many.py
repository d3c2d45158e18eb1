"""Many trainings at once: a real driver, search and store; an executor with slots whose trainings end by a script."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Record, Status, TrainingPlan, TrainingRow, TrialState
from lrsweep.store import MemoryStore, open_store
from lrsweep.sweep.waiting import most_in_flight
from tests.scripted import Bench, Script, ScriptedExecutor, completed, diverged, only_sgd
from tests.sweeps import a_record, a_study


class Killed(BaseException):
    """The end of a driver that had no time for anything."""


def after_polls(polls: int) -> Callable[[], None]:
    left = iter(range(polls))

    def killed() -> None:
        if next(left, None) is None:
            raise Killed

    return killed


class Slots(ScriptedExecutor):
    """A test double of an executor with slots, and with some places more for plans that wait there.

    Each poll begins what has a slot, and ends one of those, in an order of its own.
    """

    def __init__(self, bench: Bench, slots: int = 16, ahead: int = 4, script: Any = completed) -> None:
        super().__init__(script)
        self._bench = bench
        self._slots = slots
        self._ahead = ahead
        self._random = random.Random(5)
        self.engine = f"fused/{slots}"
        self.busy: Busy | None = None
        self._has_begun: set[tuple[str, int]] = set()
        self.submitted: list[TrainingPlan] = []
        self.before_poll: Callable[[], None] = lambda: None

    @property
    def free(self) -> int:
        return self._slots + self._ahead - len(self._waiting)

    @property
    def untold(self) -> int:
        return sum(trial.state is TrialState.RUNNING for trial in self._bench.store._read().trials.values())

    @property
    def at_first_rung(self) -> int:
        """Untold trials that have no training above it."""
        tables = self._bench.store._read()
        above = {row.trial for row in tables.trainings.values() if row.rung > 0}
        return sum(row.state is TrialState.RUNNING and row.number not in above for row in tables.trials.values())

    def submit(self, plan: TrainingPlan) -> None:
        """What waits elsewhere is shorter, or was tried more often: nothing else may be passed over."""
        assert self.at_first_rung <= most_in_flight(self._bench.study.trials)
        taken = {*self.in_flight, plan.training_id}
        for row in self._bench.store._read().trainings.values():  # the bench's copy of all of them takes 40 ms
            if row.status is Status.QUEUED and row.training_id not in taken:
                assert (row.attempt, -row.horizon) >= (plan.attempt - 1, -plan.horizon)
        super().submit(plan)
        self.submitted.append(plan)

    def poll(self, _seconds: float) -> list[Record | Lost]:
        self.before_poll()
        fresh = [
            plan for plan in self._waiting[: self._slots] if (plan.training_id, plan.attempt) not in self._has_begun
        ]
        begins = [a_record(training_id=each.training_id, attempt=each.attempt) for each in fresh]
        self._has_begun |= {(each.training_id, each.attempt) for each in fresh}
        if not self._waiting:
            return []
        place = self._random.randrange(min(self._slots, len(self._waiting)))
        self._waiting.insert(0, self._waiting.pop(place))
        return [replace(each, engine=self.engine) for each in [*begins, *super().poll(0)] if isinstance(each, Record)]

    def die(self) -> list[Record | Lost]:
        """The process ends: of all in flight those in its slots were running."""
        lost = [Lost(each, "the process died", place < self._slots) for place, each in enumerate(self.in_flight)]
        self._waiting.clear()
        return [*lost]


def ended(bench: Bench) -> Counter[str]:
    """How often each training got its result."""
    return Counter(event.data["training_id"] for event in bench.store.events("quick") if event.kind == "training_ended")


def queued_again(bench: Bench) -> Counter[str]:
    return Counter(
        event.data["training_id"] for event in bench.store.events("quick") if event.kind == "training_queued_again"
    )


def assert_each_ended_once(bench: Bench, trials: int) -> None:
    bench.assert_done(trials)
    assert ended(bench) == Counter(row.training_id for row in bench.trainings())


def some_diverge(plan: TrainingPlan, value: float | None = None) -> Any:
    return diverged(plan) if int(plan.training_id, 16) % 5 == 0 else completed(plan, value)


def improving() -> Script:
    """Each value is better than all before: who goes on does so by it, and nobody only calibrates."""
    values = iter(range(1_000, 0, -1))
    return lambda plan: some_diverge(plan, float(next(values)))


def worsening() -> Script:
    """Each is worse than all before: but for the first to end, who goes on only calibrates."""
    values = iter(range(1, 1_000))
    return lambda plan: completed(plan, float(next(values)))


# ── the search and the slots ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_search_has_a_sixth_of_its_budget_in_flight_and_no_more() -> None:
    """An executor that takes forty: sixteen trials of 96 are asked ahead, at every submit at most so many untold; what
    waits goes first, the longest of it first, as the executor asserts."""
    bench = Bench(only_sgd(trials=96))
    executor = Slots(bench, slots=32, ahead=8, script=improving())
    untold: list[int] = []
    executor.before_poll = lambda: untold.append(executor.untold)
    bench.driver(executor).run()
    assert_each_ended_once(bench, 96)
    assert untold[0] == max(untold) == 16
    assert untold == sorted(untold, reverse=True)  # a told trial has its successor at once, to the last ask
    assert untold.count(16) >= 96 - 16


def test_a_short_sweep_has_four_in_flight() -> None:
    """A sixth of ten would be one, and a device idle."""
    bench = Bench(only_sgd(trials=10))
    executor = Slots(bench, script=improving())
    untold: list[int] = []
    executor.before_poll = lambda: untold.append(executor.untold)
    bench.driver(executor).run()
    assert_each_ended_once(bench, 10)
    assert max(untold) == 4


def test_trials_that_only_calibrate_keep_slots_busy_beside_the_search() -> None:
    """Of an executor that takes forty the search has its sixteen to the last ask, but for the one that went on by its
    value; what calibrates comes on top."""
    bench = Bench(only_sgd(trials=96))
    executor = Slots(bench, slots=32, ahead=8, script=worsening())
    seen: list[tuple[int, int]] = []
    executor.before_poll = lambda: seen.append((executor.at_first_rung, executor.untold))
    bench.driver(executor).run()
    assert_each_ended_once(bench, 96)
    to_the_last_ask = 96 - 16
    assert {first for first, _ in seen[:to_the_last_ask]} == {15, 16}
    assert max(untold for _, untold in seen) >= 18


def test_after_a_kill_what_only_calibrates_is_known_again() -> None:
    """It waits for its second attempt, and the search has its places all the same."""
    bench = Bench(only_sgd(trials=96))
    script = worsening()
    first = Slots(bench, slots=32, ahead=8, script=script)
    first.before_poll = after_polls(55)
    with pytest.raises(Killed):
        bench.driver(first).run()
    assert first.untold - first.at_first_rung >= 2

    second = Slots(bench, slots=32, ahead=8, script=script)
    seen: list[tuple[int, int]] = []
    second.before_poll = lambda: seen.append((second.at_first_rung, len(bench.trials)))
    bench.driver(second).run()
    assert_each_ended_once(bench, 96)
    assert {at_first_rung for at_first_rung, trials in seen if trials < 96} <= {15, 16}


def test_new_trials_are_asked_however_much_waits() -> None:
    """Every trial runs both rungs, so that something waits all the time: between two asks end at most as many
    trainings as four trials in flight have left."""
    bench = Bench(only_sgd(trials=60))
    values = iter(range(1_000, 0, -1))
    executor = Slots(bench, slots=4, ahead=0, script=lambda plan: completed(plan, float(next(values))))
    bench.driver(executor).run()
    assert_each_ended_once(bench, 60)
    assert len(bench.trainings()) == 2 * 60
    asks = [place for place, plan in enumerate(executor.submitted) if plan.horizon == 30]
    assert len(asks) == 60
    assert max(later - earlier for earlier, later in pairwise(asks)) <= 4 * 2


def test_a_training_that_is_preempted_again_and_again_holds_up_no_other() -> None:
    """As long as another trial is not told; then it is let through."""
    bench = Bench(only_sgd(trials=24))

    class Preempts(Slots):
        def poll(self, seconds: float) -> list[Record | Lost]:
            first = next((plan for plan in self._waiting if plan.training_id == self.submitted[0].training_id), None)
            if first is None or self.untold == 1:
                return super().poll(seconds)
            self._waiting.remove(first)
            begin = a_record(training_id=first.training_id, attempt=first.attempt)
            return [begin, Lost(first.training_id, "preempted", was_running=False), *super().poll(seconds)]

    bench.driver(Preempts(bench, slots=4, ahead=0)).run()
    assert_each_ended_once(bench, 24)
    assert [row.attempt > 20 for row in bench.trainings() if row.rung == 0] == [True] + [False] * 23


def test_asks_that_take_long_let_the_engine_be_heard_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen places are free and each ask takes all the time there is: after each the driver looks, and does not wait
    for what may come."""
    monkeypatch.setattr("lrsweep.sweep.driver.FILL_SECONDS", -1.0)
    bench = Bench(only_sgd(trials=96))
    seen: list[tuple[int, float]] = []

    class Hears(Slots):
        def poll(self, seconds: float) -> list[Record | Lost]:
            seen.append((len(self.in_flight), seconds))
            return super().poll(seconds) if len(seen) > 20 else []

    bench.driver(Hears(bench)).run()
    assert_each_ended_once(bench, 96)
    assert seen[:16] == [(count, 0.0) for count in range(1, 17)]
    assert all(seconds > 0.0 for _, seconds in seen[16:20])


# ── what is lost, and what is not ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("polls", [1, 40, 110])
def test_after_a_kill_with_sixteen_in_flight_each_is_queued_again_once(polls: int) -> None:
    """What ran gets a second attempt, what waited in the process its first, and every result counts once; the next
    executor takes 32, and what was left fills the search's sixteen places all the same."""
    bench = Bench(only_sgd(trials=96))
    executor = Slots(bench, slots=12, ahead=4, script=improving())
    executor.before_poll = after_polls(polls)
    with pytest.raises(Killed):
        bench.driver(executor).run()
    rows = bench.trainings()
    running = {row.training_id for row in rows if row.status is Status.RUNNING}
    unfinished = {row.training_id for row in rows if not row.status.is_outcome}
    assert len(running) >= 11  # the one that ended last has left its slot
    assert len(unfinished) == 16
    results = ended(bench)

    second = Slots(bench, slots=24, ahead=8, script=some_diverge)
    bench.driver(second).run()
    assert_each_ended_once(bench, 96)
    assert queued_again(bench) == Counter(running)
    assert Counter(plan.training_id for plan in second.submitted[:16]) == Counter(unfinished)
    assert not results.keys() & {plan.training_id for plan in second.submitted}
    assert {row.training_id for row in bench.trainings() if row.attempt == 2} == running


def test_a_process_that_dies_with_sixteen_loses_no_result_and_doubles_none() -> None:
    """Twice, then all goes well: nobody is failed, and who waited in the process is not held to account."""
    bench = Bench(only_sgd(trials=96))

    class DiesTwice(Slots):
        polls = 0
        dead: list[frozenset[str]]

        def poll(self, seconds: float) -> list[Record | Lost]:
            self.polls += 1
            if self.polls not in (20, 45):
                return super().poll(seconds)
            self.dead.append(frozenset(self.in_flight))
            return self.die()

    executor = DiesTwice(bench, slots=12, ahead=4, script=some_diverge)
    executor.dead = []
    bench.driver(executor).run()
    assert_each_ended_once(bench, 96)
    assert [len(each) for each in executor.dead] == [16, 16]
    assert {row.status for row in bench.trainings()} == {Status.COMPLETED, Status.DIVERGED}
    assert max(queued_again(bench).values()) <= 2
    times = Counter(plan.training_id for plan in executor.submitted)
    assert times == Counter({row.training_id: 1 for row in bench.trainings()}) + Counter(
        training for dead in executor.dead for training in dead
    )


def test_many_outcomes_in_one_poll_do_not_outlive_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll ends all in the slots, and each commit takes 10 s of the lease's 30."""
    monkeypatch.setattr("lrsweep.sweep.driver.RENEW_EVERY", -1.0)
    now = [0.0]
    bench = Bench(only_sgd(trials=24), store=MemoryStore(clock=lambda: now[0]))
    end_training = bench.store.end_training

    def slow(*args: Any, **named: Any) -> TrainingRow:
        now[0] += 10.0
        return end_training(*args, **named)

    monkeypatch.setattr(bench.store, "end_training", slow)

    class AllAtOnce(Slots):
        def poll(self, seconds: float) -> list[Record | Lost]:
            return [message for _ in tuple(self._waiting) for message in super(AllAtOnce, self).poll(seconds)]

    bench.driver(AllAtOnce(bench)).run()
    assert_each_ended_once(bench, 24)


# ── which engine, and how full ───────────────────────────────────────────────────────────────────────────────────────


def test_a_row_names_the_engine_of_its_last_attempt() -> None:
    """The second driver has other slots: what it trains says so, and what was finished keeps its own."""
    bench = Bench(only_sgd(trials=24))
    first = Slots(bench, slots=8)
    first.before_poll = after_polls(6)
    with pytest.raises(Killed):
        bench.driver(first).run()
    finished = {row.training_id for row in bench.trainings() if row.status.is_outcome}
    assert {row.engine for row in bench.trainings() if row.attempt == 0} == {None}
    second = Slots(bench, slots=8)
    second.engine = "sequential"
    bench.driver(second).run()
    named = {row.training_id: row.engine for row in bench.trainings()}
    assert {named[training] for training in finished} == {"fused/8"}
    assert {engine for training, engine in named.items() if training not in finished} == {"sequential"}


@pytest.mark.parametrize("address", ["memory", "sqlite"])
def test_a_row_takes_the_engine_that_its_attempt_ended_with(address: str, tmp_path: Path) -> None:
    """Memory runs out after each has begun, and the slots are halved."""

    class Halves(ScriptedExecutor):
        def poll(self, seconds: float) -> list[Record | Lost]:
            return [
                replace(each, engine="fused/8" if each.outcome else "fused/16")
                for each in super().poll(seconds)
                if isinstance(each, Record)
            ]

    store: Any = MemoryStore() if address == "memory" else open_store(f"sqlite:///{tmp_path}/results.db")
    bench = Bench(only_sgd(trials=2), store=store)
    bench.driver(Halves(completed)).run()
    assert {row.engine for row in store.trainings("quick")} == {"fused/8"}
    store.close()


def test_those_who_watch_see_how_full_the_slots_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest word of the executor; after the end the result has it."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(only_sgd(trials=12))
    executor = Slots(bench, slots=4)

    def works() -> None:
        done = executor.busy.steps + 10 if executor.busy else 10
        executor.busy = Busy(slots=4, steps=done, slot_steps=3 * done)

    executor.before_poll = works
    driver = bench.driver(executor)
    assert driver.occupancy is None
    driver.run()
    first, last = bench.seen[0].busy, bench.seen[-1].busy
    assert first is not None
    assert last is not None
    assert (first.steps, last.steps) == (10, 10 * len(bench.trainings()))
    assert driver.occupancy == 0.75


def test_one_after_the_other_there_is_no_occupancy() -> None:
    """The sequential engine has no slots."""
    bench = Bench(a_study(trials=2))
    driver = bench.driver(ScriptedExecutor(completed))
    driver.run()
    assert driver.occupancy is None

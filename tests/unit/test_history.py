"""The checker of histories finds each rule that is broken: a true history is told wrongly on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from lrsweep.errors import Interrupted
from lrsweep.records import Status, SweepRow, SweepStatus, TrainingRow, TrialRow, TrialState
from lrsweep.store.base import Event
from lrsweep.study import SelectionSpec
from lrsweep.sweep.stopping import Stop
from tests.history import assert_history, broken_rules
from tests.scripted import Bench, Dies, End, ScriptedExecutor, Stays, completed, diverged, failed, in_turn, only_sgd

Rows = tuple[list[SweepRow], list[TrialRow], list[TrainingRow]]


def a_sweep() -> Bench:
    """Two drivers, the first interrupted; trainings that die, diverge and fail; finals; then it is finished."""
    study = replace(only_sgd(trials=6), total_steps=2000, selection=SelectionSpec(finalists=2, seeds=2))
    bench, stop = Bench(study), Stop()

    def interrupts(_: Any) -> End:
        stop.signum = 15
        return Stays()

    driver = bench.driver(ScriptedExecutor(in_turn(completed, lambda _: Dies(), failed, interrupts)), stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    bench.store.release_lease(bench.lease)
    bench.lease = bench.store.acquire_lease(study.name, "another", seconds=600)
    bench.drive(in_turn(completed, diverged, completed))
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    return bench


@cache
def history() -> tuple[list[Event], Rows]:
    store, study = a_sweep().store, "quick"
    return list(store.events(study)), (
        list(store.sweeps(study)),
        list(store.trials(study)),
        list(store.trainings(study)),
    )


def test_a_true_history_breaks_no_rule() -> None:
    """Whatever happened in it; and it holds every kind of event that a mutation below needs."""
    events, rows = history()
    assert broken_rules(events, *rows) == []
    assert {event.kind for event in events} >= {
        *("lease_acquired", "lease_released", "study_registered", "sweep_created", "sweep_finished", "trial_added"),
        *("trial_told", "trainings_queued", "training_started", "training_queued_again", "training_ended"),
    }
    bench = a_sweep()
    assert_history(bench.store, bench.study.name)


Mutation = Callable[[list[Event]], None]


def place(kind: str, nth: int = 0) -> int:
    return [number for number, event in enumerate(history()[0]) if event.kind == kind][nth]


def changed(kind: str, nth: int = 0, **data: Any) -> Mutation:
    """That event says something else."""

    def mutate(events: list[Event]) -> None:
        at = place(kind, nth)
        events[at] = replace(events[at], data={**events[at].data, **data})

    return mutate


def without(kind: str, nth: int = 0) -> Mutation:
    def mutate(events: list[Event]) -> None:
        del events[place(kind, nth)]

    return mutate


def again(kind: str, nth: int = 0) -> Mutation:
    """It stands there a second time, right behind."""

    def mutate(events: list[Event]) -> None:
        at = place(kind, nth)
        events.insert(at + 1, events[at])

    return mutate


def moved(kind: str, behind: str) -> Mutation:
    """The first of the one kind stands behind the first of the other."""

    def mutate(events: list[Event]) -> None:
        moving, other = events[place(kind)], events[place(behind)]
        events.remove(moving)
        events.insert(events.index(other) + 1, moving)

    return mutate


def followed_by(*kinds: str) -> Mutation:
    """The history goes on with these, by the last driver."""

    def mutate(events: list[Event]) -> None:
        sweep_id, token = "sweep-1", events[-1].token
        events += [Event(0.0, "quick", sweep_id, kind, token, {"trial": 0, "queued": []}) for kind in kinds]

    return mutate


def stale(events: list[Event]) -> None:
    """The first driver writes once more, after the second has the lease."""
    at = place("training_started", -1)
    events[at] = replace(events[at], token=events[0].token)


def trained_as_it_is_told(events: list[Event]) -> None:
    """The next training of a trial that was told stands before what it was told."""
    at = place("trial_told")
    queued = replace(events[at - 1], kind="trainings_queued", data={"trial": events[at].data["trial"], "queued": ["x"]})
    events.insert(at - 1, queued)


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "a stale driver wrote": (stale, "lease", "training_started was written while the lease was another's"),
    "nobody had the lease": (moved("study_registered", "lease_released"), "lease", "while the lease was nobody's"),
    "a token comes back": (again("lease_acquired"), "lease", "a token was given a second time"),
    "a sweep is created twice": (again("sweep_created"), "sweep", "was created twice"),
    "a sweep is not created": (without("sweep_created"), "sweep", "which was not created"),
    "a sweep is finished twice": (again("sweep_finished"), "sweep", "sweep_finished of sweep-1, which is finished"),
    "a running sweep is continued": (
        followed_by("sweep_continued", "sweep_continued"),
        "sweep",
        "was continued and is running",
    ),
    "a cancelled sweep goes on": (
        followed_by("sweep_continued", "sweep_cancelled", "sweep_continued"),
        "sweep",
        "was continued and is cancelled",
    ),
    "a finished sweep trains": (followed_by("trainings_queued"), "sweep", "trainings_queued in sweep-1, which is fin"),
    "a finished sweep asks": (followed_by("trial_added"), "sweep", "trial_added in sweep-1, which is finished"),
    "a trial is added twice": (again("trial_added"), "trial", "trial 0 was added after trial 0"),
    "a trial is told and not added": (without("trial_added"), "trial", "was told and never added"),
    "a trial is told twice": (again("trial_told"), "trial", "was told twice"),
    "a trial is told before its outcome": (
        moved("trial_told", "training_started"),
        "trial",
        "without the outcome of one of its trainings",
    ),
    "a trial is told too early": (trained_as_it_is_told, "trial", "while a training of it was not done"),
    "a copied trial is told": (changed("trial_added", state="complete", value=0.1), "trial", "came with its result"),
    "a training begins unasked": (changed("trial_added", queued=[]), "training", "which was never queued"),
    "a training is new twice": (again("trainings_queued"), "training", "was queued as new twice"),
    "an attempt is left out": (changed("training_started", -1, attempt=3), "training", "in attempt 3; wanted 1"),
    "an attempt does not begin": (without("training_started"), "training", "which is queued"),
    "an attempt does not end": (without("training_queued_again"), "training", "which is running"),
    "a training ends twice": (again("training_ended"), "training", "after its outcome"),
    "a trial that did not fail runs again": (followed_by("trial_reopened"), "trial", "again and had not failed"),
    "a trial runs again by itself": (followed_by("trial_reopened"), "trial", "again without its failed training"),
    "it begins after its outcome": (moved("training_started", "training_ended"), "training", "after its outcome"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_history_that_was_changed_is_found_out(name: str) -> None:
    """By the rule that it breaks, with the number of the event at which that shows; the rows are as they were."""
    mutate, rule, text = MUTATIONS[name]
    events = list(history()[0])
    mutate(events)
    found = broken_rules(events, *history()[1])
    assert [broken.event for broken in found if broken.rule == rule and text in broken.text] > [0], found


def test_the_event_is_told_by_its_number() -> None:
    """From 1, in the text of the first rule that broke."""
    events = list(history()[0])
    again("trial_told")(events)
    found = broken_rules(events, *history()[1])
    assert str(found[0]).startswith(f"trial, event {place('trial_told') + 2}: trial ")


def of_a_complete_trial(**changes: Any) -> Callable[[Rows], None]:
    def mutate(rows: Rows) -> None:
        at = next(number for number, row in enumerate(rows[1]) if row.state is TrialState.COMPLETE)
        rows[1][at] = replace(rows[1][at], **changes)

    return mutate


def of_training(**changes: Any) -> Callable[[Rows], None]:
    def mutate(rows: Rows) -> None:
        rows[2][0] = replace(rows[2][0], **changes)

    return mutate


def metrics_of_all(rows: Rows) -> None:
    rows[2][:] = [replace(row, metrics={**row.metrics, "val_loss": 77.0}) for row in rows[2]]


WRONG_ROWS = {
    "a trial has another value": (of_a_complete_trial(value=99.0), "the search was told"),
    "a trial has no result": (of_a_complete_trial(state=TrialState.RUNNING), "of a finished sweep has no"),
    "a trial is gone": (lambda rows: rows[1].pop(), "in the history alone"),
    "a trial has two rows": (lambda rows: rows[1].append(rows[1][0]), "trial 0 has 2 rows"),
    "the values are nobody's": (metrics_of_all, "which no training of it says"),
    "an attempt is missing": (of_training(attempt=7), "is in attempt 7"),
    "a training is gone": (lambda rows: rows[2].pop(), "in the history alone"),
    "a training has two rows": (lambda rows: rows[2].append(rows[2][0]), "has 2 rows"),
    "an outcome is not in the history": (of_training(status=Status.QUEUED), "is queued; its history says ended"),
    "a sweep has another state": (
        lambda rows: rows[0].__setitem__(0, replace(rows[0][0], status=SweepStatus.STOPPED)),
        "its history says finished",
    ),
    "a sweep is gone": (lambda rows: rows[0].clear(), "is in the history alone"),
}


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_rows_that_say_other_than_the_history_are_found_out(name: str) -> None:
    """A value, a state, an attempt, a row too many or too few."""
    mutate, text = WRONG_ROWS[name]
    events, rows = history()
    wrong = (list(rows[0]), list(rows[1]), list(rows[2]))
    mutate(wrong)
    found = broken_rules(events, *wrong)
    assert any(text in broken.text and broken.rule == "rows" for broken in found), "\n".join(map(str, found))

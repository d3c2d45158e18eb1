"""One contract for the store's three homes, memory, SQLite and PostgreSQL; the lease: ``test_store_lease.py``."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lrsweep.records import (
    Curve,
    Outcome,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
)
from lrsweep.store import Lease, MemoryStore, Store, TrialEnd
from tests.contract.readers import everything

STUDY = StudyRow("digits", meaning="m1", generation="g1", spec={"trials": 60, "families": ["cosine", "wsd"]})
SWEEP = SweepRow("sweep-1", study="digits", generation="g1")
TRIAL = TrialRow(
    "digits",
    number=0,
    sweep_id="sweep-1",
    params={"family": "cosine", "cosine.sgd.peak_lr": 0.1},
    distributions={"family": {"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "wsd"]}}},
)
TRAINING = TrainingRow("t0", "digits", trial=0, sweep_id="sweep-1", rung=0, horizon=200, seed=7, rate_scale=1.7)
DONE = Outcome(Status.COMPLETED, steps=3, seconds=1.5, metrics={"val_loss": 0.25, "decide_loss": 0.5})


def a_curve(steps: int) -> Curve:
    """Losses are halves and quarters, which float32 holds exactly."""
    return Curve(
        rates=np.linspace(0.1, 0.0, steps),
        train_losses=np.arange(steps) / 4,
        evaluation_steps=np.arange(1, steps + 1, dtype=np.int64),
        evaluations={"val_loss": np.arange(steps) / 2},
    )


def same(one: Curve | None, other: Curve | None) -> bool:
    return (one is None) == (other is None) and (one is None or other is None or one.to_bytes() == other.to_bytes())


@pytest.fixture
def queued(store: Store, lease: Lease) -> TrainingRow:
    """The first training of the first trial of a sweep, waiting."""
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SWEEP)
    store.add_trial(lease, TRIAL, [TRAINING])
    return TRAINING


@pytest.fixture
def running(store: Store, lease: Lease, queued: TrainingRow) -> TrainingRow:
    """The same training, in its first attempt."""
    return store.start_training(lease, queued.training_id, device="cpu")


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.events("digits")]


# ── studies and sweeps ───────────────────────────────────────────────────────────────────────────────────────────────
def test_generations_come_oldest_first_and_keep_their_place(store: Store, lease: Lease) -> None:
    """A larger budget renews the spec of the same generation; another meaning is refused."""
    second = replace(STUDY, generation="g0", meaning="m2")
    larger = replace(STUDY, spec={"trials": 90})
    for row in (STUDY, second, larger):
        store.register_study(lease, row)
    assert store.studies() == store.studies("digits") == [larger, second]
    assert store.studies("faces") == []
    with pytest.raises(ValueError, match="new meaning is a new generation"):
        store.register_study(lease, replace(STUDY, meaning="m9"))


def test_a_sweep_is_created_at_the_stores_time_and_changed_in_parts(store: Store, lease: Lease) -> None:
    """``update_sweep`` changes what is given, adds the seconds and leaves the rest."""
    store.register_study(lease, STUDY)
    before = time.time()
    first = store.create_sweep(lease, SWEEP)
    assert before - 1 <= first.created_at <= time.time() + 1  # the clock is the store's
    assert first == replace(SWEEP, created_at=first.created_at)
    second = store.create_sweep(lease, replace(SWEEP, sweep_id="another"))
    assert store.sweeps("digits") == [first, second]
    store.update_sweep(lease, "sweep-1", add_seconds=2.0, mlflow_run_id="parent")
    store.update_sweep(lease, "sweep-1", status=SweepStatus.FINISHED)
    changed = store.update_sweep(lease, "sweep-1", add_seconds=0.5)
    assert changed == replace(first, status=SweepStatus.FINISHED, seconds=2.5, mlflow_run_id="parent")
    assert store.sweeps("digits") == [changed, second]
    store.update_sweep(lease, "sweep-1", status=SweepStatus.RUNNING)
    store.update_sweep(lease, "another", status=SweepStatus.STOPPED)
    assert kinds(store)[-3:] == ["sweep_finished", "sweep_continued", "sweep_stopped"]


def test_a_sweep_needs_its_generation_and_an_id_of_its_own(store: Store, lease: Lease) -> None:
    """An unregistered generation and a second sweep of one id are ValueErrors, an unknown id a KeyError."""
    with pytest.raises(ValueError, match=r".+"):
        store.create_sweep(lease, SWEEP)
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SWEEP)
    with pytest.raises(ValueError, match=r".+"):
        store.create_sweep(lease, SWEEP)
    with pytest.raises(KeyError, match="no sweep 'missing'"):
        store.update_sweep(lease, "missing", add_seconds=1.0)
    assert len(store.sweeps("digits")) == 1


# ── trials and trainings ─────────────────────────────────────────────────────────────────────────────────────────────
def test_a_trial_exists_with_its_first_trainings_or_not_at_all(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """Whatever is wrong with a trial or one of its trainings, nothing has changed."""
    assert store.trials("digits") == [TRIAL]
    assert store.trainings("digits") == [TRAINING]
    before = everything(store)
    second = replace(TRIAL, number=1)
    good = replace(TRAINING, training_id="t1", trial=1)
    for trial, trainings in [
        (TRIAL, []),
        (second, [good, good]),
        (second, [replace(TRAINING, trial=1)]),
        (second, [replace(good, trial=0)]),
        (second, [replace(good, status=Status.COMPLETED)]),
        (second, [replace(good, attempt=1)]),
        (replace(second, sweep_id="missing"), []),
        (replace(second, params={"peak_lr": math.nan}), []),
        (replace(second, value=math.nan), []),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            store.add_trial(lease, trial, trainings)
        assert everything(store) == before
    store.add_trial(lease, second, [good])
    assert store.training("t1") == good


def test_trial_numbers_go_on_over_sweeps_and_generations(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """The next number is one more than the largest ever used in the study, 0 in a new one."""
    assert store.next_trial_number("digits") == 1
    store.register_study(lease, replace(STUDY, generation="g2"))
    store.create_sweep(lease, SweepRow("sweep-2", "digits", "g2"))
    store.add_trial(lease, replace(TRIAL, number=7, sweep_id="sweep-2", copied_from="digits:0"), [])
    assert store.next_trial_number("digits") == 8
    assert store.next_trial_number("faces") == 0
    assert [row.number for row in store.trials("digits")] == [0, 7]
    assert [row.number for row in store.trials("digits", generation="g1")] == [0]
    assert [row.number for row in store.trials("digits", sweep_id="sweep-2")] == [7]
    assert store.trials("digits", generation="g1", sweep_id="sweep-2") == []
    assert store.trials("faces") == []


def test_trainings_come_by_trial_rung_and_rate_scale(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """The training at the raised rate comes before its repeat at the trial's own rate."""
    rows = {
        "b": replace(TRAINING, training_id="b", rung=0, rate_scale=1.0),
        "c": replace(TRAINING, training_id="c", rung=1, rate_scale=1.0),
        "a": replace(TRAINING, training_id="a", rung=0, rate_scale=3.0),
    }
    store.add_trial(lease, replace(TRIAL, number=1), [replace(row, trial=1) for row in rows.values()])
    assert [row.training_id for row in store.trainings("digits")] == ["t0", "a", "b", "c"]
    assert store.trainings("digits", generation="g1", sweep_id="sweep-1") == store.trainings("digits")
    assert store.trainings("digits", generation="g2") == []
    with pytest.raises(KeyError, match="no training 'missing'"):
        store.training("missing")


def test_one_trial_and_its_trainings_are_found_by_number(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """The second of two trials, with its own training alone; a number never used is a KeyError."""
    second = replace(TRIAL, number=1)
    store.add_trial(lease, second, [replace(TRAINING, training_id="t1", trial=1)])
    assert store.trial("digits", 1) == second
    assert [row.training_id for row in store.trainings("digits", trial=1)] == ["t1"]
    assert [row.training_id for row in store.trainings("digits", trial=0, sweep_id="sweep-1")] == ["t0"]
    with pytest.raises(KeyError, match="'digits' has no trial 2"):
        store.trial("digits", 2)


def test_an_attempt_starts_queued_trainings_and_drops_the_old_curve(store: Store, lease: Lease) -> None:
    """queued -> running -> queued -> running; ``attempt`` counts the executions begun."""
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SWEEP)
    store.add_trial(lease, TRIAL, [TRAINING])
    assert store.queue_again(lease, "t0", reason="idle") == TRAINING
    before = time.time()
    first = store.start_training(lease, "t0", device="cuda:0", engine="fused/32")
    assert (first.status, first.attempt, first.device, first.engine) == (Status.RUNNING, 1, "cuda:0", "fused/32")
    assert store.training("t0") == first
    assert first.started_at is not None
    assert before - 1 <= first.started_at <= time.time() + 1  # the clock is the store's
    with pytest.raises(ValueError, match="only a queued one starts"):
        store.start_training(lease, "t0", device="cpu")
    assert store.curve("t0") is None
    store.save_curve(lease, "t0", 1, a_curve(2))
    assert same(store.curve("t0"), a_curve(2))
    again = store.queue_again(lease, "t0", reason="the device went away")
    assert again == replace(first, status=Status.QUEUED)
    second = store.start_training(lease, "t0", device="cpu", engine="sequential")
    assert (second.attempt, second.device, second.engine) == (2, "cpu", "sequential")
    assert store.curve("t0") is None
    last_three = store.events("digits")[-3:]
    assert [event.kind for event in last_three] == ["training_started", "training_queued_again", "training_started"]
    assert [event.data.get("engine") for event in last_three] == ["fused/32", None, "sequential"]
    assert last_three[1].data["reason"] == "the device went away"
    assert store.training("t0").attempt == 2


def test_a_partial_curve_counts_in_its_attempt_only(store: Store, lease: Lease, running: TrainingRow) -> None:
    """The curve so far is replaced by the next one; another attempt, or a training that waits, has none to give."""
    store.save_curve(lease, "t0", 1, a_curve(2))
    store.save_curve(lease, "t0", 1, a_curve(5))
    with pytest.raises(ValueError, match="running in attempt 1, not running in attempt 2"):
        store.save_curve(lease, "t0", 2, a_curve(6))
    store.queue_again(lease, "t0", reason="drained")
    with pytest.raises(ValueError, match="is queued"):
        store.save_curve(lease, "t0", 1, a_curve(6))
    assert same(store.curve("t0"), a_curve(5))


def test_an_end_commits_result_curve_verdict_and_next_trainings(
    store: Store, lease: Lease, running: TrainingRow
) -> None:
    """One transaction: a reader sees all of it, in the rows and in the history."""
    following = replace(TRAINING, training_id="t1", rung=1, horizon=600)
    told = TrialEnd(TrialState.COMPLETE, 0.25)
    ended = store.end_training(lease, "t0", 1, DONE, a_curve(3), tell=told, queue=[following])
    assert ended == store.training("t0")
    assert ended == replace(
        running, status=Status.COMPLETED, steps=3, seconds=1.5, metrics={"val_loss": 0.25, "decide_loss": 0.5}
    )
    assert same(store.curve("t0"), a_curve(3))
    assert store.trials("digits") == [replace(TRIAL, state=TrialState.COMPLETE, value=0.25)]
    assert store.training("t1") == following
    end, verdict = store.events("digits")[-2:]
    assert (end.kind, end.data["status"], end.data["queued"]) == ("training_ended", "completed", ["t1"])
    assert (verdict.kind, verdict.data) == ("trial_told", {"trial": 0, "state": "complete", "value": 0.25})


def test_an_end_with_anything_wrong_changes_nothing(store: Store, lease: Lease, running: TrainingRow) -> None:
    """An invalid queued row, a wrong verdict or another attempt: all or nothing."""
    before = everything(store)
    good = replace(TRAINING, training_id="t1")
    told = TrialEnd(TrialState.COMPLETE, 0.25)
    wrong: list[tuple[int, TrialEnd | None, list[TrainingRow]]] = [
        (1, told, [good, good]),
        (1, told, [good, TRAINING]),
        (1, told, [good, replace(good, training_id="t2", sweep_id="missing")]),
        (1, TrialEnd(TrialState.RUNNING, None), [good]),
        (1, TrialEnd(TrialState.COMPLETE, None), [good]),
        (1, TrialEnd(TrialState.COMPLETE, math.nan), [good]),
        (2, told, [good]),
        (0, told, [good]),
    ]
    for attempt, tell, queue in wrong:
        with pytest.raises(ValueError, match=r".+"):
            store.end_training(lease, "t0", attempt, DONE, a_curve(3), tell=tell, queue=queue)
        assert everything(store) == before
    with pytest.raises(KeyError, match="no training 'missing'"):
        store.end_training(lease, "missing", 1, DONE, a_curve(3))


def test_a_result_counts_exactly_once(store: Store, lease: Lease, running: TrainingRow) -> None:
    """A second end, a late curve, another queueing and another start of an ended training are refused."""
    store.end_training(lease, "t0", 1, DONE, a_curve(3))
    before = everything(store)
    late: list[Callable[[], object]] = [
        lambda: store.end_training(lease, "t0", 1, replace(DONE, steps=9), a_curve(9)),
        lambda: store.save_curve(lease, "t0", 1, a_curve(9)),
        lambda: store.queue_again(lease, "t0", reason="late"),
        lambda: store.start_training(lease, "t0", device="cpu"),
    ]
    for write in late:
        with pytest.raises(ValueError, match="t0"):
            write()
    assert everything(store) == before


def test_the_search_is_told_once(store: Store, lease: Lease, running: TrainingRow) -> None:
    """A training that was ordered later ends without a word to the search, and cannot speak a second time."""
    later = replace(TRAINING, training_id="t1", seed=8)
    store.end_training(lease, "t0", 1, DONE, a_curve(3), tell=TrialEnd(TrialState.PRUNED, None), queue=[later])
    store.start_training(lease, "t1", device="cpu")
    with pytest.raises(ValueError, match="told already that trial 0 is pruned"):
        store.end_training(lease, "t1", 1, DONE, a_curve(3), tell=TrialEnd(TrialState.COMPLETE, 0.1))
    store.end_training(lease, "t1", 1, DONE, a_curve(3))
    assert store.trials("digits") == [replace(TRIAL, state=TrialState.PRUNED)]


def test_a_training_that_diverged_says_why(store: Store, lease: Lease, running: TrainingRow) -> None:
    """The sentence stands in its row, its odd characters replaced as an error's are; others have none."""
    why = Outcome(Status.DIVERGED, 2, 0.1, {}, reason="the training loss was nan\0 at step 1")
    ended = store.end_training(lease, "t0", 1, why, a_curve(2))
    assert ended.reason == "the training loss was nan\N{REPLACEMENT CHARACTER} at step 1"
    assert store.training("t0") == ended
    assert ended.error is None
    assert running.reason is None


def test_nan_and_strange_text_end_a_training_too(store: Store, lease: Lease, running: TrainingRow) -> None:
    """Metrics that are not finite are left out, the curve keeps them, and an error's odd characters are replaced."""
    failed = Outcome(Status.FAILED, 1, 0.1, {"val_loss": math.nan, "val_acc": 0.5}, error="a\0b\ud800c")
    curve = replace(a_curve(1), train_losses=np.array([math.inf]), evaluations={"val_loss": np.array([math.nan])})
    ended = store.end_training(lease, "t0", 1, failed, curve)
    assert (ended.metrics, ended.error) == ({"val_acc": 0.5}, "a\N{REPLACEMENT CHARACTER}b?c")
    assert same(store.curve("t0"), curve)
    assert store.training("t0") == ended


def test_values_go_in_and_come_out(store: Store, lease: Lease) -> None:
    """What a caller holds and changes is a copy of what is stored, on the way in and on the way out."""
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SWEEP)
    params: dict[str, Any] = {"floor": 0.1, "family": "wsd", "drops": [0.3, 0.6]}
    store.add_trial(lease, replace(TRIAL, params=params), [])
    params["drops"].append(0.9)
    read: Any = store.trials("digits")[0].params
    assert read == {"floor": 0.1, "family": "wsd", "drops": [0.3, 0.6]}
    assert list(read) == ["floor", "family", "drops"]
    read["drops"].clear()
    assert store.trials("digits")[0].params["drops"] == [0.3, 0.6]


def test_numbers_of_numpy_are_kept_as_numbers(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """An ``np.int64`` comes back equal; sqlite3 by itself would keep it as raw bytes."""
    seed: Any = np.int64(2**40)
    store.add_trial(lease, replace(TRIAL, number=1), [replace(TRAINING, training_id="t1", trial=1, seed=seed)])
    store.start_training(lease, "t1", device="cpu")
    steps: Any = np.int64(3)
    store.end_training(lease, "t1", 1, replace(DONE, steps=steps), a_curve(3))
    assert (store.training("t1").seed, store.training("t1").steps) == (2**40, 3)


# ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_unmirrored_follows_partial_curves_outcomes_and_attempts(
    store: Store, lease: Lease, running: TrainingRow
) -> None:
    """A training is listed while a committed step or its outcome is missing in MLflow, and only then."""

    def mark(attempt: int, steps: int, status: Status | None = None) -> None:
        run = f"run-{attempt}"
        store.mark_mirrored(lease, "t0", mlflow_run_id=run, attempt=attempt, steps=steps, status=status)

    def is_listed() -> bool:
        return [row.training_id for row in store.unmirrored("sweep-1")] == ["t0"]

    assert not is_listed(), "nothing is committed"
    store.save_curve(lease, "t0", 1, a_curve(2))
    assert is_listed()
    mark(1, steps=2)
    assert not is_listed()
    store.save_curve(lease, "t0", 1, a_curve(4))
    assert is_listed()
    mark(1, steps=4)
    store.queue_again(lease, "t0", reason="drained")
    store.start_training(lease, "t0", device="cpu")
    assert not is_listed(), "the new attempt has committed nothing yet"
    store.save_curve(lease, "t0", 2, a_curve(3))
    assert is_listed(), "fewer steps than were sent, but of another attempt"
    mark(2, steps=3)
    assert not is_listed()
    store.end_training(lease, "t0", 2, replace(DONE, status=Status.DIVERGED), a_curve(3))
    assert is_listed(), "all steps were sent, the outcome was not"
    mark(2, steps=3, status=Status.DIVERGED)
    assert not is_listed()
    row = store.training("t0")
    assert row.is_mirrored
    assert (row.mlflow_run_id, row.mirrored_attempt, row.mirrored_steps) == ("run-2", 2, 3)
    assert store.unmirrored("another") == []
    with pytest.raises(KeyError, match="no training 'missing'"):
        store.mark_mirrored(lease, "missing", mlflow_run_id="r", attempt=1, steps=0, status=None)


def test_unmirrored_comes_oldest_start_first(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """The order is that of the starts, not of the trials."""
    store.add_trial(lease, replace(TRIAL, number=1), [replace(TRAINING, training_id="t1", trial=1)])
    for training_id in ("t1", "t0"):
        store.start_training(lease, training_id, device="cpu")
        store.end_training(lease, training_id, 1, DONE, Curve.empty())
        time.sleep(0.01)
    assert [row.training_id for row in store.unmirrored("sweep-1")] == ["t1", "t0"]


def test_a_driver_and_a_mirror_share_one_store(store: Store, lease: Lease, queued: TrainingRow) -> None:
    """Two threads write to the same trainings, and neither loses what the other wrote."""
    trials = 15
    errors: list[BaseException] = []

    def mirror() -> None:
        sent = 0
        try:
            while sent < trials:
                for row in store.unmirrored("sweep-1"):
                    curve = store.curve(row.training_id)
                    steps = 0 if curve is None else curve.steps
                    status = row.status if row.status.is_outcome else None
                    store.mark_mirrored(
                        lease, row.training_id, mlflow_run_id="r", attempt=row.attempt, steps=steps, status=status
                    )
                    sent += status is not None
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=mirror, daemon=True)
    thread.start()
    for number in range(trials):
        training_id = f"t{number}"
        if number > 0:
            row = replace(TRAINING, training_id=training_id, trial=number)
            store.add_trial(lease, replace(TRIAL, number=number), [row])
        store.start_training(lease, training_id, device="cpu")
        store.save_curve(lease, training_id, 1, a_curve(2))
        store.end_training(lease, training_id, 1, DONE, a_curve(3), tell=TrialEnd(TrialState.COMPLETE, 0.25))
    thread.join(timeout=120)
    assert not errors
    rows = store.trainings("digits")
    assert [(row.status, row.metrics, row.is_mirrored) for row in rows] == [
        (Status.COMPLETED, DONE.metrics, True)
    ] * trials


def test_writes_in_memory_follow_one_another() -> None:
    """Two threads register ten generations each while the clock, asked inside each write, is slow: all are there."""

    def slow_clock() -> float:
        time.sleep(0.002)
        return time.time()

    store = MemoryStore(clock=slow_clock)
    lease = store.acquire_lease("digits", "ann", seconds=60)

    def register(names: str) -> None:
        for name in names:
            store.register_study(lease, replace(STUDY, generation=name))

    threads = [threading.Thread(target=register, args=(names,)) for names in ("abcdefghij", "klmnopqrst")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(row.generation for row in store.studies()) == list("abcdefghijklmnopqrst")


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_history_holds_every_write_in_order(store: Store, lease: Lease, running: TrainingRow) -> None:
    """Each event carries the time, the sweep, the holder's token and what happened to whom."""
    store.save_curve(lease, "t0", 1, a_curve(1))
    store.mark_mirrored(lease, "t0", mlflow_run_id="r", attempt=1, steps=1, status=None)
    store.renew_lease(lease, seconds=60)
    assert kinds(store) == [
        "lease_acquired",
        "study_registered",
        "sweep_created",
        "trial_added",
        "training_started",
    ]
    events = store.events("digits")
    assert [event.sweep_id for event in events] == [None, None, "sweep-1", "sweep-1", "sweep-1"]
    assert {event.token for event in events} == {lease.token}
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[3].data == {"trial": 0, "queued": ["t0"]}
    assert events[4].data["attempt"] == 1
    assert store.events("faces") == []

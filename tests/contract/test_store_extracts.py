"""The store's contract on counts and picked rows: whatever a database counts, the rows themselves say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from lrsweep.records import Origin, Outcome, Purpose, Status, TrainingPlan, TrialState
from lrsweep.store import MemoryStore, SqlStore, Store, models
from lrsweep.store.extracts import Extracts, TrainingCount, TrialCount
from lrsweep.store.extracts_memory import MemoryExtracts
from lrsweep.store.tables_memory import Tables
from tests.scripted import Bench, failed
from tests.sweeps import a_complete_trial, a_study, a_training, a_trial

FAMILIES = ("constant", "cosine", "linear")


def script(plan: TrainingPlan) -> Outcome:
    """A tenth fails, large rates diverge, and several values are equal."""
    if plan.seed % 10 == 0:
        return failed(plan)
    if plan.peak_lr > 0.5:
        return Outcome(Status.DIVERGED, 10, 0.1, {}, reason="the loss is not finite")
    value = round(abs(plan.peak_lr - 0.1), 1)
    metrics = {"val_loss": value, **({} if plan.seed % 3 == 0 else {"decide_loss": value + 1})}
    return Outcome(Status.COMPLETED, plan.horizon, 0.5, metrics)


def of_rows(store: Store, study: str) -> Extracts:
    """The same, made of all rows of a study."""
    trainings = store.trainings(study)
    tables = Tables(
        sweeps={sweep.sweep_id: sweep for sweep in store.sweeps(study)},
        trials={(study, row.number): row for row in store.trials(study)},
        trainings={row.training_id: row for row in trainings},
        curves={
            row.training_id: curve.to_bytes()
            for row in trainings
            if (curve := store.curve(row.training_id)) is not None
        },
    )
    return MemoryExtracts(lambda: tables)


@pytest.fixture
def swept(store: Store) -> Bench:
    """A sweep of forty trials that has ended; some trainings wait again, and one trial was copied."""
    bench = Bench(a_study(trials=40, families=FAMILIES), store=cast(MemoryStore, store))
    bench.drive(script)
    copied = a_complete_trial(500, 0.0, sweep_id="sweep-1", origin=Origin.COPIED, copied_from="trial 3")
    store.add_trial(bench.lease, copied, [])
    fresh = a_training(0, 1, sweep_id="sweep-1", training_id="zz9", seed=99, purpose=Purpose.FINAL)
    store.queue_trainings(bench.lease, [fresh])
    for row in bench.trainings()[:3]:
        steps, status = row.horizon, row.status if row.status.is_outcome else None
        store.mark_mirrored(
            bench.lease, row.training_id, mlflow_run_id="r", attempt=row.attempt, steps=steps, status=status
        )
    return bench


def test_counts_are_those_of_the_rows(store: Store, swept: Bench) -> None:
    """By family, origin, state and value; by status and purpose; what MLflow lacks, and what failed last."""
    found, rows = store.extracts, of_rows(store, "quick")
    assert list(found.trial_counts("sweep-1")) == list(rows.trial_counts("sweep-1"))
    assert {each.state for each in found.trial_counts("sweep-1")} >= {TrialState.COMPLETE, TrialState.FAILED}
    assert sum(each.count for each in found.trial_counts("sweep-1")) == 41
    ours, theirs = found.training_counts("sweep-1"), rows.training_counts("sweep-1")
    assert [replace(each, seconds=0.0) for each in ours] == [replace(each, seconds=0.0) for each in theirs]
    assert [each.seconds for each in ours] == pytest.approx([each.seconds for each in theirs])
    assert found.unmirrored("sweep-1") == len(store.unmirrored("sweep-1")) == rows.unmirrored("sweep-1") > 0
    assert found.last_failed("sweep-1") == rows.last_failed("sweep-1") is not None


def test_picked_rows_are_those_of_the_rows(store: Store, swept: Bench) -> None:
    """By number, purpose, horizon and id; all come in the order in which the store gives them."""
    found, rows = store.extracts, of_rows(store, "quick")
    assert list(found.trials("quick", [7, 3, 3, 999])) == [store.trial("quick", 3), store.trial("quick", 7)]
    assert [row.number for row in found.trials("quick", origin=Origin.COPIED)] == [500]
    assert list(found.trials("quick")) == list(store.trials("quick"))
    filters: tuple[dict[str, Any], ...] = (
        {"trials": [5, 2, 2]},
        {"purpose": Purpose.FINAL},
        {"horizon": 90, "sweep_id": "sweep-1"},
        {"trials": [0, 1], "purpose": Purpose.SEARCH, "horizon": 30},
        {"trials": []},
        {"sweep_id": "another"},
    )
    for given in filters:
        assert list(found.trainings("quick", **given)) == list(rows.trainings("quick", **given))
    whole = store.trainings("quick")
    assert list(found.trainings("quick")) == list(whole)
    assert list(found.trainings_named("quick", whole[4].training_id[:12])) == [whole[4]]
    assert [row.training_id for row in found.trainings_named("quick", "zz")] == ["zz9"]
    assert list(found.trainings_named("quick", "z%9")) == list(found.trainings_named("another", "z")) == []


def test_what_was_drawn_alike_is_that_of_the_rows(store: Store, swept: Bench) -> None:
    """Family, optimizer and numbers, whatever the peak; a value for those that came to the full horizon."""
    found, rows = store.extracts, of_rows(store, "quick")
    trial = store.trial("quick", 7)
    beside = {name: each for name, each in trial.params.items() if "peak_lr" not in name}
    for like in ([trial.params], [beside], [beside, {"family": "linear", "optimizer": "sgd"}], [{"family": "rex"}], []):
        assert list(found.drawn("sweep-1", like)) == list(rows.drawn("sweep-1", like))
    assert trial.number in [each.number for each in found.drawn("sweep-1", [trial.params])]
    others = [{**trial.params, name: each * 1.0001} for name, each in trial.params.items() if isinstance(each, float)]
    assert others
    assert not found.drawn("sweep-1", others)
    own = [row for row in store.trials("quick") if row.origin.counts]
    names = {(row.params["family"], row.params.get("optimizer")) for row in own}
    drawn = found.drawn("sweep-1", [{"family": family, "optimizer": optimizer} for family, optimizer in names])
    assert [(each.number, each.params, each.state, each.value) for each in drawn] == [
        (row.number, row.params, row.state, row.value) for row in own
    ]
    assert {each.is_whole for each in drawn} == {each.has_diverged for each in drawn} == {True, False}


def test_a_number_that_is_text_in_another_trial_is_compared_with_it(store: Store) -> None:
    """A choice of a script's own may be ``false`` or 1e-4, 32 or ``auto``."""
    bench = Bench(a_study(), store=cast(MemoryStore, store))
    for number, value in enumerate((1e-4, False, "auto", 32, 0.1 + 0.2, None)):
        params = {"family": "cosine", "optimizer": "sgd", "extra.decay": value}
        store.add_trial(bench.lease, a_trial(number, sweep_id="sweep-1", params=params), [])
    for number, value in ((0, 1e-4), (3, 32), (4, 0.1 + 0.2)):
        like = {"family": "cosine", "optimizer": "sgd", "extra.decay": value}
        assert [each.number for each in store.extracts.drawn("sweep-1", [like])] == [number]


def test_the_best_trial_is_that_of_the_rows(store: Store, swept: Bench) -> None:
    """Not the copied one, whose value is the smallest, and not one that was halted."""
    for direction in ("minimize", "maximize"):
        ours, theirs = (each.best("sweep-1", direction) for each in (store.extracts, of_rows(store, "quick")))
        assert ours is not None
        assert ours == theirs
        assert ours.origin.counts
        assert ours.state is TrialState.COMPLETE
    assert store.extracts.best("another", "minimize") is None


@pytest.mark.parametrize("places", [1, 3, 100])
@pytest.mark.parametrize("beside", [None, "decide_loss"])
def test_the_leading_trainings_are_those_of_the_rows(
    store: Store, swept: Bench, beside: str | None, places: int
) -> None:
    """At each horizon, for both directions; equal values keep their order."""
    for direction in ("minimize", "maximize"):
        ours, theirs = (
            each.leading("sweep-1", "val_loss", direction, beside=beside, places=places)
            for each in (store.extracts, of_rows(store, "quick"))
        )
        assert list(ours) == list(theirs) != []
    shorter = store.extracts.leading("sweep-1", "val_loss", "minimize", beside=beside, below=90, places=places)
    assert {row.horizon for row in shorter} == {30}
    assert list(store.extracts.leading("sweep-1", "val_acc", "minimize")) == []


def test_a_group_names_its_best_and_the_earlier_of_two(store: Store) -> None:
    """By hand: 0.5, 0.25 and 0.25 are three of one group, one runs, and one of a strangely named family diverged."""
    bench = Bench(a_study(), store=cast(MemoryStore, store))
    lease = bench.lease
    for number, value in enumerate((0.5, 0.25, 0.25)):
        _told(store, bench, number, value)
    store.add_trial(lease, a_trial(3, sweep_id="sweep-1"), [a_training(3, sweep_id="sweep-1")])
    store.add_trial(
        lease,
        a_trial(4, sweep_id="sweep-1", origin=Origin.FOREIGN, state=TrialState.PRUNED, params={"family": "o'ne"}),
        [],
    )
    copied = Origin.COPIED
    assert list(store.extracts.trial_counts("sweep-1")) == [
        TrialCount("cosine", copied, TrialState.COMPLETE, True, 3, 0, 2, lowest=1, highest=0),
        TrialCount("cosine", Origin.SEARCH, TrialState.RUNNING, False, 1, 3, 3, lowest=3, highest=3),
        TrialCount("o'ne", Origin.FOREIGN, TrialState.PRUNED, False, 1, 4, 4, lowest=4, highest=4),
    ]
    assert [each.best("maximize") for each in store.extracts.trial_counts("sweep-1")] == [0, 3, 4]
    assert list(store.extracts.training_counts("sweep-1")) == [
        TrainingCount(Status.QUEUED, Purpose.SEARCH, has_run=False, count=1, seconds=0.0)
    ]
    _drained(store, "training-3-0")
    [drained] = store.extracts.training_counts("sweep-1")
    assert (drained.has_run, drained.seconds) == (True, 1.5)
    assert not store.extracts.trial_counts("another")
    assert not store.extracts.training_counts("another")


def _drained(store: Store, training_id: str) -> None:
    """It waits with the seconds of an attempt, as some releases have left it."""
    if isinstance(store, MemoryStore):
        store._tables.trainings[training_id] = replace(store._tables.trainings[training_id], seconds=1.5)
        return
    assert isinstance(store, SqlStore)
    with store._writer.begin() as connection:
        connection.execute(sa.update(models.training).filter_by(training_id=training_id).values(seconds=1.5))


def _told(store: Store, bench: Bench, number: int, value: float) -> None:
    store.add_trial(bench.lease, a_complete_trial(number, value, sweep_id="sweep-1", origin=Origin.COPIED), [])


def test_many_numbers_are_asked_for_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a database takes in one query come all, each once, in their order."""
    monkeypatch.setattr("lrsweep.store.extracts_sql.MOST_NUMBERS", 2)
    bench = Bench(a_study(), store=cast(MemoryStore, store))
    for number in range(5):
        trial = a_trial(number, sweep_id="sweep-1")
        store.add_trial(bench.lease, trial, [a_training(number, sweep_id="sweep-1")])
    numbers: Sequence[int] = [4, 0, 3, 1, 2, 4]
    assert [row.number for row in store.extracts.trials("quick", numbers)] == [0, 1, 2, 3, 4]
    assert [row.trial for row in store.extracts.trainings("quick", trials=numbers)] == [0, 1, 2, 3, 4]


def test_a_sweep_that_is_not_there_has_no_counts(store: Store) -> None:
    """Nothing is counted, and nothing is picked."""
    assert list(store.extracts.trial_counts("missing")) == []
    assert store.extracts.last_failed("missing") is None
    assert store.extracts.unmirrored("missing") == 0

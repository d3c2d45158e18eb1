"""Nights, kept alike in memory, SQLite and PostgreSQL."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.records import Status
from lrsweep.store import Store, open_store
from lrsweep.store.backups import back_up, restore
from lrsweep.store.nights import NightTraining, night_lease
from tests.racers import raced

BEGINS = """
import sys
from lrsweep.store import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
row = store.nights.begin("digits", "g1", "2026-11-20", {"by": sys.argv[2]})
print(row.id, row.plan["by"])
store.close()
"""


def a_training(night: int, **changes: object) -> NightTraining:
    made = NightTraining(
        night, "champion", 200, 7, Status.COMPLETED, 0.25, steps=200, seconds=1.5, device="cpu", engine="sequential"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_night_is_begun_once_and_found_afterwards(store: Store) -> None:
    """Who begins it again finds the plan that it began with, whatever plan is given then."""
    first = store.nights.begin("digits", "g1", "2026-11-20", {"rung": 200, "seeds": (1, 2)})
    again = store.nights.begin("digits", "g1", "2026-11-20", {"rung": 400})

    assert again == first
    assert (first.plan, first.result, first.ended_at) == ({"rung": 200, "seeds": [1, 2]}, None, None)
    assert first.at > 1e9
    assert store.nights.rows("digits") == [first]


def test_another_key_generation_or_study_is_another_night(store: Store) -> None:
    """Four rows, oldest first; of one study three of them."""
    asked = [("digits", "g1", "a"), ("digits", "g1", "b"), ("digits", "g2", "a"), ("cifar", "g1", "a")]
    begun = [store.nights.begin(*each, {}) for each in asked]

    assert [(row.study, row.generation, row.key) for row in store.nights.rows()] == asked
    assert store.nights.rows("digits") == begun[:3]
    assert store.nights.rows("nothing") == []


def test_trainings_are_kept_one_by_one(store: Store) -> None:
    """By arm, horizon and seed, whatever the order in which they came; those of another night are not among them."""
    night, other = store.nights.begin("digits", "g1", "a", {}).id, store.nights.begin("digits", "g1", "b", {}).id
    diverged = a_training(night, seed=3, status=Status.DIVERGED, value=None)
    failed = a_training(night, arm="baseline", status=Status.FAILED, value=None, error="a fault \0 \ud800")
    for each in (a_training(night), diverged, failed, a_training(night, horizon=600), a_training(other)):
        store.nights.add_training(each)

    kept = store.nights.trainings(night)
    assert [each.key for each in kept] == [
        ("baseline", 200, 7),
        ("champion", 200, 3),
        ("champion", 200, 7),
        ("champion", 600, 7),
    ]
    assert kept[1] == diverged
    assert kept[2] == a_training(night)
    assert "a fault" in str(kept[0].error)
    assert store.nights.trainings(99) == []


def test_a_training_counts_once(store: Store) -> None:
    """The second of one arm, horizon and seed is refused, and the first one's value stays."""
    night = store.nights.begin("digits", "g1", "a", {}).id
    store.nights.add_training(a_training(night))
    with pytest.raises(ValueError, match="has trained champion over 200 steps with seed 7"):
        store.nights.add_training(a_training(night, value=0.5))
    assert [each.value for each in store.nights.trainings(night)] == [0.25]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": Status.RUNNING}, "is running"),
        ({"status": Status.STOPPED}, "is stopped"),
        ({"value": math.nan}, "is nan"),
        ({"value": math.inf}, "is inf"),
    ],
)
def test_what_came_to_no_end_or_no_number_is_refused(store: Store, changes: dict[str, object], told: str) -> None:
    """A training that is drained is trained again, and NaN is no value: it is None of one that diverged."""
    night = store.nights.begin("digits", "g1", "a", {}).id
    with pytest.raises(ValueError, match=told):
        store.nights.add_training(a_training(night, **changes))
    assert store.nights.trainings(night) == []


def test_numbers_of_numpy_are_kept_as_numbers(store: Store) -> None:
    """A seed as np.int64 and a value as np.float64 come back equal."""
    night = store.nights.begin("digits", "g1", "a", {}).id
    store.nights.add_training(a_training(night, seed=np.int64(2**40), value=np.float64(0.125)))
    [kept] = store.nights.trainings(night)
    assert (kept.seed, kept.value) == (2**40, 0.125)


def test_a_night_ends_once_and_then_nothing_is_added(store: Store) -> None:
    """What came of it stays as it was written first."""
    night = store.nights.begin("digits", "g1", "a", {}).id
    ended = store.nights.end(night, {"verdict": "holds", "limits": (0.1, 0.2)})

    assert ended.result == {"verdict": "holds", "limits": [0.1, 0.2]}
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.at
    assert store.nights.rows("digits") == [ended]
    assert store.nights.begin("digits", "g1", "a", {}) == ended
    with pytest.raises(ValueError, match="night 'a' of study 'digits' has ended"):
        store.nights.end(night, {"verdict": "workload drifted"})
    with pytest.raises(ValueError, match="night 'a' of study 'digits' has ended"):
        store.nights.add_training(a_training(night))
    assert store.nights.rows("digits") == [ended]


def test_a_plan_says_more_until_its_night_has_ended(store: Store) -> None:
    """Of this night alone; when it began stays, and who begins it again gets the newer plan."""
    first, other = (store.nights.begin("digits", "g1", key, {"rung": 30}) for key in ("a", "b"))
    more = store.nights.go_on(first.id, {"rung": 30, "starts": [1]})
    assert (more.plan, more.at, more.id) == ({"rung": 30, "starts": [1]}, first.at, first.id)
    assert store.nights.rows("digits") == [more, other]
    assert store.nights.begin("digits", "g1", "a", {}) == more
    store.nights.end(first.id, {})
    with pytest.raises(ValueError, match="night 'a' of study 'digits' has ended"):
        store.nights.go_on(first.id, {})
    with pytest.raises(KeyError, match="no night 9 is stored"):
        store.nights.go_on(9, {})


def test_a_night_that_is_not_there_takes_nothing(store: Store) -> None:
    """Neither a training nor a result; and a result that JSON cannot hold leaves the night under way."""
    with pytest.raises(KeyError, match="no night 1 is stored"):
        store.nights.add_training(a_training(1))
    with pytest.raises(KeyError, match="no night 1 is stored"):
        store.nights.end(1, {})
    night = store.nights.begin("digits", "g1", "a", {}).id
    with pytest.raises(ValueError, match="cannot be stored as JSON"):
        store.nights.end(night, {"value": math.nan})
    assert store.nights.rows("digits")[0].ended_at is None


def test_a_callers_plan_may_change_afterwards(store: Store) -> None:
    """What is kept does not."""
    plan = {"arms": {"champion": {"peak_lr": 0.1}}}
    row = store.nights.begin("digits", "g1", "a", plan)
    plan["arms"]["champion"]["peak_lr"] = 9.0
    assert store.nights.rows()[0].plan == row.plan == {"arms": {"champion": {"peak_lr": 0.1}}}


def test_whoever_runs_a_studys_nights_drives_no_study(store: Store) -> None:
    """Under the lease of its nights nobody is shown to drive it; a second one is refused, and the sweep's is free."""
    store.acquire_lease(night_lease("digits"), "ann", seconds=600)
    assert store.holders() == {}
    with pytest.raises(Exception, match="ann"):
        store.acquire_lease(night_lease("digits"), "bob", seconds=600)
    store.acquire_lease("digits", "bob", seconds=600)
    assert list(store.holders()) == ["digits"]


def test_of_processes_that_begin_one_night_at_once_all_find_one(database_url: str) -> None:
    """One row, with the plan of the first."""
    open_store(database_url).close()
    assert len(set(raced(BEGINS, database_url))) == 1
    store = open_store(database_url)
    assert len(store.nights.rows()) == 1
    store.close()


def test_nights_are_in_a_backup_and_come_back(database_url: str, tmp_path: Path) -> None:
    """With their trainings; and the next night is another one."""
    store = open_store(f"sqlite:///{tmp_path}/from/results.db")
    night = store.nights.begin("digits", "g1", "a", {"rung": 200}).id
    store.nights.add_training(a_training(night))
    store.nights.end(night, {"verdict": "holds"})
    rows, trainings = list(store.nights.rows()), list(store.nights.trainings(night))
    store.close()

    back_up(f"sqlite:///{tmp_path}/from/results.db", tmp_path / "saved.zip")
    restore(database_url, tmp_path / "saved.zip")

    again = open_store(database_url)
    assert list(again.nights.rows()) == rows
    assert list(again.nights.trainings(night)) == trainings
    assert again.nights.begin("digits", "g1", "b", {}).id == night + 1
    again.close()

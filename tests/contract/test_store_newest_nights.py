"""The newest nights, read alike in memory, SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

from lrsweep.store import Store


def test_the_newest_nights_of_all_studies_come_first_and_so_many_of_them(store: Store) -> None:
    """In the order in which they began, those under way and those that have ended alike, with what came of them."""
    begun = [store.nights.begin(study, "g1", key, {}) for key in ("a", "b") for study in ("digits", "cifar")]
    ended = store.nights.end(begun[2].id, {"verdict": "holds"})

    assert store.nights.newest(10) == [begun[3], ended, begun[1], begun[0]]
    assert store.nights.newest(2) == [begun[3], ended]
    assert store.nights.newest(0) == []


def test_of_each_study_the_last_nights_that_came_to_something_are_told(store: Store) -> None:
    """Oldest first and without their plans; those that failed never end, and have theirs. One under way is none."""
    plan, ended = {"kind": "x"}, {"verdict": "holds"}
    rows = [store.nights.begin(study, "g1", key, plan) for key in ("a", "b", "c") for study in ("digits", "cifar")]
    failing = store.nights.begin("cifar", "fails 2", "c", plan)
    done = [replace(store.nights.end(row.id, ended), plan={}) for row in rows[:4]]

    assert store.nights.told(10, "fails") == [*done, failing]
    assert store.nights.told(2, "fails") == [done[0], done[2], done[3], failing]
    assert store.nights.told(1, "fails", ["cifar"]) == [failing]
    assert store.nights.told(1, "none", ["cifar"]) == [done[3]]
    assert store.nights.told(5, "fails", []) == []

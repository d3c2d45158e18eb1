"""The newest nights, read alike in memory, SQLite and PostgreSQL."""

from __future__ import annotations

from lrsweep.store import Store


def test_the_newest_nights_of_all_studies_come_first_and_so_many_of_them(store: Store) -> None:
    """In the order in which they began, those under way and those that have ended alike, with what came of them."""
    begun = [store.nights.begin(study, "g1", key, {}) for key in ("a", "b") for study in ("digits", "cifar")]
    ended = store.nights.end(begun[2].id, {"verdict": "holds"})

    assert store.nights.newest(10) == [begun[3], ended, begun[1], begun[0]]
    assert store.nights.newest(2) == [begun[3], ended]
    assert store.nights.newest(0) == []

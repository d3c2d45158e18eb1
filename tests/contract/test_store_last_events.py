"""The end of the history, which a look reads: in memory, SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from lrsweep.records import StudyRow, SweepRow
from lrsweep.store import Lease, Store


@pytest.fixture
def noted(store: Store, lease: Lease) -> Store:
    """The lease of ``digits``, then notes ``a 0``, ``b 1``, ``a 2``, ``b 3``; another study has one of its own."""
    for number in range(4):
        store.note(lease, "ab"[number % 2], None, {"number": number})
    store.note(store.acquire_lease("faces", "ann", seconds=60), "a", None, {"number": 9})
    return store


def test_the_last_events_are_the_end_of_the_history(noted: Store) -> None:
    """In the order of the history; of this study alone; all where there are fewer, none where none are wanted."""
    history = noted.events("digits")
    assert noted.last_events("digits", 2) == history[-2:]
    assert noted.last_events("digits", 99) == history
    assert noted.last_events("digits", 0) == noted.last_events("voices", 5) == []


def test_the_last_events_of_a_kind_are_counted_by_it(noted: Store) -> None:
    """Events of other kinds between them do not count."""
    assert [event.data["number"] for event in noted.last_events("digits", 2, kind="a")] == [0, 2]
    assert [event.data["number"] for event in noted.last_events("digits", 1, kind="b")] == [3]
    assert [event.data["owner"] for event in noted.last_events("digits", 1, kind="lease_acquired")] == ["ann"]


def test_a_sweeps_events_go_on_after_a_number(store: Store, lease: Lease) -> None:
    """Its own alone, in the order of the history; who has the last number hears of what comes later."""
    store.register_study(lease, StudyRow("digits", "m1", "g1", {}))
    sweep, other = (store.create_sweep(lease, SweepRow(name, "digits", "g1")) for name in ("sweep-1", "sweep-2"))
    for number in range(6):
        store.note(lease, "a", ("sweep-1", "sweep-2", None)[number % 3], {"number": number})

    found = store.events_after(sweep, 0, 99)
    assert [event.data.get("number") for _, event in found] == [None, 0, 3]
    assert [event for _, event in found] == [each for each in store.events("digits") if each.sweep_id == "sweep-1"]
    assert store.events_after(sweep, 0, 2) == found[:2]
    assert store.events_after(sweep, found[1][0], 99) == found[2:]
    assert store.events_after(sweep, found[-1][0], 99) == []
    store.note(lease, "b", "sweep-1", {})
    assert [event.kind for _, event in store.events_after(sweep, found[-1][0], 99)] == ["b"]
    assert len(store.events_after(other, 0, 99)) == 3

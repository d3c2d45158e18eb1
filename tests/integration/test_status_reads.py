"""A look at a study with a long history reads its end alone, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import sqlalchemy as sa

from lrsweep.doctor.databases import check_leases
from lrsweep.findings.look import EVENTS_SHOWN, PACE_FROM, look_at, pace_of
from lrsweep.store import SqlStore, open_store
from lrsweep.store.base import Event, Store
from tests.looked import a_driven_bench
from tests.scripted import only_sgd

HISTORY = 5_000


@pytest.fixture
def driven(database_url: str) -> Iterator[SqlStore]:
    """A study that is driven, behind a history of five thousand earlier events."""
    store = open_store(database_url)
    with store._writer.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO lrs_event (at, study, kind, token, data) VALUES (1, 'quick', 'noted', 't', '{}')"),
            [{}] * HISTORY,
        )
    a_driven_bench(only_sgd(trials=40), store=store)
    yield store
    store.close()


def rows_of_events(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Filled with each event that the store reads from here on."""
    read: list[Event] = []
    rows = store._rows

    def listening(kind: type[Any], query: sa.Select[Any]) -> Any:
        found = rows(kind, query)
        read.extend(found if kind is Event else ())
        return found

    monkeypatch.setattr(store, "_rows", listening)
    return read


def test_status_reads_no_more_events_than_it_shows_and_the_pace_needs(
    driven: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last five, the newest lease, and fifty ends with what was told: not thousands. What it says is the same."""
    read = rows_of_events(driven, monkeypatch)
    look = look_at(cast(Store, driven), "quick")
    assert len(read) <= EVENTS_SHOWN + 1 + 2 * PACE_FROM
    everything = driven.events("quick")
    assert list(look.events) == list(everything[-EVENTS_SHOWN:])
    assert look.since == [event.at for event in everything if event.kind == "lease_acquired"][-1]
    assert look.pace is not None
    assert look.pace == pace_of(everything, "sweep-1", look.since, trials_left=0)


def test_the_doctor_reads_one_event_of_a_lease(driven: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When something happened last."""
    read = rows_of_events(driven, monkeypatch)
    assert [each.level.value for each in check_leases(driven, "quick", is_dead=lambda _: False)] == ["ok"]
    assert len(read) == 1

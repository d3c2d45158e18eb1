"""A takeover cannot slip into the middle of a write: it waits for the write's end, on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from lrsweep.errors import LeaseLost
from lrsweep.records import StudyRow
from lrsweep.store import Lease, open_store


def test_a_takeover_waits_for_the_write_in_progress(database_url: str) -> None:
    """The old holder's write, begun in time, commits before the new holder has the lease; its next one is refused."""
    old, new = open_store(database_url), open_store(database_url)
    lease = old.acquire_lease("digits", "ann", seconds=60)
    taken: list[Lease] = []
    takeover = threading.Thread(
        target=lambda: taken.append(new.acquire_lease("digits", "bob", seconds=60, is_dead=lambda _: True)), daemon=True
    )
    was_waiting: list[bool] = []

    def in_the_middle(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith("INSERT INTO lrs_study"):
            takeover.start()
            takeover.join(timeout=1.0)
            was_waiting.append(takeover.is_alive())

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", in_the_middle)
    try:
        old.register_study(lease, StudyRow("digits", meaning="m", generation="g1", spec={}))
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", in_the_middle)
    takeover.join(timeout=120)
    assert was_waiting == [True]
    assert [row.owner for row in taken] == ["bob"]
    with pytest.raises(LeaseLost, match="has gone to bob"):
        old.register_study(lease, StudyRow("digits", meaning="m", generation="g2", spec={}))
    assert [event.kind for event in new.events("digits")] == ["lease_acquired", "study_registered", "lease_acquired"]
    old.close()
    new.close()

"""A PostgreSQL on which another program holds the queue's lock."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from lrsweep.errors import TryAgain
from lrsweep.store import open_store, queue_sql, with_schema
from lrsweep.store.opening import open_engine
from lrsweep.store.queue import Queued


def test_who_writes_waits_for_so_long_and_says_what_is_in_the_way(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TryAgain, as on SQLite: whoever waits for ever holds a thread of the service. Readers do not wait."""
    monkeypatch.setattr(queue_sql, "BUSY_SECONDS", 1)
    url = with_schema(postgres_url, "lrsweep")
    store, other = open_store(url), open_engine(url)
    try:
        with other.begin() as connection:
            connection.execute(sa.text("LOCK TABLE lrs_queued IN EXCLUSIVE MODE"))
            with pytest.raises(TryAgain, match="Another program has held a table's lock"):
                store.queue.add(Queued("sweep-1", "digits", "ci"))
            assert store.queue.rows() == []
        assert store.queue.add(Queued("sweep-1", "digits", "ci"))[1]
    finally:
        other.dispose()
        store.close()

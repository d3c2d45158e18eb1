"""Sweeps that were asked for over HTTP, kept alike in memory, SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.errors import LeaseLost
from lrsweep.store import Store, open_store
from lrsweep.store.backups import back_up, restore
from lrsweep.store.queue import Queued, QueueState, Registered
from lrsweep.store.queue_rules import LONGEST_ERROR
from tests.patience import in_time
from tests.racers import raced

ASKED = Queued("sweep-1", "digits", "ci", "key-1", {"another": False})
OTHER = Queued("sweep-2", "faces", "ci", "key-1")


def test_a_registered_study_takes_the_place_of_the_one_of_its_name(store: Store) -> None:
    """The text is the newest, the row is the same, and studies come by name."""
    first = store.queue.register(Registered("digits", "/studies", "old", who="ann"))
    store.queue.register(Registered("atlas", "/studies", "text"))
    second = store.queue.register(
        Registered("digits", "/elsewhere", "new", "bob", "studies/digits.toml", "m", "g", {"trials": 2})
    )

    assert (second.id, second.text, second.folder, second.who) == (first.id, "new", "/elsewhere", "bob")
    assert (second.source, second.meaning, second.generation, second.spec) == (
        "studies/digits.toml",
        "m",
        "g",
        {"trials": 2},
    )
    assert second.at >= first.at > 1e9
    assert [row.study for row in store.queue.registered()] == ["atlas", "digits"]
    assert store.queue.registered("digits") == [second]
    assert store.queue.registered("none") == []


def test_which_text_its_worker_began_with_is_kept_beside_what_was_asked(store: Store) -> None:
    """The last worker's stays when the sweep is over; one whose claim is another's writes nothing."""
    store.queue.add(ASKED)
    first = store.queue.claim("a worker", seconds=60)
    assert first is not None
    assert store.queue.runs(first, {"hash": "old"}).options == {"another": False, "runs": {"hash": "old"}}
    store.queue.queue_again(first)
    second = store.queue.claim("another", seconds=60)
    assert second is not None
    with pytest.raises(LeaseLost):
        store.queue.runs(first, {"hash": "late"})
    store.queue.runs(second, {"hash": "new"})
    store.queue.renew(second, seconds=60)
    store.queue.end(second, QueueState.ENDED)
    row = store.queue.row("sweep-1")
    assert (row.state, row.options) == (QueueState.ENDED, {"another": False, "runs": {"hash": "new"}})


def test_a_key_that_was_used_finds_its_sweep_whatever_has_become_of_it(store: Store) -> None:
    """Of one caller and one study; another caller's same key, and another study's, are their own."""
    row, is_new = store.queue.add(ASKED)
    assert is_new
    assert row == replace(ASKED, id=row.id, at=row.at)
    assert row.at > 1e9
    assert store.queue.add(replace(ASKED, sweep_id="sweep-9")) == (row, False)

    store.queue.cancel("sweep-1")
    found, is_new = store.queue.add(replace(ASKED, sweep_id="sweep-9"))
    assert not is_new
    assert (found.sweep_id, found.state) == ("sweep-1", QueueState.CANCELLED)
    assert store.queue.add(OTHER)[1]
    assert store.queue.add(replace(ASKED, sweep_id="sweep-9", asked_by="ann"))[1]
    assert [each.sweep_id for each in store.queue.rows()] == ["sweep-1", "sweep-2", "sweep-9"]
    assert [each.sweep_id for each in store.queue.rows("digits")] == ["sweep-1", "sweep-9"]
    assert [each.sweep_id for each in store.queue.waiting()] == ["sweep-2", "sweep-9"]


def test_a_study_has_one_sweep_that_waits_or_is_under_way(store: Store) -> None:
    """A second one is refused until the first is over; without a key each is a question of its own."""
    store.queue.add(ASKED)
    second = replace(ASKED, sweep_id="sweep-9", idempotency_key=None)
    with pytest.raises(ValueError, match="'digits' has a sweep that is queued already: sweep-1"):
        store.queue.add(second)
    claim = store.queue.claim("worker", seconds=60)
    assert claim is not None
    with pytest.raises(ValueError, match="claimed already: sweep-1"):
        store.queue.add(second)
    store.queue.end(claim, QueueState.ENDED)
    assert store.queue.add(second)[1]
    store.queue.cancel("sweep-9")
    assert store.queue.add(second)[1]
    assert len(store.queue.rows("digits")) == 3


def test_a_sweep_that_is_asked_for_again_has_the_newest_row(store: Store) -> None:
    """The same id twice: one was left unfinished and goes on."""
    store.queue.add(ASKED)
    claim = store.queue.claim("worker", seconds=60)
    assert claim is not None
    store.queue.end(claim, QueueState.FAILED, error="the machine\x00 was off")
    store.queue.add(replace(ASKED, idempotency_key="key-2"))
    assert [row.state for row in store.queue.rows()] == [QueueState.FAILED, QueueState.QUEUED]
    assert store.queue.row("sweep-1").idempotency_key == "key-2"
    assert "\x00" not in (store.queue.rows()[0].error or "")
    with pytest.raises(KeyError, match="nobody has asked for a sweep 'none'"):
        store.queue.row("none")


def test_an_answer_is_kept_for_its_key_and_asks_for_nothing(store: Store) -> None:
    """Never claimed, and no request of its sweep: an earlier one is the newest that was driven."""
    kept, is_new = store.queue.add(replace(ASKED, state=QueueState.ENDED))
    assert is_new
    assert kept.ended_at == kept.at
    assert store.queue.add(ASKED) == (kept, False)
    assert store.queue.waiting() == []
    assert store.queue.claim("one", seconds=60) is None
    for look in (store.queue.row, store.queue.cancel):
        with pytest.raises(KeyError, match="nobody has asked for a sweep 'sweep-1'"):
            look("sweep-1")
    store.queue.add(replace(ASKED, idempotency_key="key-2"))
    claim = store.queue.claim("one", seconds=60)
    assert claim is not None
    driven = store.queue.end(claim, QueueState.ENDED)
    store.queue.add(replace(ASKED, idempotency_key="key-3", state=QueueState.ENDED))
    assert store.queue.row("sweep-1") == driven


def test_a_study_is_taken_out_with_what_waits_of_it(store: Store) -> None:
    """And no other; what is over stays, for the keys that were used, and its name may come again."""
    store.queue.register(Registered("digits", "/studies", "text"))
    other = store.queue.register(Registered("faces", "/studies", "text"))
    store.queue.add(ASKED)
    waits, _ = store.queue.add(OTHER)
    assert store.queue.unregister("digits")
    assert store.queue.registered() == [other]
    assert store.queue.waiting() == [waits]
    over = store.queue.row("sweep-1")
    assert (over.state, over.is_cancelled) == (QueueState.CANCELLED, True)
    assert not store.queue.unregister("digits")
    assert store.queue.add(ASKED) == (over, False)
    again = store.queue.register(Registered("digits", "/studies", "text"))
    assert again.id != other.id
    assert store.queue.registered() == [again, other]


def test_a_study_that_a_worker_has_is_not_taken_out(store: Store) -> None:
    """Unless its claim has run out, or it is known to have died: then it has lost it."""
    store.queue.register(Registered("digits", "/studies", "text"))
    store.queue.add(ASKED)
    claim = store.queue.claim("one", seconds=600)
    assert claim is not None
    with pytest.raises(ValueError, match="a worker has sweep sweep-1 of study 'digits'"):
        store.queue.unregister("digits")
    assert len(store.queue.registered()) == 1
    assert store.queue.unregister("digits", is_dead=lambda owner: owner == "one")
    with pytest.raises(LeaseLost, match="it is cancelled"):
        store.queue.renew(claim, seconds=600)

    store.queue.add(OTHER)
    assert store.queue.claim("one", seconds=0.0) is not None
    assert store.queue.unregister("faces")
    assert store.queue.row("sweep-2").state is QueueState.CANCELLED


def test_the_oldest_that_waits_is_claimed_once(store: Store) -> None:
    """By one worker each, in the order in which they were asked for; then there is nothing to do."""
    store.queue.add(ASKED)
    store.queue.add(OTHER)
    first = store.queue.claim("one", seconds=60)
    second = store.queue.claim("two", seconds=60)
    assert first is not None
    assert second is not None
    assert [(each.sweep_id, each.owner, each.attempts) for each in (first, second)] == [
        ("sweep-1", "one", 1),
        ("sweep-2", "two", 1),
    ]
    assert first.token not in (None, second.token)
    assert store.queue.row("sweep-1") == first
    assert first.options == {"another": False}
    assert store.queue.claim("three", seconds=60) is None


def test_a_claim_that_expired_is_free_until_it_is_renewed(store: Store) -> None:
    """Its worker may renew one that nobody took; after a takeover it has lost it, and changes nothing."""

    def renewed(times: float) -> None:
        claim = store.queue.claim("one", seconds=0.5 * times)
        assert claim is not None
        store.queue.renew(claim, seconds=60)
        time.sleep(0.6 * times)
        assert store.queue.claim("two", seconds=60) is None
        store.queue.queue_again(claim)

    store.queue.add(ASKED)
    in_time(renewed)
    old = store.queue.claim("one", seconds=0.05)
    assert old is not None
    time.sleep(0.1)
    store.queue.renew(old, seconds=0.05)
    time.sleep(0.1)
    new = store.queue.claim("two", seconds=60)
    assert new is not None
    assert new.sweep_id == "sweep-1"
    writes: tuple[Callable[[], object], ...] = (
        lambda: store.queue.renew(old, seconds=60),
        lambda: store.queue.queue_again(old),
        lambda: store.queue.end(old, QueueState.ENDED),
    )
    for write in writes:
        with pytest.raises(LeaseLost, match=r"one no longer works on sweep sweep-1 .*gone to two"):
            write()
    assert store.queue.row("sweep-1") == new


def test_a_dead_workers_claim_is_free_at_once(store: Store) -> None:
    """``is_dead`` is asked of the claims that run, and may use the store as it answers."""
    store.queue.add(ASKED)
    first = store.queue.claim("one", seconds=600)
    assert first is not None
    asked: list[str] = []

    def lives(owner: str) -> bool:
        asked.append(owner)
        return False

    assert store.queue.claim("two", seconds=600, is_dead=lives) is None
    assert asked == ["one"]
    second = store.queue.claim("two", seconds=600, is_dead=lambda owner: owner == "one")
    assert second is not None
    assert (second.owner, second.attempts) == ("two", 2)

    def another_was_faster(owner: str) -> bool:
        store.queue.queue_again(second)
        assert store.queue.claim("four", seconds=600) is not None
        return True

    assert store.queue.claim("three", seconds=600, is_dead=another_was_faster) is None
    assert store.queue.row("sweep-1").owner == "four"


def test_what_is_queued_again_waits_as_long_as_it_is_told(store: Store) -> None:
    """Others go first meanwhile; an attempt that was none is not counted."""
    store.queue.add(ASKED)
    store.queue.add(OTHER)
    claim = store.queue.claim("one", seconds=60)
    assert claim is not None
    again = store.queue.queue_again(claim, after_seconds=600, is_attempt=False)
    assert (again.state, again.owner, again.token, again.attempts) == (QueueState.QUEUED, None, None, 0)
    other = store.queue.claim("one", seconds=60)
    assert other is not None
    assert other.sweep_id == "sweep-2"
    assert store.queue.claim("two", seconds=60) is None
    assert store.queue.queue_again(other).attempts == 1
    assert store.queue.cancel("sweep-1").state is QueueState.CANCELLED


def test_a_sweep_ends_once_and_with_a_sentence(store: Store) -> None:
    """What is over is neither claimed, ended, queued again nor cancelled; the sentence is cut where it is very long."""
    store.queue.add(ASKED)
    claim = store.queue.claim("one", seconds=60)
    assert claim is not None
    with pytest.raises(ValueError, match="queued is no end"):
        store.queue.end(claim, QueueState.QUEUED)
    ended = store.queue.end(claim, QueueState.FAILED, error="x" * 5000)
    assert ended.state is QueueState.FAILED
    assert ended.error == "x" * LONGEST_ERROR
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.at
    writes: tuple[Callable[[], object], ...] = (
        lambda: store.queue.end(claim, QueueState.ENDED),
        lambda: store.queue.queue_again(claim),
    )
    for write in writes:
        with pytest.raises(LeaseLost, match="it is failed"):
            write()
    with pytest.raises(ValueError, match="is failed already"):
        store.queue.cancel("sweep-1")
    assert store.queue.claim("two", seconds=60) is None


def test_what_has_not_begun_is_cancelled_at_once_and_the_rest_by_its_worker(store: Store) -> None:
    """One that was claimed keeps the wish, which its worker hears as it renews, and so does the next one."""
    with pytest.raises(KeyError, match="nobody has asked for a sweep 'sweep-1'"):
        store.queue.cancel("sweep-1")
    store.queue.add(OTHER)
    assert store.queue.cancel("sweep-2").ended_at is not None
    store.queue.add(ASKED)
    claim = store.queue.claim("one", seconds=60)
    assert claim is not None
    assert (claim.sweep_id, claim.is_cancelled) == ("sweep-1", False)
    asked = store.queue.cancel("sweep-1")
    assert (asked.state, asked.is_cancelled) == (QueueState.CLAIMED, True)
    assert store.queue.renew(claim, seconds=60).is_cancelled
    store.queue.queue_again(claim)
    assert store.queue.cancel("sweep-1", has_begun=True).state is QueueState.QUEUED
    second = store.queue.claim("two", seconds=60)
    assert second is not None
    assert second.is_cancelled
    store.queue.end(second, QueueState.CANCELLED)
    with pytest.raises(ValueError, match="sweep-1 is cancelled already"):
        store.queue.cancel("sweep-1")


CLAIMS = """
import sys
from lrsweep.store import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while (claim := store.queue.claim(sys.argv[2], seconds=600)) is not None:
    print(claim.sweep_id, flush=True)
store.close()
"""

ADDS = """
import sys
from lrsweep.store import open_store
from lrsweep.store.queue import Queued

store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    row, is_new = store.queue.add(Queued(f"{sys.argv[2]}-{number}", f"study-{number}", "ci", "key"))
    print(row.sweep_id, is_new, flush=True)
store.close()
"""


def test_of_workers_that_claim_at_once_each_gets_others(database_url: str) -> None:
    """Twenty sweeps and three processes: every sweep goes to one of them."""
    store = open_store(database_url)
    for number in range(20):
        store.queue.add(Queued(f"sweep-{number}", f"study-{number}", "ci"))
    store.close()
    claimed = [line for written in raced(CLAIMS, database_url) for line in written.split()]
    assert sorted(claimed) == sorted(f"sweep-{number}" for number in range(20))


def test_of_processes_that_send_one_key_at_once_one_queues_a_sweep(database_url: str) -> None:
    """All of them get its id."""
    open_store(database_url).close()
    told = [line.split() for written in raced(ADDS, database_url) for line in written.splitlines()]
    assert len({sweep for sweep, _ in told}) == 10
    assert sorted(is_new for _, is_new in told) == ["False"] * 20 + ["True"] * 10


def test_the_queue_is_in_a_backup_and_comes_back(database_url: str, tmp_path: Path) -> None:
    """With the studies that may be started."""
    source = f"sqlite:///{tmp_path}/from/results.db"
    store = open_store(source)
    store.queue.register(Registered("digits", "/studies", "text", who="ann"))
    store.queue.add(ASKED)
    before = (store.queue.registered(), store.queue.rows())
    store.close()
    back_up(source, tmp_path / "saved.zip")
    restore(database_url, tmp_path / "saved.zip")

    again = open_store(database_url)
    assert (again.queue.registered(), again.queue.rows()) == before
    claim = again.queue.claim("worker", seconds=60)
    assert claim is not None
    assert claim.sweep_id == "sweep-1"
    again.queue.end(claim, QueueState.ENDED)
    assert again.queue.add(OTHER)[0].id == 2
    again.close()

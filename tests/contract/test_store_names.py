"""What there is by name alone, in every kind of store: thousands of studies are listed without reading one."""

from __future__ import annotations

from lrsweep.records import StudyRow, SweepRow
from lrsweep.store import Store
from lrsweep.store.queue import Registered
from tests.choices import choice
from tests.served import promote


def test_names_come_in_their_order_and_once(store: Store) -> None:
    """Those of studies, of promoted choices and of registered files are told apart; capitals come first everywhere."""
    assert (store.study_names(), store.champions.names(), store.queue.registered_names()) == ([], [], [])
    for name, generation in (("tiny", "g1"), ("atlas", "g1"), ("tiny", "g2"), ("Zoo", "g1")):
        lease = store.acquire_lease(name, "a test", seconds=600)
        store.register_study(lease, StudyRow(name, "m", generation, {}))
        store.release_lease(lease)
    promote(store, choice())
    for name in ("later", "Before", "later"):
        store.queue.register(Registered(name, "/studies", "text"))
    assert store.study_names() == ["Zoo", "atlas", "tiny"]
    assert store.champions.names() == [choice().name]
    assert store.queue.registered_names() == ["Before", "later"]


def test_ids_of_sweeps_come_newest_first_whatever_study_they_are_of(store: Store) -> None:
    """Also those of one moment."""
    assert store.sweep_ids() == []
    for number, name in enumerate(("tiny", "atlas", "tiny")):
        lease = store.acquire_lease(name, "a test", seconds=600)
        store.register_study(lease, StudyRow(name, "m", "g1", {}))
        store.create_sweep(lease, SweepRow(f"sweep-{number}", name, "g1"))
        store.release_lease(lease)
    assert store.sweep_ids() == ["sweep-2", "sweep-1", "sweep-0"]

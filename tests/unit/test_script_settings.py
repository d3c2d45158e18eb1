"""What is known of a script's own settings: of all trials of a generation, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lrsweep.records import StudyRow
from lrsweep.store import MemoryStore, Store
from lrsweep.study import ResolvedStudy, parse_study
from lrsweep.sweep.script_settings import with_agreed_settings
from tests.studies import SCRIPT

TEXT = '[study]\nname = "m"\nworkload.command = "python train.py"\n[budget]\ntrials = 2'


def a_script(**settings: Any) -> ResolvedStudy:
    return parse_study(TEXT, "s.toml").resolved(replace(SCRIPT, script_settings=settings or None))


def started(store: Store, study: ResolvedStudy) -> tuple[dict[str, Any], list[str]]:
    """What a start of the study knows and says; it keeps what it knows."""
    said: list[str] = []
    agreed = with_agreed_settings(store, study, said.append)
    lease = store.acquire_lease("m", "here", seconds=60)
    store.register_study(lease, StudyRow("m", agreed.meaning, agreed.generation, agreed.spec()))
    store.release_lease(lease)
    return agreed.script_settings, said


def test_a_value_that_was_changed_is_told_once_and_known_of_no_trial_any_more() -> None:
    """Trials before it have the other value; what stayed is known of all of them."""
    store = MemoryStore()
    assert started(store, a_script(hidden=16, act="relu")) == ({"hidden": 16, "act": "relu"}, [])
    assert started(store, a_script(hidden=16, act="relu")) == ({"hidden": 16, "act": "relu"}, [])
    known, [told] = started(store, a_script(hidden=32, act="relu"))
    assert known == {"act": "relu"}
    assert told.startswith("the script has changed its own settings: hidden is 32 and was 16. ")
    assert "raise study.workload.version" in told
    assert started(store, a_script(hidden=16, act="relu", depth=2)) == ({"act": "relu"}, [])


def test_a_script_that_names_nothing_any_more_leaves_nothing_known() -> None:
    """Neither then nor later, and trials of a release that kept none stay without."""
    for first in (a_script(hidden=16), a_script()):
        store = MemoryStore()
        started(store, first)
        assert started(store, a_script()) == ({}, [])
        assert started(store, a_script(hidden=16)) == ({}, [])

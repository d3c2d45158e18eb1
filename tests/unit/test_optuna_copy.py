"""What is said when Optuna's own storage does not work; that it holds the trials is shown by the mirror's tests.

And how it is written anew: somebody else's trials in it are in no store of ours, so no moment may lose them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from lrsweep.errors import StoreUnavailable
from lrsweep.store import open_store
from lrsweep.study import Objective
from lrsweep.sweep.optuna_copy import add_copy, close_copy, copied_numbers, copy_name, open_copy, without_trials
from lrsweep.sweep.search import TRIAL_ATTRIBUTE
from tests.racers import raced
from tests.sweeps import a_study

URL = "postgresql+psycopg://ann:s%40cret-1@db/lrsweep"


def test_no_password_is_shown_when_the_copy_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the address nor by itself, and the error below, whose text has it, is left out."""

    def refuse(url: str, **_: object) -> None:
        raise ConnectionError(f"no route to {url} with s@cret-1\nmore of it")

    monkeypatch.setattr(optuna.storages, "RDBStorage", refuse)
    with pytest.raises(StoreUnavailable) as caught:
        open_copy(URL, a_study())
    assert "ConnectionError: no route to postgresql+psycopg://ann:***@db/lrsweep with ***. It" in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_password_is_shown_when_a_trial_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study does not give its address back: a password is known by where it stands."""
    copy = optuna.create_study()

    def refuse(_trial: object) -> None:
        raise ConnectionError(f"lost {URL}")

    monkeypatch.setattr(copy, "add_trial", refuse)
    with pytest.raises(StoreUnavailable, match=r"lost postgresql\+psycopg://ann:\*\*\*@db/lrsweep\. It holds copies"):
        add_copy(copy, optuna.trial.create_trial(value=0.5))


def a_copy(url: str) -> str:
    """Two trials of ours and one of somebody else's, in a study that a release gave the metric's direction."""
    name = copy_name(TARGET)
    copy = optuna.create_study(storage=url, study_name=name, direction="maximize")
    copy.set_user_attr("note", "hers")
    for number in (0, 1, None):
        attributes = {} if number is None else {TRIAL_ATTRIBUTE: number}
        copy.add_trial(optuna.create_trial(value=240.0, user_attrs=attributes))
    close_copy(copy)
    return name


TARGET = replace(a_study(direction="maximize"), metric="val_acc", objective=Objective("target", 0.9))


def test_the_copy_is_better_the_way_the_value_is(database_url: str) -> None:
    """Fewest updates to a target, whichever way its metric goes; a copy that says otherwise is turned, whole."""
    open_store(database_url).close()  # SQLite's folder
    fresh = open_copy(database_url, replace(TARGET, horizon=300))
    assert fresh.direction.name == "MINIMIZE"
    name = a_copy(database_url)
    copy = open_copy(database_url, TARGET)
    assert (copy.study_name, copy.direction.name, copy.user_attrs) == (name, "MINIMIZE", {"note": "hers"})
    assert [trial.user_attrs.get(TRIAL_ATTRIBUTE) for trial in copy.trials] == [0, 1, None]
    assert sorted(optuna.get_all_study_names(copy._storage)) == sorted([name, fresh.study_name])
    close_copy(fresh)
    close_copy(copy)


def test_a_copy_that_is_closed_keeps_no_connection(database_url: str) -> None:
    """Optuna itself leaves them to the garbage collector; the study can still be read, over a new one."""
    open_store(database_url).close()
    copy = open_copy(database_url, TARGET)
    assert copied_numbers(copy) == set()
    storage: Any = copy._storage
    pool = storage._backend.engine.pool
    opened = pool.checkedin() + pool.checkedout()
    assert opened > 0
    close_copy(copy)
    assert pool.checkedin() + pool.checkedout() == 0
    assert copied_numbers(copy) == set()
    close_copy(copy)


@pytest.mark.parametrize("killed_at", ["first trial", "last trial", "the old one"])
def test_no_kill_while_trials_are_taken_out_loses_somebody_elses(
    killed_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the copy's name there is always a whole study: the old one or the new one. Repeated, it is as wanted."""
    url = f"sqlite:///{tmp_path}/optuna.db"
    name = a_copy(url)
    added = 0

    def tick() -> None:
        nonlocal added
        added += 1
        if added == {"first trial": 1, "last trial": 2}.get(killed_at):
            raise KeyboardInterrupt

    def refuse(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if killed_at == "the old one":
            patched.setattr(optuna, "delete_study", refuse)
        with pytest.raises(KeyboardInterrupt):
            without_trials(url, name, [0], tick)
    stay = [1, None] if killed_at == "the old one" else [0, 1, None]
    found = optuna.load_study(study_name=name, storage=url)
    assert [trial.user_attrs.get(TRIAL_ATTRIBUTE) for trial in found.trials] == stay

    without_trials(url, name, [0], lambda: None)
    found = optuna.load_study(study_name=name, storage=url)
    assert [trial.user_attrs.get(TRIAL_ATTRIBUTE) for trial in found.trials] == [1, None]
    assert (found.direction.name, found.user_attrs) == ("MAXIMIZE", {"note": "hers"})
    assert optuna.get_all_study_names(url) == [name]


RACE = """
import sys
from dataclasses import replace
from lrsweep.sweep.optuna_copy import open_copy
from tests.sweeps import a_study
print("ready", flush=True)
sys.stdin.readline()
open_copy(sys.argv[1], replace(a_study(), name=sys.argv[2]))
"""


def test_studies_that_begin_together_make_their_copies_in_one_new_database(database_url: str) -> None:
    """Optuna lets all but one fail over the tables that the first is making."""
    open_store(database_url).close()  # SQLite's folder
    raced(RACE, database_url)
    storage = optuna.storages.RDBStorage(database_url)
    assert len(optuna.get_all_study_names(storage)) == 3
    storage.remove_session()
    storage.engine.dispose()

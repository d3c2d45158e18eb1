"""A worker that finds the study to be another one than was asked for: it says so, and begins nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.service.starting import queue_json, registration
from lrsweep.store.queue import QueueState, Registered
from lrsweep.study import load_study
from lrsweep.sweep.remembering import remember
from tests.agreement import results
from tests.commands import query
from tests.drivers import Home, a_study
from tests.sweeps import FACTS
from tests.workers import asked, over, registered, working


def with_old_data(home: Home) -> None:
    """As ``register`` has found them, and as no worker finds them now."""
    study = load_study(home.folder / "tiny.toml")
    with results(home.path) as store, pytest.MonkeyPatch().context() as patch:
        patch.chdir(home.folder)
        remember(store, study, study.resolved(replace(FACTS, data_hash="of the old data")))


def with_another_space(home: Home) -> None:
    """Another text of the same name, registered as a sweep of the first one waits."""
    file = home.folder / "tiny.toml"
    file.write_text(file.read_text() + '\n[space]\nfamilies = ["constant"]\n')
    with results(home.path) as store:
        registered(home, store)


def test_a_text_that_was_registered_as_the_sweep_waited_runs_and_that_is_said(tmp_path: Path) -> None:
    """Of the same generation: the worker says it, and the queue keeps what was asked for beside what ran."""
    home = Home(tmp_path, trials=6)
    sweep = asked(home)
    first = kept(home)
    home.trials = 2
    a_study(home.folder, trials=2)
    with results(home.path) as store:
        registered(home, store)
    second = kept(home)
    assert (second.generation, second.text_hash) != (first.generation, first.text_hash)
    with working(home, "--once") as worker:
        ran = worker.wait()
    ended = over(home, sweep)
    assert ended.state is QueueState.ENDED, ran.err
    told = queue_json(ended)
    assert (told["registered"], told["runs"]) == (registration(first), registration(second))
    assert f"text {second.text_hash[:12]}; it was registered again since this was asked for" in ran.err
    home.assert_whole()


def kept(home: Home) -> Registered:
    with results(home.path) as store:
        return store.queue.registered("tiny")[0]


@pytest.mark.parametrize(("what", "has_run"), [("data", False), ("text", True)])
def test_what_has_changed_since_it_was_asked_for_is_not_begun(tmp_path: Path, what: str, has_run: bool) -> None:
    """The data since the study was registered, or its text since the sweep was: failed, with both generations and what
    to do, whether it was the study's first sweep or another one. Registered again, it is begun."""
    study = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 90\nseed = 3\n\n[budget]\ntrials = 2\n'
    home = Home(tmp_path, trials=2, study=study)
    if has_run:
        assert home.run().code == 0
    if what == "data":
        with_old_data(home)
    sweep = asked(home, another=has_run)
    was = kept(home).generation
    if what == "text":
        with_another_space(home)
    with working(home, "--once") as worker:
        ran = worker.wait()
    assert ran.code == 0, ran.err
    ended = over(home, sweep)
    assert ended.state is QueueState.FAILED, ran.err
    assert str(ended.error).startswith(f"sweep {sweep} was asked for of generation {was[:8]} of the study, which is ")
    assert "`lrsweep register` it again" in ran.err
    assert query(home.path, "SELECT count(*) FROM lrs_sweep") == has_run

    with results(home.path) as store:
        registered(home, store)
    sweep = asked(home, another=has_run)
    with working(home, "--once") as worker:
        assert worker.wait().code == 0
    assert over(home, sweep).state is QueueState.ENDED
    assert query(home.path, "SELECT count(*) FROM lrs_sweep") == has_run + 1

"""Which studies may be started over HTTP, and what is said of results that are new."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.service.starting import settled
from lrsweep.study import load_study
from lrsweep.sweep.beginning import Course
from lrsweep.sweep.remembering import read_again, resolved_as_kept
from tests.agreement import results
from tests.commands import lrsweep
from tests.drivers import Home
from tests.looked import typed
from tests.served import served
from tests.sweeps import FACTS


def test_a_run_registers_its_study_as_it_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text reads back as the same study, what is kept says as `run` does that nothing is to do, and a larger budget
    that is registered goes on."""
    home = Home(tmp_path)
    assert home.run().code == 0
    with results(home.path) as store:
        [kept] = store.queue.registered()
        monkeypatch.chdir(kept.folder)
        study = read_again(kept)
        assert study == load_study(tmp_path / "tiny.toml")
        resolved = study.resolved(FACTS)
        assert (kept.meaning, kept.generation) == (resolved.meaning, resolved.generation)
        assert resolved_as_kept(kept).generation == kept.generation
        [sweep] = store.sweeps("tiny")
        assert settled(store, kept, another=False) == (Course.NOTHING, sweep)
        assert settled(store, kept, another=True) == (Course.ANOTHER, sweep)

        larger = replace(study, budget=replace(study.budget, trials=20)).resolved(FACTS)
        store.queue.register(replace(kept, spec=larger.spec(), generation=larger.generation))
        [kept] = store.queue.registered()
        assert settled(store, kept, another=False) == (Course.CONTINUE, sweep)


def test_random_data_are_registered_by_nobody(tmp_path: Path) -> None:
    """The file does not say them."""
    file = tmp_path / "s.toml"
    file.write_text('[study]\nname = "s"\nworkload = "mnist"\n[budget]\ntrials = 4\n')
    study = load_study(file)
    assert study.text == file.read_text()
    assert study.on_random_data().text == ""


def test_a_home_that_was_mistyped_is_said_to_be_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `token create`, once, and by `serve`; one that has results is said to have them."""
    run = typed(capsys, monkeypatch, tmp_path / "home", {})
    assert "there was no results database at" in run("token", "create", "one").err
    assert "there was no" not in run("token", "create", "two").err
    with served(tmp_path / "home") as service:
        assert service.process.stdout is not None
        assert "which have no study yet" in service.process.stdout.readline()
    with served(tmp_path / "other") as service:
        assert service.process.stdout is not None
        assert "a new results database" in service.process.stdout.readline()


def test_a_worker_refuses_a_time_that_is_none(tmp_path: Path) -> None:
    """Exit code 64."""
    ran = lrsweep("worker", "--poll", "soon", home=tmp_path / "home")
    assert ran.code == 64
    assert "--poll is 'soon'" in ran.err

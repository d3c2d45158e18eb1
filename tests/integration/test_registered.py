"""Which studies may be started over HTTP, and what is said of results that are new."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.service.starting import settled
from lrsweep.store.queue import QueueState
from lrsweep.study import load_study
from lrsweep.sweep.beginning import Course
from lrsweep.sweep.remembering import read_again, resolved_as_kept
from tests.agreement import results
from tests.commands import lrsweep, write_study
from tests.drivers import Home
from tests.looked import typed
from tests.served import served
from tests.sweeps import FACTS
from tests.workers import asked, over, working


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
    """By `token create`, `register` and `worker`, once, and by `serve`; one that has results is said to have them."""
    run = typed(capsys, monkeypatch, tmp_path / "home", {})
    first = run("token", "create", "one").err
    assert f"there was no results database at sqlite:///{tmp_path}/home/results.db: a new home was made at" in first
    assert "there was no" not in run("token", "create", "two").err
    with served(tmp_path / "home") as service:
        assert service.process.stdout is not None
        assert "which have no study yet" in service.process.stdout.readline()
    for command in (("register", str(write_study(tmp_path))), ("worker", "--once")):
        mistyped = tmp_path / command[0]
        said = f": a new home was made at {mistyped}\n"
        ran = lrsweep(*command, home=mistyped)
        assert (ran.code, ran.err.count(said)) == (0, 1), ran.err
        assert said not in lrsweep(*command, home=mistyped).err
    with served(tmp_path / "other") as service:
        assert service.process.stdout is not None
        assert "a new results database" in service.process.stdout.readline()


def test_the_first_token_is_said_to_close_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first one ever made alone: a service on loopback was open before, and never is again."""
    run = typed(capsys, monkeypatch, tmp_path / "home", {})
    closes = "it is the first one of these results: within a second or two a service on them answers to nobody without"
    ran = run("token", "create", "one", "--json")
    assert closes in ran.err
    assert json.loads(ran.out)["name"] == "one"
    assert closes not in run("token", "create", "two").err
    for name in ("one", "two"):
        assert run("token", "revoke", name).code == 0
    assert closes not in run("token", "create", "three").err


def test_a_file_that_has_changed_since_is_told_by_the_list_and_the_worker(tmp_path: Path) -> None:
    """Which text runs: when it was registered and its hash, as `sha256sum` says it of the file; that text runs."""
    home = Home(tmp_path, trials=2)
    file = tmp_path / "tiny.toml"
    before = file.read_bytes()
    short = hashlib.sha256(before).hexdigest()[:12]
    sweep = asked(home)
    listed = home.start_command("register", "--list").wait().out
    assert re.search(rf"^tiny: .*, registered \d{{4}}-\d\d-\d\d \d\d:\d\d UTC, text {short}$", listed, re.MULTILINE)
    file.write_bytes(before + b"\n# another thought\n")
    assert "the file has changed since: `lrsweep register` takes the new text" in (
        home.start_command("register", "--list").wait().out
    )
    told = json.loads(home.start_command("register", "--list", "--json").wait().out)["registered"]
    assert (told[0]["hash"], told[0]["file_has_changed"]) == (hashlib.sha256(before).hexdigest(), True)
    with working(home, "--once") as worker:
        ran = worker.wait()
    assert re.search(rf"tiny, sweep {sweep}: runs .*tiny.toml in .*, text {short}; the file has changed since", ran.err)
    assert ran.err.count(": runs ") == 1
    assert over(home, sweep).state is QueueState.ENDED


def test_a_worker_refuses_a_time_that_is_none(tmp_path: Path) -> None:
    """Exit code 64."""
    ran = lrsweep("worker", "--poll", "soon", home=tmp_path / "home")
    assert ran.code == 64
    assert "--poll is 'soon'" in ran.err

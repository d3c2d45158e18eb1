"""What a look is asked of: studies by name and by file, those that are not there, and those that have no sweep yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrsweep.records import StudyRow
from lrsweep.store import open_store
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import this_owner
from tests.looked import Typed, a_driven_bench, in_a_home, typed
from tests.scripted import only_sgd


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six trials of one family, all ended."""
    return in_a_home(tmp_path / "home", only_sgd(trials=6))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, home, {})


def test_a_study_may_be_named_by_its_file(run: Typed, tmp_path: Path) -> None:
    """The name in the file counts, not the file's."""
    file = tmp_path / "other.toml"
    file.write_text('[study]\nname = "quick"\n')
    assert json.loads(run("status", str(file), "--json").out)["study"] == "quick"
    file.write_text("[study]\n")
    refused = run("status", str(file))
    assert refused.code == 64
    assert "does not say the name of a study" in refused.err


def test_a_file_that_names_no_study_is_refused_with_the_reason(run: Typed, tmp_path: Path) -> None:
    """In a sentence, with the line of what is no TOML; a mark before UTF-8 is none."""
    file = tmp_path / "other.toml"
    for text, said in (
        (b"[study]\n", "it has no `name` in [study]. Give the name of the study itself, as `lrsweep list` shows it"),
        (b"[study]\nname = quick\n", "other.toml is not TOML: in line 2, column 8: Invalid value."),
        (b'[study]\nname = "quick', "is not TOML: "),
        (b'[study]\nname = "\xff"\n', "other.toml is not UTF-8, which TOML asks for."),
    ):
        file.write_bytes(text)
        refused = run("status", str(file))
        assert refused.code == 64
        assert said in refused.err
        assert "Error" not in refused.err
    assert "there is no file none.toml. Give the name of the study itself" in run("status", "none.toml").err
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert f"{folder} cannot be read (Is a directory)." in run("status", str(folder)).err
    file.write_bytes(b'\xef\xbb\xbf[study]\nname = "quick"\n')
    assert json.loads(run("status", str(file), "--json").out)["study"] == "quick"


def test_looking_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """A home that is not there is refused in a sentence, and is not there afterwards either."""
    run = typed(capsys, monkeypatch, tmp_path / "none", {})
    for command in (["list"], ["status"], ["show", "quick"], ["cancel", "quick"], ["reproduce", "quick", "0:90"]):
        refused = run(*command)
        assert refused.code == 64
        assert "there are no results in" in refused.err
    assert not (tmp_path / "none").exists()


def test_an_unknown_study_is_refused_with_the_nearest_name(run: Typed) -> None:
    """`quik` may have meant `quick`."""
    refused = run("status", "quik")
    assert refused.code == 64
    assert "Did you mean 'quick'?" in refused.err


def test_results_in_postgresql_are_looked_at_like_those_in_a_file(
    postgres_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    """An empty database has none, and gets no schema by being asked; with a sweep in it, it is listed."""
    run = typed(capsys, monkeypatch, tmp_path / "home", {"LRSWEEP_DATABASE_URL": postgres_url})
    assert "there are no results in that database" in run("list").err
    assert "there are no results in that database" in run("list").err  # the first look made none
    store = open_store(postgres_url)
    a_driven_bench(only_sgd(trials=3), store=store)
    store.close()
    [listed] = json.loads(run("list", "--json").out)["studies"]
    assert (listed["state"], listed["driver"], listed["trials_told"]) == ("running", "a test", 3)


def test_a_study_that_a_driver_is_starting_is_named_by_every_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """It holds the lease for many seconds before there is a row of the study; one that died there left nothing."""
    home = tmp_path / "home"
    store = open_store(f"sqlite:///{home}/results.db")
    store.acquire_lease("can", "process 7 on box [boot:ns 1]", seconds=600)
    store.acquire_lease("dead", this_owner().replace("process ", "process 9", 1), seconds=600)
    store.close()
    run = typed(capsys, monkeypatch, home, {})
    assert "can   starting" in run("list").out
    assert json.loads(run("list", "--json").out)["without_sweep"] == [{"study": "can", "driver": "process 7 on box"}]
    for words in (["status"], ["status", "can"], ["show", "can"]):
        ran = run(*words)
        assert (ran.code, "a driver (process 7 on box) is starting study 'can'" in ran.err) == (75, True)
    assert "There are: can." in run("status", "other").err


def test_a_request_is_told_by_every_look(home: Path, run: Typed) -> None:
    """Of a study of which nothing is recorded, and of one with a sweep; once it is over nothing is said."""
    store = open_store(f"sqlite:///{home}/results.db")
    for study in ("fresh", "quick"):
        store.queue.add(Queued(f"new-{study}", study, "a test"))
    [left] = store.sweeps("quick")
    told = [{"study": study, "sweep": f"new-{study}", "state": "queued"} for study in ("fresh", "quick")]
    assert json.loads(run("list", "--json").out)["requests"] == told
    assert "fresh queued" in run("list").out
    ran = run("status", "fresh")
    assert (ran.code, "was asked for over HTTP and is queued" in ran.err) == (75, True)
    assert "`lrsweep cancel` takes it back" in ran.err
    assert json.loads(run("status", "quick", "--json").out)["request"] == told[1]
    assert "unfinished, queued" in run("list").out
    shown = run("status", "quick").out
    assert "queued: a new sweep, new-quick, was asked for over HTTP and waits for a worker" in shown
    store.queue.cancel("new-quick")
    store.queue.cancel("new-fresh")
    store.queue.add(Queued(left.sweep_id, "quick", "a test"))
    assert store.queue.claim("a worker", seconds=600) is not None
    shown = run("status", "quick").out
    assert "claimed: this sweep was asked for over HTTP and is begun by a worker just now" in shown
    store.queue.cancel(left.sweep_id)
    assert "unfinished, ending" in run("list").out
    assert json.loads(run("status", "quick", "--json").out)["request"]["state"] == "ending"
    shown = run("status", "quick").out
    assert "ending: this sweep is to be cancelled; the next worker (`lrsweep worker`) ends it" in shown
    assert "takes it back" not in shown
    store.close()
    assert run("cancel", "fresh").code == 64


def test_a_study_without_a_sweep_is_known_to_every_look(home: Path, run: Typed) -> None:
    """A run that failed as it started has left the study alone."""
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("imp", "a test", seconds=600)
    store.register_study(lease, StudyRow("imp", "m", "g", {}))
    store.release_lease(lease)
    store.close()
    assert "imp   no sweep" in run("list").out
    assert "study 'imp' has no sweep" in run("status", "imp").err
    assert "There are: quick, imp." in run("status", "nope").err

"""``lrsweep register`` with all it can do, and what ``lrsweep delete`` leaves of a study in the queue: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrsweep.cli.prune import delete
from lrsweep.errors import LeaseHeld, TryAgain
from lrsweep.records import SweepRow
from lrsweep.settings import read_settings
from lrsweep.store import Store, open_store
from lrsweep.store.queue import Queued, QueueState, Registered
from lrsweep.study import load_study
from lrsweep.sweep.remembering import remember
from tests.commands import write_study
from tests.looked import Typed, a_bench, typed
from tests.scripted import only_sgd
from tests.sweeps import FACTS


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    return typed(capsys, monkeypatch, tmp_path / "home", {})


def kept(home: Path) -> Store:
    return open_store(f"sqlite:///{home}/results.db")


def test_what_is_registered_is_listed_and_taken_out(run: Typed, tmp_path: Path) -> None:
    """With its file and folder; a request that waits goes with it, and nobody else's."""
    store = kept(tmp_path / "home")
    assert "no study is registered" in run("register", "--list").out
    for name in ("digits", "faces"):
        store.queue.register(Registered(name, "/studies", "text", "ann", f"{name}.toml"))
        store.queue.add(Queued(f"of-{name}", name, "a test"))
    lines = run("register", "--list").out.splitlines()
    assert [line.partition(", registered ")[0] for line in lines] == [
        "digits: digits.toml in /studies, by ann",
        "faces: faces.toml in /studies, by ann",
    ]
    assert all("; the file cannot be read here, and the registered text is what runs" in line for line in lines)
    listed = json.loads(run("register", "--list", "--json").out)["registered"]
    assert [(row["study"], row["folder"], row["who"]) for row in listed] == [
        ("digits", "/studies", "ann"),
        ("faces", "/studies", "ann"),
    ]
    assert run("register", "--remove", "digits").out == "study digits is registered no more\n"
    assert [row.study for row in store.queue.registered()] == ["faces"]
    assert store.queue.row("of-digits").state is QueueState.CANCELLED
    assert [row.sweep_id for row in store.queue.waiting()] == ["of-faces"]
    refused = run("register", "--remove", "face")
    assert refused.code == 64
    assert "study 'face' is not registered. Did you mean 'faces'? There are: faces." in refused.err
    assert json.loads(run("register", "--remove", "faces", "--json").out) == {"removed": "faces"}
    store.close()


def test_a_study_that_a_worker_has_stays_registered(run: Typed, tmp_path: Path) -> None:
    """Exit code 75 with what to do; `delete` removes nothing then."""
    store = kept(tmp_path / "home")
    store.queue.register(Registered("digits", "/studies", "text", "ann", "digits.toml"))
    store.queue.add(Queued("mine", "digits", "a test"))
    assert store.queue.claim("a worker on another machine", seconds=600) is not None
    for command in (("register", "--remove", "digits"), ("delete", "digits", "--yes")):
        refused = run(*command)
        assert refused.code == 75
        assert "a worker has sweep mine of study 'digits': nothing was changed. `lrsweep cancel digits`" in refused.err
    assert len(store.queue.registered()) == 1
    assert store.queue.row("mine").state is QueueState.CLAIMED
    store.close()


@pytest.mark.parametrize("words", [(), ("a.toml", "--list"), ("--list", "--remove", "a"), ("a.toml", "--remove", "a")])
def test_one_thing_is_asked_of_register(run: Typed, words: tuple[str, ...]) -> None:
    """A file, a name to take out, or the list."""
    refused = run("register", *words)
    assert refused.code == 64
    assert "wanted is one of a study file, --remove NAME or --list" in refused.err


def test_a_study_that_is_deleted_is_registered_and_queued_no_more(tmp_path: Path) -> None:
    """Of one sweep alone both stay; it is said before anybody is asked."""
    store = kept(tmp_path)
    bench = a_bench(only_sgd(trials=2), store)
    store.create_sweep(bench.lease, SweepRow("sweep-2", "quick", bench.study.generation))
    store.release_lease(bench.lease)
    store.queue.register(Registered("quick", "/studies", "text", "ann", "quick.toml"))
    store.queue.register(Registered("faces", "/studies", "text"))
    store.queue.add(Queued("sweep-2", "quick", "a test"))
    settings, said = read_settings({"LRSWEEP_HOME": str(tmp_path)}), list[str]()

    delete(settings, "quick", "sweep-1", is_sure=True, say=said.append)
    assert [row.study for row in store.queue.registered()] == ["faces", "quick"]
    assert store.queue.row("sweep-2").state is QueueState.QUEUED
    delete(settings, "quick", None, is_sure=True, say=said.append)
    assert [row.study for row in store.queue.registered()] == ["faces"]
    assert store.queue.row("sweep-2").state is QueueState.CANCELLED
    assert store.sweeps("quick") == []
    assert said.count("its registration, of quick.toml in /studies: it is started over HTTP no more") == 1
    delete(settings, "faces", None, is_sure=True, say=said.append)
    assert store.queue.registered() == []
    store.close()


def test_nights_stay_when_their_study_is_deleted_and_that_is_said(tmp_path: Path) -> None:
    """Before anybody is asked, with where they are; of one sweep alone nothing is said."""
    store = kept(tmp_path)
    bench = a_bench(only_sgd(trials=2), store)
    store.create_sweep(bench.lease, SweepRow("sweep-2", "quick", bench.study.generation))
    store.release_lease(bench.lease)
    night = store.nights.begin("quick", bench.study.generation, "n1", {})
    store.nights.begin("faces", "g", "n1", {})
    settings, said = read_settings({"LRSWEEP_HOME": str(tmp_path)}), list[str]()
    delete(settings, "quick", "sweep-1", is_sure=True, say=said.append)
    assert not any("night" in each for each in said)
    delete(settings, "quick", None, is_sure=True, say=said.append)
    stays = "what its nights came to stays, in `lrsweep nightly history quick` and as runs of the kind night in MLflow"
    assert f"{stays}: 1 night" in said
    assert store.nights.rows("quick") == [night]
    store.close()


def test_a_study_that_is_driven_is_deleted_in_no_part(tmp_path: Path) -> None:
    """A driver has it, or it has gone on since it was looked at: registration, request and results are as they were."""
    store = kept(tmp_path)
    bench = a_bench(only_sgd(trials=2), store)  # it has the lease
    store.queue.register(Registered("quick", "/studies", "text", "ann", "quick.toml"))
    store.queue.add(Queued("sweep-1", "quick", "a test"))
    settings = read_settings({"LRSWEEP_HOME": str(tmp_path)})

    def remains() -> tuple[object, ...]:
        return store.queue.registered(), store.queue.row("sweep-1"), store.sweeps("quick")

    before = remains()
    with pytest.raises(LeaseHeld):
        delete(settings, "quick", None, is_sure=True, say=lambda _: None)
    assert remains() == before

    def goes_on(sentence: str) -> None:
        if sentence.startswith("its registration"):  # the last word before the lease is taken
            store.create_sweep(bench.lease, SweepRow("sweep-2", "quick", bench.study.generation))
            store.update_sweep(bench.lease, "sweep-1", add_seconds=1.0)
            store.release_lease(bench.lease)

    with pytest.raises(TryAgain, match="went on meanwhile; nothing was removed"):
        delete(settings, "quick", None, is_sure=True, say=goes_on)
    assert remains()[:2] == before[:2]
    assert [sweep.sweep_id for sweep in store.sweeps("quick")] == ["sweep-1", "sweep-2"]
    store.close()


def test_who_takes_the_place_of_another_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose it was and from where; of the same file again nothing is said."""
    store, said = kept(tmp_path / "home"), list[str]()
    monkeypatch.setattr("lrsweep.sweep.remembering._user", lambda: "ann")
    for folder in ("one", "one", "two"):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        write_study(tmp_path / folder)
        study = load_study("tiny.toml")
        assert remember(store, study, study.resolved(FACTS), said.append) is not None
    assert said == [
        f"study 'tiny' was registered by ann from tiny.toml in {tmp_path}/one: what is asked for over HTTP is "
        f"tiny.toml in {tmp_path}/two from now on"
    ]
    store.close()

"""Nights that are read again: failures that follow each other, as far back as somebody is told, the same command."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import lrsweep.nightly.around as around
import lrsweep.nightly.sweeping as sweeping
from lrsweep.cli.nightly_drawing import show_history
from lrsweep.cli.nightly_running import Typed, again
from lrsweep.nightly.finding import found_studies
from lrsweep.nightly.history import history, last_nights
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.promoting import candidate_becomes_champion
from lrsweep.nightly.telling import Wanted
from lrsweep.nightly.telling.news import changes
from lrsweep.records import SweepStatus, TrainingPlan
from lrsweep.store.champions import Alias
from lrsweep.store.nights import night_lease
from tests.nightly_runs import CHALLENGER, HERE, STUDY, Nights, usual
from tests.scripted import End


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A champion of one study."""
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    made = Nights(tmp_path)
    made.promote()
    return made


def failing(text: str) -> object:
    def script(_: TrainingPlan) -> End:
        raise RuntimeError(text)

    return script


def failed(nights: Nights, text: str, key: str = "k") -> StudyNight:
    nights.script = failing(text)  # type: ignore[assignment]
    [night] = nights.run(key).studies
    return night


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_another_failure_of_the_same_key_is_told_and_takes_the_place_of_the_first(nights: Nights) -> None:
    """Each that says something else than the one before it is news; the history shows the last."""
    said = []
    for text in ("one", "one", "two", "one"):
        night = failed(nights, text)
        run = nights.run("k")
        said.append((night.is_recorded, run.studies[0].is_recorded))
        assert [each.sentence for each in history(nights.store)["quick"]] == [f"RuntimeError: {text}"]
        told = changes(replace(run, studies=(night,)), last_nights(nights.store, 60))
        assert bool(told) is not night.is_recorded
    assert said == [(False, True), (True, True), (False, True), (False, True)]
    assert failed(nights, "one", "l").is_recorded is False


# ── as far back as somebody is told ──────────────────────────────────────────────────────────────────────────────────
def test_a_name_that_was_mistyped_is_no_study_of_the_history(
    nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no file of it and nothing in the results. A file that cannot be read is kept, and so is a study whose
    file is gone; the history says why the last night failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "wrong.toml").write_text("[study]\n")
    run = nights.run("k", found_studies(["tpyo", "wrong", "quick"]))
    assert [night.verdict for night in run.studies] == ["failed"] * 3
    assert run.exit_code == 64
    found = history(nights.store)
    assert sorted(found) == ["quick", "wrong"]
    drawn = io.StringIO()
    show_history(Console(file=drawn, width=200), found)
    assert f"failed: {found['quick'][-1].sentence}" in drawn.getvalue()
    assert "there is no such file" in drawn.getvalue()


def test_a_name_that_was_mistyped_is_told_once(nights: Nights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Night after night the same failure with the same exit code, and news the first time alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    told = []
    for key in ("k", "l", "l", "m"):
        before = last_nights(nights.store, 60, {"tpyo"})
        run = nights.run(key, found_studies(["tpyo"]))
        assert run.exit_code == 64
        assert last_nights(nights.store, 60).keys() == history(nights.store).keys() == set()
        told.append(len(changes(run, {**before, **last_nights(nights.store, 60, {"tpyo"})})))
    assert told == [1, 0, 0, 0]


def test_only_what_is_shown_is_read(tmp_path: Path) -> None:
    """Nothing for a summary and a ping; a chart's year for the page; other studies where they are shown."""
    file = tmp_path / "x"
    assert Wanted(summary=file, ping="https://x/").nights == 0
    assert [Wanted(**{name: file}).nights for name in ("markdown", "step_summary", "prometheus")] == [60] * 3  # type: ignore[arg-type]
    assert Wanted(notify=("json://x",)).nights == 60
    assert Wanted(report=file, notify=("json://x",)).nights == 367
    shows = [Wanted(**{name: file}).has_others for name in ("markdown", "prometheus", "report")]  # type: ignore[arg-type]
    assert shows == [False, True, True]


def test_the_last_nights_are_the_end_of_the_history(nights: Nights) -> None:
    """Of each study; with the failures among them."""
    nights.promote(name="other")
    for key in "abc":
        nights.run(key, [nights.study(), nights.study("other")], is_always=True)
    failed(nights, "one")
    nights.script = usual
    whole = history(nights.store)
    assert {name: len(found) for name, found in whole.items()} == {"quick": 4, "other": 3}
    assert last_nights(nights.store, 2) == {name: found[-2:] for name, found in whole.items()}
    assert last_nights(nights.store, 9, {"other"}) == {"other": whole["other"]}
    assert last_nights(nights.store, 9, set()) == {}


# ── which studies ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("copy", ["a-copy", "z-copy"])
def test_a_broken_copy_of_a_study_has_a_name_of_its_own(
    copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure does not hide the verdict of the study whose name it has, whichever of the two is read first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    text = STUDY.format(name="mine", nightly="")
    (tmp_path / "studies" / "mine.toml").write_text(text)
    (tmp_path / "studies" / f"{copy}.toml").write_text(text.replace("trials = 6", "trials = -1"))
    found = {each.name: each for each in found_studies([])}
    assert found.keys() == {"mine", f"mine (studies/{copy}.toml)"}
    assert found["mine"].study is not None
    assert "trials" in str(found[f"mine (studies/{copy}.toml)"].problem)


# ── the sweep of a night ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_sweep_whose_night_another_took_over_writes_nothing(
    is_ended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other came to is read; where it is still at work the study is left out."""
    nights = Nights(tmp_path)
    ended = StudyNight("quick", "g", "k", "undecided", "the other's", "", 0)

    class Swept:
        trainings = ()
        sweep = SimpleNamespace(status=SweepStatus.FINISHED)

    def taken_over(*_: object, **__: object) -> Swept:
        nights.store._tables.leases.pop(night_lease("quick"), None)  # type: ignore[attr-defined]
        if is_ended:
            nights.store.nights.end(nights.store.nights.rows()[-1].id, {"format": 1, "night": ended.to_json()})
        return Swept()

    chosen = SimpleNamespace(row=nights.promote(CHALLENGER, Alias.CANDIDATE))
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(sweeping, "run_sweep", taken_over)
    monkeypatch.setattr(sweeping, "promote", lambda *_, **__: chosen)
    run = nights.run("k")
    if is_ended:
        assert run.studies == (replace(ended, is_recorded=True),)
        assert run.exit_code == 0
    else:
        assert (run.exit_code, run.studies) == (99, ())
        assert "another process has taken the night over" in run.notes[0]
        assert nights.store.nights.rows()[-1].ended_at is None


def test_a_night_whose_sweep_was_cancelled_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had found is the candidate, by the word that stands in the history; the next night begins another."""
    nights = Nights(tmp_path)
    cancelled = SimpleNamespace(trainings=(), sweep=SimpleNamespace(status=SweepStatus.CANCELLED))
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(sweeping, "run_sweep", lambda *_, **__: cancelled)
    row = nights.promote(replace(CHALLENGER, evidence={"evidence": "undecided"}), Alias.CANDIDATE)
    monkeypatch.setattr(sweeping, "promote", lambda *_, **__: SimpleNamespace(row=row))
    night = nights.night("k")
    assert "its sweep was cancelled, and the choice of what it found is the candidate" in night.sentence
    assert night.next_step == (
        "it is undecided whether it is the best: `lrsweep choose quick` says what would show more; "
        "`lrsweep nightly promote quick --anyway` makes it the champion all the same; "
        "the next night begins another sweep"
    )


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_command_that_goes_on_is_the_one_that_was_typed() -> None:
    """Quoted for a shell, with its key and without what is so by default."""
    files: dict[str, Path | None] = {"summary": Path("a night.json"), "report": None}
    typed = Typed(["my studies/", "b"], None, "6h", "wait", True, True, "cuda:1", "fused", files, is_json=True)
    assert shlex.split(again(typed, "k")) == [
        *("nightly", "run", "--key", "k", "--deadline", "6h", "--engine", "fused", "--device", "cuda:1"),
        *("--on-locked", "wait", "--summary", "a night.json", "--always", "--ok-when-changed", "--json"),
        *("my studies/", "b"),
    ]
    plain = Typed([], "x", None, "skip", False, False, "auto", None, {}, is_json=False)
    assert again(plain, "x") == "nightly run --key x"
    assert again(replace(plain, studies=["-odd.toml"]), "x") == "nightly run --key x -- -odd.toml"


def test_a_candidate_that_is_the_champion_already_takes_nobodys_place(nights: Nights) -> None:
    """The second `lrsweep nightly promote` says so."""
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    homes = nights.at().homes
    found = [candidate_becomes_champion(nights.store, homes, "quick", None, nights.said.append) for _ in range(2)]
    assert [(each.is_new, each.was is None) for each in found] == [(True, False), (False, True)]

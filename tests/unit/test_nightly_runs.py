"""Runs over several studies: one budget of time, one failing study, who else is at work, files that are wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import lrsweep.nightly.around as around
import lrsweep.nightly.running as running
from lrsweep.errors import SettingsError
from lrsweep.nightly.around import now_of
from lrsweep.nightly.asked import Asked, key_of
from lrsweep.nightly.finding import Found, found_studies
from lrsweep.nightly.running import GRAVEST, gravest, run_nights
from lrsweep.records import TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.store.nights import night_lease
from tests.nightly_runs import HERE, STUDY, NightExecutor, Nights, usual
from tests.patience import in_time
from tests.scripted import End, failed


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Champions of three studies."""
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    made = Nights(tmp_path)
    for name in ("a", "b", "c"):
        made.promote(name=name)
    return made


def three(nights: Nights) -> list[Found]:
    return [nights.study(name) for name in ("a", "b", "c")]


# ── several studies ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_each_study_of_a_run_has_its_night(nights: Nights) -> None:
    """In the order in which they were named; the summary has its keys."""
    run = nights.run("k", three(nights))
    assert run.exit_code == 0
    assert run.to_json()["verdicts"] == {"a": "undecided", "b": "undecided", "c": "undecided"}
    assert {"format", "key", "studies", "verdicts", "exit_code"} <= run.to_json().keys()
    assert len(nights.begun) == 18


def test_studies_of_one_workload_share_the_process_that_loads_it(nights: Nights) -> None:
    """A night that trains takes it along, the next one starts another; where nothing has changed one is enough for all
    of them, and to read nights of the same key: only the workload knows whether it is the same generation."""
    nights.run("k", three(nights))
    assert nights.loaded == ["digits"] * 3
    nights.run("l", three(nights))
    assert nights.loaded == ["digits"]
    again = nights.run("l", three(nights))
    assert nights.loaded == ["digits"]
    assert [(night.is_recorded, night.is_unchanged) for night in again.studies] == [(True, True)] * 3
    changed = [nights.study(name, STUDY.replace("trials = 6", "trials = 7")) for name in ("a", "b", "c")]
    assert all(night.is_recorded for night in nights.run("l", changed).studies)  # a larger budget is no generation
    assert nights.loaded == ["digits"]


def test_studies_that_give_one_workload_other_settings_are_told_apart(nights: Nights) -> None:
    """Each is described by its own settings, in one process; the same settings are asked for once."""
    text = STUDY.replace('workload = "digits"', 'workload = {{ name = "digits", model = "cnn" }}')
    heard: list[object] = []
    real = NightExecutor.describe

    def describe(self: NightExecutor, workload: WorkloadSpec, tick: Callable[[], None]) -> WorkloadFacts:
        heard.append(workload.settings["model"])
        return real(self, workload, tick)

    with pytest.MonkeyPatch.context() as patch:
        nights.run("k", three(nights))
        patch.setattr(NightExecutor, "describe", describe)
        nights.run("l", [nights.study("a"), nights.study("b", text), nights.study("c")])
    assert heard == ["mlp", "cnn"]
    assert nights.loaded == ["digits"]


def test_a_failing_study_stops_no_other(nights: Nights) -> None:
    """Whether its file is wrong, or its trainings fail; it is told, and the run's exit code is its."""
    broken = Found("broken", "broken.toml", None, SettingsError("broken.toml: 1 problem"))
    nights.script = lambda plan: failed(plan) if len(nights.begun) <= 6 else usual(plan)  # those of the first study
    run = nights.run("k", [*three(nights), broken])
    assert {night.study: night.verdict for night in run.studies} == {
        "a": "failed",
        "b": "undecided",
        "c": "undecided",
        "broken": "failed",
    }
    assert run.exit_code == 70
    nights.script = usual
    assert nights.run("k", [*three(nights), broken]).exit_code == 64


def test_what_nobody_expected_fails_one_study_alone(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is none of ours: exit code 1, with its kind, and the others have their nights."""
    import lrsweep.nightly.studying as studying

    def odd(study: object, device: str) -> None:
        if getattr(study, "name", "") == "b":
            raise ZeroDivisionError("by 0")
        return real(study, device)  # type: ignore[arg-type, return-value]

    real = now_of
    monkeypatch.setattr(studying, "now_of", odd)
    run = nights.run("k", three(nights))
    assert [night.verdict for night in run.studies] == ["undecided", "failed", "undecided"]
    assert run.studies[1].sentence == "ZeroDivisionError: by 0"
    assert run.exit_code == 1


@pytest.mark.parametrize(
    ("codes", "told"),
    [([0, 4], 4), ([4, 99], 99), ([124, 4], 124), ([75, 124], 75), ([64, 70, 75], 70), ([70, 143], 143), ([33, 4], 33)],
)
def test_the_gravest_exit_code_is_the_runs(codes: Sequence[int], told: int) -> None:
    """A signal, then failures, then the deadline, then others at work, then changes; what is unknown is a failure."""
    assert gravest(codes) == told
    assert sorted(set(GRAVEST)) == sorted(GRAVEST)


# ── the deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────
def slow(seconds: float) -> object:
    def script(plan: TrainingPlan) -> End:
        time.sleep(seconds)
        return usual(plan)

    return script


def test_at_the_deadline_the_rest_waits_for_the_same_command(nights: Nights) -> None:
    """Exit code 124; what was trained is kept, and nothing is trained twice. Each study has had its share."""

    def attempt(longer: float) -> None:
        key = f"k{longer:g}"
        nights.script = slow(0.1 * longer)  # type: ignore[assignment]
        run = nights.run(key, three(nights), deadline_seconds=0.9 * longer, is_always=True)
        assert run.exit_code == 124
        assert run.notes
        assert all("the same command goes on with it" in note for note in run.notes)
        begun = {
            row.study: len(nights.store.nights.trainings(row.id))
            for row in nights.store.nights.rows()
            if row.key == key
        }
        assert set(begun) == {"a", "b", "c"}
        assert all(0 < count < 6 for count in begun.values())
        nights.script = usual
        again = nights.run(key, three(nights), is_always=True)
        assert (again.exit_code, again.notes) == (0, ())
        assert len(nights.begun) == 18 - sum(begun.values())

    in_time(attempt)


def test_what_one_study_does_not_need_the_others_have(nights: Nights) -> None:
    """The first two are read in a moment: nearly all of the time is the third's."""

    def attempt(longer: float) -> None:
        key = f"k{longer:g}"
        a, b, c = three(nights)
        nights.script = usual
        nights.run(key, [a, b], is_always=True)
        nights.script = slow(0.1 * longer)  # type: ignore[assignment]
        run = nights.run(key, [a, b, c], deadline_seconds=1.5 * longer, is_always=True)
        assert run.exit_code == 0, run.notes  # its six trainings take 0.6, and a third of 1.5 would be 0.5

    in_time(attempt)


def test_what_is_left_at_the_end_goes_to_those_that_needed_more(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first study's share is too short for its six trainings; the other two need nothing, and it goes on."""
    monkeypatch.setattr(running, "SHORTEST", 0.0)

    def attempt(longer: float) -> None:
        key = f"k{longer:g}"
        a, b, c = three(nights)
        nights.script = usual
        nights.run(key, [b, c], is_always=True)
        nights.script = slow(0.1 * longer)  # type: ignore[assignment]
        run = nights.run(key, [a, b, c], deadline_seconds=1.5 * longer, is_always=True)
        assert (run.exit_code, run.notes) == (0, ())
        assert len(nights.begun) == 6

    in_time(attempt)


# ── a signal ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_signal_drains_and_leaves_the_rest(nights: Nights) -> None:
    """Exit code 143; the second study's night is under way, the third's has not begun, and all is told."""
    at = nights.at()

    def script(plan: TrainingPlan) -> End:
        if len(nights.begun) == 9:
            at.stops.signal(15)
        return usual(plan)

    at = replace(at, script=script)
    run = run_nights(three(nights), at, Asked("k", device="cpu"))
    assert run.exit_code == 143
    assert [night.study for night in run.studies] == ["a"]
    assert [note.partition(":")[0] for note in run.notes] == ["b", "c"]
    assert [row.study for row in nights.store.nights.rows()] == ["a", "b"]
    again = nights.run("k", three(nights))
    assert again.exit_code == 0
    assert len(nights.begun) == 6 - 3 + 6


# ── two at once ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def locked(nights: Nights) -> Iterator[Nights]:
    """Another process runs a night of ``b``."""
    lease = nights.store.acquire_lease(night_lease("b"), "process 1 on another", seconds=1e9)
    yield nights
    nights.store.release_lease(lease)


def test_a_study_that_another_runs_is_left_out(locked: Nights) -> None:
    """Told in the notes with who it is; exit code 0, since others ran, and 99 where none did."""
    run = locked.run("k", three(locked))
    assert run.exit_code == 0
    assert [night.study for night in run.studies] == ["a", "c"]
    assert run.notes == ("b: process 1 on another is at work on it, so it was left out; `--on-locked wait` waits",)
    alone = locked.run("k", [locked.study("b")])
    assert (alone.exit_code, alone.studies) == (99, ())


def test_who_waits_has_its_night_once_the_other_has_ended(nights: Nights) -> None:
    """It has said for whom it waits."""
    lease = nights.store.acquire_lease(night_lease("b"), "process 1 on another", seconds=1e9)
    found = []
    waits = threading.Thread(target=lambda: found.append(nights.run("k", [nights.study("b")], on_locked="wait")))
    waits.start()
    try:
        while not nights.said:
            assert waits.is_alive()
            time.sleep(0.01)
        assert nights.said == ["waiting: process 1 on another is at work on a night of b"]
        assert not nights.begun
    finally:
        nights.store.release_lease(lease)
        waits.join(60)
    assert found[0].exit_code == 0
    assert len(nights.begun) == 6


def test_who_waits_leaves_at_the_deadline(locked: Nights) -> None:
    """Exit code 124."""
    run = locked.run("k", [locked.study("b")], on_locked="wait", deadline_seconds=0.1)
    assert run.exit_code == 124


def test_a_night_that_was_taken_over_writes_nothing(nights: Nights) -> None:
    """Its process was stopped for long; another one holds the lease by now: left out, as locked."""

    def script(plan: TrainingPlan) -> End:
        nights.store._tables.leases.pop(night_lease("a"), None)  # type: ignore[attr-defined]
        return usual(plan)

    nights.script = script
    run = nights.run("k", [nights.study("a")])
    assert (run.exit_code, run.studies) == (99, ())
    assert "another process has taken the night over" in run.notes[0]
    assert nights.store.nights.trainings(1) == []


# ── which studies ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``studies`` with two studies, one that is wrong, one that is not TOML, and a file of something else."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "studies"
    made.mkdir()
    for name in ("one", "two"):
        (made / f"{name}.toml").write_text(STUDY.format(name=name, nightly=""))
    (made / "odd.toml").write_text('[study]\nname = "odd-name"\nworkload = "digits"\n[nightly]\nseeds = 1\n')
    (made / "torn.toml").write_text("[study\n")
    (made / "other.toml").write_text('[tool]\nname = "x"\n')
    (made / "notes.txt").write_text("[study]")
    return made


def test_a_folder_means_all_of_its_studies(folder: Path) -> None:
    """What is no study is none of them; what is wrong with one is its own."""
    found = found_studies([])
    assert [each.name for each in found] == ["odd-name", "one", "torn", "two"]
    assert [each.study is not None for each in found] == [False, True, False, True]
    assert "nightly.seeds: 1 is not a whole number of seeds from 2 to 100" in str(found[0].problem)
    assert "this is not TOML" in str(found[2].problem)
    assert [each.name for each in found_studies([str(folder)])] == [each.name for each in found]


def test_names_files_and_folders_may_be_mixed_and_each_counts_once(folder: Path) -> None:
    """In the order in which they are named."""
    found = found_studies(["two", "studies/two.toml", f"{folder}/"])
    assert [each.name for each in found] == ["two", "odd-name", "one", "torn"]


def test_a_study_that_is_not_there_is_told_with_those_that_are(folder: Path) -> None:
    """As ``lrsweep run`` tells it."""
    [found] = found_studies(["onn"])
    assert found.study is None
    assert "there is no such file. Did you mean 'one'?" in str(found.problem)


def test_two_files_of_one_name_are_not_one_study(folder: Path) -> None:
    """The second fails, and says which the first is."""
    (folder / "three.toml").write_text(STUDY.format(name="one", nightly=""))
    [_, first, second, *_] = found_studies([])
    assert first.study is not None
    assert second.study is None
    assert "has the study.name 'one', as studies/one.toml has" in str(second.problem)


@pytest.mark.parametrize(("given", "told"), [([], "there is no folder 'studies'"), (["empty"], "holds no study file")])
def test_a_folder_without_studies_is_refused(
    given: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=told):
        found_studies(given)


@pytest.mark.parametrize("given", ["", " ", "a b", "-a", "a/b", "x" * 101, "a\n", "ä"])
def test_a_key_has_letters_digits_and_four_signs(given: str) -> None:
    """What is given is shown, and what is wanted with an example."""
    with pytest.raises(SettingsError, match=r"--key is .*; wanted up to 100 letters.*such as 2026-11-20"):
        key_of(given, 0.0)
    assert key_of("2026-11-20T02:30_a.b", 0.0) == "2026-11-20T02:30_a.b"

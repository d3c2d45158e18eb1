"""`lrsweep list`, `status`, `show` and `cancel`: what they find in a store, beside a driver or after it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lrsweep
from lrsweep.cli.cancel import cancel
from lrsweep.cli.show import StudyShown, found_training, show_what
from lrsweep.errors import SettingsError, TryAgain
from lrsweep.findings.look import list_studies, look_at, pace_of, standing_of, trials_wanted
from lrsweep.records import Origin, Outcome, Status, StudyRow, SweepRow, SweepStatus, TrainingPlan
from lrsweep.store import MemoryStore, Store, open_store
from lrsweep.store.base import Event, Holder
from lrsweep.study import Baseline, SelectionSpec
from lrsweep.sweep.finals import fresh_seeds
from lrsweep.sweep.owner import this_owner
from tests.looked import Typed, a_bench, a_driven_bench, in_a_home, typed
from tests.scripted import completed, diverged, failed, in_turn, only_sgd, value_of
from tests.sweeps import a_complete_trial, a_training, a_trial


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six trials of one family, all ended."""
    return in_a_home(tmp_path / "home", only_sgd(trials=6))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, home, {})


def events_of(kinds_at: list[tuple[str, float]]) -> list[Event]:
    return [Event(at, "quick", "s", kind, "t", {}) for kind, at in kinds_at]


# ── list and status ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_driven_sweep_is_running_and_says_by_whom() -> None:
    """The bench's lease is held by `a test`, which no machine can know to be dead."""
    bench = a_driven_bench(only_sgd(trials=6))
    [standing] = list_studies(bench.store)
    assert (standing.study, standing.state, standing.driver) == ("quick", "running", "a test")
    assert (standing.trials_told, standing.trials_wanted, standing.family) == (6, 6, "cosine")
    assert standing.best == min(trial.value for trial in bench.trials if trial.state.value == "complete")


@pytest.mark.parametrize(
    ("status", "is_cancelled", "is_driven", "said"),
    [
        (SweepStatus.RUNNING, False, True, "running"),
        (SweepStatus.RUNNING, True, True, "ending"),
        (SweepStatus.RUNNING, False, False, "unfinished"),
        (SweepStatus.FINISHED, False, False, "finished"),
        (SweepStatus.STOPPED, False, True, "stopped"),
        (SweepStatus.CANCELLED, True, False, "cancelled"),
    ],
)
def test_a_state_is_told_by_the_row_and_by_who_holds_the_lease(
    status: SweepStatus, is_cancelled: bool, is_driven: bool, said: str
) -> None:
    """A lease whose process is known to have died is nobody's."""
    bench = a_bench(only_sgd(trials=6))
    [row] = bench.store.studies()
    sweep = SweepRow("s", "quick", row.generation, status, is_cancelled=is_cancelled)
    standing = standing_of(sweep, row, [], [], Holder("somebody", 10.0), is_dead=lambda _: not is_driven)
    assert standing.state == said


def test_what_a_larger_value_is_better_for_has_its_largest_as_best() -> None:
    """By the direction that is stored with the study."""
    bench = a_driven_bench(only_sgd(trials=6, direction="maximize"))
    [standing] = list_studies(bench.store)
    assert standing.best == max(trial.value for trial in bench.trials if trial.state.value == "complete")


def test_list_status_and_show_name_the_first_of_the_finals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Fresh seeds turn the order of the search around: all three name the trial that the end of the sweep does."""
    study = replace(
        only_sgd(trials=4), total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2)
    )
    fresh = fresh_seeds(study, 10)

    def script(plan: TrainingPlan) -> Outcome:
        return completed(plan, 10 - value_of(plan) if plan.seed in fresh else None)

    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, script), {})
    shown = json.loads(run("show", "quick", "--json").out)
    final = shown["finalists"][0]
    assert shown["best"]["trial"] == final["trial"] != shown["families"][0]["best_trial"]
    [listed] = json.loads(run("list", "--json").out)["studies"]
    status = json.loads(run("status", "--json").out)
    for standing in (listed, status):
        assert (standing["best_trial"], standing["best"]) == (final["trial"], shown["best"]["value"])
        assert standing["final"] == final
    assert f"{final['mean']:.4f}" in run("list").out
    interval = f"{final['interval'][0]:.4f} to {final['interval'][1]:.4f}"
    said = (
        f"best {final['metric']} {final['mean']:.4f} ({interval}, {final['n']} seeds) (cosine, trial {final['trial']})"
    )
    assert said in run("status").out


def test_only_the_sweeps_own_trials_that_have_ended_are_counted() -> None:
    """One told, one under way, and one that was copied from an earlier generation: one of 60."""
    row = a_bench(only_sgd(trials=60)).store.studies()[0]
    trials = [a_complete_trial(0, 0.5), a_trial(1), a_complete_trial(2, 0.4, origin=Origin.COPIED)]
    standing = standing_of(SweepRow("s", "quick", row.generation), row, trials, [], None)
    assert (standing.trials_told, standing.trials_wanted) == (1, 60)


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        ({"trials": 60}, 60),
        ({"trainings": 20.0, "trials": 60}, None),
        ({"wall_clock": 60.0, "trials": 60}, None),
        ({}, None),
    ],
)
def test_how_many_trials_are_wanted_is_said_of_a_budget_in_trials_alone(
    budget: dict[str, float], wanted: int | None
) -> None:
    """What another unit pays for is a guess: "18 of 8" helps nobody."""
    assert trials_wanted({"budget": budget}) == wanted


def test_status_counts_trainings_by_status_and_shows_the_last_failure() -> None:
    """Of three trials one fails; its error's last line is what a person looks for."""
    bench = a_driven_bench(only_sgd(trials=3), in_turn(completed, failed, completed))
    look = look_at(bench.store, "quick")
    assert look.trainings["failed"] == 1
    assert sum(look.trainings.values()) == len(bench.trainings())
    assert look.failure is not None
    assert look.failure.line == "RuntimeError: no data"
    assert look.since is not None
    assert look.not_mirrored == len(bench.trainings())  # the bench mirrors nothing
    assert [event.kind for event in look.events][-1] == bench.store.events("quick")[-1].kind


def test_the_pace_is_that_of_what_ended_under_the_present_driver() -> None:
    """Two ends 60 s apart are 60 an hour; one told in that time, and three left: 180 s. Earlier ends do not count."""
    events = events_of(
        [("training_ended", 0.0), ("training_ended", 100.0), ("training_ended", 160.0), ("trial_told", 160.0)]
    )
    pace = pace_of(events, "s", 50.0, trials_left=3)
    assert pace is not None
    assert (pace.trainings_per_hour, pace.seconds_left) == (60.0, 180.0)
    assert pace_of(events, "s", 150.0, trials_left=3) is None
    assert pace_of(events, "another", 0.0, trials_left=3) is None


def test_the_commands_answer_in_words_and_in_json(run: Typed) -> None:
    """`list` and `status` on a file: the same numbers in both; nobody drives it, and what to do is said."""
    [listed] = json.loads(run("list", "--json").out)["studies"]
    assert (listed["study"], listed["state"], listed["trials_told"]) == ("quick", "unfinished", 6)
    assert "quick unfinished    6/6" in run("list").out
    status = json.loads(run("status", "--json").out)
    assert (status["study"], status["trainings"]["completed"]) == ("quick", sum(status["trainings"].values()))
    said = run("status", "quick").out
    assert "trials: 6 of 6 told" in said
    assert "Nobody drives it" in said


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


def test_a_finished_sweep_is_not_said_to_be_driven(run: Typed, home: Path) -> None:
    """Who holds the study may be starting its next sweep, of which there is no row yet."""
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "process 7 on box [boot:ns 1]", seconds=600)
    store.update_sweep(lease, "sweep-1", status=SweepStatus.FINISHED)
    store.close()
    headline = run("status", "quick").out.splitlines()[0]
    assert headline.startswith("study quick: finished; ")
    assert "held by process 7 on box since" in headline


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


def test_the_list_says_what_each_best_is_of(
    run: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """One training's metric, or the mean of fresh seeds, which is of another half of the data."""
    assert " val_loss " in run("list").out
    study = replace(
        only_sgd(trials=4), total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2)
    )
    with_finals = typed(capsys, monkeypatch, in_a_home(tmp_path / "finals", study), {})
    assert re.search(r" decide_loss, \d seeds ", with_finals("list").out)


# ── show ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_study_is_shown_by_families_with_its_best_as_code(run: Typed) -> None:
    """The best of the table is the best of the list, and its schedule can be pasted."""
    shown = json.loads(run("show", "quick", "--json").out)
    assert [each["family"] for each in shown["families"]] == ["cosine"]
    assert shown["best"]["value"] == shown["families"][0]["best"]
    assert f"lrsweep.schedule('cosine').rates(90, peak_lr={shown['best']['peak_lr']!r})" in run("show", "quick").out


def test_a_trial_is_shown_with_its_parameters_and_trainings(run: Typed) -> None:
    """Its peak is that of the full horizon; each training has its rate scale, steps and value."""
    shown = json.loads(run("show", "quick", "0", "--json").out)
    assert shown["params"]["cosine.sgd.peak_lr"] == shown["peak_lr"]
    assert [row["rate_scale"] for row in shown["trainings"]] == pytest.approx([3**0.5, 1.0][: len(shown["trainings"])])
    said = run("show", "quick", "0").out
    assert shown["trainings"][0]["training"][:8] in said
    assert ".rates(90, peak_lr=" in said


def test_a_finals_value_is_the_one_that_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Whoever averages the column comes to the mean in the table of finalists."""
    study = replace(
        only_sgd(trials=4), total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2)
    )
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, completed), {})
    final = json.loads(run("show", "quick", "--json").out)["finalists"][0]
    said = run("show", "quick", f"{final['trial']}").out
    values = [float(line.split()[6]) for line in said.splitlines() if " final " in line]
    assert len(values) == final["n"]
    assert sum(values) / len(values) == pytest.approx(final["mean"], abs=1e-4)
    assert "value: val_loss, and of finals decide_loss" in said


def test_a_training_is_found_by_the_beginning_of_its_id_and_by_trial_and_horizon(run: Typed) -> None:
    """Both show the same one, with the rates that were applied."""
    identity = json.loads(run("show", "quick", "0", "--json").out)["trainings"][0]["training"]
    by_id, by_place = (json.loads(run("show", "quick", what, "--json").out) for what in (identity[:9], "0:30"))
    assert by_id == by_place
    assert by_id["training"] == identity
    assert len(by_id["rates"]) == 30
    assert "rates applied" in run("show", "quick", "0:30").out


def test_what_is_not_there_is_refused_with_what_there_is() -> None:
    """A trial without that horizon, a text that is no id, and a beginning that several share."""
    store = a_driven_bench(only_sgd(trials=6)).store
    with pytest.raises(SettingsError, match=r"has no training '0:77'\. There are: 0:30"):
        found_training(store, "quick", "0:77")
    with pytest.raises(SettingsError, match="neither a trial nor a training 'zzz'"):
        show_what(store, "quick", "zzz")
    with pytest.raises(SettingsError, match=r"trainings whose id begins with ''\. Name one by the beginning of its id"):
        found_training(store, "quick", "")


def test_of_several_trainings_of_a_trial_and_horizon_each_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finalist has one of the search and one for each fresh seed; the ids that are listed name them."""
    study = replace(
        only_sgd(trials=4), total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2)
    )
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, completed), {})
    trial = json.loads(run("show", "quick", "--json").out)["finalists"][0]["trial"]
    refused = run("show", "quick", f"{trial}:90")
    assert (refused.code, refused.out) == (64, "")
    first, *listed = refused.err.splitlines()
    trainings = json.loads(run("show", "quick", f"{trial}", "--json").out)["trainings"]
    of_horizon = [row for row in trainings if row["horizon"] == 90]
    assert len(listed) == len(of_horizon) >= 3
    assert first.startswith(f"study 'quick' has {len(listed)} trainings of trial {trial} at 90 steps. Name one by the ")
    assert f"as in `lrsweep show quick {listed[0].split()[0]}`" in first
    for line, row in zip(listed, of_horizon, strict=True):
        name = line.split()[0]
        assert f"{row['purpose']}, trial {trial}, 90 steps, seed {row['seed']}" in line
        assert json.loads(run("show", "quick", name, "--json").out)["training"] == row["training"]


def test_status_counts_how_trials_ended_as_show_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What diverged at a rung's raised rate and not at its own has not diverged; trainings that did are more, and it
    is said why."""

    begun: set[int] = set()

    def script(plan: TrainingPlan) -> Outcome:
        is_raised = plan.horizon == 30 and plan.seed not in begun
        begun.add(plan.seed)
        return diverged(plan) if is_raised or plan.peak_lr > 0.3 else completed(plan)

    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", only_sgd(trials=8), script), {})
    status, shown = (json.loads(run(*words, "--json").out) for words in (("status",), ("show", "quick")))
    columns = ("full", "halted", "diverged", "failed")
    assert status["trials_ended"] == {name: sum(each[name] for each in shown["families"]) for name in columns}
    assert status["trainings"]["diverged"] > status["trials_ended"]["diverged"] > 0
    said = run("status").out
    counts = ", ".join(f"{count} {name}" for name, count in status["trials_ended"].items() if count)
    assert f"trials: 8 of 8 told ({counts})" in said
    assert "trainings: " in said
    assert "a trial has diverged where it did so at its own rate" in said


def two_sweeps() -> Store:
    """`sweep-1` with six trials, the newest `second-2` with four more, of the same study."""
    bench = a_driven_bench(only_sgd(trials=6))
    bench.store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.FINISHED)
    [row] = bench.store.studies()
    bench.begin_sweep("second-2")
    bench.store.register_study(bench.lease, row)
    bench.study = only_sgd(trials=4)
    bench.drive(lambda plan: completed(plan, 5 + value_of(plan)))
    return bench.store


@pytest.mark.parametrize(
    ("given", "sweep", "trials"), [(None, "second-2", 4), ("sw", "sweep-1", 6), ("SE", "second-2", 4)]
)
def test_an_earlier_sweep_is_shown_by_the_beginning_of_its_id(given: str | None, sweep: str, trials: int) -> None:
    """Its own trials, best and table; the study's other sweep stands below with the id to ask for."""
    shown = show_what(two_sweeps(), "quick", None, given)
    assert isinstance(shown, StudyShown)
    assert (shown.standing.sweep, sum(each.trials for each in shown.families)) == (sweep, trials)
    assert shown.best is not None
    assert (shown.best.value > 5) is (sweep == "second-2")
    [other] = shown.others
    assert (other.sweep, other.trials) == (("sweep-1", 6) if trials == 4 else ("second-2", 4))
    assert shown.to_json()["other_sweeps"][0]["sweep"] == other.sweep


def test_a_sweep_that_is_not_there_and_a_trial_of_another_are_refused() -> None:
    """With the ids that there are, and with the command that finds the trial; a beginning that both share too."""
    store = two_sweeps()
    there = "There are, the newest first: second-2, sweep-1."
    with pytest.raises(SettingsError, match=f"'quick' has no sweep whose id begins with 'x': .* {there}"):
        show_what(store, "quick", None, "x")
    with pytest.raises(SettingsError, match=f"has 2 sweeps whose id begins with 's': .* {there}"):
        show_what(store, "quick", None, "s")
    with pytest.raises(SettingsError, match="has no sweep whose id begins with ''"):
        show_what(store, "quick", None, "")
    for what in ("7", "7:30"):
        with pytest.raises(
            SettingsError, match=rf"trial 7 .* is of sweep second-2, not of sweep-1.*show quick {what}`"
        ):
            show_what(store, "quick", what, "sweep-1")
        asked = show_what(store, "quick", what, "second")
        assert asked.to_json() == show_what(store, "quick", what).to_json()


def test_the_other_sweeps_are_listed_where_a_study_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """With what tells them apart; a study of one sweep says nothing of others, and the list names its sweep."""
    home = in_a_home(tmp_path / "home", only_sgd(trials=3))
    run = typed(capsys, monkeypatch, home, {})
    assert "other sweeps" not in run("show", "quick").out
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "a test", seconds=600)
    store.create_sweep(lease, SweepRow("0123456789abcdef", "quick", store.sweeps("quick")[0].generation))
    store.release_lease(lease)
    store.close()
    assert re.search(r"\n  sweep-1  unfinished, 3 trials, begun \d{4}-", run("show", "quick").out)
    assert re.search(r"\n  01234567  unfinished, 0 trials, begun", run("show", "quick", "--sweep", "sweep").out)
    assert re.search(r"quick +unfinished .* 01234567", run("list").out)


def test_why_a_training_failed_or_diverged_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """The whole error of one training; its last line beside the trial."""
    home = in_a_home(tmp_path / "home", only_sgd(trials=2), in_turn(failed, diverged))
    run = typed(capsys, monkeypatch, home, {})
    assert "RuntimeError: no data" in run("show", "quick", "0").out
    assert "Traceback …\nRuntimeError: no data" in run("show", "quick", "0:30").out


def test_a_halted_trial_is_called_so_everywhere(run: Typed) -> None:
    """The store's word is `pruned`, which also stands for diverged ones; the view `lrs_trials` says as `show` does."""
    trials = [json.loads(run("show", "quick", str(number), "--json").out) for number in range(6)]
    [halted, *_] = [trial["trial"] for trial in trials if trial["state"] == "halted"]
    assert f"trial {halted} of study quick: halted, " in run("show", "quick", str(halted)).out
    assert "state halted" in run("status").out or "pruned" not in run("status").out


def a_baseline(**changes: Any) -> Baseline:
    return Baseline(lrsweep.schedule("linear", warmup=0.05), 0.3, "sgd", **changes)


def test_a_study_is_compared_with_its_baseline_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """It is of another family than those searched; where it leads, that is said."""
    study = replace(only_sgd(trials=6), baseline=a_baseline())
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study), {})
    shown = run("show", "quick", "0", "--json")
    value = json.loads(shown.out)["value"]
    [line] = [line for line in run("show", "quick").out.splitlines() if line.startswith("baseline:")]
    came_to = f"{'' if json.loads(shown.out)['state'] == 'complete' else 'halted at a rung with '}val_loss {value:.4f}"
    assert line == f"baseline: linear with sgd, peak rate 0.3, {came_to} (trial 0)"

    def script(plan: TrainingPlan) -> Outcome:
        return completed(plan, 0.0 if plan.schedule.family == "linear" else None)

    leads = typed(capsys, monkeypatch, in_a_home(tmp_path / "leads", study, script), {})
    assert "The baseline is the best (trial 0): no other schedule did better." in leads("show", "quick").out


def test_a_baseline_beside_the_space_is_shown_with_all_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Named as drawn ones are; its row holds the schedule as JSON, and the optimizer's settings as an object."""
    study = replace(only_sgd(trials=2), baseline=a_baseline(settings={"momentum": 0.5}))
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study), {})
    said = [line.split() for line in run("show", "quick", "0").out.splitlines()]
    assert ["linear.warmup", "0.05"] in said
    assert ["sgd.momentum", "0.5"] in said
    assert not {"settings", "extra"} & {line[0] for line in said if line}


def test_trials_that_have_not_ended_are_named_so_that_a_row_adds_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """The table has a column for each way to end."""
    home = tmp_path / "home"
    store = open_store(f"sqlite:///{home}/results.db")
    bench = a_driven_bench(only_sgd(trials=2), store=store)
    store.add_trial(bench.lease, replace(a_trial(2), sweep_id="sweep-1"), [])
    store.close()
    run = typed(capsys, monkeypatch, home, {})
    assert "not ended, and in no other column: 1 cosine" in run("show", "quick").out


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = MemoryStore() if request.param == "memory" else open_store(request.getfixturevalue("sqlite_url"))
    yield opened
    opened.close()


def test_a_sweep_that_nobody_drives_is_ended_by_the_command(store: Store) -> None:
    """Under the lease, which is given back; what ran is queued, and cancelling twice is refused."""
    bench = a_bench(only_sgd(trials=6), store)
    training = replace(a_training(), sweep_id="sweep-1")
    store.add_trial(bench.lease, replace(a_trial(0), sweep_id="sweep-1"), [training])
    store.start_training(bench.lease, training.training_id, device="cpu")
    store.release_lease(bench.lease)
    ended = cancel(store, "quick", patience_seconds=1)
    assert (ended.status, ended.by) == (SweepStatus.CANCELLED, "command")
    assert [row.status for row in bench.trainings()] == [Status.QUEUED]
    assert store.holders() == {}
    assert store.sweep("sweep-1").is_cancelled
    with pytest.raises(SettingsError, match="is cancelled already"):
        cancel(store, "quick", patience_seconds=1)


def test_a_driver_is_asked_and_waited_for(store: Store) -> None:
    """It sees the wish in the sweep's row, and ends the sweep itself."""
    bench = a_bench(only_sgd(trials=6), store)

    def obeys() -> None:
        while not store.sweep("sweep-1").is_cancelled:
            pass
        store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.CANCELLED)
        store.release_lease(bench.lease)

    driver = threading.Thread(target=obeys)
    driver.start()
    ended = cancel(store, "quick", patience_seconds=120)
    driver.join()
    assert (ended.status, ended.by) == (SweepStatus.CANCELLED, "driver")


@pytest.mark.parametrize("has_left_one", [False, True])
def test_a_driver_that_still_starts_is_asked_once_its_sweep_is_there(store: Store, has_left_one: bool) -> None:
    """Nothing is recorded yet; or a sweep that was left, which it will not continue now that somebody has cancelled."""
    study = only_sgd(trials=6)
    if has_left_one:
        bench = a_bench(study, store)
        lease = bench.lease
    else:
        lease = store.acquire_lease(study.name, "a test", seconds=600)
    begun = SweepRow("sweep-2", study.name, study.generation)
    said: list[str] = []

    def starts(text: str) -> None:
        """As ``continued_or_new`` does it, once somebody waits."""
        said.append(text)
        if len(said) > 1:
            return
        if has_left_one:
            store.update_sweep(lease, "sweep-1", status=SweepStatus.CANCELLED)
        store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, {}))
        store.create_sweep(lease, begun)
        driver.start()

    def obeys() -> None:
        while not store.sweep("sweep-2").is_cancelled:
            time.sleep(0.01)
        store.update_sweep(lease, "sweep-2", status=SweepStatus.CANCELLED)
        store.release_lease(lease)

    driver = threading.Thread(target=obeys)
    ended = cancel(store, "quick", patience_seconds=120, say=starts)
    driver.join()
    assert (ended.sweep, ended.status, ended.by) == ("sweep-2", SweepStatus.CANCELLED, "driver")
    assert said[-1] == "a test is asked to end the sweep; it saves what runs first"
    assert ("is still starting" in said[0]) is not has_left_one


def test_a_driver_that_begins_no_sweep_in_time_is_named(store: Store) -> None:
    """Exit code 75; there was nobody to ask."""
    store.acquire_lease("quick", "a test", seconds=600)
    with pytest.raises(TryAgain, match=r"a test has not begun its sweep within 0 s.* or end that process"):
        cancel(store, "quick", patience_seconds=0)


def test_a_finished_sweep_whose_driver_has_just_left_is_not_cancelled(store: Store) -> None:
    """While somebody holds the study another sweep may come; once nobody does, there is nothing to cancel."""
    bench = a_bench(only_sgd(trials=6), store)
    store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.FINISHED)
    with pytest.raises(SettingsError, match="sweep-1, is finished already"):
        cancel(store, "quick", patience_seconds=30, say=lambda _: store.release_lease(bench.lease))


def test_a_driver_that_does_not_obey_in_time_is_named_and_the_wish_stays(store: Store) -> None:
    """Exit code 75: the same command may be given again."""
    a_bench(only_sgd(trials=6), store)
    with pytest.raises(TryAgain, match="a test has not ended the sweep within 0 s"):
        cancel(store, "quick", patience_seconds=0)
    assert store.sweep("sweep-1").is_cancelled
    assert store.sweep("sweep-1").status is SweepStatus.RUNNING


def test_the_lease_of_a_driver_that_died_is_taken_at_once(store: Store) -> None:
    """A process of this machine that is known to be gone."""
    bench = a_bench(only_sgd(trials=6), store)
    store.release_lease(bench.lease)
    gone = this_owner().replace("process ", "process 9", 1)
    store.acquire_lease("quick", gone, seconds=600)
    assert cancel(store, "quick", patience_seconds=0).by == "command"

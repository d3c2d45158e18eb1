"""`lrsweep list` and `status`: what they find in a store, beside a driver or after it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.findings.look import list_studies, look_at, pace_of, standing_of, trials_wanted
from lrsweep.records import Origin, Outcome, SweepRow, SweepStatus, TrainingPlan
from lrsweep.store import open_store
from lrsweep.store.base import Event, Holder
from lrsweep.study import SelectionSpec
from lrsweep.sweep.finals import fresh_seeds
from tests.looked import Typed, a_bench, a_driven_bench, in_a_home, typed
from tests.scripted import completed, diverged, failed, in_turn, only_sgd, value_of
from tests.sweeps import a_complete_trial, a_trial


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six trials of one family, all ended."""
    return in_a_home(tmp_path / "home", only_sgd(trials=6))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, home, {})


def events_of(kinds_at: list[tuple[str, float]]) -> list[Event]:
    return [Event(at, "quick", "s", kind, "t", {}) for kind, at in kinds_at]


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


def test_a_finished_sweep_is_not_said_to_be_driven(run: Typed, home: Path) -> None:
    """Who holds the study may be starting its next sweep, of which there is no row yet."""
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "process 7 on box [boot:ns 1]", seconds=600)
    store.update_sweep(lease, "sweep-1", status=SweepStatus.FINISHED)
    store.close()
    headline = run("status", "quick").out.splitlines()[0]
    assert headline.startswith("study quick: finished; ")
    assert "held by process 7 on box since" in headline


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

"""Results of families that this lrsweep does not have any more: they are looked at as before, but for the schedule."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.errors import StudyError
from lrsweep.records import Outcome, StudyRow, SweepRow, SweepStatus, TrainingPlan
from lrsweep.schedules import registry, schedule
from lrsweep.study import Baseline, ResolvedStudy, SelectionSpec, parse_study
from lrsweep.study.lost import without_lost_families
from lrsweep.sweep.removing import old_results
from lrsweep.sweep.stored import resolved_from
from lrsweep.sweep.warm_start import warm_start
from tests.looked import Typed, a_driven_bench, in_a_home, typed
from tests.scripted import completed
from tests.sweeps import a_study

LOST = "polynomial"
WHY = "its schedule family 'polynomial' is not among those of this lrsweep; install the release or"


def lose_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BY_NAME", {name: one for name, one in registry._BY_NAME.items() if name != LOST})


def a_study_with_finals() -> ResolvedStudy:
    study = a_study(trials=6, families=("cosine", LOST), optimizers=("sgd",))
    return replace(study, total_steps=6 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2))


def better_when_lost(plan: TrainingPlan) -> Outcome:
    return completed(plan, 0.5 if plan.schedule.family == LOST else 0.9)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Six trials of two families with finals; then the better of these families is gone."""
    home = in_a_home(tmp_path / "home", a_study_with_finals(), better_when_lost)
    lose_the_family(monkeypatch)
    return typed(capsys, monkeypatch, home, {})


def number_of(run: Typed, family: str) -> str:
    families = json.loads(run("show", "quick", "--json").out)["families"]
    return str(next(each["best_trial"] for each in families if each["family"] == family))


def test_list_and_status_say_what_they_said_before(run: Typed) -> None:
    """The best is of the lost family, by the finals too: its name and its value are in the rows."""
    for words in (("list", "--json"), ("status", "--json")):
        found = run(*words)
        assert found.code == 0, found.err
        told = json.loads(found.out)
        standing = told["studies"][0] if "studies" in told else told
        assert (standing["family"], standing["best"], standing["final"]["family"]) == (LOST, 0.5, LOST)
    assert "(polynomial, trial" in run("status").out


def test_a_study_is_shown_and_says_why_its_best_schedule_is_not(run: Typed) -> None:
    """Both families are in the table; the lost one has its figures, and a sentence says what to do."""
    shown = json.loads(run("show", "quick", "--json").out)
    assert {each["family"] for each in shown["families"]} == {"cosine", LOST}
    assert shown["best"] is None
    assert shown["finalists"][0]["family"] == LOST
    said = run("show", "quick").out
    assert WHY in said
    assert "No training reached the full horizon" not in said


def test_a_trial_and_a_training_of_a_lost_family_are_shown_without_the_schedule(run: Typed) -> None:
    """Parameters, trainings and curve are in the rows; trials of the other family have their schedule still."""
    lost, known = number_of(run, LOST), number_of(run, "cosine")
    trial = json.loads(run("show", "quick", lost, "--json").out)
    assert (trial["params"]["family"], trial["schedule"], trial["value"]) == (LOST, None, 0.5)
    assert WHY in run("show", "quick", lost).out
    assert json.loads(run("show", "quick", known, "--json").out)["schedule"] is not None
    identity = next(row["training"] for row in trial["trainings"] if row["horizon"] == 90)
    training = json.loads(run("show", "quick", identity, "--json").out)
    assert (training["family"], training["steps"], len(training["rates"])) == (LOST, 90, 90)


def test_results_of_a_lost_family_are_exported(run: Typed) -> None:
    """A row each, with its family."""
    rows = run("export-results", "quick", "--format", "json")
    assert rows.code == 0, rows.err


def test_a_training_of_a_lost_family_is_not_reproduced_and_the_reason_is_its_own(run: Typed) -> None:
    """Exit code 70; nothing is loaded or trained for it."""
    trainings = json.loads(run("show", "quick", number_of(run, LOST), "--json").out)["trainings"]
    refused = run("reproduce", "quick", trainings[-1]["training"], "--device", "cpu")
    assert refused.code == 70
    assert WHY in refused.out


def test_a_study_file_that_goes_on_with_the_lost_family_is_refused() -> None:
    """With its line and the families that there are."""
    text = '[study]\nname = "quick"\nworkload = "digits"\n[budget]\ntrials = 6\n[space]\nfamilies = ["gone"]\n'
    with pytest.raises(StudyError, match=r"line 7, space.families: unknown family 'gone'.* Known: constant, "):
        parse_study(text, "quick.toml")


def test_a_baseline_that_cannot_be_read_is_left_out_and_the_rest_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a schedule inside it is lost, or itself; hashes of the row stay those of the whole."""
    lost = schedule(LOST)
    study = replace(a_study(families=("cosine", LOST)), baseline=Baseline(lost, 0.1, "sgd", {}))
    row = StudyRow(study.name, study.meaning, study.generation, json.loads(json.dumps(study.spec())))
    assert without_lost_families(row) == row
    lose_the_family(monkeypatch)
    found = without_lost_families(row)
    back = resolved_from(found)
    assert (found.generation, found.meaning) == (row.generation, row.meaning)
    assert (back.space.families, back.baseline) == (("cosine",), None)
    assert (back.rungs, back.horizon, back.value_key) == (study.rungs, study.horizon, study.value_key)


def test_old_sweeps_with_finals_of_a_lost_family_are_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is the first of the finals and the best of the search: here one trial, of the lost family."""
    bench = a_driven_bench(a_study_with_finals(), better_when_lost)
    bench.store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.FINISHED)
    bench.store.release_lease(bench.lease)
    before = old_results(bench.store, before=1e12, keep=["champions"])
    lose_the_family(monkeypatch)
    assert old_results(bench.store, before=1e12, keep=["champions"]) == before
    assert len(before[0].kept) == 1


def test_a_new_sweep_of_the_study_takes_over_what_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier trials of the family that there still is are copied; the others are counted as unknown."""
    bench = a_driven_bench(a_study_with_finals(), better_when_lost)
    lose_the_family(monkeypatch)
    store, lease = bench.store, bench.lease
    study = replace(a_study_with_finals(), space=replace(bench.study.space, families=("cosine",)))
    store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    sweep = store.create_sweep(lease, SweepRow("sweep-2", study.name, study.generation))
    found = warm_start(store, lease, study, sweep)
    own = [trial for trial in store.trials("quick", sweep_id="sweep-1") if trial.is_told]
    assert found.unknown == sum(trial.params["family"] == LOST for trial in own) > 0
    assert found.copied > 0

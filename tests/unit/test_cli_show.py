"""`lrsweep show`: studies with their families, sweeps and baseline, trials, and single trainings."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lrsweep
from lrsweep.cli.show import StudyShown, found_training, show_what
from lrsweep.errors import SettingsError
from lrsweep.records import Outcome, SweepRow, SweepStatus, TrainingPlan
from lrsweep.store import Store, open_store
from lrsweep.study import Baseline, SelectionSpec
from tests.looked import Typed, a_driven_bench, in_a_home, typed
from tests.scripted import completed, diverged, failed, in_turn, only_sgd, value_of
from tests.sweeps import a_trial


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six trials of one family, all ended."""
    return in_a_home(tmp_path / "home", only_sgd(trials=6))


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return typed(capsys, monkeypatch, home, {})


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

"""`lrsweep choose STUDY`: finals, races, and sweeps without them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lrsweep.cli.choosing.drawing import show_choice
from lrsweep.errors import SettingsError
from lrsweep.findings.choosing import choose_in, results_of
from lrsweep.records import Outcome, Purpose, Status, SweepStatus, TrainingPlan, TrainingRow
from lrsweep.store import open_store
from lrsweep.study import SelectionSpec
from lrsweep.sweep.finals import fresh_seeds
from lrsweep.sweep.race import RACE_KEY
from tests.choosing import STUDY, answered, noisy, refused
from tests.looked import a_driven_bench, in_a_home, typed
from tests.scripted import Script, completed, diverged, value_of


def test_a_studys_finals_decide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the half of validation that the search did not see, with fresh seeds; the search's best is the argmin's."""
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", STUDY, noisy), {})
    found = answered(run, "quick")
    assert (found["winner"], found["metric"], found["horizon"]) == ("cosine", "decide_loss", 90)
    assert found["n"] >= 3
    assert found["choice"]["optimizer"] == "sgd"
    assert found["choice"]["batch_size"] == 64
    assert found["search_cost"] > 0
    assert found["argmin"]["family"] == "cosine"
    assert found["argmin"]["value"] < 1
    text = run("choose", "quick", "--target", "decide_loss <= 1.2").out
    assert text.startswith("proven: cosine at a peak of")
    assert "The search's best val_loss, 0.1" in text
    assert (found["searched_metric"], found["metric"]) == ("val_loss", "decide_loss")
    assert found["source"] == {"study": "quick", "sweep": "sweep-1"}
    assert re.search(r"\nA gain of less than 0\.\d+ of decide_loss is not worth a change\.\n", text)
    fresh = r"whose fresh seeds come to 0\.1\d+ by the same measure: [\d.e-]+ (too good|worse than they are)\."
    assert re.search(fresh, text)
    trainings = sum(row.status is not Status.QUEUED for row in results_rows(tmp_path / "home"))
    spent = rf"{found['trainings']} trainings of {found['points']} points; all {trainings} of the sweep took"
    assert trainings > found["trainings"]
    assert re.search(rf"{spent} [\d.]+ s, added up\.", text)
    assert re.search(r"seeds?, [\d.e-]+ s a training\), the cheapest", text)
    assert "wanted is such as 'decide_loss <= 0.31'." in refused(run, "quick", "--target", "good")
    assert "decide_loss <= 1.2 is shown to be reached by cosine" in text
    assert "what is compared is decide_loss" in refused(run, "quick", "--target", "val_loss <= 1.2")


def test_the_best_at_each_rung_is_shown_with_what_it_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picked by the search's metric and told by the one that decides, at the rate it was trained at: no luck of many
    values. The finals' 1.1 at 90 steps is better than the 1.25 at 30."""

    def script(plan: TrainingPlan) -> Outcome:
        outcome = noisy(plan)
        if plan.horizon == STUDY.horizon:
            return outcome
        searched, decides = (0.5, 1.25) if plan.schedule.family == "linear" else (2.0, 0.75)
        return replace(outcome, metrics={"val_loss": searched, "decide_loss": decides})

    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", STUDY, script), {})
    found = answered(run, "quick")
    [rung, full] = found["by_horizon"]
    assert (rung["horizon"], rung["family"], rung["mean"], rung["n"], rung["is_searched"]) == (
        30,
        "linear",
        1.25,
        1,
        True,
    )
    assert (full["horizon"], full["is_searched"]) == (90, False)
    row = next(row for row in results_rows(tmp_path / "home") if row.horizon == 30 and row.metrics["val_loss"] == 0.5)
    trial = json.loads(run("show", "quick", str(row.trial), "--json").out)
    assert rung["peak_lr"] == pytest.approx(trial["peak_lr"] * 3**0.5)
    assert rung["worse"] == pytest.approx(1.25 - found["choice"]["mean"])
    text = run("choose", "quick", "--target", "decide_loss <= 1.3").out
    assert re.search(
        r"\nBest at 30 steps, by the search: linear at a peak of [\d.]+, 1\.25, 1 seed: 0\.\d+ worse than 90 steps, ",
        text,
    )
    assert "On the mean, and not shown, a cheaper one does: linear at a peak of" in text


def test_the_rates_that_measured_the_exponent_say_how_far_a_peak_may_be_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bowl around 0.2 in the rate's logarithm: a loss of 0.04 is e^0.2 away to either side, by hand. A sweep that
    measured none says so."""

    def script(plan: TrainingPlan) -> Outcome:
        gap = 0.5 if plan.schedule.family == "linear" else 0.0
        return completed(plan, 1 + gap + math.log(plan.peak_lr / 0.2) ** 2)

    rated = replace(STUDY, search=replace(STUDY.search, fit_exponent=True))
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "rated", rated, script), {})
    within = answered(run, "quick", "--worth", "0.04")["peak_lr_within_worth"]
    assert [within[name] for name in ("low", "best", "high")] == pytest.approx(
        [0.2 * math.exp(each) for each in (-0.2, 0, 0.2)], rel=1e-6
    )
    assert (
        "\nPeak rates of cosine from 0.164 to 0.244 lie within 0.04 of its best, 0.2"
        in run("choose", "quick", "--worth", "0.04").out
    )
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", STUDY, noisy), {})
    why = answered(run, "quick")["why_no_rates"]
    assert f"\nHow far its peak rate may be off is not known: {why}.\n" in run("choose", "quick").out


def results_rows(home: Path) -> Sequence[TrainingRow]:
    store = open_store(f"sqlite:///{home}/results.db")
    try:
        return store.trainings("quick")
    finally:
        store.close()


def test_the_studys_own_worth_counts_unless_another_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, where the study is."""
    study = replace(STUDY, selection=replace(STUDY.selection, worth=0.25))
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, noisy), {})
    assert answered(run, "quick")["worth"] == 0.25
    assert answered(run, "quick", "--worth", "0.5")["worth"] == 0.5


def test_a_race_of_finals_is_judged_by_its_looks() -> None:
    """What the sweep's settings say of it; finals whose seeds were fixed have one look at the whole level."""

    def nearer(plan: TrainingPlan) -> Outcome:
        gap = 0.05 if plan.horizon == STUDY.horizon and plan.schedule.family == "linear" else 0.0
        return completed(plan, value_of(plan) / 1000 + 0.1 + gap + (plan.seed % 7) / 1000)

    bench = a_driven_bench(replace(STUDY, selection=replace(STUDY.selection, racing=False)), nearer)
    assert (results_of(bench.store, "quick").alpha, results_of(bench.store, "quick").looks) == (0.05, 1)
    assert choose_in(bench.store, "quick", worth=None)[1].winner == "cosine"
    [sweep] = bench.store.sweeps("quick")
    bench.store.update_sweep(
        bench.lease, sweep.sweep_id, settings={RACE_KEY: {"looks": 40, "alpha": 1e-9, "ended": "looks"}}
    )
    assert (results_of(bench.store, "quick").alpha, results_of(bench.store, "quick").looks) == (1e-9, 40)
    _, choice = choose_in(bench.store, "quick", worth=None)
    assert choice.winner is None
    assert choice.next_step is not None
    assert "have not ended" not in choice.next_step


def test_in_the_middle_of_a_race_nothing_is_claimed(tmp_path: Path) -> None:
    """This look is none of those that the race was planned with; the same rows show a winner once it has ended."""
    bench = a_driven_bench(STUDY, noisy)
    [sweep] = bench.store.sweeps("quick")
    assert choose_in(bench.store, "quick", worth=None)[1].winner == "cosine"
    race = {**sweep.settings[RACE_KEY], "ended": None}
    bench.store.update_sweep(bench.lease, sweep.sweep_id, settings={RACE_KEY: race})
    _, choice = choose_in(bench.store, "quick", worth=None)
    assert (choice.winner, choice.recommended.point.family, choice.evidence) == (None, "cosine", "undecided")
    assert choice.next_step == "the finals have not ended: `lrsweep run` with the study's file goes on with them"
    file = tmp_path / "there.toml"
    file.write_text('[study]\nname = "quick"\n')
    _, choice = choose_in(bench.store, str(file), worth=None)
    assert choice.next_step == f"the finals have not ended: `lrsweep run {file}` goes on with them"
    bench.store.update_sweep(bench.lease, sweep.sweep_id, status=SweepStatus.CANCELLED)
    _, choice = choose_in(bench.store, "quick", worth=None)
    assert (choice.winner, choice.evidence) == (None, "undecided")
    assert choice.next_step == (
        "the sweep was cancelled before its finals had ended: `lrsweep run` with the study's file starts another one"
    )


def test_a_finished_sweep_whose_race_was_left_in_the_middle_is_chosen_from() -> None:
    """As an earlier release left it where ``selection.racing`` became false: no look is to come, and this one is among
    those that were planned."""
    bench = a_driven_bench(STUDY, noisy)
    [sweep] = bench.store.sweeps("quick")
    race = {**sweep.settings[RACE_KEY], "ended": None}
    bench.store.update_sweep(bench.lease, sweep.sweep_id, settings={RACE_KEY: race}, status=SweepStatus.FINISHED)
    found = results_of(bench.store, "quick")
    assert (found.is_racing, found.looks, found.alpha) == (False, race["looks"], race["alpha"])
    assert choose_in(bench.store, "quick", worth=None)[1].winner == "cosine"


def test_a_study_without_finals_has_the_searchs_single_seeds() -> None:
    """Nothing is claimed of them; where all finals diverged it is the same."""
    without = a_driven_bench(replace(STUDY, selection=SelectionSpec(finalists=0)), noisy)
    found = results_of(without.store, "quick")
    assert (found.finals, found.metric) == ((), "val_loss")
    assert {each.horizon for each in found.searched} == {90}

    def finals_diverge(plan: TrainingPlan) -> Outcome:
        return diverged(plan) if plan.seed in fresh_seeds(STUDY, 20) else noisy(plan)

    bench = a_driven_bench(STUDY, finals_diverge)
    assert {row.status for row in bench.trainings() if row.purpose is Purpose.FINAL} == {Status.DIVERGED}
    metric, choice = choose_in(bench.store, "quick", worth=None)
    assert (metric, choice.winner, choice.recommended.n) == ("val_loss", None, 1)


def test_finals_that_another_engine_trained_are_another_block() -> None:
    """The larger one is compared; the others are counted by engine and kind of device."""
    bench = a_driven_bench(STUDY, noisy)
    moved = [row for row in bench.trainings() if row.purpose is Purpose.FINAL][-1]
    bench.store._tables.trainings[moved.training_id] = replace(moved, engine="fused/8", device="cuda:1")
    _, choice = choose_in(bench.store, "quick", worth=None)
    assert list(choice.other_blocks.items()) == [("fused/8 on cuda", 1)]
    assert choice.trainings == len([row for row in bench.trainings() if row.purpose is Purpose.FINAL]) - 1
    console = Console(record=True, width=200)
    show_choice(console, choice, "decide_loss", "val_loss")
    assert "Not compared, since they were trained in another way: 1 of fused/8 on cuda." in console.export_text()


def test_a_study_of_which_nothing_reached_the_full_horizon_is_refused() -> None:
    """All diverged: `lrsweep status` says where it stands."""
    bench = a_driven_bench(STUDY, diverged)
    with pytest.raises(SettingsError, match="has come to a value at 90 steps yet: `lrsweep status quick`"):
        results_of(bench.store, "quick")


def test_what_is_decided_is_followed_by_the_commands_that_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the study was named. A sweep that is not over cannot be promoted yet; nor is there a word of it in JSON."""
    home = in_a_home(tmp_path / "home", STUDY, noisy)
    run = typed(capsys, monkeypatch, home, {})
    assert "lrsweep promote" not in run("choose", "quick").out
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease("quick", "a test", seconds=60)
    store.update_sweep(lease, "sweep-1", status=SweepStatus.FINISHED)
    store.close()
    lines = run("choose", "quick", "--sweep", "sweep").out.splitlines()
    assert [line.split("   ")[0] for line in lines[lines.index("Next:") + 1 :]] == [
        "  lrsweep promote quick --sweep sweep --to schedules/quick.json",
        "  lrsweep report quick --sweep sweep",
    ]
    assert "Next" not in run("choose", "quick", "--json").out


def finished(home: Path, script: Script = noisy, *, worth: float | None = None) -> Path:
    """A home with a sweep that is over, and decided."""
    study = replace(STUDY, selection=replace(STUDY.selection, worth=worth))
    store = open_store(f"sqlite:///{in_a_home(home, study, script)}/results.db")
    lease = store.acquire_lease("quick", "a test", seconds=60)
    store.update_sweep(lease, "sweep-1", status=SweepStatus.FINISHED)
    store.release_lease(lease)
    store.close()
    return home


def test_what_another_worth_has_decided_is_not_followed_by_promote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`promote` goes by the study's own; it is said where that is written."""
    run = typed(capsys, monkeypatch, finished(tmp_path / "home"), {})
    assert "Next:\n  lrsweep promote quick --to schedules/quick.json " in run("choose", "quick").out
    other = run("choose", "quick", "--worth", "5").out
    assert "Next:\n  lrsweep report quick " in other
    assert other.splitlines()[-1] == (
        "`lrsweep promote quick --to schedules/quick.json` goes by the study's own smallest gain, not by --worth: "
        "write `worth = 5` under [selection] in the study's file, and `lrsweep run` takes it over."
    )


def test_the_studys_own_worth_typed_again_is_followed_by_promote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what `promote` goes by."""
    run = typed(capsys, monkeypatch, finished(tmp_path / "home", worth=0.25), {})
    text = run("choose", "quick", "--worth", "0.25").out
    assert "Next:\n  lrsweep promote quick --to schedules/quick.json " in text
    assert "smallest gain, not by" not in text


def test_a_target_that_another_reaches_cheaper_is_not_what_promote_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear trains at a tenth of the cost; of a target that cosine alone reaches, or none, the line stands."""

    def cheaper(plan: TrainingPlan) -> Outcome:
        outcome = noisy(plan)
        return replace(outcome, seconds=outcome.seconds / 10) if plan.schedule.family == "linear" else outcome

    run = typed(capsys, monkeypatch, finished(tmp_path / "home", cheaper), {})
    text = run("choose", "quick", "--target", "decide_loss <= 9").out
    assert "decide_loss <= 9 is shown to be reached by linear" in text
    assert "Next:\n  lrsweep report quick " in text
    assert text.splitlines()[-1] == (
        "`lrsweep promote quick --to schedules/quick.json` takes what is recommended, cosine at 90 steps, and not the "
        "cheapest that reaches the target."
    )
    for aim in ("decide_loss <= 1.2", "decide_loss <= 0.001"):
        assert "Next:\n  lrsweep promote quick " in run("choose", "quick", "--target", aim).out


def test_what_is_undecided_is_told_what_would_show_more_and_nothing_of_promoting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep without finals has one seed of each."""
    study = replace(STUDY, selection=SelectionSpec(finalists=0))
    text = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", study, noisy), {})("choose", "quick").out
    assert text.startswith("undecided: ")
    assert "To know more: with 1 seed nothing is known of chance" in text
    assert "lrsweep report quick" in text
    assert "lrsweep promote" not in text

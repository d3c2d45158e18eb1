"""`lrsweep choose`: tables of every kind and studies, what it prints, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from typer.main import get_command

import lrsweep
from lrsweep.cli.choosing.drawing import show_choice
from lrsweep.cli.choosing.studied import choose_in, results_of
from lrsweep.cli.choosing.table import NEEDED, OPTIONAL, read_table
from lrsweep.cli.main import app
from lrsweep.errors import SettingsError
from lrsweep.records import Outcome, Purpose, Status, SweepStatus, TrainingPlan, TrainingRow
from lrsweep.selection.deciding import Evidence
from lrsweep.selection.results import Point, Result
from lrsweep.store import Store, open_store
from lrsweep.study import SelectionSpec
from lrsweep.sweep.finals import fresh_seeds
from lrsweep.sweep.race import RACE_KEY
from tests.looked import Typed, a_driven_bench, in_a_home, typed
from tests.scripted import completed, diverged, value_of
from tests.sweeps import a_study

SPREAD = (-0.02, 0.0, 0.02, -0.01, 0.01)
HEADER = "family,schedule,peak_lr,horizon,seed,value,cost"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, tmp_path / "home", {})


def lines(
    family: str,
    mean: float,
    *,
    rate: object = 0.1,
    horizon: int = 900,
    n: int = 5,
    cost: object = "",
    schedule: str = "",
) -> list[str]:
    quoted = f'"{schedule.replace(chr(34), chr(34) * 2)}"' if schedule else ""
    return [f"{family},{quoted},{rate},{horizon},{seed},{mean + by:.4f},{cost}" for seed, by in enumerate(SPREAD[:n])]


def written(*rows: str, name: str = "results.csv", header: str = HEADER) -> str:
    Path(name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return name


THREE = [*lines("cosine", 1.0), *lines("linear", 2.0), *lines("step", 3.0)]


def answered(run: Typed, *words: str) -> dict[str, Any]:
    """The one object on standard output."""
    ran = run("choose", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    return found


# ── a table ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_table_is_answered_with_the_winner_first(run: Typed) -> None:
    """The answer in the first line, then the finalists, then what it rests on."""
    ran = run("choose", "--from", written(*THREE), "--baseline", "linear")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == (
        "proven: cosine at a peak of 0.1, shown to be better than every other family by 5 seeds at 900 steps"
    )
    assert [line.split()[0] for line in ran.out.splitlines()[2:6]] == ["family", "cosine", "linear", "step"]
    assert "baseline" in ran.out
    assert "The best single value, 0.98, is cosine's" in ran.out
    assert "15 trainings of 3 points." in ran.out


def test_json_is_one_object_with_what_programs_ask_for(run: Typed) -> None:
    """At least these; the metric is the column."""
    found = answered(run, "--from", written(*THREE))
    assert found["winner"] == found["recommended"] == "cosine"
    assert (found["evidence"], found["equivalence_set"], found["horizon"]) == ("proven", ["cosine"], 900)
    assert found["probability_best"]["cosine"] == pytest.approx(1.0)
    assert [each["family"] for each in found["finalists"]] == ["cosine", "linear", "step"]
    assert (found["metric"], found["n"]) == ("value", 5)


def test_neither_torch_nor_mlflow_is_loaded_for_a_table(tmp_path: Path) -> None:
    """Nor Optuna, nor SQLAlchemy: a table is answered in the time that Python and NumPy take."""
    file = tmp_path / "results.csv"
    file.write_text("\n".join([HEADER, *THREE]) + "\n", encoding="utf-8")
    code = (
        "import sys\nfrom lrsweep.cli.main import app\n"
        f"app(['choose', '--from', {str(file)!r}, '--target', 'value <= 1.5'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'mlflow', 'optuna', 'sqlalchemy') if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
    assert ran.stdout.startswith("proven: cosine")


def test_one_seed_names_no_winner_and_says_what_to_run_next(run: Typed) -> None:
    """Exit code 0: a program always gets an answer."""
    file = written(*lines("cosine", 1.0, n=1), *lines("linear", 9.0, n=1))
    found = answered(run, "--from", file)
    assert (found["winner"], found["recommended"], found["evidence"]) == (None, "cosine", "undecided")
    assert found["probability_best"] == {"cosine": None, "linear": None}
    assert "train cosine, linear with at least 3 seeds each" in found["next_step"]
    assert "To know more: with 1 seed nothing is known of chance" in run("choose", "--from", file).out


def test_the_larger_value_wins_where_it_is_said_so(run: Typed) -> None:
    """By --direction, or by a target that says it."""
    file = written(*THREE)
    assert answered(run, "--from", file, "--direction", "maximize")["winner"] == "step"
    found = answered(run, "--from", file, "--target", "value >= 1.5")
    assert (found["winner"], found["direction"]) == ("step", "maximize")


def test_a_parquet_table_says_the_same_as_a_csv_one(run: Typed) -> None:
    """With numbers as numbers, and nothing where nothing is known."""
    import pandas as pd

    file = written(*THREE, "rex,,,900,0,,")
    pd.read_csv(file).to_parquet("results.parquet")
    assert answered(run, "--from", "results.parquet") == answered(run, "--from", file)


def test_columns_that_are_not_known_may_be_missing(run: Typed) -> None:
    """A label, a horizon, a seed and a value are enough; others than ours do not matter, nor does a byte order mark."""
    rows = [
        f"{family},900,{seed},{mean + by},x" for family, mean in (("a", 1), ("b", 2)) for seed, by in enumerate(SPREAD)
    ]
    file = written(*rows, header="\ufefffamily, horizon, seed, value, note")
    assert answered(run, "--from", file)["winner"] == "a"


def test_a_schedules_json_comes_back_as_it_is_used(run: Typed) -> None:
    """Two spellings of one schedule are one point; the text to paste is shown."""
    cosine = lrsweep.schedule("cosine", warmup=0.1)
    spaced = json.dumps(json.loads(cosine.to_json()), indent=1).replace("\n", " ")
    rows = [*lines("mine", 1.0, schedule=cosine.to_json())[:3], *lines("mine", 1.0, schedule=spaced)[3:]]
    file = written(*rows, *lines("linear", 2.0))
    found = answered(run, "--from", file)
    assert lrsweep.schedule_from_json(found["choice"]["schedule"]) == cosine
    assert (found["n"], found["recommended"]) == (5, "mine")
    assert f"lrsweep.schedule_from_json({cosine.to_json()!r})" in run("choose", "--from", file).out


def test_families_of_several_rates_compete_with_their_best(run: Typed) -> None:
    """Rates of a family are no rivals of each other; four of them say how exactly the rate has to be met."""
    rates = [
        line
        for rate, mean in ((0.05, 1.4), (0.1, 1.0), (0.2, 1.3), (0.4, 2.3))
        for line in lines("cosine", mean, rate=rate)
    ]
    file = written(*rates, *lines("linear", 4.0))
    found = answered(run, "--from", file, "--worth", "0.2")
    assert (found["winner"], found["choice"]["peak_lr"]) == ("cosine", 0.1)
    within = found["peak_lr_within_worth"]
    assert 0.05 < within["low"] < within["best"] < within["high"] < 0.2
    assert "Peak rates of cosine from" in run("choose", "--from", file, "--worth", "0.2").out
    assert answered(run, "--from", written(*THREE))["peak_lr_within_worth"] is None


def test_an_arm_that_diverges_at_times_is_counted_beside_its_mean(run: Typed) -> None:
    """Two of five seeds; its three values are the best, and do not make it win."""
    rows = [*lines("rex", 0.5, n=3), "rex,,0.1,900,3,nan,", "rex,,0.1,900,4,inf,"]
    file = written(*THREE, *rows)
    found = answered(run, "--from", file)
    assert found["winner"] is None
    assert found["recommended"] == "cosine"
    [rex] = [each for each in found["finalists"] if each["family"] == "rex"]
    assert (rex["n"], rex["diverged"], rex["divergence_rate"]) == (3, 2, 0.4)
    assert "2 of 5 diverged" in run("choose", "--from", file).out


def test_one_family_alone_is_recommended_and_wins_nothing(run: Typed) -> None:
    """There is nothing that it was compared with."""
    found = answered(run, "--from", written(*lines("cosine", 1.0)))
    assert (found["winner"], found["recommended"]) == (None, "cosine")
    assert "compare it with another family" in found["next_step"]


def test_equal_constant_values_are_as_good_as_each_other(run: Typed) -> None:
    """An accuracy of 1 with every seed: the simpler one is taken."""
    rows = [f"{family},,0.1,900,{seed},1.0," for family in ("step", "constant") for seed in range(3)]
    found = answered(run, "--from", written(*rows))
    assert (found["winner"], found["recommended"]) == (None, "constant")
    assert set(found["equivalence_set"]) == {"step", "constant"}


def test_horizons_are_told_with_what_they_cost_and_save(run: Typed) -> None:
    """A third of the cost for 0.5 more loss."""
    rows = [*lines("cosine", 1.0, cost=3), *lines("linear", 2.0, cost=3)]
    short = [*lines("cosine", 1.5, horizon=300, cost=1), *lines("linear", 2.5, horizon=300, cost=1)]
    file = written(*rows, *short)
    found = answered(run, "--from", file)
    assert [(each["horizon"], each["cost"]) for each in found["by_horizon"]] == [(300, 1.0), (900, 3.0)]
    assert found["by_horizon"][0]["worse"] == pytest.approx(0.5)
    assert "Best at 300 steps: cosine, 1.5" in run("choose", "--from", file).out
    assert (
        "0.5 ± 0.023 worse than 900 steps, at 33% of the cost of a training (1 for 3)."
        in run("choose", "--from", file).out
    )
    assert answered(run, "--from", file, "--horizon", "300")["horizon"] == 300
    without = written(*[line.rpartition(",")[0] + "," for line in [*rows, *short]])
    assert "worse than 900 steps, with 33% of the steps." in run("choose", "--from", without).out


def test_a_target_has_the_cheapest_that_is_shown_and_that_was_measured(run: Typed) -> None:
    """Cosine with 300 steps has a mean of 1.5, and its interval reaches beyond 1.51; with 900 it is far below."""
    rows = [*lines("cosine", 1.0, cost=3), *lines("linear", 2.0, cost=3), *lines("cosine", 1.5, horizon=300, cost=1)]
    file = written(*rows)
    found = answered(run, "--from", file, "--target", "value <= 1.51")["target"]
    assert (found["shown"]["horizon"], found["measured"]["horizon"]) == (900, 300)
    text = run("choose", "--from", file, "--target", "value <= 1.51").out
    assert "value <= 1.51 is shown to be reached by cosine at a peak of 0.1 at 900 steps" in text
    assert "On the mean, and not shown, a cheaper one does: cosine at a peak of 0.1 at 300 steps" in text
    assert (
        "Nothing that was trained reaches value <= 0.1" in run("choose", "--from", file, "--target", "value <= 0.1").out
    )
    nearly = run("choose", "--from", file, "--target", "value <= 1.0").out
    assert "value <= 1 is reached by cosine" in nearly
    assert "on the mean, the cheapest to do so; it is shown for none." in nearly
    assert answered(run, "--from", file)["target"] is None


def test_points_of_too_few_seeds_are_left_out_and_named(run: Typed) -> None:
    """Also a baseline, which is said first."""
    file = written(*THREE, *lines("rex", 0.1, n=1))
    found = answered(run, "--from", file, "--baseline", "rex")
    assert found["winner"] == "cosine"
    assert found["left_out"] == [{"family": "rex", "schedule": None, "peak_lr": 0.1, "seeds": 1, "is_baseline": True}]
    text = run("choose", "--from", file, "--baseline", "rex").out
    assert "The baseline, rex, is not compared: it has 1 seed" in text
    assert "Not compared: 1 point with fewer seeds than it takes (rex)" in text


def test_more_finalists_than_fit_are_counted(run: Typed) -> None:
    """Twenty rows, and how many more there are."""
    rows = [line for place in range(23) for line in lines(f"f{place:02}", float(place), n=3)]
    assert "… and 3 more." in run("choose", "--from", written(*rows)).out


# ── what is wrong with a table ───────────────────────────────────────────────────────────────────────────────────────


def refused(run: Typed, *words: str) -> str:
    ran = run("choose", *words)
    assert (ran.code, ran.out) == (64, "")
    return ran.err


def test_every_problem_of_a_table_is_told_with_its_line(run: Typed) -> None:
    """All at once, in the file's order, with what was given and what is wanted."""
    rows = [
        *lines("cosine", 1.0, n=1),
        ",,0.1,900,1,1.0,",
        "cosine,,-1,900.5,2,much,-3",
        'cosine,"{""family"": ""cosin""}",0.1,900,3,1.0,',
        "cosine,,0.1,900,,1.0,",
        "cosine,,0.1,900,5,1.0,,,",
        "cosine,,0.1,,6,1.0,",
        *lines("cosine", 1.0, n=1),
    ]
    text = refused(run, "--from", written(*rows))
    assert text.startswith("results.csv: 10 problems\n")
    for expected in (
        "line 3, family: nothing; wanted a label such as cosine",
        "line 4, horizon: '900.5'; wanted a whole number of steps above 0",
        "line 4, value: 'much'; wanted a number, or nothing where the training diverged",
        "line 4, peak_lr: '-1'; wanted a rate above 0, or nothing",
        "line 4, cost: '-3'; wanted a number from 0 up, or nothing",
        "line 5, schedule: ",
        "line 6, seed: nothing; wanted what tells trainings of one point apart",
        "line 7 has more fields than the file has columns",
        "line 8, horizon: ''; wanted a whole number",
        "line 9: cosine at 0.1 with 900 steps and seed 0 stands in line 2 too; wanted one row for each training",
    ):
        assert expected in text


def test_a_line_that_ends_too_soon_has_not_diverged(run: Typed) -> None:
    """A cell that is not there is a fault with its line; an empty one says that the training diverged."""
    header = "family,peak_lr,horizon,seed,value"
    whole = [f"cosine,0.1,10,{seed},{1 + by}" for seed, by in enumerate(SPREAD)]
    text = refused(run, "--from", written(*whole, "cosine,0.1,10,7", "cosine,0.1", header=header))
    assert text.startswith("results.csv: 2 problems\n")
    assert "line 7 ends before value; wanted as many fields as the file has columns, an empty one where" in text
    assert "line 8 ends before horizon, seed, value; wanted" in text
    [cosine] = answered(run, "--from", written(*whole, "cosine,0.1,10,7,", header=header))["finalists"]
    assert (cosine["n"], cosine["diverged"]) == (5, 1)


def test_of_very_many_problems_the_first_twenty_are_told(run: Typed) -> None:
    """And how many more there are."""
    text = refused(run, "--from", written(*["a,,0.1,900,0,much," for _ in range(25)]))
    assert "25 problems" in text
    assert text.endswith("… and 5 more")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column family, horizon, seed, value; it has none."),
        (
            "family,horizon,seed,val\n",
            "has no column value; it has family, horizon, seed, val. Write 'value' for 'val'.",
        ),
        (
            "FAMILY,Horizon,seed,value\n",
            "seed, value. Write 'family' for 'FAMILY', 'horizon' for 'Horizon'. Wanted are",
        ),
        (
            "family;horizon;seed;value\n",
            "Its cells are separated by semicolons: write it with commas. Wanted are family",
        ),
        ("family,horizon,seed,value,value\n", "has several columns value: keep one of each"),
        ("family,horizon,seed,value\n", "has no rows: one for each training is wanted."),
    ],
)
def test_a_table_without_what_it_takes_is_refused(run: Typed, text: str, said: str) -> None:
    """With the columns that it has."""
    Path("t.csv").write_text(text)
    assert said in refused(run, "--from", "t.csv")


def test_a_file_that_is_no_table_is_refused(run: Typed) -> None:
    """Missing, a folder, no text, no Parquet."""
    assert "none.csv cannot be read (No such file or directory)" in refused(run, "--from", "none.csv")
    Path("folder").mkdir()
    assert "folder cannot be read (Is a directory)" in refused(run, "--from", "folder")
    Path("t.csv").write_bytes(b"\xff\xfe\x00\x01")
    assert "t.csv is no CSV file in UTF-8" in refused(run, "--from", "t.csv")
    Path("t.parquet").write_text("family,value")
    assert "t.parquet is no Parquet file" in refused(run, "--from", "t.parquet")


def test_a_table_in_which_all_diverged_is_refused(run: Typed) -> None:
    """There is nothing to take."""
    file = written("cosine,,0.1,900,0,,", "linear,,0.1,900,0,nan,", *lines("cosine", 1.0, horizon=300))
    assert "every training of results.csv with 900 steps has diverged" in refused(run, "--from", file)
    assert answered(run, "--from", file, "--horizon", "300")["recommended"] == "cosine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Name one: a study, as in `lrsweep choose STUDY`, a table with --from FILE, or runs with --from-mlflow"),
        (("digits", "--from", "t.csv"), "Name one"),
        (
            ("--from", "results.csv", "--worth", "0"),
            "--worth is 0.0; wanted a number above 0, in the metric's own units.",
        ),
        (("--from", "results.csv", "--worth", "nan"), "--worth is nan"),
        (("--from", "results.csv", "--horizon", "30"), "--horizon is 30, and results.csv has 900."),
        (("--from", "results.csv", "--baseline", "cosin"), "has cosine, linear, step. Did you mean 'cosine'?"),
        (("--from", "results.csv", "--metric", "loss"), "--metric is of MLflow's runs"),
        (("--from", "results.csv", "--target", "good"), "--target is 'good'; wanted is such as 'value >= 0.94'"),
        (("--from", "results.csv", "--target", "loss <= 1"), "and what is compared is value: write 'value …'."),
        (("--from", "results.csv", "--target", "x", "--direction", "minimize"), "such as 'value <= 0.31'."),
        (("--from", "results.csv", "--target", "x", "--direction", "maximize"), "such as 'value >= 0.94'."),
        (("--from", "results.csv", "--target", "x <= 1", "--direction", "minimize"), "write 'value <= …'."),
        (
            ("--from", "results.csv", "--target", "value >= 1", "--direction", "minimize"),
            "and value is to minimize: write 'value <= …', or another direction.",
        ),
        (("digits", "--direction", "maximize", "--horizon", "9"), "--direction, --horizon: a study has its own"),
        (("digits", "--baseline", "cosine"), "Name what is used today in the study's file, as [baseline], and run it"),
        (("--from-mlflow", "theirs", "--metric", "loss"), "there is no MLflow in "),
        (("digits",), "there are no results in "),
    ],
)
def test_what_cannot_be_asked_is_refused(run: Typed, words: tuple[str, ...], said: str) -> None:
    """With what was given, and what to do."""
    written(*THREE)
    assert said in refused(run, *words)


def test_a_row_is_read_as_what_it_says(run: Typed, tmp_path: Path) -> None:
    """A number, a divergence, a rate and a cost that are not known."""
    file = tmp_path / written("cosine,,0.1,9e2,s1,0.5,2.5", "cosine,,,900,s2,NaN,n/a")
    assert read_table(file) == [
        Result(Point("cosine", peak_lr=0.1), 900, "s1", 0.5, 2.5),
        Result(Point("cosine"), 900, "s2", None),
    ]


# ── a study ──────────────────────────────────────────────────────────────────────────────────────────────────────────

STUDY = replace(
    a_study(trials=8, families=("cosine", "linear"), optimizers=("sgd",)),
    total_steps=8 * (30 + 90) + 2 * 3 * 90,
    selection=SelectionSpec(finalists=2, seeds=3),
)
"""The search's trials, and two finalists with three fresh seeds"""


def noisy(plan: TrainingPlan) -> Outcome:
    """At the full horizon cosine is better by far, and seeds differ in the third digit; a rung tells nothing."""
    gap = 0.4 if plan.horizon == STUDY.horizon and plan.schedule.family == "linear" else 0.0
    return completed(plan, value_of(plan) / 1000 + 0.1 + gap + (plan.seed % 7) / 1000)


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
    assert "The search's best value, 0.1" in text
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
    moved = [row.training_id for row in bench.trainings() if row.purpose is Purpose.FINAL][-1]
    rows = [
        replace(row, engine="fused/8", device="cuda:1") if row.training_id == moved else row
        for row in bench.store.trainings("quick")
    ]
    store = Moved(bench.store, rows)
    _, choice = choose_in(cast(Store, store), "quick", worth=None)
    assert list(choice.other_blocks.items()) == [("fused/8 on cuda", 1)]
    assert choice.trainings == len([row for row in rows if row.purpose is Purpose.FINAL]) - 1
    console = Console(record=True, width=200)
    show_choice(console, choice, "decide_loss")
    assert "Not compared, since they were trained in another way: 1 of fused/8 on cuda." in console.export_text()


@dataclass(frozen=True)
class Moved:
    """A store whose trainings are others."""

    store: Store
    rows: Sequence[TrainingRow]

    def trainings(self, *_: object, **__: object) -> Sequence[TrainingRow]:
        return self.rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_a_study_of_which_nothing_reached_the_full_horizon_is_refused() -> None:
    """All diverged: `lrsweep status` says where it stands."""
    bench = a_driven_bench(STUDY, diverged)
    with pytest.raises(SettingsError, match="has come to a value at 90 steps yet: `lrsweep status quick`"):
        results_of(bench.store, "quick")


# ── as the README shows it ───────────────────────────────────────────────────────────────────────────────────────────

REPOSITORY = Path(__file__).parents[2]


def test_the_readmes_example_is_what_the_command_prints(
    run: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole output, of the table that lies beside the tests."""
    monkeypatch.setenv("COLUMNS", "100")
    table = REPOSITORY / "tests" / "fixtures" / "choose" / "next-character.csv"
    ran = run("choose", "--from", str(table), "--baseline", "cosine")
    printed = "".join(f"{line.rstrip()}\n" for line in ran.out.splitlines())
    assert printed in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_option_and_every_column() -> None:
    """In its own section."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## Which schedule should I use?") :].split("\n## ")[0]
    options = {word for each in app_options("choose") for word in each.opts if word.startswith("--")}
    assert {option for option in options if f"`{option}" not in section and f" {option} " not in section} <= {"--help"}
    assert {column for column in (*NEEDED, *OPTIONAL) if f"| `{column}` |" not in section} == set()
    assert {word.value for word in Evidence if f"`{word.value}`" not in section} == set()


def app_options(command: str) -> Sequence[Any]:
    found: Sequence[Any] = cast(Any, get_command(app)).commands[command].params
    return found

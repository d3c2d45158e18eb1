"""`lrsweep choose --from FILE`: tables of every kind, and what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lrsweep
from lrsweep.cli.choosing.table import read_table
from lrsweep.selection.results import Point, Result
from tests.choosing import HEADER, SPREAD, THREE, answered, lines, written
from tests.looked import Typed, typed


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, tmp_path / "home", {})


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
    found = answered(run, "--from", "results.parquet")
    assert found.pop("source") == {"file": "results.parquet"}
    assert found | {"source": {"file": file}} == answered(run, "--from", file)


def test_blanks_around_a_columns_name_do_not_matter(run: Typed) -> None:
    """In either kind of table: a cost is read, and a seed."""
    import pandas as pd

    written(*lines("cosine", 1.0, cost=3), header="family,schedule,peak_lr,horizon, seed ,value, cost")
    pd.read_csv("results.csv").to_parquet("results.parquet")
    for file in ("results.csv", "results.parquet"):
        assert [each.cost for each in read_table(Path(file))] == [3.0] * 5


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
    assert "Best at 300 steps: cosine at a peak of 0.1, 1.5" in run("choose", "--from", file).out
    assert (
        "0.5 ± 0.023 worse than 900 steps, at 33% of the cost of a training (1 for 3)."
        in run("choose", "--from", file).out
    )
    assert answered(run, "--from", file, "--horizon", "300")["horizon"] == 300
    without = written(*[line.rpartition(",")[0] + "," for line in [*rows, *short]])
    assert "worse than 900 steps, with 33% of the steps." in run("choose", "--from", without).out


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


def test_a_row_is_read_as_what_it_says(run: Typed, tmp_path: Path) -> None:
    """A number, a divergence, a rate and a cost that are not known."""
    file = tmp_path / written("cosine,,0.1,9e2,s1,0.5,2.5", "cosine,,,900,s2,NaN,n/a")
    assert read_table(file) == [
        Result(Point("cosine", peak_lr=0.1), 900, "s1", 0.5, 2.5),
        Result(Point("cosine"), 900, "s2", None),
    ]

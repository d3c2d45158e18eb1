"""What `lrsweep choose` refuses: tables with faults, and questions that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.choosing import SPREAD, THREE, answered, lines, refused, written
from tests.looked import Typed, typed


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, tmp_path / "home", {})


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
        (
            "family,horizon,seed,value,Cost, Peak LR\n",
            "has columns that would not be read as they are written: write 'cost' for 'Cost', 'peak_lr' for 'Peak LR', "
            "or take them out.",
        ),
        (
            "FAMILY,horizon,seed,value,Schedule\n",
            "Write 'family' for 'FAMILY', 'schedule' for 'Schedule'. Wanted are",
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
            "and value is to minimize by --direction. Type `lrsweep choose --from results.csv --direction minimize "
            "--target 'value <= 1'`. Where it is to maximize: `lrsweep choose --from results.csv --target "
            "'value >= 1'`.",
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

"""Results as a DataFrame and as files, and addresses that stand in a file, with their passwords in another."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

import lrsweep
from lrsweep.cli.export import export
from lrsweep.cli.main import app
from lrsweep.cli.prune import delete, prune
from lrsweep.errors import InvalidInput, SettingsError
from lrsweep.records import Outcome, TrainingPlan
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.store.upkeep import upgrade_store
from lrsweep.study import SelectionSpec
from lrsweep.sweep.finals import fresh_seeds
from tests.databases import administer
from tests.looked import in_a_home, typed
from tests.old_databases import make_old_database
from tests.scripted import completed, diverged, only_sgd


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with two trials of the study ``old``."""
    url = f"sqlite:///{tmp_path}/home/results.db"
    make_old_database(url, "0003")
    upgrade_store(url)
    return tmp_path / "home"


def test_results_are_a_frame_of_trials_or_of_trainings(home: Path, database_url: str) -> None:
    """A row each, numbers as numbers, metrics in columns of their own; the same from both kinds of database."""
    trials = lrsweep.results("old", home=home)
    assert list(trials["number"]) == [0, 1]
    best = trials.iloc[0]
    assert (best["family"], best["peak_lr"], best["value"], best["state"]) == ("cosine", 0.25, 0.5, "complete")
    assert (best["metrics.val_loss"], best["horizon"], best["steps"]) == (0.5, 200, 200)
    assert pd.isna(trials.iloc[1]["value"])
    trainings = lrsweep.results("old", home=home, by="training")
    assert list(trainings["training_id"]) == ["t0", "t1"]
    assert list(trainings["status"]) == ["completed", "running"]
    make_old_database(database_url, "0003")
    upgrade_store(database_url)
    pd.testing.assert_frame_equal(lrsweep.results("old", url=database_url), trials)


def test_a_finalist_has_what_its_fresh_seeds_say_and_other_trials_have_nothing_there(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of four trials, with fresh seeds that come to 0, 1, 2 …; one training diverged. It is what `show` says of
    them, in columns of their own; a study without finals has the columns too."""
    study = replace(
        only_sgd(trials=4), total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2)
    )
    values = {seed: float(place) for place, seed in enumerate(fresh_seeds(study, 10))}
    ended: list[str] = []

    def script(plan: TrainingPlan) -> Outcome:
        if plan.seed not in values:
            return completed(plan)
        ended.append(plan.training_id)
        return diverged(plan) if len(ended) == 1 else completed(plan, values[plan.seed])

    folder = in_a_home(tmp_path / "finals", study, script)
    frame = lrsweep.results("quick", home=folder).set_index("number")
    shown = json.loads(typed(capsys, monkeypatch, folder, {})("show", "quick", "--json").out)["finalists"]
    assert len(shown) == 2
    best, other = (frame.loc[each["trial"]] for each in shown)
    assert (best["finals.metric"], best["finals.n"]) == ("decide_loss", 3)
    assert (best["finals.mean"], best["finals.sd"]) == (2.0, 1.0)  # of 1, 2 and 3: decide_loss is val_loss and 1
    assert (best["finals.low"], best["finals.high"]) == pytest.approx(tuple(shown[0]["interval"]))
    assert best["finals.low"] < 2.0 < best["finals.high"]
    assert (other["finals.n"], other["finals.diverged"], best["finals.diverged"]) == (2, 1, 0)
    nothing = frame.drop(index=[each["trial"] for each in shown]).filter(like="finals.")
    assert nothing.shape == (2, 8)
    assert bool(nothing.isna().all(axis=None))
    assert list(lrsweep.results("old", home=home).filter(like="finals.").columns) == list(nothing.columns)


def test_results_that_are_not_there_are_named_and_nothing_is_made(home: Path, tmp_path: Path) -> None:
    """An unknown study, an empty folder, two places at once and a word that is none."""
    with pytest.raises(SettingsError, match=r"of a study 'odl' in .* Did you mean 'old'\? There are: old"):
        lrsweep.results("odl", home=home)
    with pytest.raises(SettingsError, match="There are none of any study"):
        lrsweep.results("old", home=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InvalidInput, match="home and url are both given"):
        lrsweep.results("old", home=home, url="sqlite:///x.db")
    with pytest.raises(InvalidInput, match="wanted is 'trial' or 'training'"):
        lrsweep.results("old", home=home, by="family")  # type: ignore[arg-type]


def test_results_are_exported_in_three_formats(home: Path, tmp_path: Path) -> None:
    """The same table read back from each."""
    environ = {"LRSWEEP_HOME": str(home), "LRSWEEP_DATABASE_URL": ""}

    def run(*words: str) -> str:
        found = CliRunner().invoke(app, ["export-results", "old", *words], env=environ, catch_exceptions=False)
        assert found.exit_code == 0
        return found.stdout

    wanted = [("cosine", 0.25), ("wsd", 0.5)]
    csv = pd.read_csv(io.StringIO(run("--format", "csv")))
    assert list(zip(csv["family"], csv["peak_lr"], strict=True)) == wanted
    rows = json.loads(run("--format", "json"))
    assert [(row["family"], row["peak_lr"]) for row in rows] == wanted
    run("--format", "parquet", "--out", str(tmp_path / "old.parquet"))
    parquet = pd.read_parquet(tmp_path / "old.parquet")
    assert list(zip(parquet["family"], parquet["peak_lr"], strict=True)) == wanted
    assert [file.name for file in tmp_path.glob("old*")] == ["old.parquet"]


def test_json_keeps_every_digit_and_what_is_missing_is_null(tmp_path: Path) -> None:
    """Numbers far from 1, a flag and a word come back as they were."""
    rows = [
        {"number": 0, "peak_lr": 1.2345678901234568e-10, "value": 123456.12345678912, "is_best": True, "family": "wsd"},
        {"number": 1, "peak_lr": 5e-324, "value": None, "is_best": None, "family": None},
    ]
    export(pd.DataFrame(rows).convert_dtypes(), "json", tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text()) == rows


def test_parquet_holds_numbers_beside_words_as_text(tmp_path: Path) -> None:
    """`choices = [64, "auto"]` is allowed, and a column of Parquet holds one kind; the others keep theirs."""
    rows = [{"settings.batch": 64, "number": 0}, {"settings.batch": "auto", "number": 1}, {"number": 2}]
    export(pd.DataFrame(rows).convert_dtypes(), "parquet", tmp_path / "rows.parquet")
    found = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(found["settings.batch"].dropna()) == ["64", "auto"]
    assert list(found["number"]) == [0, 1, 2]


# ── where the database is ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_role_with_schemas_of_an_administrator_needs_no_other_right(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address from a file; three schemas that are there; no right to make any."""
    role = f"user_{make_url(postgres_url).database}"
    schemas = ("lrsweep", "optuna", "mlflow")
    administer(
        postgres_url,
        f"CREATE ROLE {role} LOGIN",
        *(f"CREATE SCHEMA {name}" for name in schemas),
        *(f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}" for name in schemas),
    )
    address = make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    (tmp_path / "url").write_text(f"{address}\n")
    settings = read_settings(
        {"LRSWEEP_HOME": str(tmp_path / "home"), "LRSWEEP_DATABASE_URL_FILE": str(tmp_path / "url")}
    )
    homes = make_homes(settings)
    open_store(homes.results_url).close()
    assert upgrade_store(homes.results_url).backup is None
    administer(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_who_prunes_where_there_is_nothing_sees_no_password(postgres_url: str) -> None:
    """`prune` and `delete` look where `status` looks, and say it in its words."""
    url = make_url(postgres_url).set(password="s3cret").render_as_string(hide_password=False)
    settings = read_settings({"LRSWEEP_DATABASE_URL": url})
    with pytest.raises(SettingsError, match="there are no results in that database yet") as pruned:
        prune(settings, older_than="1d", keep="none", is_dry=True, say=print)
    with pytest.raises(SettingsError, match="there are no results in that database yet") as deleted:
        delete(settings, "old", None, is_sure=True, say=print)
    assert "s3cret" not in f"{pruned.value} {deleted.value}"


def test_an_address_in_a_file_is_read_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    """A last line break is no part of it; two addresses, no file and no address are refused without showing any."""
    file = tmp_path / "url"
    file.write_text("postgres://ann:s3cret@db/results\n")
    environ = {"LRSWEEP_DATABASE_URL_FILE": str(file)}
    assert read_settings(environ).database_url == "postgresql+psycopg://ann:s3cret@db/results"
    with pytest.raises(SettingsError, match="LRSWEEP_DATABASE_URL and LRSWEEP_DATABASE_URL_FILE are both set"):
        read_settings({**environ, "LRSWEEP_DATABASE_URL": "postgres://db/results"})
    with pytest.raises(SettingsError, match="which cannot be read"):
        read_settings({"LRSWEEP_DATABASE_URL_FILE": str(tmp_path / "missing")})
    for wrong, says in (
        ("", "0 lines"),
        ("s3cret\ns3cret", "2 lines"),
        ("mysql://ann:s3cret@db/x", "of the kind 'mysql'"),
    ):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match=says) as caught:
            read_settings(environ)
        assert "s3cret" not in str(caught.value)
        assert str(file) in str(caught.value)

"""`lrsweep db upgrade` on tables that an older Optuna and an older MLflow made: the rows are there afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from alembic import command

from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.sweep import copies_schema
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.owner import this_owner
from lrsweep.tracking import load_mlflow, schema
from tests.commands import lrsweep
from tests.databases import administer
from tests.looked import typed

OLD_OPTUNA = "v3.0.0.d"
"""of Optuna 3.0 and 3.1: without an index that 3.2 brought"""
OLD_MLFLOW = "400f98739977"
"""of MLflow 3.0, some forty migrations ago"""

ROWS: dict[str, dict[str, Any]] = {
    "experiments": {"experiment_id": 7, "name": "old", "artifact_location": "a", "lifecycle_stage": "active"},
    "runs": {
        "run_uuid": "r1",
        "name": "trial 0",
        "user_id": "ann",
        "status": "FINISHED",
        "start_time": 1,
        "end_time": 2,
        "lifecycle_stage": "active",
        "artifact_uri": "a/r1",
        "experiment_id": 7,
        "source_type": "LOCAL",
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
    },
    "metrics": {
        "key": "val_loss",
        "value": 0.25,
        "timestamp": 1,
        "run_uuid": "r1",
        "step": 90,
        "is_nan": False,
    },
    "tags": {"key": "family", "value": "cosine", "run_uuid": "r1"},
}


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> Mapping[str, str]:
    """Of a home with files, and of one in PostgreSQL."""
    home = {"LRSWEEP_HOME": str(tmp_path / "home")}
    return home if database_url.startswith("sqlite") else {**home, "LRSWEEP_DATABASE_URL": database_url}


@pytest.fixture
def homes(environ: Mapping[str, str]) -> Homes:
    return make_homes(read_settings(environ))


def make_old_optuna(url: str) -> None:
    """A study with a complete trial and a pruned one, in the tables of that version."""
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="digits@12345678")
    drawn: dict[str, optuna.distributions.BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 1)}
    study.add_trial(optuna.create_trial(params={"x": 0.5}, distributions=drawn, value=0.25, user_attrs={"trial": 3}))
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED, intermediate_values={30: 0.5}))
    storage.remove_session()
    storage.engine.dispose()
    administer(url, "DROP INDEX ix_trials_study_id", f"UPDATE alembic_version SET version_num = '{OLD_OPTUNA}'")


def trials_of(url: str) -> list[Any]:
    """As Optuna itself reads them, which refuses tables that are not its own version's."""
    storage = optuna.storages.RDBStorage(url)
    [study] = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id)
    storage.remove_session()
    storage.engine.dispose()
    return [(each.state.name, each.params, each.value, each.user_attrs, each.intermediate_values) for each in trials]


def make_old_mlflow(uri: str) -> None:
    """An experiment with a run, a metric and a tag, in the tables of that version."""
    load_mlflow()
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = sa.create_engine(uri)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(uri)  # type: ignore[no-untyped-call]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD_MLFLOW)
    with engine.begin() as connection:
        for table, row in ROWS.items():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    engine.dispose()


def rows_of(uri: str) -> dict[str, dict[str, Any]]:
    engine = sa.create_engine(uri)
    with engine.connect() as connection:
        found = {
            table: dict(connection.execute(sa.text(f"SELECT {', '.join(row)} FROM {table}")).mappings().one())
            for table, row in ROWS.items()
        }
    engine.dispose()
    return found


def test_tables_of_an_older_optuna_and_mlflow_are_upgraded_with_all_their_rows(
    homes: Homes, environ: Mapping[str, str]
) -> None:
    """It says from where to where; Optuna reads its trials again, and MLflow's tables are its newest."""
    make_old_optuna(homes.optuna_url)
    make_old_mlflow(homes.mlflow_uri)
    ran = lrsweep("db", "upgrade", home=Path(environ["LRSWEEP_HOME"]), environ=environ)
    assert ran.code == 0, ran.err
    assert f"Optuna's copies: schema {OLD_OPTUNA} -> v" in ran.out
    assert f"MLflow: schema {OLD_MLFLOW} -> " in ran.out
    assert trials_of(homes.optuna_url) == [
        ("COMPLETE", {"x": 0.5}, 0.25, {"trial": 3}, {}),
        ("PRUNED", {}, None, {}, {30: 0.5}),
    ]
    assert rows_of(homes.mlflow_uri) == ROWS
    found, newest = schema.versions(homes.mlflow_uri) or ("none", "")
    assert found == newest


def test_no_tables_are_migrated_under_a_living_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 99, although our own are up to date: the driver writes into Optuna's as they are."""
    url = f"sqlite:///{tmp_path}/optuna.db"
    make_old_optuna(url)
    store = open_store(f"sqlite:///{tmp_path}/results.db")
    store.acquire_lease("digits", this_owner(), seconds=60)
    refused = typed(capsys, monkeypatch, tmp_path, {})("db", "upgrade")
    store.close()
    assert refused.code == 99
    assert "study 'digits' is driven by process" in refused.err
    assert (copies_schema.versions(url) or "none")[0] == OLD_OPTUNA


def test_no_driver_begins_while_a_tools_tables_are_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours are done by then; the lock holds until Optuna's and MLflow's are."""
    make_old_optuna(f"sqlite:///{tmp_path}/optuna.db")
    said: list[str] = []

    def drive(_url: str) -> None:
        with closing(sqlite3.connect(tmp_path / "results.db", timeout=0)) as file:
            try:
                file.execute("UPDATE lrs_lease SET owner = 'bob'")
            except sqlite3.OperationalError as error:
                said.append(str(error))

    monkeypatch.setattr(copies_schema, "upgrade", drive)
    assert typed(capsys, monkeypatch, tmp_path, {})("db", "upgrade").code == 0
    assert said == ["database is locked"]


def make_new_mlflow(uri: str) -> None:
    load_mlflow()
    from mlflow.store.db.utils import _initialize_tables

    engine = sa.create_engine(uri)
    _initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()


def make_new_optuna(url: str) -> None:
    optuna.storages.RDBStorage(url).engine.dispose()


@pytest.mark.parametrize(
    ("name", "file", "make"),
    [("Optuna's copies", "optuna.db", make_new_optuna), ("MLflow", "mlflow.db", make_new_mlflow)],
)
def test_tables_of_a_newer_tool_are_left_and_the_way_out_is_said(
    name: str,
    file: str,
    make: Callable[[str], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 69 in the place of a traceback of Alembic's, which does not know that version."""
    url = f"sqlite:///{tmp_path / file}"
    make(url)
    administer(url, "UPDATE alembic_version SET version_num = 'v99'")
    refused = typed(capsys, monkeypatch, tmp_path, {})("db", "upgrade")
    assert refused.code == 69
    assert f"{name}: its tables have schema v99 and did not get to " in refused.err
    assert "install the release that wrote them" in refused.err
    checked = typed(capsys, monkeypatch, tmp_path, {})("db", "check")
    assert checked.code == 70
    tool = name.partition("'")[0]
    assert f"{tool}'s tables have schema v99 and not " in checked.out
    assert f"run lrsweep db upgrade; where they are newer, install the {tool} that wrote them" in checked.out


def test_a_look_at_optunas_tables_leaves_no_connection_open(
    homes: Homes, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does their upgrade; in PostgreSQL they hold places that others want."""
    made: list[sa.Engine] = []
    real = sa.create_engine

    def create(*given: Any, **named: Any) -> sa.Engine:
        made.append(real(*given, **named))
        return made[-1]

    monkeypatch.setattr("optuna.storages._rdb.storage.sqlalchemy.engine.create_engine", create)
    make_new_optuna(homes.optuna_url)
    assert copies_schema.versions(homes.optuna_url) is not None
    copies_schema.upgrade(homes.optuna_url)
    assert len(made) == 3
    assert [engine.pool.checkedin() for engine in made] == [0, 0, 0]  # type: ignore[attr-defined]


def test_a_database_without_tables_of_optunas_has_none_to_upgrade(homes: Homes) -> None:
    """A schema that is empty, or a file; nothing is made."""
    administer(homes.optuna_url, "CREATE TABLE somebodys (a INTEGER)")
    assert copies_schema.versions(homes.optuna_url) is None
    copies_schema.upgrade(homes.optuna_url)
    engine = sa.create_engine(homes.optuna_url)
    assert sa.inspect(engine).get_table_names() == ["somebodys"]
    engine.dispose()

"""What ``open_store`` says to databases that it cannot use, and how an address is read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from lrsweep.cli.prune import prune
from lrsweep.errors import SettingsError, StoreUnavailable, TryAgain
from lrsweep.findings.reading import results
from lrsweep.settings import read_settings
from lrsweep.store import ensure_schemas, normalised, open_store, with_schema
from lrsweep.store.backups import back_up, restore
from lrsweep.store.models import SCHEMA_VERSION
from lrsweep.store.opening import open_engine
from lrsweep.store.probing import probe
from lrsweep.store.queue import Registered
from lrsweep.store.upkeep import check_store
from tests.databases import administer
from tests.looked import a_bench
from tests.scripted import only_sgd

SECRET = "s3cret/w@rd"


def refusal(url: str) -> str:
    """The text with which the address is refused."""
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url)
    assert caught.value.exit_code == 69
    return str(caught.value)


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("postgres://ann:x%40y@db:5433/results", "postgresql+psycopg://ann:x%40y@db:5433/results"),
        ("postgresql://db/results", "postgresql+psycopg://db/results"),
        ("postgresql+psycopg://db/results?sslmode=require", "postgresql+psycopg://db/results?sslmode=require"),
        ("sqlite:////data/results.db", "sqlite:////data/results.db"),
        ("sqlite+pysqlite:///results.db", "sqlite:///results.db"),
    ],
)
def test_the_usual_spellings_of_an_address_are_read(given: str, read_as: str) -> None:
    """PostgreSQL means psycopg 3, and the password stays."""
    assert normalised(given) == read_as


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://ann:s3cret@db/results", r"cannot be kept in 'mysql', only in SQLite or PostgreSQL"),
        ("postgresql+psycopg2://db/results", r"Did you mean 'postgresql\+psycopg'\?"),
        ("postgre://db/results", r"Did you mean 'postgres"),
        ("sqlite://", r"results need a file"),
        ("sqlite:///:memory:", r"results need a file"),
        ("results.db", r"cannot be read. Use sqlite:///FILE"),
        (f"postgresql://ann:{SECRET}:x@db/results", r"write @ as %40"),
    ],
)
def test_other_addresses_are_refused_with_the_way_out(given: str, said: str) -> None:
    """A wrong address is a wrong setting, and no password is repeated."""
    with pytest.raises(SettingsError, match=said) as caught:
        normalised(given)
    assert caught.value.exit_code == 64
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_each_tool_gets_its_schema_by_the_address() -> None:
    """``search_path`` joins the options that are there, once; another one is refused; SQLite has no schemas."""
    address = with_schema("postgres://db/r?options=-cstatement_timeout%3D5000", "optuna")
    assert make_url(address).query["options"] == "-cstatement_timeout=5000 -csearch_path=optuna"
    assert with_schema(address, "optuna") == address
    with pytest.raises(SettingsError, match="Leave search_path out"):
        with_schema(address, "mlflow")
    assert with_schema("sqlite:///a.db", "mlflow") == "sqlite:///a.db"


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_new_file_is_made_with_its_folders_and_opens_again(sqlite_url: str) -> None:
    """The second opening finds the newest schema; the file is in WAL mode, and closing leaves one file."""
    open_store(sqlite_url).close()
    store = open_store(sqlite_url)
    assert store.studies() == []
    store.close()
    path = Path(str(make_url(sqlite_url).database))
    assert [file.name for file in path.parent.iterdir()] == ["results.db"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_relative_file_stays_the_same_when_the_program_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is read once, at the opening."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///results.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.close()  # the next call needs a new connection
    assert store.studies() == []
    store.close()
    assert not (tmp_path / "elsewhere" / "results.db").exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The text says so, and what to do."""
    (tmp_path / "notes.txt").write_text("no database, only a text that is long enough to be looked at\n" * 50)
    text = refusal(f"sqlite:///{tmp_path}/notes.txt")
    assert "notes.txt cannot be used: file is not a database. That file is something else: name another one" in text


def test_a_folder_and_a_path_below_a_file_are_named(tmp_path: Path) -> None:
    """Neither can be a database file."""
    assert "Check that this is a file, not a folder" in refusal(f"sqlite:///{tmp_path}")
    (tmp_path / "file").write_text("")
    assert "file" in refusal(f"sqlite:///{tmp_path}/file/results.db")


@contextmanager
def somebody_else() -> Iterator[None]:
    """Rights do not bind an administrator, so such a test process acts as ``nobody`` for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_written_is_named() -> None:
    """Opening asks for the right to write, not only the first result."""
    folder = Path(tempfile.mkdtemp(prefix="lrsweep-"))  # pytest's own folders are closed to `nobody`
    open_store(f"sqlite:///{folder}/results.db").close()
    (folder / "results.db").chmod(0o444)
    folder.chmod(0o555)
    with somebody_else():
        text = refusal(f"sqlite:///{folder}/results.db")
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert "Make the file and its folder writable for this user, or name another file." in text


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_our_tables_live_in_their_own_schema(postgres_url: str) -> None:
    """An address without a schema, and one with ours, open the same store; `public` stays empty."""
    open_store(postgres_url).close()
    open_store(with_schema(postgres_url, "lrsweep")).close()
    engine = sa.create_engine(postgres_url)
    inspector = sa.inspect(engine)
    assert inspector.get_table_names("public") == []
    assert "lrs_training" in inspector.get_table_names("lrsweep")
    engine.dispose()


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    """The text has the address, the reason and what to check."""
    text = refusal("postgresql://ann:s3cret@127.0.0.1:9/results")
    assert " postgresql://ann:***@127.0.0.1:9/results " in text
    assert "Check that the server runs, and host and port in the address." in text
    assert "s3cret" not in text
    text = refusal("postgresql://127.0.0.1:9/results?user=ann&password=s3cret")
    assert "s3cret" not in text


def test_a_missing_database_and_a_missing_role_are_named(postgres_url: str) -> None:
    """The text names what to create."""
    address = make_url(postgres_url)
    missing = address.set(database="missing").render_as_string(hide_password=False)
    assert 'database "missing" does not exist. Create it first: createdb' in refusal(missing)
    nobody = address.set(username="nobody_here").render_as_string(hide_password=False)
    assert 'role "nobody_here" does not exist. Create it first' in refusal(nobody)


def test_a_read_only_server_is_refused_at_the_start(postgres_url: str) -> None:
    """A standby answers reads: found out before the first result, not by it."""
    open_store(postgres_url).close()
    name = make_url(postgres_url).database
    administer(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "is read-only, perhaps a standby" in refusal(postgres_url)


def test_schemas_are_made_once_and_an_administrators_are_used(postgres_url: str) -> None:
    """A user without the right to CREATE needs none where the schemas are there, and is told the statement if not."""
    role = f"user_{make_url(postgres_url).database}"
    administer(postgres_url, f"CREATE ROLE {role} LOGIN")
    address = make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    with pytest.raises(StoreUnavailable, match=f"CREATE SCHEMA lrsweep AUTHORIZATION {role}; CREATE SCHEMA mlflow"):
        ensure_schemas(address, ["lrsweep", "mlflow"])
    administer(postgres_url, f"CREATE SCHEMA lrsweep AUTHORIZATION {role}")
    ensure_schemas(address, ["lrsweep"])
    open_store(address).close()
    for _ in range(2):
        ensure_schemas(postgres_url, ["lrsweep", "optuna", "mlflow"])
    ensure_schemas("sqlite:///untouched.db", ["lrsweep"])
    administer(postgres_url, "DROP SCHEMA lrsweep CASCADE", f"DROP ROLE {role}")


def test_connections_that_land_in_another_schema_are_refused(postgres_url: str) -> None:
    """No right to use our schema has the effect of a pooler that drops `options`: `current_schema()` is not ours."""
    role = f"user_{make_url(postgres_url).database}"
    administer(postgres_url, f"CREATE ROLE {role} LOGIN", "CREATE SCHEMA lrsweep")
    address = make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    text = refusal(address)
    administer(postgres_url, f"DROP ROLE {role}")
    assert "work in schema None, not in 'lrsweep'" in text
    assert "connect to the server itself" in text


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_refused(postgres_url: str, encoding: str) -> None:
    """Before anything is made there: what it has, what is wanted and the command that makes one of that."""
    name = f"{make_url(postgres_url).database}_{encoding.lower()}"
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    administer(postgres_url, made)
    address = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    text = refusal(address)
    assert f"/{name}?" in text
    assert (
        f"has the encoding {encoding}, and results need UTF8. Make another one, createdb -E UTF8 -T template0" in text
    )
    with pytest.raises(StoreUnavailable, match=f"has the encoding {encoding}"):
        probe(address)
    with pytest.raises(StoreUnavailable, match=f"has the encoding {encoding}"):
        ensure_schemas(address, ["mlflow"])
    assert ("`lrsweep db backup FILE` reads this one all the same" in text) == (encoding != "SQL_ASCII")
    administer(postgres_url, f"DROP DATABASE {name}")


def test_results_in_another_encoding_are_brought_into_a_fit_one(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an lrsweep left them that asked for no encoding: refused, but for a check and a backup, which restores."""
    name = f"{make_url(postgres_url).database}_old"
    administer(postgres_url, f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    address = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with monkeypatch.context() as patch:
        patch.setattr("lrsweep.store.answering.ENCODING", "LATIN1")
        old = open_store(address)
        row = old.queue.register(Registered("caf\u00e9", "/studies", "# \u00e9t\u00e9"))
        old.close()
    assert "has the encoding LATIN1" in refusal(address)
    back_up(address, tmp_path / "all.zip")
    checked = check_store(address)
    assert checked is not None
    assert checked.rows["registered"] == 1
    with pytest.raises(StoreUnavailable, match="has the encoding LATIN1"):
        restore(address, tmp_path / "all.zip")
    restore(postgres_url, tmp_path / "all.zip")
    new = open_store(postgres_url)
    assert new.queue.registered() == [row]
    new.close()
    administer(postgres_url, f"DROP DATABASE {name}")


# ── silence ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_statement_that_nobody_answers_ends(postgres_url: str) -> None:
    """Behind a lock that somebody holds and does not give back, as a stopped process: after as long as its store has
    patience for; then the same store goes on, with another connection."""
    asked: list[float] = []

    def patience(silent_seconds: float) -> bool:
        asked.append(silent_seconds)
        return silent_seconds < 0.5

    store = open_store(postgres_url, patience=patience)
    with locked(postgres_url), pytest.raises(TryAgain) as caught:
        store.studies()
    assert "failed: the server has not answered for" in str(caught.value)
    assert "a stopped process holds a lock there: look at the server." in str(caught.value)
    assert "What was committed is safe; the same command continues." in str(caught.value)
    assert asked[-1] >= 0.5
    assert store.studies() == []
    store.close()


def test_who_has_no_patience_left_connects_no_more(postgres_url: str) -> None:
    """It would take ten seconds each time until a connection is given up."""
    is_over: list[bool] = []
    store = open_store(postgres_url, patience=lambda _: not is_over)
    store.close()
    is_over.append(True)
    with pytest.raises(TryAgain, match="has not answered"):
        store.studies()
    is_over.clear()
    assert store.studies() == []
    store.close()


def test_an_answer_that_comes_in_parts_is_waited_for(postgres_url: str) -> None:
    """Patience is for silence: a result that takes longer as a whole, but goes on coming, is read to its end."""
    engine = open_engine(postgres_url, lambda silent_seconds: silent_seconds < 1.0)
    rows = "SELECT pg_sleep(0.2), repeat('x', 20000) FROM generate_series(1, 10)"
    began = time.monotonic()
    with engine.connect() as connection:
        assert len(connection.execute(sa.text(rows)).all()) == 10
    assert time.monotonic() - began > 1.5
    engine.dispose()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """The table of studies, for anybody else."""
    engine = sa.create_engine(with_schema(url, "lrsweep"))
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE lrs_study IN ACCESS EXCLUSIVE MODE"))
        yield
    engine.dispose()


def test_a_removal_waits_longer_than_other_commands(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One DELETE of a large study takes minutes, and the same command would begin it again: ten minutes' patience."""
    bench = a_bench(only_sgd(trials=2), open_store(postgres_url))
    bench.store.release_lease(bench.lease)
    monkeypatch.setattr("lrsweep.store.patience.ANSWER_SECONDS", 2.0)
    settings = read_settings({"LRSWEEP_HOME": str(tmp_path), "LRSWEEP_DATABASE_URL": postgres_url})
    said: list[str] = []

    def prune_it() -> None:
        prune(settings, older_than="0d", keep="", is_dry=True, say=said.append)

    pruning = threading.Thread(target=prune_it)
    with locked(postgres_url):
        with pytest.raises(TryAgain), results(settings) as store:
            store.studies()
        pruning.start()
        pruning.join(5.0)
        assert pruning.is_alive()
    pruning.join(60.0)
    assert not pruning.is_alive()
    assert said == ["nothing is older than 0d but what is kept"]
    bench.store.close()


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_namespace_with_a_foreign_alembic_version_is_refused(database_url: str) -> None:
    """Optuna's or MLflow's tables are left alone, and none of ours are added."""
    if database_url.startswith("sqlite"):
        Path(str(make_url(database_url).database)).parent.mkdir()
        foreign, place = database_url, "file"
    else:
        ensure_schemas(database_url, ["lrsweep"])
        foreign, place = with_schema(database_url, "lrsweep"), "schema"
    administer(foreign, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    text = refusal(database_url)
    assert f"the {place} of" in text
    assert "holds a table alembic_version of another tool" in text
    engine = sa.create_engine(foreign)
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_results_of_a_newer_lrsweep_are_refused(database_url: str) -> None:
    """The text names both versions and the upgrade; nothing is changed."""
    open_store(database_url).close()
    administer(with_schema(database_url, "lrsweep"), "UPDATE lrs_alembic_version SET version_num = '9999'")
    text = refusal(database_url)
    assert f"were written by a newer lrsweep (schema 9999; this one knows up to {SCHEMA_VERSION})" in text
    assert "pip install --upgrade lrsweep" in text


def test_a_file_that_another_process_is_writing_before_its_mode_is_set_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses to change a file's mode at once where somebody writes, whatever time a connection has to wait."""
    file = tmp_path / "results.db"
    open_store(f"sqlite:///{file}").close()
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    ended.start()
    open_store(f"sqlite:///{file}").close()
    ended.join()
    other.close()
    with closing(sqlite3.connect(file)) as anybody:
        assert anybody.execute("PRAGMA journal_mode").fetchone() == ("wal",)

"""The environment: each variable, what it becomes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsweep.errors import SettingsError
from lrsweep.settings import Settings, make_homes, read_settings
from lrsweep.sweep.faults import Faults

NAMES = ("LRSWEEP_HOME", "LRSWEEP_DATA", "LRSWEEP_DATABASE_URL", "MLFLOW_TRACKING_URI", "LRSWEEP_FAULT")
EMPTY = dict.fromkeys(NAMES, "")


@pytest.mark.parametrize("environ", [{}, EMPTY], ids=["not set", "empty"])
def test_without_variables_all_lies_in_the_working_folder(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty variable counts as not set, and reading makes nothing."""
    monkeypatch.chdir(tmp_path)
    assert read_settings(environ) == Settings(tmp_path / ".lrsweep", None, None, Faults(), None)
    assert list(tmp_path.iterdir()) == []


def test_a_home_may_be_relative_or_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made absolute at once: a later change of the working folder does not move it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    assert read_settings({"LRSWEEP_HOME": "results"}).home == tmp_path / "results"
    assert read_settings({"LRSWEEP_HOME": "~/results"}).home == tmp_path / "ann" / "results"


def test_the_folder_of_data_sets_may_be_relative_or_begin_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made absolute at once and handed on to where engines are started; nothing makes it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    settings = read_settings({"LRSWEEP_DATA": "sets"})
    assert settings.data == tmp_path / "sets"
    assert make_homes(settings).data == tmp_path / "sets"
    assert not settings.data.exists()
    assert read_settings({"LRSWEEP_DATA": "~/sets"}).data == tmp_path / "ann" / "sets"


@pytest.mark.parametrize("given", [None, "results", "./.lrsweep"])
def test_a_ray_job_keeps_no_results_in_the_folder_that_ray_removes(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep would begin anew, and what had finished would be gone. What is only read may be looked for there."""
    copy = tmp_path / "session_2026" / "runtime_resources" / "working_dir_files" / "_ray_pkg_f05f"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    settings = read_settings({} if given is None else {"LRSWEEP_HOME": given})
    with pytest.raises(SettingsError, match=r"Ray has made for this job.*LRSWEEP_HOME.*--runtime-env-json"):
        make_homes(settings)
    assert not [*copy.iterdir()]
    assert make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path / "home")})).folder == tmp_path / "home"


def test_a_home_of_an_unknown_user_is_refused() -> None:
    """The text names the variable and its value."""
    with pytest.raises(SettingsError, match="LRSWEEP_HOME is '~nosuchuser/x', but there is no such user"):
        read_settings({"LRSWEEP_HOME": "~nosuchuser/x"})


@pytest.mark.parametrize("name", ["a?b", "a%41b"])
def test_a_home_that_no_address_can_name_is_refused(name: str) -> None:
    """SQLite would open ``a`` and ``aAb``."""
    with pytest.raises(SettingsError, match=r"has a \? or % in its path.* Set LRSWEEP_HOME to another folder"):
        read_settings({"LRSWEEP_HOME": f"/tmp/{name}"})


def test_one_home_holds_three_files_and_the_artifacts(tmp_path: Path) -> None:
    """Results, Optuna's copies and MLflow's runs; the folder is made, and git does not see what is in it."""
    home = tmp_path / "deep" / "home"
    homes = make_homes(read_settings({"LRSWEEP_HOME": str(home)}))
    assert homes.folder == home
    assert homes.results_url == f"sqlite:///{home}/results.db"
    assert homes.optuna_url == f"sqlite:///{home}/optuna.db"
    assert homes.mlflow_uri == f"sqlite:///{home}/mlflow.db"
    assert homes.artifact_root == home / "artifacts"
    assert (home / ".gitignore").read_text() == "*\n"
    make_homes(read_settings({"LRSWEEP_HOME": str(home)}))


def test_what_a_user_wrote_into_gitignore_stays(tmp_path: Path) -> None:
    """It is written once."""
    home = tmp_path / "home"
    make_homes(read_settings({"LRSWEEP_HOME": str(home)}))
    (home / ".gitignore").write_text("*.db\n")
    make_homes(read_settings({"LRSWEEP_HOME": str(home)}))
    assert (home / ".gitignore").read_text() == "*.db\n"


def test_a_folder_that_was_there_is_not_hidden_from_git(tmp_path: Path) -> None:
    """With the home in a repository's own folder, git would no longer see anything new."""
    make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path)}))
    assert list(tmp_path.iterdir()) == []


def test_a_tracking_server_of_the_users_own_wins(tmp_path: Path) -> None:
    """It also decides where artifacts lie, and the other files stay at home."""
    homes = make_homes(
        read_settings({"LRSWEEP_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "http://tracking.example:5000"})
    )
    assert homes.mlflow_uri == "http://tracking.example:5000"
    assert homes.artifact_root is None
    assert homes.results_url == f"sqlite:///{tmp_path}/results.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_postgresql_address_gets_a_schema_for_each_tool(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either spelling is read; the schemas are made before anyone connects to them. (No server is asked here.)"""
    made: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("lrsweep.settings.ensure_schemas", lambda url, schemas: made.append((url, schemas)))
    environ = {"LRSWEEP_HOME": str(tmp_path), "LRSWEEP_DATABASE_URL": f"{scheme}://ann@db.example/results"}
    settings = read_settings(environ)
    assert settings.database_url == "postgresql+psycopg://ann@db.example/results"
    homes = make_homes(settings)
    assert made == [("postgresql+psycopg://ann@db.example/results", ["lrsweep", "optuna", "mlflow"])]
    start = "postgresql+psycopg://ann@db.example/results?options=-csearch_path%3D"
    assert (homes.results_url, homes.optuna_url, homes.mlflow_uri) == (
        f"{start}lrsweep",
        f"{start}optuna",
        f"{start}mlflow",
    )
    assert homes.artifact_root == tmp_path / "artifacts"


@pytest.mark.parametrize(
    ("url", "kind", "guess"),
    [
        ("sqlite:////data/other.db", "sqlite", ""),
        ("mysql+pymysql://ann:hush@db.example/results", "mysql", ""),
        ("Postgres://ann:hush@db.example/results", "Postgres", " Did you mean 'postgres'?"),
    ],
)
def test_another_kind_of_database_is_refused_while_it_is_read(url: str, kind: str, guess: str) -> None:
    """PostgreSQL alone, for an SQLite file would move the results without their copies; nothing has been touched."""
    with pytest.raises(SettingsError) as caught:
        read_settings({"LRSWEEP_DATABASE_URL": url})
    assert str(caught.value) == (
        f"LRSWEEP_DATABASE_URL names a database of the kind {kind!r}; wanted is PostgreSQL: "
        f"postgresql://USER:PASSWORD@HOST/DATABASE.{guess} For files, unset it and set LRSWEEP_HOME to a folder."
    )


@pytest.mark.parametrize("url", ["hush", "ann:hush@db.example/results", "postgresql://ann:hush@db:port/results"])
def test_what_is_no_address_is_refused_without_being_shown(url: str) -> None:
    """A password may stand anywhere in it."""
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        read_settings({"LRSWEEP_DATABASE_URL": url})
    assert "hush" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file stands in its place; the text says which variable mends it."""
    (tmp_path / "home").write_text("I am a file.")
    with pytest.raises(SettingsError, match=r"the folder .*home cannot be written \(.+\)\. Set LRSWEEP_HOME") as caught:
        make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path / "home")}))
    assert caught.value.exit_code == 64


@pytest.mark.parametrize(("text", "time"), [("after-ask", 1), ("after-ask:", 1), ("after-ask:3", 3)])
def test_a_fault_is_a_point_and_how_often_it_is_passed(text: str, time: int) -> None:
    """The first time, unless a number says otherwise."""
    faults = read_settings({"LRSWEEP_FAULT": text}).faults
    assert (faults.point, faults.time) == ("after-ask", time)


@pytest.mark.parametrize("text", ["nowhere", "after-ask:x", "after-ask:0", "after-ask:-1", ":2"])
def test_a_fault_that_could_never_happen_is_refused(text: str) -> None:
    """A chaos test that kills nothing would pass for the wrong reason."""
    with pytest.raises(SettingsError, match=r"LRSWEEP_FAULT is .* wanted POINT, or POINT:N"):
        read_settings({"LRSWEEP_FAULT": text})


def test_a_mistyped_fault_gets_a_guess() -> None:
    """``after_commit`` is nearly a point."""
    with pytest.raises(SettingsError, match="Did you mean 'after-commit'"):
        read_settings({"LRSWEEP_FAULT": "after_commit:2"})


def test_a_fault_kills_at_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice it passes, the third time it is shot, and other points never are."""
    shots: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, signum: shots.append(signum))
    faults = Faults.parsed("after-commit:3")
    for _ in range(2):
        faults.passing("after-commit")
        faults.passing("after-ask")
    assert shots == []
    faults.passing("after-commit")
    assert len(shots) == 1
    faults.passing("after-commit")
    assert len(shots) == 1

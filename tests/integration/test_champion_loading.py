"""``lrsweep.load_choice`` and ``load_schedule``: from a file, from the results, from MLflow's registry."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import lrsweep
from lrsweep.champion.reading import LARGEST_TEXT, written
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import InvalidInput, SettingsError, StoreUnavailable, TrackingUnavailable
from lrsweep.store import open_store
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.tracking import Tracker
from lrsweep.tracking.server import MlflowServer
from tests.choices import choice

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own, with no results and no MLflow anywhere."""
    for name in ("LRSWEEP_HOME", "LRSWEEP_DATABASE_URL", "LRSWEEP_DATABASE_URL_FILE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(what: Any, **where: Any) -> str:
    with pytest.raises(SettingsError) as told:
        lrsweep.load_choice(what, **where)
    return str(told.value)


def put(path: Path, value: ChampionChoice) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written(value), encoding="utf-8")
    return path


def promote(home: Path, value: ChampionChoice, alias: Alias = Alias.CHAMPION) -> int:
    """The number of the row in the history."""
    home.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{home}/results.db")
    row = ChampionRow(value.name, alias, Action.PROMOTE, written(value), value.name, "sweep", 1)
    added, _ = store.champions.promote(row)
    store.close()
    return added.id


# ── a file ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_loaded_by_its_path(folder: Path) -> None:
    """As a text or as a path, with or without a folder; what is promoted fits in git."""
    file = put(folder / "schedules" / "digits.json", choice())
    assert lrsweep.load_choice("schedules/digits.json") == choice()
    assert lrsweep.load_choice(file) == choice()
    assert lrsweep.load_choice(file.rename(folder / "other.json").name) == choice()
    assert lrsweep.load_choice(put(folder / "without-ending", choice()).absolute()) == choice()


def test_a_file_that_is_not_there_is_told_with_those_beside_it(folder: Path) -> None:
    """A misspelt path should not take longer than reading one line."""
    put(folder / "schedules" / "digits.json", choice())
    told = refused("schedules/digit.json")
    assert "there is no file schedules/digit.json. Did you mean 'digits.json'? schedules has digits.json" in told
    assert "`lrsweep promote STUDY --to schedules/digit.json` writes one" in told
    assert "elsewhere has no .json file" in refused("elsewhere/x.json")
    assert "there is no file x.json. The working folder has no .json file." in refused("x.json")


def test_what_is_no_file_or_no_choice_is_refused(folder: Path) -> None:
    """A folder, a broken file, an endless one: each in a sentence with the path."""
    assert "cannot be read (Is a directory)" in refused(f"{folder}/")
    assert "there is no file" in refused("a\0.json")
    (folder / "broken.json").write_text('{"format": 1, "name": "x"')
    with pytest.raises(InvalidInput, match=r"broken\.json: this is not JSON"):
        lrsweep.load_choice("broken.json")
    with pytest.raises(InvalidInput, match="/dev/zero: it has"):
        lrsweep.load_choice("/dev/zero")


def test_a_file_needs_numpy_alone(folder: Path) -> None:
    """A training machine may have neither MLflow nor SQLAlchemy; rates are computed without PyTorch."""
    put(folder / "schedules" / "digits.json", choice())
    hidden = "'torch', 'mlflow', 'sqlalchemy', 'optuna', 'pydantic', 'rich', 'typer', 'pandas', 'alembic'"
    code = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
for name in ({hidden}):
    sys.modules[name] = None  # importing it raises
import lrsweep
for what in ("schedules/digits.json", "digits"):
    assert lrsweep.load_choice(what).rates()[0] == 0.4
assert lrsweep.load_choice("digits").peak_at(2400) == 0.2
print(repr(lrsweep.load_choice("digits")))
try:
    lrsweep.load_choice("nothing")
except lrsweep.LrsweepError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("<choice 'digits'")
    assert "results: not looked at, as" in ran.stdout
    assert "is not installed" in ran.stdout


# ── a name ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_is_what_is_in_force_in_the_results(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest promotion, newer than a file of that name; an alias or a number of the history names others."""
    home = folder / "home"
    first = promote(home, choice(peak_lr=0.1))
    promote(home, choice(peak_lr=0.2))
    promote(home, choice(peak_lr=0.3), Alias.CANDIDATE)
    put(folder / "schedules" / "digits.json", choice(peak_lr=9.0))
    monkeypatch.setenv("LRSWEEP_HOME", str(home))
    peaks = {what: lrsweep.load_choice(what).peak_lr for what in ("digits", "digits@champion", "digits@candidate")}
    assert peaks == {"digits": 0.2, "digits@champion": 0.2, "digits@candidate": 0.3}
    assert lrsweep.load_choice(f"digits@{first}").peak_lr == 0.1


def test_home_and_url_say_where_the_results_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They win over the environment; both at once contradict each other."""
    promote(folder / "one", choice(peak_lr=0.1))
    promote(folder / "other", choice(peak_lr=0.2))
    monkeypatch.setenv("LRSWEEP_HOME", str(folder / "one"))
    assert lrsweep.load_choice("digits").peak_lr == 0.1
    assert lrsweep.load_choice("digits", home=folder / "other").peak_lr == 0.2
    assert lrsweep.load_choice("digits", url=f"sqlite:///{folder}/other/results.db").peak_lr == 0.2
    with pytest.raises(InvalidInput, match="home and url are both given"):
        lrsweep.load_choice("digits", home=folder, url="sqlite:///x.db")


def test_a_name_that_the_results_do_not_know_is_a_file_of_the_working_folder(folder: Path) -> None:
    """A checkout on a training machine has ``schedules/``, and no results."""
    put(folder / "schedules" / "digits.json", choice(peak_lr=9.0))
    assert lrsweep.load_choice("digits").peak_lr == 9.0
    promote(folder / ".lrsweep", choice(name="another"))
    assert lrsweep.load_choice("digits").peak_lr == 9.0


def test_what_is_nowhere_is_told_with_every_place(folder: Path) -> None:
    """The database by its address, the file by its path; and nothing is made by looking."""
    told = refused("digits")
    assert "there is no choice 'digits'. Looked at:" in told
    assert f"{folder}/.lrsweep/results.db: there are no results" in told
    assert f"schedules/digits.json in {folder}: there is no such file" in told
    assert "`lrsweep promote STUDY` makes one" in told
    assert list(folder.iterdir()) == []


def test_a_row_of_another_name_is_none_of_this_one(folder: Path) -> None:
    """Numbers run over all names; those that there are are listed."""
    number = promote(folder / ".lrsweep", choice(name="digits"))
    assert "nothing was promoted under the name 'digit'. Did you mean 'digits'? There are: digits." in refused(
        f"digit@{number}"
    )


def test_a_champion_that_was_demoted_is_not_replaced_by_its_file(folder: Path) -> None:
    """Somebody took it out of force; its file is named, not used."""
    home = folder / ".lrsweep"
    number = promote(home, choice())
    promote(home, choice(peak_lr=0.3), Alias.CANDIDATE)
    store = open_store(f"sqlite:///{home}/results.db")
    store.champions.demote("digits", Alias.CHAMPION)
    store.close()
    put(folder / "schedules" / "digits.json", choice())
    told = refused("digits")
    assert "it has no champion in force; in force is digits@candidate" in told
    assert f"(digits@{number}, " in told
    assert "schedules/digits.json: it is there, and is read by that path alone" in told
    assert "its history has digits@1, digits@2" in refused("digits@77")


@pytest.mark.parametrize("what", ["", "a b", "../x@champion", "digits@", "@champion", "x" * 101, "digits@a b"])
def test_what_can_be_no_name_is_told_with_what_can(what: str) -> None:
    """No name reaches a path or a query that it should not."""
    told = refused(what)
    assert "names no choice. Wanted is a name such as digits" in told or "there is no file" in told


def test_an_alias_that_does_not_exist_is_refused() -> None:
    """There are two."""
    assert "not 'campion'. Did you mean 'champion'?" in refused("digits@campion")
    with pytest.raises(InvalidInput, match="wanted a name, a path or"):
        lrsweep.load_choice(7)  # type: ignore[arg-type]


def test_a_database_that_is_away_is_said_with_the_file_that_needs_none(folder: Path) -> None:
    """What is in force is then not known: an older file is not taken silently."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(StoreUnavailable) as told:
        lrsweep.load_choice("digits", url=url)
    assert "load_choice(" not in str(told.value)
    put(folder / "schedules" / "digits.json", choice())
    with pytest.raises(StoreUnavailable, match=r"load_choice\('schedules/digits.json'\), which is there"):
        lrsweep.load_choice("digits", url=url)


def test_the_schedule_alone_says_what_it_leaves_behind(folder: Path) -> None:
    """The shape without its peak rate is half of the answer."""
    put(folder / "schedules" / "digits.json", choice())
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert lrsweep.load_schedule("digits") == lrsweep.schedule("linear")
    [said] = found
    assert said.filename == __file__
    assert str(said.message) == (
        "load_schedule gives the shape of 'digits' alone. It was found with the peak 0.4, sgd, batches of 64 and 600 "
        "steps, which lrsweep.load_choice keeps with it"
    )


# ── MLflow's registry ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose MLflow has two versions of ``digits``, and models that are no choices."""
    home = tmp_path_factory.mktemp("home")
    Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts")
    fill(f"sqlite:///{home}/mlflow.db", "digits", "forest", "large", (home / "artifacts").as_uri())
    return home


def fill(uri: str, choices: str, other: str, large: str, artifacts: str | None) -> None:
    """Registers two choices under one name, a model of another kind, and a file that is too large."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    run = client.create_run(client.create_experiment(choices, artifact_location=artifacts))

    def version(name: str, file: str, text: str) -> None:
        client.log_text(run.info.run_id, text, f"{name}-{len(text)}/{file}")
        client.log_text(run.info.run_id, "raise SystemExit", f"{name}-{len(text)}/python_model.py")
        client.create_model_version(name, f"{run.info.artifact_uri}/{name}-{len(text)}", run_id=run.info.run_id)

    for name in (choices, other, large):
        client.create_registered_model(name)
    version(choices, "choice.json", written(choice(peak_lr=0.1)))
    version(choices, "choice.json", written(choice(peak_lr=0.25)))
    version(other, "MLmodel", "flavors: {}")
    version(large, "choice.json", " " * (LARGEST_TEXT + 1))
    client.set_registered_model_alias(choices, "champion", "2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server that keeps artifacts itself, with the same under other names."""
    home = tmp_path_factory.mktemp("server")
    Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts")
    destination = str(home / "artifacts")
    with (
        pytest.MonkeyPatch.context() as patch,
        MlflowServer(f"sqlite:///{home}/mlflow.db", destination, port=0) as running,
    ):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        fill(running.url, "remote", "trees", "long", "mlflow-artifacts:/remote")
        yield running.url


def test_the_registry_of_a_home_is_read_by_alias_and_by_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``home`` and ``LRSWEEP_HOME`` alike."""
    assert lrsweep.load_choice("models:/digits@champion", home=home).peak_lr == 0.25
    monkeypatch.setenv("LRSWEEP_HOME", str(home))
    assert lrsweep.load_choice("models:/digits/1").peak_lr == 0.1


def test_a_server_is_asked_over_http(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its artifacts come through it; the client needs no access to where they lie, and makes nothing but its home."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert lrsweep.load_choice("models:/remote@champion").peak_lr == 0.25
    assert lrsweep.load_choice("models:/remote/1").peak_lr == 0.1
    assert "there is no models:/remote@candidate in MLflow" in refused("models:/remote@candidate")
    assert "holds no choice.json" in refused("models:/trees/1")
    with pytest.raises(InvalidInput, match="bytes, and a choice 16,777,216 at most"):
        lrsweep.load_choice("models:/long/1")
    assert not list(folder.glob("**/choice.json"))


def test_what_the_registry_lacks_is_told_with_what_it_has(home: Path) -> None:
    """Aliases of the name, names of the registry, and files that are no choice."""
    assert "'digits' has champion (version 2)" in refused("models:/digits@candidate", home=home)
    assert "'digits' has champion (version 2)" in refused("models:/digits/3", home=home)
    assert "Registered are digits, forest, large. Did you mean 'digits'? `lrsweep" in refused(
        "models:/digit@champion", home=home
    )
    assert "Registered are digits, forest, large. `lrsweep" in refused("models:/nix@champion", home=home)
    assert "holds no choice.json: it is a model of another kind" in refused("models:/forest/1", home=home)
    with pytest.raises(InvalidInput, match=r"choice.json has 16,777,217 bytes, and a choice 16,777,216 at most"):
        lrsweep.load_choice("models:/large/1", home=home)


@pytest.mark.parametrize("what", ["models:/digits", "models:/digits@", "models:/a/b/c", "models:/digits/latest"])
def test_an_address_that_is_none_of_the_registry_is_refused(what: str, home: Path) -> None:
    """The two forms are shown."""
    assert "wanted is models:/NAME@champion or models:/NAME/3" in refused(what, home=home)


def test_a_registry_that_is_not_there_is_said_and_none_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in an empty home nor at an address where nobody answers."""
    assert f"there is no MLflow in {folder}/.lrsweep" in refused("models:/digits@champion")
    assert list(folder.iterdir()) == []
    with pytest.raises(InvalidInput, match="url names a database of results"):
        lrsweep.load_choice("models:/digits@champion", url="sqlite:///x.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(TrackingUnavailable):
        lrsweep.load_choice("models:/digits@champion")


def test_the_file_is_plain_json_for_other_programs(folder: Path) -> None:
    """Any reader of JSON gets at the peak."""
    file = put(folder / "digits.json", choice())
    assert json.loads(file.read_text())["peak_lr"] == 0.4

"""Champions beyond the store: a real MLflow's registry over HTTP, a backup, a check, and what prune leaves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from lrsweep.champion.reading import from_json, written
from lrsweep.champion.registry import Registry, digest_of
from lrsweep.cli.promoting.drawing import told
from lrsweep.cli.prune import delete
from lrsweep.cli.sync import sync_results
from lrsweep.errors import TryAgain
from lrsweep.executors.local import LocalExecutor
from lrsweep.findings.choosing import choose_in
from lrsweep.findings.promoting.demoted import demote
from lrsweep.findings.promoting.promoted import Promotion, Wanted, promote
from lrsweep.records import SweepRow, SweepStatus
from lrsweep.settings import read_settings
from lrsweep.store import Store, open_store
from lrsweep.store.backups import back_up, restore
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.store.upkeep import check_store, upgrade_store
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import NOTHING, register, waiting
from lrsweep.sweep.removing import old_results
from lrsweep.tracking import Tracker
from lrsweep.tracking.server import MlflowServer
from tests.choices import choice
from tests.old_databases import make_old_database
from tests.promoted import STUDY, ended_in_a_home, noisy

LATER = 1e12


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server."""
    home = tmp_path_factory.mktemp("mlflow")
    Tracker.connect(f"sqlite:///{home}/mlflow.db", artifact_root=home / "artifacts")
    with MlflowServer(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"), port=0) as running:
        yield running.url


@pytest.fixture
def swept(tmp_path: Path) -> Homes:
    """A home with a sweep that has ended, of a study with a name of its own: tests share the registry. No MLflow."""
    home = ended_in_a_home(tmp_path / "swept", replace(STUDY, name=f"study-{tmp_path.name}"[:60]), noisy)
    return Homes(home, f"sqlite:///{home}/results.db", f"sqlite:///{home}/optuna.db", "http://127.0.0.1:9", None)


@pytest.fixture
def place(swept: Homes, tracked: str) -> Homes:
    """The same beside a real MLflow."""
    return replace(swept, mlflow_uri=tracked)


@pytest.fixture
def store(swept: Homes) -> Iterator[Store]:
    opened = open_store(swept.results_url)
    yield opened
    opened.close()


@pytest.fixture
def client(tracked: str) -> MlflowClient:
    return MlflowClient(tracked, tracked)


def name_of(store: Store) -> str:
    return store.studies()[0].name


def nobody() -> LocalExecutor:
    raise AssertionError("nothing is trained here")


def promoted(store: Store, homes: Homes, alias: Alias = Alias.CHAMPION, said: list[str] | None = None) -> Promotion:
    """As what, is said: the study's name decides its seeds, and they the evidence."""
    say = (lambda _: None) if said is None else said.append
    return promote(store, homes, Wanted(name_of(store), alias=alias, reads_test=False), nobody, say)


def another(store: Store, peak_lr: float) -> ChampionRow:
    """A row of another choice of the same sweep."""
    name = name_of(store)
    [sweep] = store.sweeps(name)
    text = written(choice(name=name, peak_lr=peak_lr))
    row, _ = store.champions.promote(ChampionRow(name, Alias.CHAMPION, Action.PROMOTE, text, name, sweep.sweep_id, 1))
    return row


def synced(homes: Homes, name: str | None, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What ``lrsweep sync --json`` prints."""
    capsys.readouterr()
    sync_results(homes, name, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_promotion_is_a_version_with_the_choice_as_its_artifact(
    store: Store, place: Homes, client: MlflowClient, tmp_path: Path
) -> None:
    """Under the alias; the JSON that MLflow gives back is the row's, and is read as the choice."""
    found = promoted(store, place)
    name = name_of(store)
    assert (found.row.mlflow_version, found.outage) == ("1", None)
    assert aliases(client, name) == {"champion": "1"}
    version = client.get_model_version_by_alias(name, "champion")
    assert version.tags["lrsweep.study"] == name
    assert version.tags["lrsweep.evidence"] == json.loads(found.row.choice or "")["evidence"]["evidence"]
    assert version.tags["lrsweep.choice"] == digest_of(found.row.choice or "")
    assert version.run_id is not None
    assert version.source is not None
    run = client.get_run(version.run_id)
    assert run.data.tags["lrsweep.sweep"] == found.row.sweep_id
    assert run.info.status != "RUNNING" or store.sweep("sweep-1").status is SweepStatus.RUNNING
    artifact = version.source.removeprefix(f"{run.info.artifact_uri}/")
    file = client.download_artifacts(version.run_id, f"{artifact}/choice.json", str(tmp_path))
    assert Path(file).read_text() == found.row.choice
    assert from_json(Path(file).read_text(), "MLflow").name == name


def test_the_same_choice_has_one_version_whatever_it_is_promoted_as(
    store: Store, place: Homes, client: MlflowClient
) -> None:
    """Two rows, one version under two aliases."""
    promoted(store, place)
    promoted(store, place)
    found = promoted(store, place, Alias.CANDIDATE)
    assert found.row.mlflow_version == "1"
    name = name_of(store)
    assert aliases(client, name) == {"champion": "1", "candidate": "1"}
    assert len(client.search_model_versions(f"name = '{name}'")) == 1


def test_the_alias_follows_promotions_and_demotions(store: Store, place: Homes, client: MlflowClient) -> None:
    """To the second version, back to the first, and away; versions stay."""
    promoted(store, place)
    name = name_of(store)
    another(store, 0.25)
    assert register(place, store, name, say=print).versions == {2: "2"}
    assert aliases(client, name) == {"champion": "2"}
    assert demote(store, place, name, Alias.CHAMPION, None, print).row.mlflow_version == "1"
    assert aliases(client, name) == {"champion": "1"}
    assert demote(store, place, name, Alias.CHAMPION, None, print).row.mlflow_version == NOTHING
    assert aliases(client, name) == {}
    assert len(client.search_model_versions(f"name = '{name}'")) == 2
    assert waiting(store) == []


def test_what_mlflow_missed_is_sent_by_sync(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every choice of a time in which it was away becomes a version; the alias is on the newest."""
    away = replace(place, mlflow_uri="http://127.0.0.1:9")
    assert "Connection refused" in (promoted(store, away).outage or "")
    another(store, 0.25)
    name = name_of(store)
    store.release_lease(store.acquire_lease(name, "nobody", seconds=60))
    sync_results(place, name, as_json=True)
    assert json.loads(capsys.readouterr().out)["champions"]["sent"] == 2
    assert aliases(client, name) == {"champion": "2"}
    assert [row.mlflow_version for row in store.champions.rows()] == ["1", "2"]
    sync_results(place, name, as_json=True)
    assert "champions" not in json.loads(capsys.readouterr().out)


def test_a_kill_after_a_version_was_made_makes_no_second_one(
    store: Store, place: Homes, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is found by what it holds, the alias is set, and the row marked."""

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "point", killed)
        with pytest.raises(SystemExit):
            promoted(store, place)
    name = name_of(store)
    assert (aliases(client, name), len(waiting(store))) == ({}, 1)
    found = promoted(store, place)
    assert (found.is_new, found.row.mlflow_version) == (False, "1")
    assert aliases(client, name) == {"champion": "1"}
    assert len(client.search_model_versions(f"name = '{name}'")) == 1


def test_of_two_that_promote_at_once_the_later_row_has_the_alias(
    store: Store, place: Homes, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sets its alias after the second did: it looks again, and sets the second's."""
    original = Registry.point
    overtaken: list[ChampionRow] = []

    def late(self: Registry, name: str, *rest: Any) -> Any:
        if not overtaken:  # another process promotes and registers in this moment
            overtaken.append(another(store, 0.25))
            register(place, store, name, say=print)
        return original(self, name, *rest)

    monkeypatch.setattr(Registry, "point", late)
    promoted(store, place)
    name = name_of(store)
    newest = store.champions.rows(name)[-1]
    assert newest.id == overtaken[0].id
    assert aliases(client, name) == {"champion": newest.mlflow_version}
    held = client.get_model_version_by_alias(name, "champion")
    assert held.tags["lrsweep.choice"] == digest_of(newest.choice or "")


def test_somebody_elses_model_of_that_name_is_left_alone(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is no outage: it is told, the row stands, and sync ends well. Once the model is lrsweep's, sync sends it."""
    name = name_of(store)
    client.create_registered_model(name)
    said: list[str] = []
    found = promoted(store, place, said=said)
    [refusal] = [each for each in said if "registry" in each]
    assert f"MLflow's registry has a model {name!r} that is not lrsweep's" in refusal
    assert (found.row.mlflow_version, found.outage) == (None, None)
    assert "MLflow's registry does not take it" in told(found)[-1]
    assert client.search_model_versions(f"name = '{name}'") == []
    champions = synced(place, name, capsys)["champions"]
    assert champions == {"sent": 0, "left": 1, "aliases": 0, "outage": None, "refused": [refusal]}
    client.set_registered_model_tag(name, "lrsweep.kind", "champion")
    assert synced(place, name, capsys)["champions"]["sent"] == 1
    assert aliases(client, name) == {"champion": "1"}


@pytest.mark.parametrize("forbidden", ["create_registered_model", "create_model_version", "set_registered_model_alias"])
def test_a_server_that_forbids_the_registry_is_told_once(
    store: Store, place: Homes, forbidden: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, the promotion stands, and sync ends well."""

    def denied(*_: object, **__: object) -> None:
        raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(MlflowClient, forbidden, denied)
    said: list[str] = []
    found = promoted(store, place, said=said)
    [refusal] = [each for each in said if "keep versions in the model registry" in each]
    assert found.is_new
    assert (found.row.mlflow_version, found.outage) == (None, None)
    champions = synced(place, None, capsys)["champions"]
    assert champions == {"sent": 0, "left": 1, "aliases": 0, "outage": None, "refused": [refusal]}
    sync_results(place, None, as_json=False)
    assert capsys.readouterr().out == "champions: 0 sent to MLflow's registry, 1 left\n"


# ── two homes, one MLflow ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def bob(store: Store, place: Homes, tmp_path: Path) -> Iterator[tuple[Store, Homes]]:
    """Results of his own, with a sweep of the same study that has nothing to send, beside the same MLflow."""
    homes = replace(place, folder=tmp_path / "bob", results_url=f"sqlite:///{tmp_path}/bob.db")
    opened = open_store(homes.results_url)
    [row] = store.studies()
    lease = opened.acquire_lease(row.name, "bob", seconds=60)
    opened.register_study(lease, row)
    opened.create_sweep(lease, SweepRow("sweep-of-bob", row.name, row.generation))
    opened.update_sweep(lease, "sweep-of-bob", status=SweepStatus.STOPPED)
    opened.release_lease(lease)
    yield opened, homes
    opened.close()


def test_two_homes_with_one_mlflow_leave_each_others_champion_in_force(
    store: Store, place: Homes, client: MlflowClient, bob: tuple[Store, Homes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who comes second gets a version and is told; his demotion takes nothing away; when the first is gone, sync sets
    his."""
    theirs, his = bob
    promoted(store, place)
    name = name_of(store)
    another(theirs, 0.25)
    said: list[str] = []
    found = register(his, theirs, name, say=said.append)
    assert (dict(found.versions), found.left, found.outage, found.refused) == ({1: "2"}, 0, None, tuple(said))
    [sentence] = said
    assert f"the champion of {name!r} in MLflow's registry is version 1" in sentence
    assert "`lrsweep sync` sets it to version 2" in sentence
    assert aliases(client, name) == {"champion": "1"}
    said.clear()
    demote(theirs, his, name, Alias.CHAMPION, None, said.append)
    assert len(said) == 1
    assert aliases(client, name) == {"champion": "1"}
    another(theirs, 0.3)
    register(his, theirs, name, say=said.append)
    demote(store, place, name, Alias.CHAMPION, None, print)
    assert aliases(client, name) == {}
    capsys.readouterr()
    sync_results(his, None, as_json=False)
    assert capsys.readouterr().out == "champions: 1 alias set anew in MLflow's registry\n"
    assert aliases(client, name) == {"champion": "3"}


def test_an_alias_on_a_version_that_no_sweep_made_is_left_alone(
    store: Store, place: Homes, client: MlflowClient
) -> None:
    """Made by hand in MLflow: whoever did so meant it."""
    promoted(store, place)
    name = name_of(store)
    version = client.get_model_version(name, "1")
    assert version.source is not None
    client.create_model_version(name, version.source, run_id=version.run_id)
    client.set_registered_model_alias(name, "champion", "2")
    said: list[str] = []
    demote(store, place, name, Alias.CHAMPION, None, said.append)
    assert "version 2, which these results do not know" in said[0]
    assert aliases(client, name) == {"champion": "2"}


# ── what this MLflow has lost, or never had ──────────────────────────────────────────────────────────────────────────
def test_sync_sends_what_is_in_force_to_an_mlflow_that_lacks_it(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a restore beside another one: the rows say that it was sent. What is in force alone comes there, once;
    its rows say the new number, and the others none."""
    promoted(store, place)
    name = name_of(store)
    another(store, 0.25)
    another(store, 0.3)
    register(place, store, name, say=print)
    demote(store, place, name, Alias.CHAMPION, None, print)
    client.delete_registered_model(name)
    assert waiting(store) == []
    sync_results(place, None, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "champions: 2 sent to MLflow's registry"
    assert [row.mlflow_version for row in store.champions.rows()] == [NOTHING, "1", NOTHING, "1"]
    held = client.get_model_version_by_alias(name, "champion")
    assert held.tags["lrsweep.choice"] == digest_of(store.champions.rows()[-1].choice or "")
    assert "champions" not in synced(place, None, capsys)
    assert len(client.search_model_versions(f"name = '{name}'")) == 1


def test_an_alias_that_went_astray_is_set_again_by_sync(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deleted, or moved to another version of these results: the store says what is in force."""
    promoted(store, place)
    name = name_of(store)
    another(store, 0.25)
    register(place, store, name, say=print)
    client.delete_registered_model_alias(name, "champion")
    assert synced(place, name, capsys)["champions"]["aliases"] == 1
    assert aliases(client, name) == {"champion": "2"}
    client.set_registered_model_alias(name, "champion", "1")
    synced(place, name, capsys)
    assert aliases(client, name) == {"champion": "2"}


def test_sync_makes_nothing_for_a_name_that_has_nothing_in_force(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where this MLflow lacks the model."""
    promoted(store, place)
    name = name_of(store)
    demote(store, place, name, Alias.CHAMPION, None, print)
    client.delete_registered_model(name)
    assert "champions" not in synced(place, None, capsys)
    assert client.search_registered_models(f"name = '{name}'") == []


def test_a_champion_that_was_sent_does_not_wait_for_an_mlflow_that_is_away(
    store: Store, place: Homes, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is of the sweep alone that it is still to be asked whether this MLflow has it."""
    promoted(store, place)
    name = name_of(store)
    synced(place, name, capsys)
    with pytest.raises(TryAgain, match="of 1 sweep is still to be asked"):
        sync_results(replace(place, mlflow_uri="http://127.0.0.1:9"), name, as_json=True)
    assert "champions" not in json.loads(capsys.readouterr().out)


def test_a_registry_that_fails_while_it_gets_what_it_lost_is_an_outage(
    store: Store, place: Homes, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 75, though no row is marked as waiting."""
    promoted(store, place)
    client.delete_registered_model(name_of(store))

    def fails(*_: object, **__: object) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(MlflowClient, "create_registered_model", fails)
    with pytest.raises(TryAgain, match="champions are still to be registered"):
        sync_results(place, None, as_json=True)


def test_sync_leaves_a_study_that_is_driven_to_its_driver(
    store: Store, place: Homes, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a new MLflow its driver makes the sweep's run; two would make two."""
    promoted(store, place)
    name = name_of(store)
    client.delete_registered_model(name)
    lease = store.acquire_lease(name, "ann's process", seconds=60)
    assert "champions" not in synced(place, name, capsys)
    store.release_lease(lease)
    assert synced(place, name, capsys)["champions"]["sent"] == 1


def test_results_that_lie_beside_another_mlflow_get_their_version_there(
    store: Store, place: Homes, client: MlflowClient
) -> None:
    """As after a restore: what is in force is registered anew with the next change."""
    promoted(store, place)
    store.champions.mark_registered(1, "41")  # of the other MLflow
    name = name_of(store)
    [version] = client.search_model_versions(f"name = '{name}'")
    client.delete_model_version(name, version.version)
    promoted(store, place, Alias.CANDIDATE)
    assert aliases(client, name) == {"champion": "2", "candidate": "2"}


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_backup_brings_champions_and_reads_back(
    database_url: str, swept: Homes, store: Store, tmp_path: Path
) -> None:
    """Into either kind of database; the next row finds its number free."""
    row = another(store, 0.25)
    store.champions.demote(row.name, Alias.CHAMPION)
    before = store.champions.rows()
    back_up(swept.results_url, tmp_path / "saved.zip")
    restore(database_url, tmp_path / "saved.zip")
    restored = open_store(database_url)
    assert restored.champions.rows() == before
    assert restored.champions.promote(replace(row, id=0))[0].id > before[-1].id
    restored.close()


def test_the_check_names_a_choice_that_cannot_be_read(swept: Homes, store: Store) -> None:
    """By its row and name."""
    row = another(store, 0.25)
    found = check_store(swept.results_url)
    assert found is not None
    assert (found.problems, found.rows["champion"]) == ((), 1)
    with closing(sqlite3.connect(swept.folder / "results.db")) as file, file:
        file.execute("UPDATE lrs_champion SET choice = '{'")
    found = check_store(swept.results_url)
    assert found is not None
    [problem] = found.problems
    assert f"row {row.id} of lrs_champion, of {row.name!r}, cannot be read" in problem


@pytest.mark.parametrize("version", ["0001", "0003"])
def test_an_older_database_can_promote_after_its_upgrade(database_url: str, version: str) -> None:
    """The tables are there, and empty."""
    make_old_database(database_url, version)
    upgrade_store(database_url)
    store = open_store(database_url)
    assert (store.champions.rows(), store.champions.test_reads()) == ([], [])
    text = written(choice())
    assert store.champions.promote(ChampionRow("d", Alias.CHAMPION, Action.PROMOTE, text, "d", "s", 0))[1]
    store.close()


# ── prune ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_prune_leaves_what_a_champion_rests_on(store: Store) -> None:
    """Whatever is to be kept beside; a candidate's too, and one that a demotion would bring back."""
    name = name_of(store)
    _, chosen = choose_in(store, name, worth=None)
    trial = json.loads(chosen.recommended.point.beside)["trial"]
    [sweep] = store.sweeps(name)
    lease = store.acquire_lease(name, "ann", seconds=60)
    store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED)
    store.release_lease(lease)
    [everything] = old_results(store, before=LATER, keep=())
    assert (everything.kept, trial in everything.trials) == ((), True)
    row = ChampionRow(name, Alias.CANDIDATE, Action.PROMOTE, written(choice()), name, sweep.sweep_id, trial)
    store.champions.promote(row)
    [found] = old_results(store, before=LATER, keep=())
    assert found.kept == (trial,)
    assert sweep.mlflow_run_id not in found.runs
    store.champions.promote(replace(row, choice=written(choice(peak_lr=0.1)), sweep_id="another", trial=0))
    [found] = old_results(store, before=LATER, keep=())
    assert found.kept == (trial,)
    store.champions.demote(name, Alias.CANDIDATE)
    store.champions.demote(name, Alias.CANDIDATE)
    [found] = old_results(store, before=LATER, keep=())
    assert found.kept == ()


def test_delete_says_that_a_champion_rests_on_it(store: Store, place: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the choice itself stays in force."""
    row = another(store, 0.25)
    said: list[str] = []
    settings = read_settings({"LRSWEEP_HOME": str(place.folder), "MLFLOW_TRACKING_URI": place.mlflow_uri})
    delete(settings, row.name, None, is_sure=True, say=said.append)
    assert any(f"what the champion of {row.name!r} rests on is in it" in each for each in said)
    assert store.studies() == []
    assert [each.choice for each in store.champions.rows()] == [row.choice]

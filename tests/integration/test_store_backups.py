"""A backup brings everything back, from either kind of database into either kind; what is not sound is found."""

from __future__ import annotations

import errno
import json
import os
import re
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lrsweep.errors import SettingsError, StoreUnavailable
from lrsweep.records import Curve, Outcome, Status, TrialRow
from lrsweep.store import open_store, upkeep, with_schema
from lrsweep.store.backups import back_up, restore
from lrsweep.store.probing import probe
from lrsweep.store.upkeep import check_store, upgrade_store
from tests.databases import administer
from tests.old_databases import make_old_database


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The backup of a database with rows in every table."""
    url = f"sqlite:///{tmp_path}/first/results.db"
    make_old_database(url, "0003")
    upgrade_store(url)
    back_up(url, tmp_path / "saved.zip")
    return tmp_path / "saved.zip"


def tables_of(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".jsonl")}


def test_a_backup_goes_from_one_kind_of_database_to_the_other_and_back(
    saved: Path, database_url: str, tmp_path: Path
) -> None:
    """Every row of every table, byte for byte; without the lease; and the next row finds its number free."""
    made = restore(database_url, saved)
    assert dict(made.rows) == {
        "lrs_study": 1,
        "lrs_sweep": 1,
        "lrs_trial": 2,
        "lrs_training": 2,
        "lrs_curve": 1,
        "lrs_example_losses": 0,
        "lrs_event": 4,
        "lrs_numbers": 0,
        "lrs_champion": 0,
        "lrs_test_read": 0,
        "lrs_token": 0,
        "lrs_night": 0,
        "lrs_night_training": 0,
        "lrs_registered": 0,
        "lrs_queued": 0,
    }
    back_up(database_url, tmp_path / "again.zip")
    assert tables_of(tmp_path / "again.zip") == tables_of(saved)
    store = open_store(database_url)
    assert store.holders() == {}
    lease = store.acquire_lease("old", "bob", seconds=60)
    store.queue_again(lease, "t1", reason="restored")
    assert [event.kind for event in store.events("old")][-2:] == ["lease_acquired", "training_queued_again"]
    store.close()
    found = check_store(database_url)
    assert found is not None
    assert found.problems == ()


def test_a_backup_has_the_losses_of_examples(saved: Path, database_url: str, tmp_path: Path) -> None:
    """To the bit, out of either kind of database and into another."""
    restore(database_url, saved)
    losses = np.array([0.1, 1e-9, 30.0], dtype=np.float32)
    store = open_store(database_url)
    lease = store.acquire_lease("old", "bob", seconds=60)
    done = Outcome(Status.COMPLETED, 200, 1.0, {"decide_loss": 10.03}, example_losses=losses)
    store.end_training(lease, "t1", 1, done, Curve.empty())
    store.close()
    assert back_up(database_url, tmp_path / "with-losses.zip").rows["lrs_example_losses"] == 1
    other = f"sqlite:///{tmp_path}/other/results.db"
    restore(other, tmp_path / "with-losses.zip")
    store = open_store(other)
    assert {name: found.tolist() for name, found in store.example_losses("s1").items()} == {"t1": losses.tolist()}
    store.close()


def test_a_backup_of_an_older_schema_comes_back_as_the_newest(database_url: str, tmp_path: Path) -> None:
    """So a backup can be made before an upgrade, and be used after it."""
    old = f"sqlite:///{tmp_path}/old/results.db"
    make_old_database(old, "0001")
    assert back_up(old, tmp_path / "old.zip").schema == "0001"
    restore(database_url, tmp_path / "old.zip")
    store = open_store(database_url)
    assert [row.status for row in store.trainings("old")] == [Status.COMPLETED, Status.RUNNING]
    store.close()


def test_a_backup_goes_into_an_empty_place_only(saved: Path, database_url: str) -> None:
    """Tables without rows, which looking makes, are empty; one row is not."""
    store = open_store(database_url)
    store.close()
    restore(database_url, saved)
    with pytest.raises(SettingsError, match=r"there are results in .* already \(in lrs_event, .*lrs_training"):
        restore(database_url, saved)


def test_a_backup_is_not_written_over_and_leaves_no_half(saved: Path, tmp_path: Path) -> None:
    """A file that is there stays; nothing is saved of a place without results."""
    before = saved.read_bytes()
    with pytest.raises(SettingsError, match="is there already"):
        back_up(f"sqlite:///{tmp_path}/first/results.db", saved)
    assert saved.read_bytes() == before
    with pytest.raises(SettingsError, match="nothing to back up"):
        back_up(f"sqlite:///{tmp_path}/none/results.db", tmp_path / "none.zip")
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["saved.zip"]


def test_a_backup_that_cannot_be_written_blames_its_own_file(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not there, one that is a file, and a full disk: the database is well."""
    url = f"sqlite:///{tmp_path}/first/results.db"
    for file, reason in ((tmp_path / "none" / "b.zip", errno.ENOENT), (saved / "b.zip", errno.ENOTDIR)):
        says = re.escape(f"the backup {file} cannot be written: {os.strerror(reason)}.")
        with pytest.raises(SettingsError, match=says):
            back_up(url, file)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(SettingsError, match=r"b\.zip cannot be written: No space left on device"):
        back_up(url, tmp_path / "b.zip")
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["saved.zip"]


def test_looking_for_results_makes_none(database_url: str, tmp_path: Path) -> None:
    """Neither a check nor a backup makes a file, a folder or a schema."""
    for _ in range(2):
        assert check_store(database_url) is None
        with pytest.raises(SettingsError, match=r"there are no results in .*: nothing to back up"):
            back_up(database_url, tmp_path / "none.zip")
    assert list(tmp_path.iterdir()) == []
    assert probe(database_url).schema is None


def changed(saved: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The backup with one of its files changed."""
    target = saved.with_name("changed.zip")
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(target, "w") as copy:
        for each in archive.namelist():
            copy.writestr(each, change(archive.read(each)) if each == name else archive.read(each))
    return target


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("lrs_trial.jsonl", lambda data: data.replace(b"0.25", b"0.26"), "damaged: table lrs_trial has 2 rows"),
        ("lrs_trial.jsonl", lambda data: data + data, "damaged: table lrs_trial has 4 rows"),
        ("manifest.json", lambda _: b"{}", "is no backup of lrsweep"),
        ("manifest.json", lambda data: data.replace(b'"format": 1', b'"format": 2'), "of format 2"),
    ],
)
def test_a_changed_backup_is_refused_before_anything_is_made(
    saved: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes], says: str
) -> None:
    """The text says what is wrong; the database is not even begun."""
    with pytest.raises(SettingsError, match=says):
        restore(f"sqlite:///{tmp_path}/new/results.db", changed(saved, name, change))
    assert not (tmp_path / "new").exists()


def test_a_backup_of_a_newer_lrsweep_and_another_file_are_refused(saved: Path, tmp_path: Path) -> None:
    """The first names the upgrade, the second the file."""
    newer = changed(saved, "manifest.json", lambda data: json.dumps(json.loads(data) | {"schema": "9999"}).encode())
    with pytest.raises(StoreUnavailable, match="newer lrsweep"):
        restore(f"sqlite:///{tmp_path}/new/results.db", newer)
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(SettingsError, match=r"notes\.txt cannot be read as a backup"):
        restore(f"sqlite:///{tmp_path}/new/results.db", tmp_path / "notes.txt")


def test_a_backup_with_any_byte_changed_is_refused_in_words_or_brings_all_back(saved: Path, tmp_path: Path) -> None:
    """64 places of it, each in both halves of a byte: where nothing is refused, as of a file's date, no row differs."""
    whole, tables = saved.read_bytes(), tables_of(saved)
    damaged, again = tmp_path / "damaged.zip", tmp_path / "again.zip"
    harmless = 0
    for place in range(0, len(whole), len(whole) // 64):
        for half in (0x0F, 0xF0):
            damaged.write_bytes(whole[:place] + bytes([whole[place] ^ half]) + whole[place + 1 :])
            url = f"sqlite:///{tmp_path}/at-{place}-{half}/results.db"
            try:
                restore(url, damaged)
            except (SettingsError, StoreUnavailable):
                continue
            back_up(url, again)
            assert tables_of(again) == tables, f"byte {place}, half {half:#x}"
            again.unlink()
            harmless += 1
    assert 0 < harmless < 64


def test_a_table_that_seems_to_be_packed_in_another_way_is_refused(saved: Path, tmp_path: Path) -> None:
    """One byte of the archive's list names LZMA, whose reader has errors of its own for what is no such thing."""
    large = changed(saved, "lrs_event.jsonl", lambda _: b"x" * 40_000)
    whole = bytearray(large.read_bytes())
    entry = whole.rindex(b"lrs_event.jsonl") - 46  # the list is at the end; an entry's name follows 46 bytes of numbers
    whole[entry + 10] = zipfile.ZIP_LZMA
    large.write_bytes(whole)
    with pytest.raises(SettingsError, match=r"damaged: lrs_event\.jsonl seems to be packed by method 14"):
        restore(f"sqlite:///{tmp_path}/new/results.db", large)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["lrs_trial.jsonl", "manifest.json"])
def test_what_cannot_be_unpacked_is_named(saved: Path, tmp_path: Path, name: str) -> None:
    """The compressed bytes of a table, or of the manifest, are no longer any."""
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as copy:
        for each in archive.namelist():
            copy.writestr(each, archive.read(each))
        at = copy.getinfo(name).header_offset + 30 + len(name)
    whole = bytearray((tmp_path / "packed.zip").read_bytes())
    whole[at] = 0xFF  # no block of deflate begins so
    (tmp_path / "packed.zip").write_bytes(whole)
    says = "damaged in table lrs_trial: " if name == "lrs_trial.jsonl" else "cannot be read as a backup: "
    with pytest.raises(SettingsError, match=says):
        restore(f"sqlite:///{tmp_path}/new/results.db", tmp_path / "packed.zip")
    assert not (tmp_path / "new").exists()


def test_rows_that_cannot_all_be_written_leave_an_empty_place(saved: Path, database_url: str) -> None:
    """All or nothing: a row that contradicts another, in a file whose checksums are right, undoes the rest."""

    def twice(data: bytes) -> bytes:
        return data + data.splitlines(keepends=True)[0]

    with zipfile.ZipFile(saved) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        lines = twice(archive.read("lrs_training.jsonl"))
    import hashlib

    manifest["tables"]["lrs_training"] = {"rows": 3, "sha256": hashlib.sha256(lines).hexdigest()}
    broken = changed(
        changed(saved, "lrs_training.jsonl", twice).rename(saved.with_name("half.zip")),
        "manifest.json",
        lambda _: json.dumps(manifest).encode(),
    )
    with pytest.raises(StoreUnavailable, match="lrs_training"):
        restore(database_url, broken)
    restore(database_url, saved)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM lrs_event WHERE kind = 'training_ended'", "1 trainings with an outcome, and its history"),
        ("DELETE FROM lrs_event WHERE kind = 'trial_told'", "1 trials that the search was told of"),
        ("UPDATE lrs_curve SET attempt = 5", "1 curves are of another attempt"),
        ("INSERT INTO lrs_event (at, study, kind, token, data) VALUES (1, 'old', 'trial_added', 't', '{}')",
         "2 trials, and its history tells of 3"),
    ],
)  # fmt: skip
def test_a_check_finds_what_does_not_agree(saved: Path, database_url: str, statement: str, problem: str) -> None:
    """Rows, and the history that is only ever added to, tell the same."""
    restore(database_url, saved)
    administer(with_schema(database_url, "lrsweep"), statement)
    found = check_store(database_url)
    assert found is not None
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_a_check_beside_a_driver_sees_one_moment(
    saved: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial is added after each count: no count sees it, and nothing seems to be amiss."""
    restore(database_url, saved)
    store = open_store(database_url)
    lease = store.acquire_lease("old", "ann", seconds=60)
    numbers = count(2)
    counts = upkeep._counts

    def counted(connection: Connection, query: sa.Select[Any]) -> dict[str, int]:
        found = counts(connection, query)
        store.add_trial(lease, TrialRow("old", next(numbers), "s1", {}, {}), [])
        return found

    monkeypatch.setattr(upkeep, "_counts", counted)
    found = check_store(database_url)
    store.close()
    assert found is not None
    assert found.problems == ()
    assert next(numbers) > 2


def test_a_check_finds_rows_without_their_parents(saved: Path, sqlite_url: str) -> None:
    """Another program may write to SQLite without minding foreign keys."""
    restore(sqlite_url, saved)
    engine = sa.create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM lrs_sweep")
    engine.dispose()
    found = check_store(sqlite_url)
    assert found is not None
    assert any("a row of lrs_trial belongs to one of lrs_sweep" in problem for problem in found.problems)

"""A backup: one file that brings all results back, into an SQLite file or into PostgreSQL, whichever it came from.

It is a ZIP archive with a file of JSON lines per table (a row each, bytes as base64) and ``manifest.json``, which names
the schema, and for every table the number of rows and the SHA-256 of its lines. Leases are left out: they are of now.

A backup is read in one transaction, beside which drivers may write. It is restored into a place without results, in one
transaction too: the tables are made as they were, filled, and migrated to the newest schema.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lrsweep.errors import SettingsError, StoreUnavailable
from lrsweep.records import Json
from lrsweep.store.addresses import parsed, shown
from lrsweep.store.migrating import migrate, refuse_newer
from lrsweep.store.opening import engine_at, prepare, version_of
from lrsweep.store.probing import probe
from lrsweep.store.transactions import writing

FORMAT = 1
MANIFEST = "manifest.json"
LEASES = "lrs_lease"
VERSIONS = "lrs_alembic_version"
VIEWS = ("lrs_families", "lrs_trials")
"""which read the tables; the first reads the second"""
BATCH = 500
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""what ``zipfile`` says of a file in which bytes have changed; RuntimeError, where one makes it seem encrypted"""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""we write the second; who unpacks a backup and packs it again may come to the first"""


@dataclass(frozen=True)
class Backup:
    schema: str
    made_at: float
    rows: Mapping[str, int]
    """by table"""
    checksums: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        tables = {name: {"rows": count, "sha256": self.checksums[name]} for name, count in self.rows.items()}
        return {"format": FORMAT, "schema": self.schema, "made_at": self.made_at, "tables": tables}


# ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def back_up(url: str, file: Path) -> Backup:
    """Writes the file whole or not at all. Raises SettingsError where one is there or nothing is to be saved."""
    if file.exists():
        raise SettingsError(f"{file} is there already, and a backup is not written over. Name another file.")
    fresh = file.with_name(f"{file.name}.new{os.getpid()}")
    with snapshot(url) as found:
        if found is None:
            raise SettingsError(f"there are no results in {shown(parsed(url))}: nothing to back up.")
        connection, version = found
        refuse_newer(version, f"the results in {shown(connection.engine.url)}")
        try:  # in here: outside, an error of the file would count as one of the database
            backup = _written(connection, version, fresh)
            with fresh.open("rb") as written:
                os.fsync(written.fileno())
            fresh.replace(file)
            _sync_folder(file.parent)
        except OSError as error:
            raise SettingsError(f"the backup {file} cannot be written: {error.strerror or error}.") from error
        finally:
            with suppress(OSError):
                fresh.unlink()
    return backup


@contextmanager
def snapshot(url: str) -> Iterator[tuple[Connection, str] | None]:
    """What was committed when it began, and its schema; None where there are no results, and nothing is made there."""
    if not probe(url, is_saving=True).is_there:  # opening would make the file, or the schema
        yield None
        return
    with (
        engine_at(url, is_saving=True) as engine,
        engine.execution_options(**_OF_ONE_MOMENT[engine.dialect.name]).begin() as connection,
    ):
        version = version_of(connection)
        yield None if version is None else (connection, version)


_OF_ONE_MOMENT: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {},  # its readers see nothing later in any case
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def _written(connection: Connection, version: str, file: Path) -> Backup:
    rows, checksums = {}, {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for table in _tables(connection):
            digest, count = hashlib.sha256(), 0
            with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                query = sa.select(table).order_by(*table.primary_key.columns)
                for row in connection.execution_options(yield_per=BATCH).execute(query).mappings():
                    line = _line(dict(row))
                    lines.write(line)
                    digest.update(line)
                    count += 1
            rows[table.name], checksums[table.name] = count, digest.hexdigest()
        backup = Backup(version, time.time(), rows, checksums)
        archive.writestr(MANIFEST, json.dumps(backup.to_json(), indent=1))
    return backup


def _tables(connection: Connection) -> list[sa.Table]:
    """As the database has them, of whatever version; parents before children."""
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name.startswith("lrs_") and name not in (LEASES, VERSIONS))
    return found.sorted_tables


def _line(row: Mapping[str, Any]) -> bytes:
    plain = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
    }
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut once its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def restore(url: str, file: Path) -> Backup:
    """All of it or nothing, into a place that holds no results; the file is checked whole before that is touched.

    Raises SettingsError for a file that is no backup or is damaged, and where results are there already.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_other_packings(archive, file)
            backup = _manifest(archive, file)
            _verify(archive, backup, file)
            with engine_at(url) as engine, writing(engine).begin() as connection:
                prepare(connection)
                _refuse_results(connection)
                _fill(connection, archive, backup)
    except (OSError, *DAMAGED) as error:
        raise SettingsError(f"{file} cannot be read as a backup: {error}.") from error
    return backup


def _refuse_other_packings(archive: zipfile.ZipFile, file: Path) -> None:
    """A changed byte may name another one, such as LZMA, whose reader raises errors of its own kinds."""
    for each in archive.infolist():
        if (method := each.compress_type) not in PACKINGS:
            raise SettingsError(
                f"the backup {file} is damaged: {each.filename} seems to be packed by method {method} of ZIP, "
                f"and a backup is by {' or '.join(map(str, PACKINGS))}. Take another one."
            )


def _manifest(archive: zipfile.ZipFile, file: Path) -> Backup:
    try:
        given = json.loads(archive.read(MANIFEST))
        number, tables = given["format"], given["tables"]
        if number != FORMAT:
            raise SettingsError(f"{file} is a backup of format {number}; this lrsweep reads {FORMAT}. Upgrade lrsweep.")
        backup = Backup(
            schema=given["schema"],
            made_at=given["made_at"],
            rows={name: table["rows"] for name, table in tables.items()},
            checksums={name: table["sha256"] for name, table in tables.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(f"{file} is no backup of lrsweep: it has no {MANIFEST} that can be read.") from error
    refuse_newer(backup.schema, f"the results in the backup {file}")
    return backup


def _verify(archive: zipfile.ZipFile, backup: Backup, file: Path) -> None:
    for name, wanted in backup.checksums.items():
        digest, count = hashlib.sha256(), 0
        try:
            with archive.open(f"{name}.jsonl") as lines:
                for line in lines:
                    digest.update(line)
                    count += 1
        except (KeyError, *DAMAGED) as error:
            raise SettingsError(f"the backup {file} is damaged in table {name}: {error}. Take another one.") from error
        if digest.hexdigest() != wanted or count != backup.rows[name]:
            raise SettingsError(
                f"the backup {file} is damaged: table {name} has {count} rows with another checksum than the "
                f"{backup.rows[name]} that were written. Take another one."
            )


def _refuse_results(connection: Connection) -> None:
    """Tables without a row were made by looking at a new home: they are made anew."""
    if version_of(connection) is None:
        return
    tables = _tables(connection)
    full = [table.name for table in tables if connection.execute(sa.select(table).limit(1)).first() is not None]
    if full:
        raise SettingsError(
            f"there are results in {shown(connection.engine.url)} already (in {', '.join(full)}), and a backup is not "
            "mixed with others. Set LRSWEEP_HOME or LRSWEEP_DATABASE_URL to an empty place."
        )
    for view in VIEWS:
        connection.execute(sa.text(f"DROP VIEW IF EXISTS {view}"))
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name.startswith("lrs_"))
    found.drop_all(connection)


def _fill(connection: Connection, archive: zipfile.ZipFile, backup: Backup) -> None:
    migrate(connection, backup.schema)
    tables = _tables(connection)
    if missing := sorted({table.name for table in tables} ^ set(backup.rows)):
        raise StoreUnavailable(f"the backup and schema {backup.schema} do not have the same tables: {missing}.")
    for table in tables:
        with archive.open(f"{table.name}.jsonl") as lines:
            rows = _rows(table, lines)
            while batch := list(islice(rows, BATCH)):
                connection.execute(sa.insert(table), batch)
        count = connection.scalar(sa.select(sa.func.count()).select_from(table))
        if count != backup.rows[table.name]:
            raise StoreUnavailable(f"table {table.name} took {count} of {backup.rows[table.name]} rows.")
        if _is_postgresql(connection) and "id" in table.columns:  # the next row must not take a number that is used
            sequence = sa.func.pg_get_serial_sequence(table.name, "id")
            largest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(largest, 1), largest.is_not(None))))
    migrate(connection)


def _rows(table: sa.Table, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    raw = [column.name for column in table.columns if isinstance(column.type, sa.LargeBinary)]
    for line in lines:
        row = json.loads(line)
        yield row | {name: base64.b64decode(row[name]) for name in raw}


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"

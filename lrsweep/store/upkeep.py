"""What an administrator does with a results database: migrate it, and look whether it is sound.

``upgrade_store`` is the only way in which tables that hold results change. It works while nobody holds a lease, in one
transaction that no driver can begin in: SQLite's write lock, or PostgreSQL's lock on the table of leases.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from lrsweep.errors import LeaseHeld, StoreUnavailable
from lrsweep.records import Origin, Status, TrialState
from lrsweep.store import models
from lrsweep.store.addresses import shown
from lrsweep.store.backups import snapshot
from lrsweep.store.base import Holder
from lrsweep.store.champions import reading_lease
from lrsweep.store.faults import while_opening
from lrsweep.store.leases_sql import live_holders
from lrsweep.store.migrating import migrate, refuse_newer, refuse_version
from lrsweep.store.opening import engine_at, open_engine, prepare, version_of
from lrsweep.store.transactions import writing

OPENED_AGAIN = {"training_ended": "training_reopened", "trial_told": "trial_reopened"}
"""Kinds of events that take back what an earlier one has said."""


class PromotionReads(LeaseHeld):
    """A promotion reads a test set: nobody drives the study."""

    def __init__(self, lease: str, name: str, owner: str, seconds_left: float) -> None:
        super().__init__(lease, owner, seconds_left)
        self.args = (
            f"a promotion of {name!r} reads the test set ({owner}); its claim runs for another {seconds_left:.0f} s. "
            "Let it finish: the same command then works.",
        )


@dataclass(frozen=True)
class Upgraded:
    before: str | None
    """the schema; None where the tables were made"""
    after: str
    backup: Path | None
    """of an SQLite file, as it was before"""


def upgrade_store(url: str, *, is_dead: Callable[[str], bool] = lambda _: False) -> Upgraded:
    """Migrates to the newest schema, or does nothing; in either case raises LeaseHeld while somebody drives, or reads
    a test set."""
    with engine_at(url) as engine, writing(engine).begin() as connection:
        prepare(connection)
        before = version_of(connection)
        if before is None:
            migrate(connection)
            return Upgraded(None, models.SCHEMA_VERSION, None)
        refuse_newer(before, f"the results in {shown(engine.url)}")
        _refuse_drivers(connection, is_dead)
        if before == models.SCHEMA_VERSION:
            return Upgraded(before, before, None)
        backup = _copied_aside(engine, before) if engine.dialect.name == "sqlite" else None
        migrate(connection)
    return Upgraded(before, models.SCHEMA_VERSION, backup)


@contextmanager
def without_drivers(url: str, *, is_dead: Callable[[str], bool] = lambda _: False) -> Iterator[None]:
    """Until it ends nobody begins to drive a study. Raises LeaseHeld while somebody who lives does."""
    with ExitStack() as held:
        engine = open_engine(url)
        held.callback(engine.dispose)
        with while_opening(engine.url):  # without the body, whose errors are not this database's
            connection = held.enter_context(writing(engine).connect())
            _refuse_drivers(connection, is_dead)
        yield


def _refuse_drivers(connection: Connection, is_dead: Callable[[str], bool]) -> None:
    if connection.dialect.name == "postgresql":  # until the end of the transaction nobody takes a lease or renews one
        connection.execute(sa.text("LOCK TABLE lrs_lease IN EXCLUSIVE MODE"))
    for study, holder in live_holders(connection).items():
        if not is_dead(holder.owner):
            if (name := name_read_for(study)) is not None:
                raise PromotionReads(study, name, holder.owner, holder.seconds_left)
            raise LeaseHeld(study, holder.owner, holder.seconds_left)


def name_read_for(leased: str) -> str | None:
    """Whose promotion reads a test set under a lease of that name; None where it is a driver's.

    >>> name_read_for(reading_lease("digits")), name_read_for("digits")
    ('digits', None)
    """
    return leased.removesuffix(reading_lease("")) if leased.endswith(reading_lease("")) else None


def has_table(url: str, name: str) -> bool:
    """Of another tool's tables, too; nothing is made but a file where there is none."""
    with sa.create_engine(url, poolclass=NullPool).connect() as connection:
        return sa.inspect(connection).has_table(name)


def _copied_aside(engine: Engine, version: str) -> Path:
    """The file as it is committed now: our own transaction has written nothing yet, and nobody else can."""
    file = Path(str(engine.url.database))
    target = file.with_name(f"{file.name}.schema-{version}")
    fresh = target.with_name(f"{target.name}.new{os.getpid()}")
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(fresh)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without companions
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"the copy {target} cannot be written, so nothing was migrated: {error}. Make room beside the database, "
            "and run lrsweep db upgrade again."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return target


@dataclass(frozen=True)
class Checked:
    address: str
    version: str
    rows: Mapping[str, int]
    """by table, without its prefix"""
    size: int
    """bytes"""
    holders: Mapping[str, Holder]
    """by what is leased: studies, and test sets (``name_read_for``)"""
    problems: tuple[str, ...]


def check_store(url: str) -> Checked | None:
    """Reads everything as it is at one moment, and changes nothing; None where there are no tables."""
    with snapshot(url) as found:
        if found is None:
            return None
        connection, version = found
        refuse_version(connection, version)
        rows = {
            table.name.removeprefix("lrs_"): int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
            for table in models.metadata.sorted_tables
        }
        return Checked(
            address=shown(connection.engine.url),
            version=version,
            rows=rows,
            size=int(connection.scalar(sa.text(_SIZE[connection.dialect.name])) or 0),
            holders=live_holders(connection),
            problems=(
                *_damage(connection),
                *_orphans(connection),
                *_disagreements(connection),
                *_champions(connection),
            ),
        )


_SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c "
    "WHERE c.relnamespace = to_regnamespace(current_schema()) AND c.relkind = 'r'",
}


def _damage(connection: Connection) -> Iterator[str]:
    """What SQLite finds wrong with its own file; PostgreSQL's administrators have tools of their own."""
    if connection.dialect.name != "sqlite":
        return
    for (found,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if found != "ok":
            yield f"the file is damaged: {found}; bring back a copy"
    for table, _, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"a row of {table} belongs to one of {parent} that is not there"


def _orphans(connection: Connection) -> Iterator[str]:
    """Rows that belong to nothing, where no foreign key forbids it."""
    training, trial, sweep = models.training, models.trial, models.sweep
    same_trial = (trial.c.study == training.c.study) & (trial.c.number == training.c.trial)
    for what, query in {
        "trainings are in another sweep than their trial": sa.select(sa.func.count())
        .select_from(training.join(trial, same_trial))
        .where(trial.c.sweep_id != training.c.sweep_id),
        "trials are in a sweep of another study": sa.select(sa.func.count())
        .select_from(trial.join(sweep, sweep.c.sweep_id == trial.c.sweep_id))
        .where(trial.c.study != sweep.c.study),
        "curves are of another attempt than their training": sa.select(sa.func.count())
        .select_from(models.curve.join(training, training.c.training_id == models.curve.c.training_id))
        .where(models.curve.c.attempt != training.c.attempt),
    }.items():
        if count := connection.scalar(query):
            yield f"{count} {what}"


def _disagreements(connection: Connection) -> Iterator[str]:
    """Rows against the history, which is only ever added to."""
    training, trial = models.training, models.trial
    outcomes = [status for status in Status if status.is_outcome]
    for what, kind, removed, table, condition in (
        ("trials", "trial_added", "trials", trial, sa.true()),
        ("trainings with an outcome", "training_ended", "ended", training, training.c.status.in_(outcomes)),
        (
            "trials that the search was told of",
            "trial_told",
            "told",
            trial,
            (trial.c.state != TrialState.RUNNING) & trial.c.origin.in_([each for each in Origin if each.counts]),
        ),
    ):
        kept = _counts(connection, sa.select(table.c.study, sa.func.count()).where(condition).group_by(table.c.study))
        event = models.event.c
        told = _counts(
            connection, sa.select(event.study, sa.func.count()).where(event.kind == kind).group_by(event.study)
        )
        for row in connection.execute(sa.select(event.study, event.data).where(event.kind == "trials_removed")):
            told[row.study] = told.get(row.study, 0) - int(row.data[removed])
        if kind in OPENED_AGAIN:
            for (study,) in connection.execute(sa.select(event.study).where(event.kind == OPENED_AGAIN[kind])):
                told[study] = told.get(study, 0) - 1
        for study in sorted({*kept, *told}):
            if kept.get(study, 0) != told.get(study, 0):
                yield (
                    f"study {study!r} has {kept.get(study, 0)} {what}, and its history tells of {told.get(study, 0)}"
                )


def _champions(connection: Connection) -> Iterator[str]:
    """A choice that is no JSON cannot be loaded by anybody."""
    c = models.champion.c
    for row_id, name, choice in connection.execute(sa.select(c.id, c.name, c.choice).where(c.choice.is_not(None))):
        try:
            is_sound = isinstance(json.loads(choice), dict)
        except ValueError:
            is_sound = False
        if not is_sound:
            yield f"the choice in row {row_id} of lrs_champion, of {name!r}, cannot be read; bring back a copy"


def _counts(connection: Connection, query: sa.Select[Any]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in connection.execute(query)}

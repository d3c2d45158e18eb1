"""The commands that look after results: the databases, tables to take along, and what may go."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lrsweep.cli.options import ObjectOption


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class Rows(StrEnum):
    TRIAL = "trial"
    TRAINING = "training"


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup: one file, for SQLite and PostgreSQL.")]


def db_upgrade() -> None:
    """Migrates the databases to this lrsweep's newest tables; only while nobody drives a study.

    An SQLite file of results is copied beside itself first.
    """
    from lrsweep.cli.db import upgrade
    from lrsweep.settings import read_settings

    upgrade(read_settings(os.environ), typer.echo)


def db_check(as_json: ObjectOption = False) -> None:
    """Looks whether the databases are sound: versions, damage, orphans, counts against the history; changes nothing."""
    from lrsweep.cli import db
    from lrsweep.settings import read_settings

    report = db.check(read_settings(os.environ))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        db.show(report, typer.echo)
    db.refuse_unsound(report)


def db_backup(file: FileArgument) -> None:
    """Saves all results in one file, also while sweeps run; Optuna's and MLflow's databases hold copies of them."""
    from lrsweep.cli.db import backup
    from lrsweep.settings import read_settings

    typer.echo(backup(read_settings(os.environ), file))


def db_restore(file: FileArgument) -> None:
    """Brings a backup back into an empty home or database, whole or not at all."""
    from lrsweep.cli.db import restore
    from lrsweep.settings import read_settings

    typer.echo(restore(read_settings(os.environ), file))


def export_results(
    study: Annotated[str, typer.Argument(help="A study's name.")],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.CSV,
    rows: Annotated[Rows, typer.Option("--by", help="What a row is.")] = Rows.TRIAL,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="By default standard output; FILE is written over.")
    ] = None,
) -> None:
    """Writes a study's trials as a table: settings, value, metrics, cost; `lrsweep.results` gives it as a DataFrame."""
    from lrsweep.cli.export import export
    from lrsweep.files import check_target
    from lrsweep.frames import results

    if out is not None:
        check_target(out, "--out")
    export(results(study, by=rows.value), form.value, out)


def prune(
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="As in '90d', '2w' or '12h'.")],
    keep: Annotated[
        str,
        typer.Option(
            "--keep",
            metavar="KINDS",
            help="Trials that stay: champions (the best of each sweep), finalists, or none. What was promoted stays "
            "in any case.",
        ),
    ] = "champions,finalists",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: ObjectOption = False,
) -> None:
    """Removes old sweeps' trials from the results, from Optuna's copy and from MLflow; running sweeps are left alone.

    It may be repeated after an interruption.
    """
    from lrsweep.cli.prune import prune as carry_out
    from lrsweep.settings import read_settings

    say = _silent if as_json else typer.echo
    removals = carry_out(read_settings(os.environ), older_than=older_than, keep=keep, is_dry=dry_run, say=say)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "removed": [each.to_json() for each in removals]}))


def delete(
    study: Annotated[str, typer.Argument(help="A study's name.")],
    sweep: Annotated[
        str | None, typer.Option("--sweep", metavar="ID", help="This sweep alone; the beginning of its id is enough.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Removes a study, or one sweep of it, from the results, from Optuna's copy and from MLflow, for good."""
    from lrsweep.cli.prune import delete as carry_out
    from lrsweep.settings import read_settings

    carry_out(read_settings(os.environ), study, sweep, is_sure=yes, say=typer.echo)


def _silent(_text: str) -> None:
    pass

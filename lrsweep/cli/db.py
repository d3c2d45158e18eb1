"""``lrsweep db``: the databases of a home, migrated, checked, saved and brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import LrsweepError, SettingsError, StoreUnavailable, SweepFailed
from lrsweep.records import Json
from lrsweep.redaction import without_secrets
from lrsweep.settings import Settings, make_homes, results_url
from lrsweep.store import backups
from lrsweep.store.upkeep import Checked, check_store, name_read_for, upgrade_store, without_drivers
from lrsweep.sweep import copies_schema
from lrsweep.sweep.owner import is_dead
from lrsweep.tracking import schema as tracking_schema

KIB = 1024


def upgrade(settings: Settings, say: Callable[[str], None]) -> None:
    """Our tables first, for they are the results; their lock then holds drivers off the other tools' tables."""
    if settings.database_url is None and not settings.home.is_dir():
        raise SettingsError(f"there are no results in {settings.home}: nothing to upgrade.")
    homes = make_homes(settings)
    done = upgrade_store(homes.results_url, is_dead=is_dead)
    if done.before == done.after:
        say(f"results: schema {done.after}, up to date")
    else:
        say(f"results: schema {done.before or 'none'} -> {done.after}")
    if done.backup is not None:
        say(f"the file as it was before: {done.backup}")
    with without_drivers(homes.results_url, is_dead=is_dead):
        _upgrade_tool("Optuna's copies", homes.optuna_url, copies_schema.versions, copies_schema.upgrade, say)
        if settings.tracking_uri is not None:
            say("MLflow: MLFLOW_TRACKING_URI names one of yours, which is left as it is")
        else:
            _upgrade_tool("MLflow", homes.mlflow_uri, tracking_schema.versions, tracking_schema.upgrade, say)


def _upgrade_tool(
    name: str,
    url: str,
    versions: Callable[[str], tuple[str, str] | None],
    migrate: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    found = versions(url)
    if found is None:
        say(f"{name}: none here yet")
    elif found[0] == found[1]:
        say(f"{name}: schema {found[0]}, up to date")
    else:
        with _migrating(name, url, *found):
            migrate(url)
        say(f"{name}: schema {found[0]} -> {found[1]}")


@contextmanager
def _migrating(name: str, url: str, before: str, wanted: str) -> Iterator[None]:
    """Another tool's migrations may raise anything: Alembic's errors, too, for a version that it does not know."""
    try:
        yield
    except LrsweepError:
        raise
    except Exception as error:
        first = (without_secrets(str(error), url).strip().splitlines() or [""])[0]
        raise StoreUnavailable(
            f"{name}: its tables have schema {before} and did not get to {wanted}, which is this one's "
            f"({type(error).__name__}: {first}). Where they are newer, install the release that wrote them; else "
            "bring back a copy and run lrsweep db upgrade again."
        ) from None


@dataclass(frozen=True)
class Report:
    results: Checked
    optuna: tuple[str, str] | None
    mlflow: tuple[str, str] | None
    is_mlflow_ours: bool

    @property
    def problems(self) -> list[str]:
        old = [
            f"{name}'s tables have schema {found[0]} and not {found[1]}: run lrsweep db upgrade; where they are newer, "
            f"install the {name} that wrote them"
            for name, found in (("Optuna", self.optuna), ("MLflow", self.mlflow))
            if found is not None and found[0] != found[1]
        ]
        return [*self.results.problems, *old]

    def to_json(self) -> dict[str, Json]:
        held = self.results.holders
        return {
            "database": self.results.address,
            "schema": self.results.version,
            "optuna_schema": None if self.optuna is None else self.optuna[0],
            "mlflow_schema": None if self.mlflow is None else self.mlflow[0],
            "rows": dict(self.results.rows),
            "bytes": self.results.size,
            "leases": {study: each.owner for study, each in held.items() if name_read_for(study) is None},
            "test_sets_read_by": {
                name: each.owner for leased, each in held.items() if (name := name_read_for(leased)) is not None
            },
            "problems": self.problems,
        }


def check(settings: Settings) -> Report:
    """Changes nothing, and makes nothing where there are no results."""
    results = check_store(results_url(settings))
    if results is None:
        place = settings.home if settings.database_url is None else "that database"
        raise SettingsError(f"there are no results in {place}: nothing to check.")
    homes = make_homes(settings)
    is_ours = settings.tracking_uri is None
    return Report(
        results=results,
        optuna=copies_schema.versions(homes.optuna_url),
        mlflow=tracking_schema.versions(homes.mlflow_uri) if is_ours else None,
        is_mlflow_ours=is_ours,
    )


def show(report: Report, say: Callable[[str], None]) -> None:
    found = report.results
    say(f"{found.address}: schema {found.version}, {size_of(found.size)}")
    say("  " + ", ".join(f"{count:,} {table}" for table, count in found.rows.items()))
    say(f"Optuna's copies: {_told(report.optuna)}")
    say(f"MLflow: {_told(report.mlflow) if report.is_mlflow_ours else 'MLFLOW_TRACKING_URI names one of yours'}")
    for leased, holder in found.holders.items():
        name, left = name_read_for(leased), f"{holder.seconds_left:.0f} s"
        if name is None:
            say(f"study {leased!r} is driven by {holder.owner}, whose lease runs for another {left}")
        else:
            say(f"a promotion of {name!r} reads the test set ({holder.owner}); its claim runs for another {left}")
    say("no problems found" if not report.problems else f"{len(report.problems)} problems:")
    for problem in report.problems:
        say(f"  {problem}")


def _told(versions: tuple[str, str] | None) -> str:
    return "none here yet" if versions is None else f"schema {versions[0]}"


def refuse_unsound(report: Report) -> None:
    if report.problems:
        raise SweepFailed(
            f"the databases have {len(report.problems)} problems, listed above. `lrsweep db restore` brings a backup "
            "back into an empty place."
        )


def backup(settings: Settings, file: Path) -> str:
    made = backups.back_up(results_url(settings), file)
    return f"{file}: schema {made.schema}, {_rows(made)}, {size_of(file.stat().st_size)}"


def restore(settings: Settings, file: Path) -> str:
    made = backups.restore(make_homes(settings).results_url, file)
    return f"brought back from {file}: {_rows(made)}"


def _rows(made: backups.Backup) -> str:
    return ", ".join(f"{made.rows.get(f'lrs_{name}', 0):,} {name}s" for name in ("sweep", "trial", "training"))


def size_of(count: int) -> str:
    """``1.5 MiB``"""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < KIB:
            break
        size, unit = size / KIB, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"

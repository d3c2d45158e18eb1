"""The environment, read once, by entry points alone: where results live and what may be reached.

LRSWEEP_HOME               the folder of results, copies and artifacts; ``.lrsweep`` in the working folder by default
LRSWEEP_DATABASE_URL       a PostgreSQL database for everything that would be an SQLite file in that folder
LRSWEEP_DATABASE_URL_FILE  a file that holds this address instead, so that no secret stands in the environment
PGPASSFILE                 a file of passwords, as PostgreSQL's own tools read it, for an address without one
LRSWEEP_DATA               the folder or URL of data sets, ``~/.cache/lrsweep/data`` by default
LRSWEEP_CHECKPOINTS        the folder or URL of checkpoints, ``checkpoints`` in the home by default
LRSWEEP_ENGINE             how trainings run side by side, where ``--engine`` does not say it
LRSWEEP_EXECUTOR           where they run, where ``--executor`` does not say it
MLFLOW_TRACKING_URI        an MLflow server or database of yours, used as found, never created or migrated
LRSWEEP_FAULT              for tests: kills the process at a named point (``lrsweep.sweep.faults``)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.executors.engine_option import AUTO, DEFAULT, EngineOption
from lrsweep.executors.executor_option import HERE, LOCAL, ExecutorOption
from lrsweep.store import ensure_schemas, normalised, with_schema
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.homes import Homes
from lrsweep.workloads.fetching import folder_for, is_url

HOME = "LRSWEEP_HOME"
DATABASE_URL = "LRSWEEP_DATABASE_URL"
DATABASE_URL_FILE = "LRSWEEP_DATABASE_URL_FILE"
DATA = "LRSWEEP_DATA"
CHECKPOINTS = "LRSWEEP_CHECKPOINTS"
ENGINE = "LRSWEEP_ENGINE"
EXECUTOR = "LRSWEEP_EXECUTOR"
TRACKING_URI = "MLFLOW_TRACKING_URI"
FAULT = "LRSWEEP_FAULT"

DEFAULT_HOME = ".lrsweep"
POSTGRESQL = ("postgresql", "postgres")
SCHEMAS = ["lrsweep", "optuna", "mlflow"]
"""one per tool: Optuna and MLflow both insist on a table ``alembic_version``"""
FILES = ["results.db", "optuna.db", "mlflow.db"]
RAY_COPIES = ("runtime_resources", "working_dir_files")
"""In the path of each folder that Ray copies for a job, and removes some day."""


@dataclass(frozen=True)
class Settings:
    home: Path
    database_url: str | None
    tracking_uri: str | None
    faults: Faults
    data: Path | None
    """None: where workloads keep data by default; of a URL, where each machine has its copy"""
    engine: EngineOption = DEFAULT
    executor: ExecutorOption = HERE
    checkpoints: Path | str | None = None
    """a folder, or a URL as text; None: in the home"""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Checked as far as that goes without touching anything. An empty variable counts as not set."""
    url, place = _given_url(environ)
    return Settings(
        home=_home(environ.get(HOME) or DEFAULT_HOME),
        data=_data(data) if (data := environ.get(DATA)) else None,
        database_url=_database_url(url, place) if url else None,
        tracking_uri=environ.get(TRACKING_URI) or None,
        faults=Faults.parsed(environ.get(FAULT)),
        engine=EngineOption.parsed(environ.get(ENGINE) or AUTO, ENGINE),
        executor=ExecutorOption.parsed(environ.get(EXECUTOR) or LOCAL, EXECUTOR),
        checkpoints=_checkpoints(given) if (given := environ.get(CHECKPOINTS)) else None,
    )


def results_url(settings: Settings) -> str:
    """Where the results are, or would be; nothing is made."""
    if settings.database_url is not None:
        return with_schema(settings.database_url, SCHEMAS[0])
    return f"sqlite:///{settings.home / FILES[0]}"


def make_homes(settings: Settings) -> Homes:
    """Makes the folder and the schemas where they are missing, and says where each tool keeps its part."""
    _check_stays(settings.home)
    _make_folder(settings.home)
    if settings.database_url is not None:
        ensure_schemas(settings.database_url, SCHEMAS)
        results, copies, tracking = (with_schema(settings.database_url, schema) for schema in SCHEMAS)
    else:
        results, copies, tracking = (f"sqlite:///{settings.home / name}" for name in FILES)
    theirs = settings.tracking_uri is not None
    return Homes(
        folder=settings.home,
        results_url=results,
        optuna_url=copies,
        mlflow_uri=settings.tracking_uri or tracking,
        artifact_root=None if theirs else settings.home / "artifacts",
        data=settings.data,
        checkpoints_at=settings.checkpoints,
    )


def _given_url(environ: Mapping[str, str]) -> tuple[str | None, str]:
    """The address and what names it; a file's last line break is no part of it."""
    url, file = environ.get(DATABASE_URL) or None, environ.get(DATABASE_URL_FILE) or None
    if file is None:
        return url, DATABASE_URL
    if url is not None:
        raise SettingsError(f"{DATABASE_URL} and {DATABASE_URL_FILE} are both set; keep one: each names the database.")
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(
            f"{DATABASE_URL_FILE} names {file}, which cannot be read ({reason}). Wanted is a file with one line: "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    if len(text.split()) != 1:  # what it holds may be a password: it is not shown
        raise SettingsError(
            f"the file {file} of {DATABASE_URL_FILE} holds {len(text.splitlines())} lines that are no single address; "
            "wanted is one line: postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    return text, f"{DATABASE_URL_FILE} ({file})"


def _data(given: str) -> Path:
    return folder_for(given) if is_url(given) else _folder(DATA, given)


def _checkpoints(given: str) -> Path | str:
    if not is_url(given):
        return _folder(CHECKPOINTS, given)
    if urlsplit(given).password is not None:
        raise SettingsError(
            f"{CHECKPOINTS} is a URL with a password, which would show in messages. Leave it out, and give it to the "
            "library that opens such URLs, as by its own variables or files."
        )
    return given.rstrip("/")


def _folder(name: str, given: str) -> Path:
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"{name} is {given!r}, but there is no such user here. Set it to a folder.") from None


def _check_stays(home: Path) -> None:
    """What is kept in the working folder of a Ray job is lost with it."""
    if any(pair == RAY_COPIES for pair in pairwise(home.parts)):
        raise SettingsError(
            f"the results would be in {home}, which is part of a copy of your folder that Ray has made for this job "
            f"and removes some day. Name a folder that stays by {HOME}, for results or, beside {DATABASE_URL}, for "
            f"""artifacts: ray job submit --runtime-env-json '{{"env_vars": {{"{HOME}": "/srv/lrsweep"}}}}' …"""
        )


def _home(given: str) -> Path:
    home = _folder(HOME, given)
    if "?" in str(home) or "%" in str(home):  # the databases in it would quietly lie somewhere else
        raise SettingsError(
            f"the folder {home} has a ? or % in its path; addresses of databases read them as signs of "
            f"their own. Set {HOME} to another folder."
        )
    return home


def _database_url(given: str, place: str) -> str:
    """PostgreSQL alone: an SQLite file would hold the results, and the copies would stay behind in the home."""
    scheme, separator, _ = given.partition("://")
    kind = scheme.partition("+")[0]
    if separator and kind.isalnum() and kind not in POSTGRESQL:  # what is no kind may be a password: it is not shown
        raise SettingsError(
            f"{place} names a database of the kind {kind!r}; wanted is PostgreSQL: "
            f"postgresql://USER:PASSWORD@HOST/DATABASE.{did_you_mean(kind.lower(), POSTGRESQL)} "
            f"For files, unset it and set {HOME} to a folder."
        )
    try:
        return normalised(given)
    except SettingsError:  # its text offers SQLite too
        raise SettingsError(
            f"{place} cannot be read as an address; wanted is postgresql://USER:PASSWORD@HOST/DATABASE. "
            "In a password, write @ as %40, : as %3A and / as %2F."
        ) from None


def _make_folder(home: Path) -> None:
    try:
        if not home.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            # not in a folder that was there: it may be a repository, and git would see nothing new in it
            (home / ".gitignore").write_text("*\n")
    except OSError as error:
        raise SettingsError(
            f"the folder {home} cannot be written ({error.strerror}). Set {HOME} to a folder that can."
        ) from error

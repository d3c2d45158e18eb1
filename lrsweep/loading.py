"""``lrsweep.load_choice`` and ``lrsweep.load_schedule``: what was promoted, for a training of one's own.

A file is read with numpy alone. A name is looked up in the results first, as what is in force there is newer than what
was copied; a machine without results has the file.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.champion.loading import SCHEME, Named, from_file, from_registry, from_rows, named, why_not_in
from lrsweep.errors import InvalidInput, SettingsError, Unavailable, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lrsweep.champion.value import ChampionChoice
    from lrsweep.schedules import Schedule
    from lrsweep.settings import Settings
    from lrsweep.store.champions import ChampionRow


def load_choice(
    what: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None, url: str | None = None
) -> ChampionChoice:
    """What was promoted: schedule, peak rate, optimizer, batch size and horizon, with the evidence. Runs no code.

    ``what`` is the path of a JSON file; ``models:/NAME@champion`` or ``models:/NAME/3`` in MLflow's registry; or a
    name: the champion of that name in the results (``NAME@candidate`` and ``NAME@4``, a number of ``lrsweep history``,
    are others), and where these do not know the name, ``schedules/NAME.json`` in the working folder.

    ``home`` is a folder of results and ``url`` a database; without them ``LRSWEEP_HOME``, ``LRSWEEP_DATABASE_URL`` and
    ``MLFLOW_TRACKING_URI`` say where to look. Raises SettingsError with the places where it is not.
    """
    if home is not None and url is not None:
        raise InvalidInput("home and url are both given; keep one: each says where the results are.")
    if not isinstance(what, str | os.PathLike):
        raise InvalidInput(f"load_choice: wanted a name, a path or {SCHEME}NAME@champion, not {type(what).__name__}.")
    given = os.fspath(what)
    if given.startswith(SCHEME):
        return _registered(given, home, url)
    if not isinstance(what, str) or given.endswith(".json") or os.sep in given or "/" in given:
        return from_file(_existing(Path(given)))
    return _of_name(named(given), home, url)


def load_schedule(
    what: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None, url: str | None = None
) -> Schedule:
    """The bare shape of what ``load_choice`` gives, which a warning says: the peak rate that makes it good, and the
    optimizer, batch size and horizon that it was found with, are left behind."""
    choice = load_choice(what, home=home, url=url)
    batches = "" if choice.batch_size is None else f", batches of {choice.batch_size}"
    warnings.warn(
        f"load_schedule gives the shape of {choice.name!r} alone. It was found with the peak {choice.peak_lr:.4g}, "
        f"{choice.optimizer.name}{batches} and {choice.horizon:,} steps, which lrsweep.load_choice keeps with it",
        UserWarning,
        stacklevel=2,
    )
    return choice.schedule


def _existing(path: Path) -> Path:
    """With the files beside it where there is none of that name."""
    if path.exists():
        return path
    folder = path.parent
    others = sorted(each.name for each in folder.glob("*.json"))[:20] if folder.is_dir() else []
    place = "The working folder" if folder == Path() else folder
    there = f"{place} has {', '.join(others)}" if others else f"{place} has no .json file"
    raise SettingsError(
        f"there is no file {path}.{did_you_mean(path.name, others)} {there}. `lrsweep promote STUDY --to {path}` "
        "writes one."
    )


def _of_name(wanted: Named, home: str | os.PathLike[str] | None, url: str | None) -> ChampionChoice:
    looked = []
    try:
        rows, address, why = _rows(wanted.name, home, url)
    except ImportError as error:  # a machine that has what a training needs and no more
        rows, address, why = (), "", f"results: not looked at, as {error.name or error} is not installed"
    except Unavailable as error:
        if wanted.is_plain and wanted.file.is_file():
            raise type(error)(f"{error} Without it: load_choice({str(wanted.file)!r}), which is there.") from error
        raise
    if why is None:
        if (found := from_rows(rows, wanted, address)) is not None:
            return found
        why = f"{address}: {why_not_in(rows, wanted)}"
    looked.append(why)
    if wanted.is_plain and not any(row.name == wanted.name for row in rows):
        if wanted.file.is_file():
            return from_file(wanted.file)
        looked.append(f"{wanted.file} in {Path.cwd()}: there is no such file")
    elif wanted.file.is_file():
        looked.append(f"{wanted.file}: it is there, and is read by that path alone, as it may be older")
    told = "\n  ".join(
        [f"there is no choice {_text(wanted)!r}. Looked at:", *looked, "`lrsweep promote STUDY` makes one."]
    )
    raise SettingsError(told)


def _text(wanted: Named) -> str:
    if wanted.is_plain:
        return wanted.name
    return f"{wanted.name}@{wanted.alias if wanted.row is None else wanted.row}"


def _rows(
    name: str, home: str | os.PathLike[str] | None, url: str | None
) -> tuple[Sequence[ChampionRow], str, str | None]:
    """The name's rows, or those of all names where it has none, and where they are; or why there are none. Nothing is
    made."""
    from lrsweep.settings import results_url
    from lrsweep.store import open_store
    from lrsweep.store.probing import probe

    address = url if url is not None else results_url(_settings(home))
    found = probe(address)
    if not found.is_there:
        return (), found.address, f"{found.address}: there are no results"
    store = open_store(address)
    try:
        return store.champions.rows(name) or store.champions.rows(), found.address, None
    finally:
        store.close()


def _registered(given: str, home: str | os.PathLike[str] | None, url: str | None) -> ChampionChoice:
    if url is not None:
        raise InvalidInput(
            f"{given} is in MLflow's registry, and url names a database of results; MLFLOW_TRACKING_URI says which "
            "MLflow, or home the folder of results that has one."
        )
    from lrsweep.settings import FILES, make_homes

    settings = _settings(home)
    file = settings.home / FILES[2]
    if settings.tracking_uri is None and settings.database_url is None and not file.is_file():
        raise SettingsError(
            f"{given}: there is no MLflow in {settings.home}. Set MLFLOW_TRACKING_URI to the server that has it, or "
            "LRSWEEP_HOME to a folder of results."
        )
    homes = make_homes(settings)
    return from_registry(given, homes.mlflow_uri, artifact_root=homes.artifact_root)


def _settings(home: str | os.PathLike[str] | None) -> Settings:
    from lrsweep.settings import DATABASE_URL, DATABASE_URL_FILE, HOME, read_settings

    if home is None:
        return read_settings(os.environ)
    others = {name: value for name, value in os.environ.items() if name not in (DATABASE_URL, DATABASE_URL_FILE)}
    return read_settings({**others, HOME: os.fspath(home)})

"""A choice from where it is kept: a JSON file, the rows of a database, MLflow's registry. Nothing is made or changed.

    from_file("schedules/digits.json")                  needs numpy alone
    from_rows(rows, "digits@champion", address)         what a store has said of the name
    from_registry("models:/digits@champion", uri)       downloads ``choice.json`` alone

``lrsweep.load_choice`` says which of them is meant, and where they are.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrsweep.champion.reading import LARGEST_TEXT, NAME, from_json
from lrsweep.errors import InvalidInput, SettingsError, did_you_mean

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lrsweep.champion.value import ChampionChoice
    from lrsweep.store.champions import ChampionRow

FOLDER = "schedules"
"""In the working folder: where promoted files are looked for by their names."""
SCHEME = "models:/"
TIMEOUT_SECONDS = 10.0
NOTHING_YET = "nothing was promoted yet."


@dataclass(frozen=True)
class Named:
    """``digits``, ``digits@candidate``, or ``digits@4``: the row of that number in ``lrsweep history``."""

    name: str
    alias: str = "champion"
    row: int | None = None
    is_plain: bool = True
    """whether the name stands alone"""

    @property
    def file(self) -> Path:
        return Path(FOLDER) / f"{self.name}.json"


def named(given: str) -> Named:
    """Raises SettingsError for what can be no name."""
    name, at, which = given.partition("@")
    if not re.fullmatch(NAME, name) or (at and not re.fullmatch(NAME, which)):
        raise SettingsError(
            f"{given[:200]!r} names no choice. Wanted is a name such as digits, digits@candidate or digits@4, the path "
            f"of a .json file, or {SCHEME}NAME@champion in MLflow's registry."
        )
    if not at:
        return Named(name)
    if which.isdecimal():
        return Named(name, row=int(which), is_plain=False)
    if which not in (aliases := ("champion", "candidate")):
        raise SettingsError(
            f"{given!r}: a choice is in force as {' or as '.join(aliases)}, or has a number in `lrsweep history`; not "
            f"{which!r}.{did_you_mean(which, aliases)}"
        )
    return Named(name, alias=which, is_plain=False)


# ── a file ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def from_file(path: Path) -> ChampionChoice:
    """Raises SettingsError where it cannot be read, InvalidInput with all that is wrong in it."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_TEXT + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"{path} cannot be read ({reason}). Wanted is the JSON file of a choice, as `lrsweep promote STUDY --to "
            "FILE.json` writes it."
        ) from None
    return from_json(text, str(path))


# ── a database ───────────────────────────────────────────────────────────────────────────────────────────────────────


def from_rows(rows: Sequence[ChampionRow], wanted: Named, address: str) -> ChampionChoice | None:
    """The choice in force under the name's alias, or in the row of that number; None where there is none.

    ``rows`` are those of this name, or of others as well.
    """
    from lrsweep.store.champions import Alias, in_force

    if wanted.row is not None:
        row = next((each for each in rows if (each.name, each.id) == (wanted.name, wanted.row)), None)
    else:
        row = in_force(rows, wanted.name, Alias(wanted.alias))
    if row is None or row.choice is None:
        return None
    return from_json(row.choice, f"{wanted.name} (row {row.id} of its history in {address})")


def not_promoted(name: str, known: Sequence[str]) -> str:
    """That no row is of the name, and of which names there are some."""
    if not known:
        return NOTHING_YET
    return f"nothing was promoted under the name {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."


def why_not_in(rows: Sequence[ChampionRow], wanted: Named) -> str:
    """What the rows have in the place of what was wanted; of all names, or of this one alone where it has some."""
    from lrsweep.store.champions import stacks

    if wanted.name not in (names := sorted({row.name for row in rows})):
        return not_promoted(wanted.name, names)
    numbers = ", ".join(f"{wanted.name}@{row.id}" for row in rows if row.choice is not None)
    others = [alias.value for _, alias in stacks(rows)]
    instead = f"; in force is {wanted.name}@{' and '.join(others)}" if others else ""
    if wanted.row is not None:
        return f"its history has {numbers or 'no choice'}"
    return (
        f"it has no {wanted.alias} in force{instead}; `lrsweep history {wanted.name}` shows all ({numbers or 'none'})"
    )


# ── MLflow's registry ────────────────────────────────────────────────────────────────────────────────────────────────


def from_registry(given: str, uri: str, *, artifact_root: Path | None) -> ChampionChoice:
    """``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.

    Raises SettingsError where MLflow has no such version or it holds no choice, TrackingUnavailable where MLflow does
    not answer.
    """
    from lrsweep.redaction import shown
    from lrsweep.tracking import load_mlflow, usable
    from lrsweep.tracking.connection import ready, translated

    found = re.fullmatch(re.escape(SCHEME) + r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))", given)
    if found is None:
        raise SettingsError(
            f"{given[:200]!r}: wanted is {SCHEME}NAME@champion or {SCHEME}NAME/3, with a version's number."
        )
    uri = usable(uri)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # for one small file
    load_mlflow(TIMEOUT_SECONDS)
    from mlflow import MlflowClient

    with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=TIMEOUT_SECONDS) as opened:
        client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        version = _version(client, found, f"{given} in MLflow at {shown(uri)}")
        source = client.get_model_version_download_uri(version.name, version.version)
        return _downloaded(source, opened, f"{given} (version {version.version} in MLflow at {shown(uri)})")


def _version(client: MlflowClient, wanted: re.Match[str], told: str) -> Any:
    from mlflow.exceptions import MlflowException

    name, alias = wanted["name"], wanted["alias"]
    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, wanted["version"])
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    try:
        aliases = client.get_registered_model(name).aliases
        there = ", ".join(f"{one} (version {number})" for one, number in sorted(aliases.items())) or "no alias"
        there = f"{name!r} has {there}."
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = [each.name for each in client.search_registered_models(max_results=50)]
        there = f"Registered are {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
    raise SettingsError(f"there is no {told}. {there} `lrsweep promote STUDY` registers a choice.")


def _downloaded(source: str, opened: str, told: str) -> ChampionChoice:
    """One file of known name and size: what else lies there stays there."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    from lrsweep.champion.registry import FILE

    files = list_artifacts(artifact_uri=source, tracking_uri=opened)
    sizes = {each.path.rpartition("/")[2]: each.file_size for each in files if not each.is_dir}
    if FILE not in sizes:
        raise SettingsError(
            f"{told} holds no {FILE}: it is a model of another kind. Name one that `promote` registered."
        )
    if (sizes[FILE] or 0) > LARGEST_TEXT:
        raise InvalidInput(f"{told}: {FILE} has {sizes[FILE]:,} bytes, and a choice {LARGEST_TEXT:,} at most.")
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifacts(artifact_uri=f"{source.rstrip('/')}/{FILE}", dst_path=folder, tracking_uri=opened)
        with Path(path).open("rb") as file:
            return from_json(file.read(LARGEST_TEXT + 1), told)

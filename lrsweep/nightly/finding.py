"""Which studies a command means: names, files, folders. What is wrong with one is that study's failure alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import LrsweepError, SettingsError, StudyError
from lrsweep.study import Study, examine_file
from lrsweep.study.file import STUDIES


@dataclass(frozen=True)
class Found:
    """A file, and the study in it or what is wrong with it."""

    name: str
    source: str
    study: Study | None
    problem: LrsweepError | None = None


def found_studies(given: Sequence[str]) -> list[Found]:
    """Each file once, in the order in which they are named; a folder's by their names; without any, ``studies/``.

    Raises SettingsError for a folder that holds no study.
    """
    files: dict[Path, str] = {}
    for one in given or [f"{STUDIES}/"]:
        for each in _files(one):
            files.setdefault(Path(each).resolve() if each.endswith(".toml") else STUDIES / f"{each}.toml", each)
    found = [_read(each) for each in files.values()]
    return [_alone(each, found, place) for place, each in enumerate(found)]


def _files(given: str) -> Sequence[str]:
    is_name = not given.endswith((".toml", "/"))
    if is_name and ((STUDIES / f"{given}.toml").is_file() or not Path(given).is_dir()):
        return [str(STUDIES / f"{given}.toml")] if (STUDIES / f"{given}.toml").is_file() else [given]
    if given.endswith(".toml") and not Path(given).is_dir():
        return [given]
    return _of_folder(Path(given))


def _of_folder(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        raise SettingsError(
            f"there is no folder {str(folder)!r} in {str(Path.cwd())!r}. Name studies or files, a folder of study "
            "files, or go to where studies/ is."
        )
    files = [str(file) for file in sorted(folder.glob("*.toml")) if _may_be_a_study(file)]
    if not files:
        raise SettingsError(
            f"the folder {str(folder)!r} holds no study file: wanted are .toml files with a table [study]. `lrsweep "
            "new study` writes one."
        )
    return files


def _may_be_a_study(file: Path) -> bool:
    """One that cannot be read may be one: what is wrong with it is to be told."""
    with suppress(OSError, ValueError):
        return "study" in tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    return True


def _read(file: str) -> Found:
    name = Path(file).stem
    try:
        examined = examine_file(file)
        return Found(examined.study.name, file, examined.sound())
    except StudyError as error:
        return Found(_name_in(file) or name, file, None, error)


def _name_in(file: str) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(tomllib.loads(Path(file).read_bytes().decode("utf-8-sig"))["study"]["name"])[:100]
    return None


def _alone(one: Found, found: Sequence[Found], place: int) -> Found:
    """No two have one name: what is wrong with a copy is not to hide the verdict of the study."""
    name = f"{one.name} ({one.source})"
    if one.study is None:
        is_taken = any(each.name == one.name for each in found if each is not one)
        return Found(name, one.source, None, one.problem) if is_taken else one
    same = next(_sources(one, found[:place]), None)
    if same is None:
        return one
    text = f"{one.source} has the study.name {one.name!r}, as {same} has: nights go by it. Give it another name."
    return Found(name, one.source, None, SettingsError(text))


def _sources(one: Found, before: Sequence[Found]) -> Iterator[str]:
    return (each.source for each in before if each.name == one.name and each.study is not None)

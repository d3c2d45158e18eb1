"""``lrsweep new``: files to begin with, written where nothing is yet."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from lrsweep.errors import SettingsError
from lrsweep.study.file import STUDIES

TEMPLATE = "template.py.txt"
STUDY_TEMPLATE = "template.toml"


def write_workload(path: Path) -> str:
    """Writes the template, and says what to do next. A file that exists is left alone."""
    if path.suffix != ".py":
        raise SettingsError(f"{path}: a workload is Python; wanted a name that ends in .py")
    text = resources.files("lrsweep.workloads").joinpath(TEMPLATE).read_text(encoding="utf-8")
    text = text.replace("FILE.py", path.as_posix())
    _write_new(path, text)
    return next_steps(path, class_in(text))


def write_study(path: Path) -> str:
    """The same for a study, which is named after its file."""
    if path.suffix != ".toml":
        raise SettingsError(f"{path}: a study is TOML; wanted a name that ends in .toml")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).lstrip("-_")[:100] or "mine"
    text = resources.files("lrsweep.study").joinpath(STUDY_TEMPLATE).read_text(encoding="utf-8")
    if path.parent == STUDIES:
        STUDIES.mkdir(exist_ok=True)
    _write_new(path, text.replace('"NAME"', f'"{name}"').replace("FILE", path.as_posix()))
    return f"""\
{path}: a study of digits with every key at its default. Put your workload in, then

    lrsweep plan {path.as_posix()}
    lrsweep run {path.as_posix()}

Its first line names a schema for editors that know JSON Schema in TOML. It is there after

    lrsweep schema > {(path.parent / "study.schema.json").as_posix()}"""


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(f"{path} is there already, and is left as it is; give another name") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); wanted a place that can") from error


def class_in(template: str) -> str:
    """The name of the workload that a template defines."""
    found = re.search(r"^class (\w+)\(Workload\)", template, re.MULTILINE)
    assert found is not None
    return found[1]


def next_steps(path: Path, name: str) -> str:
    given = f"{path.as_posix()}:{name}"
    return f"""\
{path}: a workload that trains as it is. Put your model and data in, then

    lrsweep check-workload {given}
    lrsweep range {given}

and in a study file

    [study]
    name = "{path.stem.replace("_", "-")}"
    workload = "{given}"
    [budget]
    trials = 40"""

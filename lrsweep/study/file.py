"""From the TOML text to a ``Study``, or to everything that is wrong with it at once.

text ──tomllib──> tables ──pydantic: the models of tables.py──> Study
  └──key_lines──> the line of each key     └──> each of its errors in our words, with the line

What needs more than the text (what the workload knows, whether a class can be imported) is looked at later. So that a
file with problems can be looked at all the same, ``Examined`` has a study of its sound parts.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Mapping, Set
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lrsweep.errors import Problem, StudyError, did_you_mean
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.study.commands import Around
from lrsweep.study.lines import Place, key_lines
from lrsweep.study.objectives import Aim
from lrsweep.study.places import Places
from lrsweep.study.problems import REFUSED, listed, shown
from lrsweep.study.spaces import SpaceSpec
from lrsweep.study.specs import NightlySpec, RunSpec, SearchSpec, SelectionSpec
from lrsweep.study.tables import TABLES, File, SpaceTable
from lrsweep.study.values import Study

STUDIES = Path("studies")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Examined:
    """A file, and everything that its text alone shows to be wrong."""

    study: Study
    """of the sound parts, where there are problems: what is wrong has a default, or stands for what is missing"""
    problems: tuple[Problem, ...] = ()

    def sound(self) -> Study:
        """Raises StudyError with all problems of the file."""
        if self.problems:
            raise StudyError(self.study.source, self.problems)
        return self.study


def load_study(given: str | Path, *, folder: Path = STUDIES) -> Study:
    """The study in a file: a path to a ``.toml``, or NAME for ``NAME.toml`` in the folder.

    Raises StudyError with all problems of the file.
    """
    return examine_file(given, folder=folder).sound()


def parse_study(text: str, source: str) -> Study:
    """The study that a TOML text states; ``source`` names it in messages. Raises StudyError with all problems."""
    return examine(text, source).sound()


def examine_file(given: str | Path, *, folder: Path = STUDIES) -> Examined:
    """As ``load_study`` finds it. Raises StudyError where there is no text that can be read as TOML."""
    is_name = isinstance(given, str) and not given.endswith(".toml") and not re.search(r"[/\\]", given)
    path = folder / f"{given}.toml" if is_name else Path(given)
    try:
        # From bytes: line ends stay as they are, and the mark that some editors put before UTF-8 goes.
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise StudyError(str(path), [Problem("file", _not_there(path, is_name))]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem("file", "the text is not UTF-8, which TOML asks for. Save it as UTF-8.", line)
        raise StudyError(str(path), [problem]) from None
    except OSError as error:
        text = f"cannot be read: {error.strerror}. Give the path of a .toml file that you may read."
        raise StudyError(str(path), [Problem("file", text)]) from error
    return examine(text, str(path))


def examine(text: str, source: str) -> Examined:
    """Raises StudyError for a text that is not TOML, or empty."""
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; an integer of thousands of digits raises the plain one
        raise StudyError(source, [_syntax_problem(str(error), text)]) from None
    if not tables:
        raise StudyError(source, [Problem("file", _EMPTY)])
    file, around, errors = _read(tables, Path(source).parent)
    places = Places(key_lines(text), [details["loc"] for details in errors])
    problems = [_problem(details, places, around) for details in errors]
    while file is None:
        # What is said of the sound parts without the others may be due to their lack alone: that is not told.
        tables = _without(tables, {details["loc"] for details in errors})
        file, around, errors = _read(tables, Path(source).parent)
        places = replace(places, wrong=[*places.wrong, *(details["loc"] for details in errors)])
    return Examined(replace(_study(file, around, source), places=places, text=text), tuple(problems))


def _read(tables: Mapping[str, Any], folder: Path) -> tuple[File | None, Around, list[ErrorDetails]]:
    around = Around.of(tables, folder)
    try:
        return File.model_validate(tables, context=around), around, []
    except ValidationError as error:
        return None, around, error.errors()


STAND_INS: Mapping[Place, Any] = {
    ("study", "name"): "unnamed",
    ("study", "workload"): "digits",
    ("budget",): {"trials": 1},
}
"""For what has no default."""


def _without(tables: Mapping[str, Any], places: Set[Place]) -> dict[Any, Any]:
    """The tables without what stands at these places: a list that is wrong in one place goes as a whole, and so does a
    table that lacks something."""
    left: dict[Any, Any] = deepcopy(dict(tables))
    for place in places:
        if place not in STAND_INS:
            _remove(left, place)
    for (*around, key), value in STAND_INS.items():
        table = left
        for each in around:
            table = table.setdefault(each, {})
        if (*around, key) in places:
            table[key] = value
        table.setdefault(key, value)
    return left


def _remove(tables: dict[Any, Any], place: Place) -> None:
    """The innermost table or key on the way there."""
    table = tables
    for key, following in itertools.pairwise((*place, None)):
        inner = table.get(key)
        if not isinstance(inner, dict) or following not in inner:
            table.pop(key, None)
            return
        table = inner


def _study(file: File, around: Around, source: str) -> Study:
    """A target names its metric and its direction; a compressed training cannot measure the time to it."""
    asked, search = file.study, SearchSpec(**dict(file.search))
    aim = around.aim or Aim(asked.objective)
    if asked.objective.kind == "target":
        search = replace(search, fidelity="full")
    return Study(
        name=asked.name,
        workload=asked.workload,
        metric=aim.metric or asked.metric,
        direction=aim.direction or asked.direction,
        objective=asked.objective,
        horizon=asked.horizon,
        seed=asked.seed,
        engine=asked.engine,
        space=_space(file.space, around),
        search=search,
        budget=file.budget,
        selection=SelectionSpec(**dict(file.selection)),
        baseline=file.baseline,
        run=RunSpec(**dict(file.run)),
        nightly=NightlySpec(**dict(file.nightly)),
        tracking=file.tracking,
        source=source,
    )


def _space(table: SpaceTable, around: Around) -> SpaceSpec:
    """A script has one optimizer, and where flags choose its schedules, the families that have flags."""
    space = SpaceSpec(**dict(table))
    if around.command is None:
        return space
    all_mapped = tuple(around.command.families) if "families" not in around.space else ()
    return replace(space, optimizers=(OPTIMIZER,), families=all_mapped or space.families)


# ── what is wrong, in our words ──────────────────────────────────────────────────────────────────────────────────────

_EMPTY = (
    "there is nothing in it. A study needs three lines at least: "
    '`study.name = "my-net"`, `study.workload = "digits"` and `budget.trials = 60`.'
)

_SYNTAX_ADVICE = {
    "Invalid value": 'Text stands in quotes, as in name = "my-net"; a number needs a digit before its point.',
    "Cannot overwrite": "The key is there twice: keep one.",
    "Cannot declare": "The table is there twice: put its keys under one header.",
    "Illegal character": "Close the quotes on the line on which they open.",
    "Unclosed array": "Put a comma between the elements and a ] after the last.",
}
"""By the beginning of the parser's message."""


def _problem(details: ErrorDetails, places: Places, around: Around) -> Problem:
    return places.problem(_text(details, details["loc"], around), *details["loc"])


def _text(details: ErrorDetails, place: Place, around: Around) -> str:
    if details["type"] == REFUSED:
        return details["msg"]
    *table, key = place
    while tuple(table) not in TABLES:  # a table of the user's own keys is described as a whole
        *table, key = table
    known = TABLES[tuple(table)].model_fields
    if details["type"] == "extra_forbidden":
        return _unknown_key(str(key), tuple(table), around, is_table=isinstance(details["input"], dict))
    wanted = known[str(key)].description or ""
    if details["type"] == "missing":
        return f"missing. Add {wanted}."
    given = details["input"]
    return f"{shown(given)} is not {wanted}.{_advice(given, wanted)}"


def _advice(given: object, wanted: str) -> str:
    is_quoted_number = isinstance(given, str) and re.fullmatch(r"\s*-?[\d._]+(e-?\d+)?\s*", given)
    return " Write the number without quotes." if is_quoted_number and "number" in wanted else ""


def _unknown_key(key: str, table: Place, around: Around, *, is_table: bool) -> str:
    known = tuple(TABLES[table].model_fields)
    near = did_you_mean(key.lower(), known)
    homes = [place for place, model in TABLES.items() if place and place != table and key in model.model_fields]
    homes.sort(key=lambda place: place[:-1] != table)  # the tables inside this one first
    if not around.is_command:
        homes = [place for place in homes if place != ("study", "workload")]
    if homes and not (is_table and near):  # [runs] is no tracking.runs but a [run] with a letter too many
        return f"this key belongs under {_header(homes[0])}. Move it there."
    owner = f"{_header(table)} takes" if table else "A study file has the tables"
    return f"unknown.{near} {owner} {listed(known)}."


def _header(table: Place) -> str:
    return f"[{'.'.join(map(str, table))}]"


def _syntax_problem(message: str, text: str) -> Problem:
    """The parser stops at the first thing that is not TOML, so this problem always comes alone."""
    lines = text.split("\n")
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return Problem("syntax", f"this is not TOML: {message}.")
    reason, line, column = found.groups()
    if line is None:
        number, place = len(text.rstrip().split("\n")), "at the end of the file"
    else:
        number, place = int(line), f"at column {column} of {shown(lines[int(line) - 1].rstrip())}"
    advice = next((f" {advice}" for start, advice in _SYNTAX_ADVICE.items() if reason.startswith(start)), "")
    return Problem("syntax", f"this is not TOML: {reason}, {place}.{advice}", number)


def _not_there(path: Path, is_name: bool) -> str:
    folder = path.parent
    if not folder.is_dir():
        text = f"there is no folder {str(folder)!r} in {str(Path.cwd())!r}."
        return f"{text} Go to where it is, or give the path of a .toml file."
    names = sorted(found.stem if is_name else found.name for found in folder.glob("*.toml"))
    guess = did_you_mean(path.stem if is_name else path.name, names)
    there = f"{str(folder)!r} has {listed(names)}." if names else f"{str(folder)!r} has no .toml file."
    return f"there is no such file.{guess} {there}"

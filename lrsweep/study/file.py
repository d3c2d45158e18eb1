"""From the TOML text to a ``Study``, or to everything that is wrong with it at once.

    text ──tomllib──> tables ──pydantic: the models below──> Study
      └──key_lines──> the line of each key     └──> each of its errors in our words, with the line

The models say which keys there are. A field's ``description`` completes the sentence "… is not …", so that most
messages are made of it and of what was given.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import ErrorDetails

from lrsweep.errors import Problem, StudyError, did_you_mean
from lrsweep.records import WorkloadSpec
from lrsweep.schedules import core_names
from lrsweep.study import fields
from lrsweep.study.lines import Place, key_lines, line_of
from lrsweep.study.values import OPTIMIZERS, Range, SpaceSpec, Study

STUDIES = Path("studies")


# ── the keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _StudyTable(_Table):
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$",
        description='a name of up to 100 letters, digits, - and _, a letter or digit first, such as "my-net"',
    )
    workload: Annotated[WorkloadSpec, PlainValidator(fields.read_workload)] = Field(
        description='a workload\'s name, such as "digits", or a table with name and its settings',
    )
    horizon: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="a whole number of steps for a full training, from 1 to 1000000000, such as 600",
    )
    # Samplers take a seed of 32 bits.
    seed: int = Field(default=0, ge=0, lt=2**32, description="a whole number from 0 to 4294967295")


class _SpaceTable(_Table):
    families: Annotated[tuple[str, ...], PlainValidator(fields.read_families)] = Field(
        default_factory=core_names, description='a list of schedule families, such as ["cosine", "wsd"]'
    )
    optimizers: Annotated[tuple[str, ...], PlainValidator(fields.read_optimizers)] = Field(
        default=tuple(OPTIMIZERS), description='a list of optimizers, such as ["sgd", "adamw"]'
    )
    warmup: Annotated[float | Range, PlainValidator(fields.read_warmup)] = Field(
        default=0.0,
        description="a share of the steps: a number from 0 to below 1, or a rising range such as [0.0, 0.2]",
    )
    floor: Annotated[float | Range, PlainValidator(fields.read_floor)] = Field(
        default=0.0,
        description="a share of the peak: a number from 0 to 1, or a rising range such as [0.0, 0.1]",
    )
    # Below `optimizers`, since its reader looks at what they are.
    peak_lr: Annotated[Mapping[str, Range], PlainValidator(fields.read_peak_lr)] = Field(
        default_factory=dict, description="a table with a range for each optimizer, such as sgd = [0.01, 1.0]"
    )


class _BudgetTable(_Table):
    trials: int = Field(ge=1, le=10**6, description="a whole number of trials from 1 to 1000000, such as 60")


class _File(_Table):
    study: _StudyTable = Field(description="a table [study] with at least name and workload")
    space: _SpaceTable = Field(default_factory=_SpaceTable, description="a table [space]")
    budget: _BudgetTable = Field(description="a table [budget] with trials")


_TABLES: Mapping[Place, type[_Table]] = {
    (): _File,
    ("study",): _StudyTable,
    ("space",): _SpaceTable,
    ("budget",): _BudgetTable,
}


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def load_study(given: str | Path, *, folder: Path = STUDIES) -> Study:
    """The study in a file: a path to a ``.toml``, or NAME for ``NAME.toml`` in the folder.

    Raises StudyError with all problems of the file.
    """
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
    return parse_study(text, str(path))


def parse_study(text: str, source: str) -> Study:
    """The study that a TOML text states; ``source`` names it in messages. Raises StudyError with all problems."""
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; an integer of thousands of digits raises the plain one
        raise StudyError(source, [_syntax_problem(str(error), text)]) from None
    if not tables:
        raise StudyError(source, [Problem("file", _EMPTY)])
    try:
        file = _File.model_validate(tables)
    except ValidationError as error:
        lines = key_lines(text)
        problems = [_problem(details, lines) for details in error.errors()]
        # What the file lacks altogether has no line and comes last.
        problems.sort(key=lambda problem: (problem.line is None, problem.line))
        raise StudyError(source, problems) from None
    return Study(
        name=file.study.name,
        workload=file.study.workload,
        horizon=file.study.horizon,
        seed=file.study.seed,
        space=SpaceSpec(**dict(file.space)),
        trials=file.budget.trials,
        source=source,
    )


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


def _problem(details: ErrorDetails, lines: Mapping[Place, int]) -> Problem:
    place = details["loc"]
    key = ".".join(_key(part) for part in place if isinstance(part, str))
    return Problem(key, _text(details, place), line_of(lines, place))


def _key(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else repr(part)


def _text(details: ErrorDetails, place: Place) -> str:
    if details["type"] == fields.REFUSED:
        return details["msg"]
    *table, key = place
    known = _TABLES[tuple(table)].model_fields
    if details["type"] == "extra_forbidden":
        return _unknown_key(str(key), tuple(table))
    wanted = known[str(key)].description or ""
    if details["type"] == "missing":
        return f"missing. Add {wanted}."
    given = details["input"]
    return f"{fields.shown(given)} is not {wanted}.{_advice(given, wanted)}"


def _advice(given: object, wanted: str) -> str:
    is_quoted_number = isinstance(given, str) and re.fullmatch(r"\s*-?[\d._]+(e-?\d+)?\s*", given)
    return " Write the number without quotes." if is_quoted_number and "number" in wanted else ""


def _unknown_key(key: str, table: Place) -> str:
    known = tuple(_TABLES[table].model_fields)
    home = next((place[0] for place, model in _TABLES.items() if place and key in model.model_fields), None)
    if home is not None:
        return f"this key belongs under [{home}]. Move it there."
    owner = f"[{table[0]}] takes" if table else "A study file has the tables"
    return f"unknown.{did_you_mean(key.lower(), known)} {owner} {fields.listed(known)}."


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
        number, place = int(line), f"at column {column} of {fields.shown(lines[int(line) - 1].rstrip())}"
    advice = next((f" {advice}" for start, advice in _SYNTAX_ADVICE.items() if reason.startswith(start)), "")
    return Problem("syntax", f"this is not TOML: {reason}, {place}.{advice}", number)


def _not_there(path: Path, is_name: bool) -> str:
    folder = path.parent
    if not folder.is_dir():
        text = f"there is no folder {str(folder)!r} in {str(Path.cwd())!r}."
        return f"{text} Go to where it is, or give the path of a .toml file."
    names = sorted(found.stem if is_name else found.name for found in folder.glob("*.toml"))
    guess = did_you_mean(path.stem if is_name else path.name, names)
    there = f"{str(folder)!r} has {fields.listed(names)}." if names else f"{str(folder)!r} has no .toml file."
    return f"there is no such file.{guess} {there}"

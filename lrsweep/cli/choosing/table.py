"""``lrsweep choose --from FILE``: anybody's results as a table. Neither torch nor mlflow is needed for it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from lrsweep.errors import ScheduleError, SettingsError, did_you_mean
from lrsweep.findings.asked import Asked, read_target
from lrsweep.schedules import schedule_from_json
from lrsweep.selection.choice import Choice, choose
from lrsweep.selection.comparing import ALPHA
from lrsweep.selection.results import Point, Result, horizons

VALUE = "value"
NEEDED = ("family", "horizon", "seed", VALUE)
OPTIONAL = ("schedule", "peak_lr", "cost")
SHOWN = 20
"""Problems that are listed; of more one learns nothing new."""
NOTHING = ("", "nan", "none", "null", "na", "n/a")
"""How tools write a value that is not there."""
_BEYOND = "\0"
"""No name of a column."""
_ABSENT = "\0"
"""Where a line ends too soon: an empty cell says that a training diverged, one that is not there says nothing."""
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What other programs write between cells."""


def read_table(file: Path) -> list[Result]:
    """Raises SettingsError with every problem and its line."""
    rows, columns = _rows(file)
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise SettingsError(
            f"{file} has no column {_listed(missing)}; it has {_listed(columns)}.{_to_rename(missing, columns)} Wanted "
            f"are {_listed(NEEDED)}, and where they are known {_listed(OPTIONAL)}."
        )
    if misspelt := _misspelt(columns):
        written = ", ".join(f"{known!r} for {column!r}" for known, column in misspelt.items())
        raise SettingsError(
            f"{file} has columns that would not be read as they are written: write {written}, or take them out."
        )
    if twice := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        raise SettingsError(
            f"{file} has several columns {_listed(twice)}: keep one of each, for only one can be meant."
        )
    if not rows:
        raise SettingsError(f"{file} has no rows: one for each training is wanted.")
    problems: list[str] = []
    found = [_result(line, row, problems) for line, row in rows]
    results = [(line, each) for (line, _), each in zip(rows, found, strict=True) if each is not None]
    problems += _twice(results)
    if problems:
        more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        raise SettingsError(f"{file}: {count}{listed}{more}")
    return [each for _, each in results]


def _to_rename(missing: Sequence[str], columns: Sequence[str]) -> str:
    """What to write in the header, with a leading blank; nothing where no column is near.

    >>> _to_rename(["family"], ["FAMILY", "seed"])
    " Write 'family' for 'FAMILY'."
    """
    if len(columns) == 1 and (other := next((each for each in SEPARATORS if each in columns[0]), None)) is not None:
        return f" Its cells are separated by {SEPARATORS[other]}: write it with commas."
    others = {name.lower(): name for name in columns if name not in (*NEEDED, *OPTIONAL)}
    near = {name: found[0] for name in missing if (found := get_close_matches(name, others, n=1))}
    known = {**{name: others[found] for name, found in near.items()}, **_misspelt(columns)}
    renamed = ", ".join(f"{name!r} for {column!r}" for name, column in known.items())
    return f" Write {renamed}." if renamed else ""


def _misspelt(columns: Sequence[str]) -> dict[str, str]:
    """Columns that nobody would read and somebody meant, by the known name that they have in other letters.

    >>> _misspelt(["family", "Cost", "peak lr", "machine"])
    {'cost': 'Cost', 'peak_lr': 'peak lr'}
    """
    known = {_letters(name): name for name in (*NEEDED, *OPTIONAL)}
    others = [column for column in columns if column not in known.values()]
    return {known[_letters(column)]: column for column in others if _letters(column) in known}


def _letters(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _rows(file: Path) -> tuple[list[tuple[int, Mapping[str, object]]], list[str]]:
    """With their lines; a Parquet file's rows count from 1."""
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            return _parquet(file)
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, restkey=_BEYOND, restval=_ABSENT)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            return [(reader.line_num, row) for row in reader], columns
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}). Name a CSV or Parquet file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(
            f"{file} is no CSV file in UTF-8 ({error}). Parquet is read by the name FILE.parquet."
        ) from None


def _parquet(file: Path) -> tuple[list[tuple[int, Mapping[str, object]]], list[str]]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise SettingsError(f"{file} needs pyarrow to be read: pip install pyarrow ({error}).") from error
    try:
        table = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowInvalid as error:
        raise SettingsError(f"{file} is no Parquet file ({error}).") from None
    columns = [str(name).strip() for name in table.column_names]
    return list(enumerate(table.rename_columns(columns).to_pylist(), 1)), columns


def _result(line: int, row: Mapping[str, object], problems: list[str]) -> Result | None:
    if absent := [name for name, cell in row.items() if cell == _ABSENT]:
        problems.append(
            f"line {line} ends before {_listed(absent)}; wanted as many fields as the file has columns, an empty one "
            "where there is nothing"
        )
        return None
    wrong: list[str] = []

    def number(name: str, wanted: str, is_right: Callable[[float], bool], *, may_lack: bool = True) -> float | None:
        text = _text(row.get(name))
        if text.lower() in NOTHING and may_lack:
            return None
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not is_right(found):
            wrong.append(f"line {line}, {name}: {text!r}; wanted {wanted}")
        return found

    family, seed, schedule = (_text(row.get(name)) for name in ("family", "seed", "schedule"))
    if row.get(_BEYOND) is not None:
        wrong.append(f"line {line} has more fields than the file has columns")
    if not family:
        wrong.append(f"line {line}, family: nothing; wanted a label such as cosine")
    horizon = number("horizon", "a whole number of steps above 0", lambda it: it > 0 and it % 1 == 0, may_lack=False)
    if not seed:
        wrong.append(f"line {line}, seed: nothing; wanted what tells trainings of one point apart, such as 0")
    value = number("value", "a number, or nothing where the training diverged", lambda it: not math.isnan(it))
    peak = number("peak_lr", "a rate above 0, or nothing", lambda it: 0 < it < math.inf)
    cost = number("cost", "a number from 0 up, or nothing", lambda it: 0 <= it < math.inf)
    if schedule:
        try:
            schedule = schedule_from_json(schedule).to_json()  # two spellings of one schedule are one
        except ScheduleError as error:
            wrong.append(f"line {line}, schedule: {error}")
    problems += wrong
    if wrong or horizon is None:
        return None
    return Result(Point(family, schedule, peak), int(horizon), seed, value, cost)


def _twice(results: Iterable[tuple[int, Result]]) -> list[str]:
    """The same training in two rows: which of them counts, nobody can say."""
    first: dict[tuple[Point, int, str], int] = {}
    problems = []
    for line, each in results:
        key = (each.point, each.horizon, each.seed)
        if key in first:
            problems.append(
                f"line {line}: {each.point.name} with {each.horizon} steps and seed {each.seed} stands in line "
                f"{first[key]} too; wanted one row for each training"
            )
        first.setdefault(key, line)
    return problems


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def choose_from(file: Path, asked: Asked) -> tuple[str, Choice]:
    """The column's name and the choice."""
    return VALUE, choose_among(read_table(file), str(file), VALUE, replace(asked, source=("--from", str(file))))


def choose_among(
    results: Sequence[Result],
    source: str,
    metric: str,
    asked: Asked,
    *,
    searched: Sequence[Result] = (),
    alpha: float = ALPHA,
    looks: int = 1,
) -> Choice:
    """``searched``, ``alpha`` and ``looks`` are what ``selection.choice.choose`` takes.

    Raises SettingsError for a horizon or a baseline that the source does not have, and where nothing in it came to a
    value. A target says which way the metric is better where nothing else does."""
    target, better = None, asked.direction or "minimize"
    if asked.target is not None:
        target, better = read_target(asked.target, metric, asked.direction, typed=asked.typed, is_free=True)
    there = horizons(results)
    if asked.horizon is not None and asked.horizon not in there:
        raise SettingsError(f"--horizon is {asked.horizon}, and {source} has {_listed([str(each) for each in there])}.")
    deciding = there[-1] if asked.horizon is None else asked.horizon
    at = [each for each in results if each.horizon == deciding]
    families = sorted({each.point.family for each in at})
    if asked.baseline is not None and asked.baseline not in families:
        near = did_you_mean(asked.baseline, families)
        raise SettingsError(
            f"--baseline is {asked.baseline!r}, and at {deciding} steps {source} has {_listed(families)}.{near}"
        )
    if all(each.has_diverged for each in at):
        raise SettingsError(f"every training of {source} with {deciding} steps has diverged: no choice is left.")
    return choose(
        results,
        direction=better,
        horizon=deciding,
        searched=searched,
        baseline=asked.baseline,
        worth=asked.worth,
        target=target,
        alpha=alpha,
        looks=looks,
    )

"""What a script says while it trains: one JSON object per line, appended, so that a kill tears at most the last line.

    {"attempt": 1}                                                attached: what follows is this attempt's
    {"step": 500, "updates": 500, "metrics": {"val_loss": 0.41}}  an evaluation
    {"end": 20000}                                                the process ends after so many updates
    {"preempted": 700}                                            it gives way after so many, and can go on later
    {"wrong": "..."}                                              the training cannot be what the plan says, and why

``updates`` counts the optimizer's own updates; it is null where ``run.torch`` was not used, so that nobody counted, and
then there is no ``end``. NaN and infinities are written as Python's json does.

A line of ``attach`` is signed: it also has its ``attempt``, and ``by`` names the process. A job of a batch system can
outlive its attempt, and a launcher can start a script again within one; what is printed has no such writer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrsweep.schedules.checks import as_metric


@dataclass(frozen=True)
class Begin:
    attempt: int


@dataclass(frozen=True)
class Report:
    """An evaluation after ``step`` updates."""

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    updates: int | None = None


@dataclass(frozen=True)
class End:
    updates: int | None


@dataclass(frozen=True)
class Preempted:
    updates: int | None


@dataclass(frozen=True)
class Wrong:
    text: str


Line = Begin | Report | End | Preempted | Wrong


@dataclass(frozen=True)
class Writer:
    """Who has written a line."""

    attempt: int
    process: str
    """host, number and start"""


def to_line(said: Line, by: Writer | None = None) -> str:
    """With the newline."""
    match said:
        case Begin(attempt):
            written: dict[str, Any] = {"attempt": attempt}
        case Report(step, metrics, updates):
            written = {"step": step, "updates": updates, "metrics": dict(metrics)}
        case End(updates):
            written = {"end": updates}
        case Preempted(updates):
            written = {"preempted": updates}
        case Wrong(text):
            written = {"wrong": text}
    if by is not None:
        written |= {"attempt": by.attempt, "by": by.process}
    return json.dumps(written) + "\n"


def from_line(text: str) -> Line | None:
    """None for a line that says none of this: a script may print anything, and the last line may be torn.

    A script without ``attach`` prints flat objects: every number beside ``step`` is then a metric.

    >>> from_line('{"step": 100, "val_loss": 0.5, "epoch": 1}')
    Report(step=100, metrics={'val_loss': 0.5, 'epoch': 1.0}, updates=None)
    """
    return signed(text)[0]


def signed(text: str) -> tuple[Line | None, Writer | None]:
    """A line, and who has written it; None for a line that is not signed."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):  # nested deeper than anything that was meant for us
        return None, None
    match read:
        case {"attempt": attempt, "by": str(process)} if _is_count(attempt):
            return _line(read), Writer(attempt, process)
    return _line(read), None


def _line(read: Any) -> Line | None:
    match read:
        case {"step": given}:
            return None if (step := _step(given)) is None else _report(step, read)
        case {"end": updates} if updates is None or _is_count(updates):
            return End(updates)
        case {"preempted": updates} if updates is None or _is_count(updates):
            return Preempted(updates)
        case {"wrong": str(wrong)}:
            return Wrong(wrong)
        case {"attempt": attempt} if _is_count(attempt):  # last, as others have it as a signature, or as a number
            return Begin(attempt)
    return None


def _report(step: int, read: Mapping[str, Any]) -> Report:
    match read:
        case {"metrics": dict(metrics)}:
            updates = read.get("updates")
            return Report(step, _numbers(metrics), updates if _is_count(updates) else None)
    return Report(step, _numbers({name: value for name, value in read.items() if name != "step"}))


def append(path: Path, lines: Sequence[Line], by: Writer | None = None) -> None:
    """Whole lines at the end of the file, visible to others when this returns, over a network file system too.

    What an earlier write left torn (by a kill, or a full disk) gets its end first, and so spoils no line but its own.
    """
    text = "".join(to_line(line, by) for line in lines).encode()
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else b"\n" + text
        file.write(text)


def reported(path: Path, metric: str) -> Iterator[tuple[int, float]]:
    """What the lines of all attempts so far say of one metric, in their order; nothing where there is no file yet.

    Without those of an attempt that lives on when a newer one has begun.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    newest = 0
    for line, by in map(signed, lines):
        attempt = attempt_of(line, by)
        if attempt is not None and attempt < newest:
            continue
        newest = newest if attempt is None else attempt
        if isinstance(line, Report) and metric in line.metrics:
            yield line.step, line.metrics[metric]


def attempt_of(line: Line | None, by: Writer | None) -> int | None:
    """None where the line does not tell: it belongs to the attempt that has begun last."""
    if by is not None:
        return by.attempt
    return line.attempt if isinstance(line, Begin) else None


def _is_count(given: object) -> bool:
    return type(given) is int and given >= 0


def _step(given: object) -> int | None:
    """Also from a whole float, as array libraries and ``1e3`` give it."""
    if type(given) is float and given.is_integer():
        given = int(given)
    return given if isinstance(given, int) and _is_count(given) else None


def _numbers(given: Mapping[str, Any]) -> dict[str, float]:
    read = {name: as_metric(value) for name, value in given.items() if isinstance(value, int | float)}
    return {name: number for name, number in read.items() if number is not None}

"""A night as Markdown: a table that fits into a pull request or GitHub's summary of a job, and below it the details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.telling.news import Change, changes
from lrsweep.nightly.telling.nights import changed, charts, in_a_line, verdict
from lrsweep.report.markdown import quoted
from lrsweep.report.numbers import between, counted, duration, moment, number

SERIES = ("canary of", "tonight", "seeds", "limits", "nights before")


def markdown(run: NightRun, history: Mapping[str, Sequence[StudyNight]]) -> str:
    """GitHub's kind. Names and sentences are text: signs that would be markup are quoted."""
    found = {change.night.study: change for change in changes(run, history)}
    parts = [
        f"# Night {quoted(run.key)}: {quoted(headline(run))}",
        _table(("study", "verdict", "why", "next step"), [_row(night) for night in run.studies]),
        "\n".join(f"- {quoted(note)}" for note in run.notes),
        *(part for night in run.studies for part in _details(night, found.get(night.study))),
        f"*Exit code {run.exit_code}; ended {moment(run.ended_at)}, after {duration(run.ended_at - run.began_at)}.*",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(run: NightRun) -> str:
    """
    >>> headline(NightRun("1", [StudyNight(name, "g", "1", "holds", "", "", 0) for name in "ab"], 0, 0, 0))
    '2 holds'
    """
    counts = Counter(verdict(night) for night in run.studies)
    return ", ".join(f"{count} {each}" for each, count in counts.items()) or "no study"


def append(file: Path, text: str) -> None:
    """To a file that others append to as well. Raises OSError."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"{text}\n")


def _row(night: StudyNight) -> tuple[str, ...]:
    return night.study, verdict(night), in_a_line(night.sentence), in_a_line(night.next_step)


def _details(night: StudyNight, change: Change | None) -> Iterator[str]:
    facts = [
        ("", f"It had ended before: its result of {moment(night.ended_at)} was read." if night.is_recorded else None),
        ("State", None if change is None else f"{change.before or 'none'} before, {change.now} now"),
        ("Now in force", night.promoted),
        ("Champion", night.champion),
        ("Candidate", night.candidate),
        *(("Changed", each) for each in changed(night)),
        ("Trained", None if not night.trainings else _trained(night)),
    ]
    told = "\n".join(f"- {f'{name}: ' if name else ''}{quoted(fact)}" for name, fact in facts if fact)
    canaries = _table(
        SERIES,
        [
            (
                str(chart["name"]),
                number(chart["tonight"]) + (", outside its limits" if chart["is_out"] else ""),
                str(chart["seeds"]),
                between(chart["limits"]) or "none yet",
                str(chart["nights"]),
            )
            for chart in charts(night)
        ],
    )
    if told or canaries:
        yield from (f"## {quoted(night.study)}", told, canaries)


def _trained(night: StudyNight) -> str:
    return f"{counted(night.trainings, 'training')}, {counted(night.steps, 'step')}, {duration(night.seconds)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([quoted(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

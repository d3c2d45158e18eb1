"""The report as Markdown: for a terminal, a pull request, a message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lrsweep.report import using
from lrsweep.report.answer import answer
from lrsweep.report.coded import in_parts
from lrsweep.report.content import Report
from lrsweep.report.numbers import moment
from lrsweep.report.tables import Cell, Table, Whiskers, tables


def markdown(report: Report) -> str:
    """GitHub's kind, with tables. Names are text: signs that would be markup are quoted."""
    found, told = answer(report), tables(report)
    parts = [
        f"# {quoted(report.study)}: {found.evidence}",
        f"**{quoted(found.headline)}** {quoted(' '.join(found.sentences))}",
        *(
            part
            for key in ("finalists", "families", "importance", "rungs", "cost", "divergences")
            for part in _section(told[key])
        ),
        *_use(report),
        *_section(told["provenance"]),
        f"*Made {moment(report.made_at)} by lrsweep. {quoted(' '.join(report.notes))}*".replace(" *", "*"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def quoted(text: str) -> str:
    """Code in a sentence stays code.

    >>> quoted("a|b <i> val_loss *x*")
    'a\\\\|b &lt;i&gt; val_loss \\\\*x\\\\*'
    >>> quoted("`lrsweep run _mine_` goes on, `<i>` is text")
    '`lrsweep run _mine_` goes on, \\\\`&lt;i&gt;\\\\` is text'
    """
    parts = in_parts(" ".join(text.split()))
    return "".join(f"`{part}`" if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|\[\]])", r"\\\1", text)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # one inside a word is no emphasis


def _section(table: Table) -> list[str]:
    return [f"## {quoted(table.title)}", _table(table), *(quoted(note) for note in table.notes)]


def _table(table: Table) -> str:
    """Without the columns that are pictures alone."""
    kept = [
        place
        for place in range(len(table.columns))
        if not any(isinstance(row[place], Whiskers | float) for row in table.rows)
    ]
    if not table.rows:
        return ""
    head = [quoted(table.columns[place]) for place in kept]
    rule = ["---:" if place in table.numbers else "---" for place in kept]
    rows = [[_cell(row[place]) for place in kept] for row in table.rows]
    return "\n".join(_row(each) for each in (head, rule, *rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    assert isinstance(cell, str)
    return quoted(cell)


def _use(report: Report) -> list[str]:
    use = report.use
    if use is None:
        return []
    promote, load = using.champion(report)
    commands = [promote, *filter(None, [using.reproduce(report, use)])]
    return [
        "## How to use it",
        quoted(using.setting(use)),
        _code(using.code(use), "python"),
        _code("\n".join(commands), "sh"),
        _code(f"import lrsweep\n\n{load}", "python"),
    ]


def _code(text: str, language: str) -> str:
    """With a fence that the text does not hold."""
    fence = "`" * max(3, 1 + max((len(each) for each in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"

"""The page: one file with its style and its script in it, that asks no network for anything.

Whatever a study, a workload or a script is called is text and never markup: all of it is escaped, and the figures that
the script reads are JSON in which no tag can end. The page's policy allows its own style and script, by their hashes,
and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from lrsweep.records import Json
from lrsweep.report import using
from lrsweep.report.answer import answer
from lrsweep.report.charts import Chart, charts, families
from lrsweep.report.coded import in_parts
from lrsweep.report.content import Report
from lrsweep.report.drawing import bar, drawn, whiskers
from lrsweep.report.framing import framed, part
from lrsweep.report.numbers import counted, moment
from lrsweep.report.tables import Table, Whiskers, tables

COLOURS = 12
"""That the page has; further families begin again, with dashes."""

SECTIONS = (
    ("finalists", "Finalists"),
    ("curves", "Rates and losses"),
    ("peaks", "Sensitivity to the peak rate"),
    ("importance", "Importance of settings"),
    ("rungs", "Rungs"),
    ("cost", "Cost"),
    ("divergences", "Divergences"),
    ("provenance", "Provenance"),
    ("use", "How to use it"),
)


def page(report: Report) -> str:
    style, script = part("lrsweep.report", "page/page.css"), part("lrsweep.report", "page/charts.js")
    drawn_charts = {chart.key: chart for chart in charts(report)}
    named = families(report)
    data = {
        "families": {name: place for place, name in enumerate(named)},
        "charts": [each.to_json() for each in drawn_charts.values() if not each.is_empty],
    }
    told = tables(report)
    body = [
        _head_of(report),
        _answer(report),
        _contents(told),
        _section(
            "finalists",
            _table(told["finalists"]),
            *_notes(told["finalists"]),
            _more(told["families"]),
            title=told["finalists"].title,
        ),
        _section(
            "curves",
            _legend(named),
            _chart(drawn_charts["rates"], "Learning rate", named),
            _chart(drawn_charts["values"], "Losses and metrics", named),
            *_paragraphs(_about_curves(report)),
        ),
        _section(
            "peaks",
            _chart(drawn_charts["peaks"], f"{report.searched_metric} by peak rate", named),
            *_paragraphs(_about_peaks(report, drawn_charts["peaks"])),
        ),
        *(_section(key, _table(told[key]), *_notes(told[key])) for key in ("importance", "rungs", "cost")),
        *(_section(key, _table(told[key]), *_notes(told[key])) for key in ("divergences", "provenance")),
        _section("use", *_use(report)),
        f"<footer>Made {escape(moment(report.made_at))} by lrsweep. {_sentence(' '.join(report.notes))}</footer>",
    ]
    return framed(f"{report.study}: lrsweep report", body, style=style, data=safe_json(data), script=script)


def safe_json(value: Json) -> str:
    """JSON that can stand in a script element: no ``<`` is left in it, so that neither ``</script`` nor ``<!--`` is.

    >>> safe_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _head_of(report: Report) -> str:
    sense = "smaller is better" if report.direction == "minimize" else "larger is better"
    told, wanted = report.trials_told, report.trials_wanted
    facts = [
        report.workload,
        f"{report.horizon:,} steps",
        f"{report.searched_metric}, {sense}",
        counted(told, "trial") if wanted is None else f"{told:,} of {counted(wanted, 'trial')}",
        report.state,
    ]
    return (
        f'<header><p class="over">lrsweep report</p><h1>{escape(report.study)}</h1>'
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p></header>'
    )


def _answer(report: Report) -> str:
    found = answer(report)
    kind = found.evidence.replace(" ", "-")
    return (
        f'<section id="answer" class="{kind}"><p class="badge">{escape(found.evidence)}</p>'
        f"<p><strong>{_sentence(found.headline)}</strong> {_sentence(' '.join(found.sentences))}</p></section>"
    )


def _contents(told: Mapping[str, Table]) -> str:
    links = "".join(
        f'<a href="#{key}">{escape(told[key].title if key in told else title)}</a>' for key, title in SECTIONS
    )
    return f'<nav aria-label="Contents">{links}</nav>'


def _section(key: str, *parts: str, title: str | None = None) -> str:
    return f'<section id="{key}"><h2>{escape(title or dict(SECTIONS)[key])}</h2>{"".join(parts)}</section>'


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [f'<p class="note">{_sentence(line)}</p>' for line in lines]


def _sentence(text: str) -> str:
    """Escaped, with code as code."""
    parts = in_parts(text)
    return "".join(f"<code>{escape(part)}</code>" if place % 2 else escape(part) for place, part in enumerate(parts))


def _notes(table: Table) -> list[str]:
    return _paragraphs(table.notes)


def _more(table: Table) -> str:
    """A table that is opened by whoever wants it."""
    inner = f"{_table(table)}{''.join(_notes(table))}"
    return f"<details><summary>{escape(table.title)}</summary>{inner}</details>"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f"<th{_kind(table, place)}>{escape(name)}</th>" for place, name in enumerate(table.columns))
    rows = "".join(
        f"<tr{' class=first' if place == table.marked else ''}>"
        + "".join(f"<td{_kind(table, column)}>{_cell(cell)}</td>" for column, cell in enumerate(row))
        + "</tr>"
        for place, row in enumerate(table.rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _kind(table: Table, column: int) -> str:
    if any(isinstance(row[column], Whiskers) for row in table.rows):
        return ' class="picture"'
    return ' class="number"' if column in table.numbers else ""


def _cell(cell: str | float | Whiskers) -> str:
    match cell:
        case Whiskers():
            return whiskers(cell.low, cell.middle, cell.high, cell.span)
        case float():
            return bar(cell)
    return escape(cell)


def _legend(named: Sequence[str]) -> str:
    """With a script its families are switched on and off."""
    items = "".join(
        f'<button type="button" data-family="{escape(name)}" class="{_colour(place)}" aria-pressed="true">'
        f"<i></i>{escape(name)}</button>"
        for place, name in enumerate(named)
    )
    return f'<div class="legend" role="group" aria-label="Families">{items}</div>' if named else ""


def _chart(chart: Chart, title: str, named: Sequence[str]) -> str:
    if chart.is_empty:
        return ""
    colours = {name: place % COLOURS for place, name in enumerate(named)}
    return (
        f'<figure data-chart="{chart.key}"><figcaption>{escape(title)}</figcaption><div class="tools"></div>'
        f'<div class="plot">{drawn(chart, colours)}</div></figure>'
    )


def _colour(place: int) -> str:
    return f"c{place % COLOURS}{' dashed' if place >= COLOURS else ''}"


def _about_curves(report: Report) -> list[str]:
    if not report.curves:
        return ["No training has a curve yet."]
    strong = sum(each.is_strong for each in report.curves)
    lines = [
        f"Trainings of {report.curve_horizon:,} steps: {strong} strong (each family's best, finalists, the baseline), "
        f"{len(report.curves) - strong} faint."
    ]
    if report.curves_left_out:
        lines.append(f"{counted(report.curves_left_out, 'curve')} more are left out here; `lrsweep ui` shows all.")
    shown = {each.family for each in report.curves}
    if missing := [each.family for each in report.families if each.family not in shown]:
        lines.append(f"No training of so many steps: {', '.join(missing)}.")
    return lines


def _about_peaks(report: Report, chart: Chart) -> list[str]:
    if not report.peaks:
        return ["No training has come to a result yet."]
    lines = [
        "Each point is a training of the search; × diverged. Rates of shorter rungs are given as peaks of the full "
        "horizon, before their correction."
    ]
    if chart.band is not None:
        lines.append(f"Marked: {chart.band.about}.")
    elif report.choice is not None and isinstance(report.choice.rates, str):
        lines.append(f"From where to where the peak loses nothing is not known: {report.choice.rates}.")
    return lines


def _use(report: Report) -> list[str]:
    use = report.use
    if use is None:
        return _paragraphs(["There is nothing to use yet."])
    promote, load = using.champion(report)
    again = using.reproduce(report, use)
    parts = [
        *_paragraphs([using.setting(use)]),
        _code(using.code(use)),
        *_paragraphs(["Promoted, with a history and as a file for git:"]),
        _code(promote),
        _code(f"import lrsweep\n\n{load}"),
    ]
    if again is not None:
        parts += [*_paragraphs(["To train it again and compare:"]), _code(again)]
    return parts


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"

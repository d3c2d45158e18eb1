"""The page, made of what was gathered. Pure. A table that has no row says what brings the first."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from urllib.parse import quote

from lrsweep.champion.history import when
from lrsweep.report.numbers import counted, rate
from lrsweep.service.landing.frame import code, page_bytes, paragraph, with_skip_link
from lrsweep.service.landing.gathering import ChoiceShown, Landing, NightShown, StudyShown, Working
from lrsweep.service.landing.markup import Markup, Part, joined, tag
from lrsweep.service.landing.picture import picture
from lrsweep.store.champions import Alias

SECTIONS = (
    ("working", "Running and queued"),
    ("choices", "Champions and candidates"),
    ("studies", "Studies"),
    ("nights", "Last nights"),
)

SHOWN = 5
"""Rows of a table that are there at once, the newest: the others unfold, without a script."""
SELF_TOLD = ("State", "Schedule", "Rates", "Use it", "Newest sweep", "Pages", "Verdict", "Why")
"""Columns whose cells need no label where a row is a block of its own."""


def landing_page(found: Landing, *, version: str, has_mlflow: bool, is_signed_in: bool) -> bytes:
    keys = [key for key, _ in SECTIONS if found.is_first or key in ("choices", "studies")]
    made = {
        "working": _working(found),
        "choices": _choices(found),
        "studies": _studies(found, has_mlflow=has_mlflow),
        "nights": _nights(found.nights),
    }
    nothing = found.studies_in_all == 0 and found.working_in_all == 0 and not found.nights
    content = [_begin()] if nothing else [_section(key, title, made[key]) for key, title in SECTIONS if key in keys]
    header = tag(
        "header",
        tag("p", "lrsweep ", version, class_="over"),
        tag("h1", "Which schedule to use, and what is under way"),
        None if nothing else paragraph(_counts(found), class_="facts"),
        None if nothing else _contents(keys),
    )
    return page_bytes(
        "lrsweep",
        with_skip_link(header, tag("main", *content, id="content", tabindex="-1"), _footer(is_signed_in=is_signed_in)),
    )


def _counts(found: Landing) -> str:
    studies = f"{found.studies_in_all:,} {'study' if found.studies_in_all == 1 else 'studies'}"
    if not found.is_first:
        return f"{studies}; these begin after a page before."
    return f"{studies}, {counted(found.working_in_all, 'sweep')} running or queued"


def _contents(keys: Sequence[str]) -> Markup:
    links = [tag("a", title, href=f"#{key}") for key, title in SECTIONS if key in keys]
    return tag("nav", *links, tag("a", "Load again", href="/"), aria_label="Sections")


def _footer(*, is_signed_in: bool) -> Markup:
    sign_out = tag("form", tag("button", "Sign out", type="submit"), method="post", action="/logout")
    return tag(
        "footer",
        tag(
            "nav",
            tag("a", "OpenAPI", href="/openapi.json"),
            tag("a", "Studies as JSON", href="/v1/studies"),
            tag("a", "Counts for Prometheus", href="/metrics"),
            aria_label="For programs",
        ),
        sign_out if is_signed_in else None,
    )


def _section(key: str, title: str, inner: Markup) -> Markup:
    return tag("section", tag("h2", title, id=f"{key}-title"), inner, id=key, aria_labelledby=f"{key}-title")


def _begin() -> Markup:
    """Where nothing is yet."""
    return tag(
        "section",
        tag("h2", "No study has been run here yet"),
        paragraph("On the machine of the service, with its ", code("LRSWEEP_HOME"), " or its database:"),
        tag(
            "ul",
            tag("li", code("lrsweep new STUDY.toml"), " writes a study file to begin with"),
            tag("li", code("lrsweep run STUDY.toml"), " runs its sweep; this page then shows it"),
            tag("li", code("lrsweep demo"), " runs one of a minute, in a home of its own"),
        ),
    )


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _working(found: Landing) -> Markup:
    if not found.working:
        return paragraph("Nothing runs or waits. ", code("lrsweep run STUDY.toml"), " begins a sweep.", class_="note")
    beyond = found.working_in_all - len(found.working)
    rows = [_working_row(each) for each in found.working]
    columns = ("Study", "State", "Trials", "Since")
    table = _table("Sweeps that run, then those that wait for a worker", "sweeps", columns, rows)
    return joined(table, paragraph(f"And {beyond:,} more.", class_="note") if beyond else None)


def _working_row(each: Working) -> list[Part]:
    return [_report_link(each.study, each.sweep), each.state, each.trials, _moment(each.since)]


def _order(found: Landing) -> str:
    """Studies come in pages by their names."""
    return "the newest first" if found.is_first and found.next is None else "the newest of this page first"


def _choices(found: Landing) -> Markup:
    choices = found.choices
    if not choices:
        return paragraph(
            "None of these studies has one. ",
            code("lrsweep promote STUDY"),
            " puts its choice in force.",
            class_="note",
        )
    columns = (
        "Study",
        "In force as",
        "Schedule",
        "Rates",
        "Peak rate",
        "Steps",
        "Evidence",
        "Seeds",
        "Since",
        "Use it",
    )
    return _table(
        f"What is in force: the schedule, how it looks, and how far it is shown; {_order(found)}",
        "in force",
        columns,
        [_choice_row(each) for each in sorted(choices, key=lambda each: -each.at)],
        numbers=("Peak rate", "Steps", "Seeds"),
    )


def _choice_row(each: ChoiceShown) -> list[Part]:
    drawn = None if each.schedule is None or each.horizon is None else picture(each.schedule, each.horizon)
    evidence = each.evidence or "not told"
    return [
        each.name,
        each.alias,
        each.summary,
        drawn or "",
        "" if each.peak_lr is None else rate(each.peak_lr),
        "" if each.horizon is None else f"{each.horizon:,}",
        tag("span", evidence, class_=f"badge {evidence}"),
        "" if each.n is None else str(each.n),
        _moment(each.at),
        _use(each.name) if each.alias == Alias.CHAMPION else "",
    ]


def _use(name: str) -> Markup:
    address = f"/v1/studies/{quote(name, safe='')}/schedule"
    return joined(
        tag("a", "as JSON", href=address, aria_label=f"{name} as JSON"),
        " ",
        tag("a", "for PyTorch", href=f"{address}?format=torch", aria_label=f"{name} for PyTorch"),
    )


def _studies(found: Landing, *, has_mlflow: bool) -> Markup:
    if not found.studies:
        return paragraph("There is no further study. ", tag("a", "To the first page", href="/"), class_="note")
    columns = ("Study", "Newest sweep", "Trials", "Best", "Began", "Pages")
    newest_first = sorted(found.studies, key=lambda each: -(each.began_at or 0.0))
    rows = [_study_row(each, has_mlflow=has_mlflow) for each in newest_first]
    pages = [
        None if found.is_first else tag("a", "First page", href="/"),
        None if found.next is None else tag("a", "Next studies", href=f"/?cursor={quote(found.next, safe='')}#studies"),
    ]
    table = _table(f"Where the newest sweep of each stands, {_order(found)}", "studies", columns, rows)
    return joined(table, tag("nav", *pages, aria_label="Pages of studies") if any(pages) else None)


def _study_row(each: StudyShown, *, has_mlflow: bool) -> list[Part]:
    links: list[Part] = []
    if each.sweep is not None:
        links.append(tag("a", "report", href=_report(each.sweep), aria_label=f"report of {each.name}"))
        if has_mlflow:
            address = f"/mlflow/{quote(each.name, safe='')}"
            links += " ", tag("a", "curves in MLflow", href=address, aria_label=f"curves in MLflow of {each.name}")
    return [each.name, each.state, each.trials, each.best, _moment(each.began_at), joined(*links)]


def _nights(nights: Sequence[NightShown]) -> Markup:
    if not nights:
        return paragraph(
            "No night so far. ", code("lrsweep nightly run"), " asks whether the champions still hold.", class_="note"
        )
    rows = [[each.study, each.key, _verdict(each), each.sentence] for each in nights]
    caption = "Whether the champions still hold, the newest first"
    return _table(caption, "nights", ("Study", "Night", "Verdict", "Why"), rows)


def _verdict(each: NightShown) -> Markup:
    said = f"{each.verdict}{' (unchanged)' if each.is_unchanged else ''}"
    return tag("span", said, class_=f"verdict {_word(each.verdict)}")


def _table(
    caption: str, things: str, columns: Sequence[str], rows: Sequence[Sequence[Part]], numbers: Sequence[str] = ()
) -> Markup:
    """The first rows, and the others in a table of their own that unfolds: a telephone shows the whole page on a few
    screens."""
    if len(rows) <= SHOWN + 1:
        return _rows(columns, rows, numbers, tag("caption", caption))
    more = f"{len(rows) - SHOWN:,} more {things}"
    return joined(
        _rows(columns, rows[:SHOWN], numbers, tag("caption", caption)),
        tag("details", tag("summary", more), _rows(columns, rows[SHOWN:], numbers, None, label=more)),
    )


def _rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[Part]],
    numbers: Sequence[str],
    caption: Markup | None,
    label: str | None = None,
) -> Markup:
    """On a telephone each row is a block of its own: that takes away what a table is, so its roles are said."""
    head = [tag("th", name, scope="col", role="columnheader", class_=_kind(name, numbers)) for name in columns]
    body = [tag("tr", *map(_cell, columns, row, [numbers] * len(columns)), role="row") for row in rows]
    return tag(
        "table",
        caption,
        tag("thead", tag("tr", *head, role="row"), role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        role="table",
        aria_label=label,
    )


def _cell(column: str, inner: Part, numbers: Sequence[str]) -> Markup:
    is_first = column == "Study"
    return tag(
        "th" if is_first else "td",
        inner,
        scope="row" if is_first else None,
        role="rowheader" if is_first else "cell",
        data_label=column,
        class_=" ".join(filter(None, [_kind(column, numbers), "empty" if not inner else None, _self_told(column)]))
        or None,
    )


def _kind(column: str, numbers: Sequence[str]) -> str | None:
    return "number" if column in numbers else None


def _self_told(column: str) -> str | None:
    return ("rates" if column == "Rates" else "told") if column in SELF_TOLD else None


def _report_link(name: str, sweep: str | None) -> Part:
    return name if sweep is None else tag("a", name, href=_report(sweep))


def _report(sweep: str) -> str:
    return f"/v1/sweeps/{quote(sweep, safe='')}/report"


def _moment(at: float | None) -> Part:
    if at is None:
        return ""
    told = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return tag("time", told, datetime=when(at))


def _word(text: str) -> str:
    """A class of the style."""
    return text.replace(" ", "-")

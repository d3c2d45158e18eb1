"""The history of nights as one page that asks no network for anything and runs no script: a section for each study.

Whatever a study or a night is called is text and never markup. The page's policy allows its own style, by its hash, and
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from lrsweep.nightly.outcome import CHANGED, FAILED, NightRun, StudyNight
from lrsweep.nightly.telling.chart import drawn
from lrsweep.nightly.telling.markdown import headline
from lrsweep.nightly.telling.nights import Point, changed, in_a_line, nights_of, points, series, verdict
from lrsweep.nightly.telling.wanted import YEAR
from lrsweep.report.coded import in_parts
from lrsweep.report.framing import framed, part
from lrsweep.report.numbers import between, counted, duration, moment, number

MOST_ROWS = 60
"""Of a study's table; its chart has a year."""
HEAD = ("night", "verdict", "canary", "limits", "trained", "why")

LEGEND = (
    '<p class="note">Shaded: the limits of each night. ◆ a night that left them or came to a change. Dashed: something '
    "around the training changed; thick: limits began anew with it.</p>"
)


def page(run: NightRun, history: Mapping[str, Sequence[StudyNight]]) -> str:
    nights = nights_of(run, history)
    style = part("lrsweep.report", "page/page.css") + part("lrsweep.nightly.telling", "nights.css")
    tonight = {night.study for night in run.studies}
    body = [
        _head_of(run),
        _contents(nights),
        *(f'<p class="note">{_sentence(note)}</p>' for note in run.notes),
        *(_study(study, found, is_tonight=study in tonight) for study, found in nights.items()),
        f"<footer>Written {escape(moment(run.ended_at))} by lrsweep.</footer>",
    ]
    return framed(f"{run.key}: lrsweep nights", body, style=style)


def _head_of(run: NightRun) -> str:
    facts = [headline(run), f"exit code {run.exit_code}", f"took {duration(run.ended_at - run.began_at)}"]
    return (
        f'<header><p class="over">lrsweep nights</p><h1>{escape(run.key)}</h1>'
        f'<p class="facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p></header>'
    )


def _contents(nights: Mapping[str, Sequence[StudyNight]]) -> str:
    if len(nights) < 2:
        return ""
    links = "".join(
        f'<a href="#{escape(_anchor(study))}">{escape(study)}: {escape(verdict(found[-1]))}</a>'
        for study, found in nights.items()
    )
    return f'<nav aria-label="Studies">{links}</nav>'


def _anchor(study: str) -> str:
    return f"study-{study}"


def _study(study: str, nights: Sequence[StudyNight], *, is_tonight: bool) -> str:
    night = nights[-1]
    charts = [(name, points(nights, name)) for name in series(nights)]
    return (
        f'<section id="{escape(_anchor(study))}"><h2>{escape(study)}</h2>'
        f'<div class="night {_kind(night)}"><p class="badge">{escape(verdict(night))}</p>'
        f"<p><strong>{_sentence(_full(in_a_line(night.sentence)))}</strong></p>"
        f"{''.join(f'<p>{line}</p>' for line in _facts(night, is_tonight=is_tonight))}</div>"
        f"{''.join(_figure(name, found) for name, found in charts)}{LEGEND if charts else ''}"
        f"{_changes(nights)}{_table(study, nights, charts[0][1] if charts else ())}</section>"
    )


def _facts(night: StudyNight, *, is_tonight: bool) -> Iterator[str]:
    yield _sentence(_full(f"next: {night.next_step}"))
    named = (("Now in force", night.promoted), ("Champion", night.champion), ("Candidate", night.candidate))
    yield from (f"{name}: {_sentence(value)}" for name, value in named if value)
    if not is_tonight:
        yield f"Its last night, {escape(night.key)}, ended {escape(moment(night.ended_at))}; it did not run tonight."


def _kind(night: StudyNight) -> str:
    if night.verdict == FAILED:
        return "failed"
    return "told" if night.exit_code == CHANGED else night.verdict.replace(" ", "-")


def _figure(name: str, found: Sequence[Point]) -> str:
    picture = drawn(found, name)
    if not picture:
        return ""
    return f"<figure><figcaption>Canary of {escape(name)}, night by night</figcaption>{picture}</figure>"


def _changes(nights: Sequence[StudyNight]) -> str:
    """Newest first: what changed is no drift, and stands where one looks for why."""
    rows = [(night.key, line) for night in reversed(nights) for line in changed(night)][:MOST_ROWS]
    if not rows:
        return ""
    items = "".join(f"<li><b>{escape(key)}</b> {_sentence(line)}</li>" for key, line in rows)
    return f'<details open><summary>What changed around it</summary><ul class="changes">{items}</ul></details>'


def _table(study: str, nights: Sequence[StudyNight], found: Sequence[Point]) -> str:
    values = dict(enumerate(found))
    rows = list(enumerate(nights))[-MOST_ROWS:]
    lines = "".join(_row(_cells(night, values.get(place))) for place, night in reversed(rows))
    head = "".join(f'<th scope="col">{name}</th>' for name in HEAD)
    label = f"Nights of {study}, newest first"
    older = len(nights) - len(rows)
    many = "at least " if len(nights) >= YEAR else ""  # no more are read
    more = f'<p class="note">{many}{counted(older, "night")} before these.</p>' if older else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="nights">'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>{more}"
    )


def _cells(night: StudyNight, point: Point | None) -> Iterable[str]:
    trained = f"{counted(night.trainings, 'training')}, {duration(night.seconds)}" if night.trainings else "nothing"
    value = number(point.value) if point is not None else number(None)
    limits = between(point.limits) if point is not None else ""
    return night.key, verdict(night), value, limits, trained, in_a_line(night.sentence)


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{_sentence(cell)}</td>' for cell in cells)}</tr>"


def _sentence(text: str) -> str:
    """Escaped, with code as code."""
    parts = in_parts(text)
    return "".join(f"<code>{escape(part)}</code>" if place % 2 else escape(part) for place, part in enumerate(parts))


def _full(text: str) -> str:
    """A whole sentence; a name at its beginning stays as it is.

    >>> _full("nothing has changed"), _full("mine.toml: 1 problem.")
    ('Nothing has changed.', 'mine.toml: 1 problem.')
    """
    begin = text[:1].upper() if re.match(r"[a-z]+[ :]", text) else text[:1]
    return f"{begin}{text[1:]}" if text.endswith((".", "?")) else f"{begin}{text[1:]}."

"""The report's page: it needs no network and no script, takes hostile names for text, and is not too large."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources

import pytest

from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.report.thinning import MOST_POINTS
from tests.read_pages import Read, data_in
from tests.reported import (
    NOW,
    WITH_FINALS,
    a_report,
)
from tests.scripted import completed
from tests.sweeps import a_study

HOSTILE = "<!--<script></script><img src=x onerror=alert(1)>|`*\n# x"


@pytest.fixture(scope="module")
def finished() -> Report:
    return a_report()


def test_the_page_asks_no_network_for_anything(finished: Report) -> None:
    """No address in it but of namespaces, no source, and a policy that would forbid it."""
    text = page(finished)
    read = Read(text)
    assert set(re.findall(r"https?://[^\"'\s<)]+", text)) <= {"http://www.w3.org/2000/svg"}
    loading = [
        (tag, name) for tag, attributes in read.tags for name in attributes if name in ("src", "srcset", "action")
    ]
    assert loading == []
    assert [attributes["href"] for tag, attributes in read.tags if tag == "link"] == ["data:,"]
    [policy] = [attributes["content"] for tag, attributes in read.tags if "http-equiv" in attributes]
    assert str(policy).startswith("default-src 'none'; ")
    assert "unsafe" not in str(policy)
    assert "style" not in {name for _, attributes in read.tags for name in attributes}


def test_hostile_names_are_text(finished: Report) -> None:
    """Of study, family, metric and note: no tag of theirs is in the page, and what they are called is legible."""
    hostile = replace(
        finished,
        study=HOSTILE,
        workload=HOSTILE,
        searched_metric=HOSTILE,
        curve_metric=HOSTILE,
        state=HOSTILE,
        why_none=HOSTILE,
        families=tuple(replace(each, family=HOSTILE) for each in finished.families),
        curves=tuple(replace(each, family=HOSTILE, about=HOSTILE) for each in finished.curves),
        peaks=tuple(replace(each, family=HOSTILE, optimizer=HOSTILE, about=HOSTILE) for each in finished.peaks),
        divergences=tuple(replace(each, family=HOSTILE) for each in finished.divergences),
        provenance=((HOSTILE, HOSTILE),),
        notes=(HOSTILE,),
    )
    text = page(hostile)
    assert "img" not in {tag for tag, _ in Read(text).tags}
    assert text.count("<script") == text.count("</script>") == 2
    assert "<!--" not in text
    assert HOSTILE in Read(text).text
    assert any(each["series"][0]["family"] == HOSTILE for each in data_in(text)["charts"])
    plain = re.sub(r"^(```+)\w*\n.*?^\1$", "", markdown(hostile), flags=re.DOTALL | re.MULTILINE)
    assert "<img" not in plain
    assert "\n# x" not in plain


def test_code_in_a_sentence_is_code_and_a_name_in_it_no_markup(finished: Report) -> None:
    """In the answer, in notes and at the foot; what is no code keeps its backticks, and every sign is escaped."""
    notes = ("Then type `lrsweep run mine.toml`, or `--new`, not `<script>x</script>`.",)
    text = page(replace(finished, notes=notes, curves_left_out=3))
    assert "<code>lrsweep run mine.toml</code>, or <code>--new</code>, not `&lt;script&gt;x&lt;/script&gt;`." in text
    assert "more are left out here; <code>lrsweep ui</code> shows all." in text
    assert text.count("<script") == 2


def test_without_a_script_the_charts_are_there(finished: Report) -> None:
    """Each figure has a picture with a line or a point for the strong series."""
    text = page(finished)
    pictures = re.findall(r'<div class="plot">(<svg.*?</svg>)', text)
    assert len(pictures) == 3
    assert all("polyline" in each for each in pictures[:2])
    assert "<circle" in pictures[2]
    assert all("nan" not in each for each in pictures)


def test_a_family_has_one_colour_in_all_charts(finished: Report) -> None:
    """By its place among the families, on the page and in its pictures."""
    text = page(finished)
    places = data_in(text)["families"]
    buttons = dict(re.findall(r'data-family="(\w+)" class="c(\d+)', text))
    assert {family: int(number) for family, number in buttons.items()} == places


def test_a_page_of_many_long_trainings_is_small() -> None:
    """Under a megabyte for 60 trials of 5,000 updates, whose curves are thinned."""
    study = replace(a_study(trials=60, horizon=5000), selection=replace(WITH_FINALS.selection, finalists=0))
    report = a_report(study, completed)
    assert max(len(each.rates) for each in report.curves) <= MOST_POINTS
    assert len(page(report).encode()) < 1_000_000


def test_style_and_script_are_parts_of_the_package() -> None:
    """So that a wheel has them."""
    folder = resources.files("lrsweep.report") / "page"
    assert {each.name for each in folder.iterdir()} == {"page.css", "charts.js"}


def test_the_same_content_gives_the_same_page(finished: Report) -> None:
    """A report may be kept in git: nothing in it changes by itself."""
    again = replace(a_report(), provenance=finished.provenance)  # but for the minute in which that one began
    assert page(finished) == page(again)
    assert finished.made_at == NOW

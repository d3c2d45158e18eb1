"""The report's curves, axes and figures, and its Markdown."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from lrsweep.report.charts import Chart, Series, charts
from lrsweep.report.content import Report
from lrsweep.report.drawing import drawn, ticks, whiskers
from lrsweep.report.markdown import markdown, quoted
from lrsweep.report.numbers import NOTHING
from lrsweep.report.thinning import MOST_POINTS, averaged, thinned
from lrsweep.schedules import schedule
from tests.reported import (
    a_report,
)


@pytest.fixture(scope="module")
def finished() -> Report:
    return a_report()


def test_a_drop_of_the_rate_stays_a_drop() -> None:
    """Of 10,000 steps both sides of each are kept: 0.1 until step 4,999, and 0.01 from step 5,000 on."""
    points = dict(thinned(np.where(np.arange(10_000) < 5_000, 0.1, 0.01)))
    assert (points[4999.0], points[5000.0]) == (0.1, 0.01)
    assert len(points) <= MOST_POINTS


def test_a_corner_of_the_rate_is_kept() -> None:
    """Where a cool-down begins."""
    rates = schedule("wsd", cooldown=0.123).rates(10_000, peak_lr=1.0)
    kept = [x for x, _ in thinned(rates)]
    assert any(abs(x - 8_770) <= 1 for x in kept)


def test_what_is_no_number_is_a_gap() -> None:
    """Neither JSON nor an SVG has one."""
    assert thinned(np.array([1.0, np.nan, np.inf])) == ((0.0, 1.0), (1.0, None), (2.0, None))
    assert averaged(np.array([np.inf, 1.0])) == ((0.0, None), (1.0, 1.0))
    assert averaged(np.empty(0)) == thinned(np.empty(0)) == ()


def test_ticks_are_round_and_inside() -> None:
    """Of any range, also a narrow one far from zero and one of a single decade."""
    assert ticks(0.0, 90.0) == [0.0, 20.0, 40.0, 60.0, 80.0]
    assert ticks(1.501, 1.512) == pytest.approx([1.502, 1.504, 1.506, 1.508, 1.51, 1.512])
    assert ticks(0.001, 0.1, is_log=True) == [0.001, 0.01, 0.1]
    assert ticks(0.2, 0.9, is_log=True) == [0.2, 0.3, 0.5, 0.7]
    assert ticks(5.0, 5.0) == [5.0]


@pytest.mark.parametrize(
    ("low", "high"), [(0.12, 0.33), (0.11, 2.5), (0.4, 0.6), (0.201, 0.209), (2e-4, 0.9), (1, 9e5)]
)
def test_a_log_axis_has_three_ticks_and_one_near_each_end(low: float, high: float) -> None:
    """Also where all points lie within one decade: none is far from a label."""
    found = ticks(low, high, is_log=True)
    shares = [np.log(each / low) / np.log(high / low) for each in found]
    assert 3 <= len(found) <= 12
    assert 0 <= min(shares) < 0.3
    assert 0.7 < max(shares) <= 1 + 1e-9
    assert ticks(0.11, 2.5, is_log=True) == [0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2]


def test_labels_of_an_axis_do_not_touch() -> None:
    """Long ones on a log axis are left out where the one before is nearer than 10 units; a sign takes 7."""
    rates = ((0.00012, 0.5), (0.0021, 0.6))
    chart = Chart("peaks", "peak rate", "val_loss", (Series("cosine", "", rates, abouts=("", "")),), x_log=True)
    labels = re.findall(r'<text x="([\d.]+)" y="278" text-anchor="middle">([\d.]+)<', drawn(chart, {"cosine": 0}))
    places = [(float(x), 7 * len(label) / 2) for x, label in labels]
    assert len(places) >= 3
    assert all(left + half + 10 <= right - other for (left, half), (right, other) in itertools.pairwise(places))


def test_code_in_a_sentence_is_code_in_markdown(finished: Report) -> None:
    """A backtick in a name is text."""
    assert finished.choice is not None
    step = "the finals have not ended: `lrsweep run three` goes on with them"
    text = markdown(replace(finished, choice=replace(finished.choice, next_step=step)))
    assert "`lrsweep run three` goes on" in text
    assert "\\`" not in text
    assert quoted("a`b and `*x*`") == r"a\`b and \`\*x\*\`"


def test_an_interval_is_drawn_where_it_lies() -> None:
    """From 25 % to 75 % of its cell with the mean in the middle; what lies outside ends at the edge."""
    found = whiskers(1.0, 2.0, 3.0, (0.0, 4.0))
    assert 'x1="25.00%" x2="75.00%"' in found
    assert 'cx="50.00%"' in found
    assert 'x1="0.00%" x2="100.00%"' in whiskers(-9.0, 2.0, 9.0, (0.0, 4.0))


def test_markdown_tables_have_as_many_cells_in_each_row(finished: Report) -> None:
    """And pictures are left to the page."""
    blocks = [block for block in markdown(finished).split("\n\n") if block.startswith("|")]
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert NOTHING in markdown(finished)


def test_charts_have_views_that_their_series_are_in(finished: Report) -> None:
    """Else a button would show an empty chart."""
    for chart in charts(finished):
        assert {each.view for each in chart.series} == set(chart.views)

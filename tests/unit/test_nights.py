"""Rows of nights and their judgements: what is taken, left out and refused, and how it is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from lrsweep.errors import InvalidInput
from lrsweep.selection.nights import Night, Outcomes, Rules, judge, judgements
from tests.nights_by_hand import HERE, LEVELS, challenged, night, outcomes, quiet, verdicts


def test_seeds_that_an_earlier_night_used_are_left_out() -> None:
    """The same three seeds ten times are three pairs, and one night of the canary."""
    first = challenged(night(0), {"wsd": 0.5}, 0)
    found = judgements([replace(first, key=f"again {place}") for place in range(10)], Rules(worth=0.0))
    assert "challenger better" not in verdicts(found)
    assert found[-1].stale_seeds == (0, 1, 2)
    assert found[-1].charts[0].nights == 1
    assert found[-1].reason == "no fresh seed of the champion's canary came to an end tonight"


def test_figures_are_in_the_metric_s_own_direction() -> None:
    """An accuracy is given as costs below zero, and told as it is."""
    nights = [
        Night(f"{place}", "step", 200, HERE, outcomes(place, -0.9 - LEVELS[place % 5] / 100)) for place in range(10)
    ]
    chart = judge(nights, Rules(direction="maximize")).charts[0]
    assert chart.tonight == pytest.approx(0.9099)
    assert chart.limits is not None
    assert chart.limits.low < 0.91 < chart.limits.high
    assert chart.before == pytest.approx(0.91, abs=1e-3)


def test_rows_and_judgements_pass_through_json() -> None:
    """A row comes back as it was; a judgement is plain JSON."""
    one = challenged(replace(night(3), canary=Outcomes({30: 1.0}, frozenset({31}))), {"wsd": 0.5, "rex": None}, 3)
    assert Night.from_json(json.loads(json.dumps(one.to_json()))) == one
    written = json.loads(json.dumps(judge([*quiet(3), one]).to_json(), allow_nan=False))
    assert written["format"] == 1
    assert written["verdict"] == "undecided"
    assert [each["name"] for each in written["compared"]] == ["rex", "wsd"]


def test_what_cannot_be_a_night_is_refused() -> None:
    """Each with what was given and what is wanted."""
    with pytest.raises(InvalidInput, match=r"a cost of a night is nan of seed 1; a seed that diverged is named"):
        Outcomes({1: math.nan})
    with pytest.raises(InvalidInput, match=r"seed 1 of a night has a cost and has diverged"):
        Outcomes({1: 0.5}, frozenset({1}))
    with pytest.raises(InvalidInput, match=r"night 'night 0' is given twice"):
        judge([night(0), night(0)])
    with pytest.raises(InvalidInput, match=r"no night is given"):
        judge([])
    with pytest.raises(InvalidInput, match=r"restarts of a night's rules has 'gpu'; it takes device, versions, data"):
        Rules(restarts=("gpu",))
    with pytest.raises(InvalidInput, match=r"worth of a night's rules is -1"):
        Rules(worth=-1.0)
    with pytest.raises(InvalidInput, match=r"night 'x' has format 2, and this lrsweep reads up to 1"):
        Night.from_json({"format": 2, "key": "x"})


def test_what_a_night_says_does_not_hang_on_later_nights() -> None:
    """A driver that asks each night gets what one gets that asks in the end."""
    nights = [*quiet(6), night(6, level=9.0), *quiet(3, start=7)]
    assert [judge(nights[: end + 1]) for end in range(len(nights))] == judgements(nights)

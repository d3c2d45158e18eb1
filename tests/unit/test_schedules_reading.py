"""Schedules inside schedules, read from JSON: places in the errors, versions, and texts that mean harm."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrsweep import ScheduleError, schedule, schedule_from_json, sequence
from lrsweep.schedules import Schedule

LINEAR = {"family": "linear"}


def refusal_of(given: Any) -> str:
    with pytest.raises(ScheduleError) as error:
        schedule_from_json(given if isinstance(given, str) else json.dumps(given))
    return str(error.value)


def test_a_schedule_inside_another_is_read() -> None:
    """The smallest texts: defaults stand in for what is left out, inside too."""
    parts = [{"schedule": LINEAR, "length": 0.5}, {"schedule": {"family": "plateau", "base": LINEAR}, "length": "rest"}]
    read = schedule_from_json(json.dumps({"family": "sequence", "parts": parts}))
    assert read == sequence((schedule("linear"), 0.5), (schedule("plateau", base=schedule("linear")), "rest"))
    extended = {"family": "extended", "ratio": 2, "schedule": {"version": 1, **LINEAR}}
    assert schedule_from_json(json.dumps(extended)) == schedule("linear").extended(2.0)


def test_problems_inside_are_told_with_their_places_and_with_those_outside() -> None:
    """Six slips at three depths in one text, all told at once."""
    text = refusal_of(
        {
            "family": "sequence",
            "floor": 2,
            "parts": [
                {"schedule": {"family": "linear", "warm_up": 0.1}, "length": 0.5},
                {"schedule": {"family": "extended", "ratio": 0.5, "schedule": {"family": "cosin"}}, "length": 0},
                {"length": 0.5, "size": 1},
            ],
        }
    )
    lines = text.splitlines()
    assert lines[0] == "schedule JSON: 7 problems"
    starts = [
        "  parts[1].length must be a number in (0, 1], or a count",
        "  parts[2]: 'size' is not known. A part has: schedule, length",
        "  parts[2]: schedule is missing",
        "  floor must be a number in [0, 1], not 2",
        "  parts[0].schedule: 'warm_up' is not a setting. Did you mean 'warmup'?",
        "  parts[1].schedule: ratio must be a number in [1, 1e+06], not 0.5",
        "  parts[1].schedule.schedule: there is no schedule family 'cosin'. Did you mean 'cosine'?",
    ]
    for line, start in zip(lines[1:], starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"family": "plateau", "base": "linear"}, "base must be a time-driven schedule .*, not 'linear'"),
        ({"family": "plateau", "base": {"family": "plateau"}}, "base must be a time-driven schedule"),
        ({"family": "plateau", "base": {}}, r"base must be a time-driven schedule .*, not \{\}"),
        (
            {"family": "plateau", "base": {"family": "linear", "version": 2}},
            "base: version must be 1 or left out, not 2",
        ),
        (
            {"family": "linear", "floor": LINEAR},
            r"floor must be a number in \[0, 1\], not lrsweep.schedule\('linear'\)",
        ),
        ({"family": "linear", "floor": [[LINEAR]]}, r"floor must be a number in \[0, 1\], not \[\["),
        ({"family": {"family": "linear"}}, "a schedule family is named by a string"),
        ({"family": "sequence", "parts": LINEAR}, "parts must be 1 to 1000 pairs such as"),
        ({"family": "sequence", "parts": [[LINEAR, 0.5], ["linear", 0.5]]}, r"parts\[1\].schedule must be a schedule"),
        ({"family": "function", "path": "os:getcwd", "allow_code": True}, "'allow_code' is not a setting"),
        ({"family": "grouped", "groups": []}, "'grouped' is not a family but a schedule for each parameter group"),
    ],
)
def test_an_inner_schedule_that_cannot_be_meant_is_refused(given: Any, text: str) -> None:
    """Each with its place and what is wanted there."""
    with pytest.raises(ScheduleError, match=text):
        schedule_from_json(json.dumps(given))


def test_a_newer_version_is_told_before_anything_else() -> None:
    """What looks wrong in its text may be right there; the number stays short."""
    assert refusal_of({"version": 7, "family": "spiral"}) == (
        "schedule JSON: version 7 was written by a newer lrsweep; this one reads version 1. "
        "Upgrade lrsweep, or write the schedule again with this one"
    )
    assert len(refusal_of('{"version": ' + "9" * 4000 + "}")) < 300


def nested(depth: int) -> str:
    return '{"family": "extended", "ratio": 1, "schedule": ' * depth + json.dumps(LINEAR) + "}" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested(100_000), "is not JSON|nested deeper"),
        (nested(400), "nested deeper than a schedule can be"),
        (nested(60), r"schedule(\.schedule)+ must be a schedule|must be a schedule .* made of 30 inside one another"),
        ('{"family": "linear", "floor": ' + "[" * 900 + "]" * 900 + "}", "floor must be a number|nested deeper"),
        ('{"family": "linear", "floor": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", "floor must be|nested deeper"),
        (json.dumps({"family": "linear", **{f"x{n}": n for n in range(5000)}}), "cannot have 5001 settings"),
        (json.dumps({"family": "sequence", "parts": [{"schedule": {}}] * 5000}), "5000 entries are too many"),
        (json.dumps({"family": "table", "values": [0.5] * 200_000 + ["x"]}), "number 200001 is 'x'"),
        (json.dumps({"family": "table", "values": [[0.5]] * 200_000}), "200000 entries are too many"),
        ('{"family": "linear", "floor": 1e400}', r"floor must be a number in \[0, 1\], not inf"),
    ],
    ids=["deep text", "deep", "31 inside", "lists", "objects", "settings", "parts", "long", "rows", "infinite"],
)
def test_hostile_texts_are_refused_with_a_short_message(text: str, message: str) -> None:
    """Deep nesting and huge lists end in a ScheduleError that a terminal can show."""
    with pytest.raises(ScheduleError, match=message) as error:
        schedule_from_json(text)
    assert len(str(error.value)) < 1500


def test_thirty_schedules_inside_one_another_are_read_and_have_rates() -> None:
    """What passes the limit can be used, in a time that does not double with every level: printed, compared, asked for
    a factor, a rate and a momentum."""
    s = schedule_from_json(nested(29))
    assert s == schedule_from_json(s.to_json())
    assert repr(s).count("extended") == 29
    assert s.rates(4).tolist() == [1.0, 0.75, 0.5, 0.25]
    assert s.factor(0.25) == 0.75
    mixed: Schedule = schedule("linear", warmup="1 step")
    for _ in range(9):
        mixed = sequence((mixed.extended(1.0).cooled_down(0.5, 0.5), 1.0))
    assert mixed.on_horizon(4).factor(0.25) == mixed.factor(0.25, 4)
    # The first of the nine cool-downs begins at step 2.5, at 0.75, and the eight others follow the same line.
    np.testing.assert_allclose(mixed.rates(5), [0.5, 1, 0.75, 0.6, 0.3])
    assert mixed.momenta(4) is None
    assert schedule_from_json(mixed.to_json()) == mixed
    assert repr(mixed).count("sequence") == 9


def test_reading_json_imports_and_calls_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that would write a file when it is imported is named deep inside a text; it stays unread, also when the
    same text has other problems and code is allowed nowhere."""
    (tmp_path / "harm_done.py").write_text(f"open({str(tmp_path / 'done')!r}, 'w').close()\ndef f(u): return 1 - u\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    inner = {"family": "function", "path": "harm_done:f"}
    for given in (
        inner,
        {"family": "sequence", "parts": [{"schedule": inner, "length": 1}]},
        {"family": "plateau", "base": {"family": "extended", "ratio": 2, "schedule": inner}, "floor": 3},
    ):
        assert "allow_code=True" in refusal_of(given)
    assert not (tmp_path / "done").exists()
    assert "harm_done" not in sys.modules
    assert schedule_from_json(json.dumps(inner), allow_code=True).factor(0.25) == 0.75
    assert (tmp_path / "done").exists()
    sys.modules.pop("harm_done", None)

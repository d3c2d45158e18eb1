"""What was measured to choose an engine: kept in a file, and told in lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import available_cores
from lrsweep.records import Crew
from tests.measured import FUSED, ONE, asked, fast


def test_what_was_measured_is_kept_and_told_once(tmp_path: Path) -> None:
    """The second sweep says so in a line; it measures the speed alone, by which it knows that it is long enough."""
    file = tmp_path / "engines.json"
    first, second = fast(), fast()
    said = asked(first, file)
    assert said[0].startswith("engines measured in 0 s, in updates per second (")
    assert said[1].startswith("  sequential: 1,000 in 1 process")
    assert said[2].startswith("  fused: 2,000 with 2 slots, 4,000 with 4 slots, 4,100 with 8 slots")
    assert said[-2] == (
        "engine: fused with 4 slots in 1 process; fused with 4 slots in 1 process is 4.00 times as fast as sequential "
        "in 1 process (95 % interval 4.00 to 4.00, 10 alternating repeats)"
    )
    assert said[-1] == repr(Crew(1, 4))
    again = asked(second, file)
    assert second.tried == [ONE]
    assert len(again) == 2
    assert again[0].startswith("engine: fused with 4 slots in 1 process, as measured on 20")
    assert again[0].endswith(f"; to measure again, remove {file}")
    assert again[1] == said[-1]
    [entry] = json.loads(file.read_text())["entries"].values()
    assert entry["of"]["workload"] == "digits"
    assert entry["choice"]["crew"] == {"processes": 1, "slots": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["engines.json"]


def test_another_question_is_measured_for_itself(tmp_path: Path) -> None:
    """Other optimizers, another number at once, another GPU, or only the fused engine; each is found again."""
    file = tmp_path / "engines.json"
    others: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"optimizers": ("sgd",)}, {}),
        ({"rest": Rest(1e6, 16)}, {}),
        ({"option": FUSED}, {}),
        ({}, {"device": "NVIDIA H200"}),
    ]
    for given, machine in others:
        measurer = fast(**machine)
        asked(measurer, file, **given)
        assert len(measurer.tried) > 1
    for given, machine in others:
        measurer = fast(**machine)
        asked(measurer, file, **given)
        assert measurer.tried == [ONE]
    assert len(json.loads(file.read_text())["entries"]) == len(others)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[1, 2]",
        lambda _: '{"version": 1, "entries": 3}',
        lambda text: text.replace('"version": 1', '"version": 99'),
        lambda text: text.replace('"slots": 4', '"slots": "four"'),
        lambda text: text.replace('"slots": 4', '"slots": 0'),
        lambda text: text.replace('"choice"', '"chance"'),
        lambda text: json.dumps({"version": 1, "entries": dict.fromkeys(json.loads(text)["entries"], 3)}),
    ],
)
def test_a_damaged_file_is_measured_over(damage: Callable[[str], str], tmp_path: Path) -> None:
    """It is no error, and the next sweep finds a whole one."""
    file = tmp_path / "engines.json"
    asked(fast(), file)
    whole = file.read_text()
    file.write_text(damage(whole))
    assert file.read_text() != whole
    measurer = fast()
    assert asked(measurer, file)[-1] == repr(Crew(1, 4))
    assert len(measurer.tried) > 1
    again = fast()
    asked(again, file)
    assert again.tried == [ONE]


def test_a_file_that_cannot_be_written_costs_only_the_next_measurement(tmp_path: Path) -> None:
    """Here a folder stands in its place."""
    (tmp_path / "engines.json").mkdir()
    assert asked(fast(), tmp_path / "engines.json")[-1] == repr(Crew(1, 4))


def test_this_process_may_use_a_core() -> None:
    """At least the one on which this test runs."""
    assert available_cores() >= 1

"""What was measured to choose an engine: kept in a file, and told in lines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lrsweep.engines import machine, measuring
from lrsweep.engines.machine import available_cores
from lrsweep.executors.choosing import Rest
from lrsweep.records import Crew
from tests.measured import DIED, FUSED, GIB, ONE, Scripted, asked, fast, fused


def test_what_was_measured_is_kept_and_told_once(tmp_path: Path) -> None:
    """The second sweep says so in a line; it measures the speed alone, by which it knows that it is long enough."""
    file = tmp_path / "engines.json"
    first, second = fast(), fast()
    said = asked(first, file)
    assert said[0].startswith("measuring which engine is fastest: about a minute, once for such trainings")
    assert said[1].startswith("engines measured in 0 s, in updates per second (")
    assert said[2].startswith("  sequential: 1,000 in 1 process")
    assert said[3].startswith("  fused: 2,000 with 2 slots, 4,000 with 4 slots, 4,100 with 8 slots")
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
    """Other optimizers or lengths, another number at once, another GPU, or only the fused engine; each is found
    again."""
    file = tmp_path / "engines.json"
    others: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        ({"optimizers": ("sgd",)}, {}),
        ({"horizon": 180}, {}),
        ({"rest": Rest(1e6, 16)}, {}),
        ({"option": FUSED}, {}),
        ({}, {"device": "NVIDIA H200"}),
    ]
    for given, measured in others:
        measurer = fast(**measured)
        asked(measurer, file, **given)
        assert len(measurer.tried) > 1
    for given, measured in others:
        measurer = fast(**measured)
        asked(measurer, file, **given)
        assert measurer.tried == [ONE]
    assert len(json.loads(file.read_text())["entries"]) == len(others)


def test_other_evaluations_are_measured_for_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter as many: each takes its time between the updates."""
    asked(fast(), tmp_path / "engines.json")
    monkeypatch.setattr("lrsweep.study.resolved.EVALUATIONS_PER_TRAINING", 5)
    measurer = fast()
    asked(measurer, tmp_path / "engines.json")
    assert len(measurer.tried) > 1


def test_other_versions_are_measured_for_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Python, and where a GPU trains of its driver; on the CPU nobody asks for that."""
    file, driver = tmp_path / "engines.json", tmp_path / "version"
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", driver)
    asked(fast(), file)
    asked(fast(device="NVIDIA H200"), file)
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86\nGCC version: 12\n")
    for device, is_kept in [("cpu", True), ("NVIDIA H200", False)]:
        measurer = fast(device=device)
        asked(measurer, file)
        assert (measurer.tried == [ONE]) == is_kept
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    measurer = fast()
    asked(measurer, file)
    assert len(measurer.tried) > 1


PASSING: dict[str, dict[str, Any]] = {
    "a process had too little memory": {"speeds": {8: "out of memory: it holds no more than 4 trainings at once"}},
    "a process died": {"speeds": {8: DIED}},
    "a process died in the repeats": {"dies_at": 6},
    "memory forbade to try": {"free_bytes": 4 * GIB, "bytes_per_slot": GIB // 4},
}


@pytest.mark.parametrize("name", PASSING)
def test_what_another_time_may_show_otherwise_is_not_kept(name: str, tmp_path: Path) -> None:
    """Memory that another program has just now, or a process that ended: the next sweep measures again."""
    file = tmp_path / "engines.json"
    given = PASSING[name]
    measurer = fast(**{key: value for key, value in given.items() if key in ("free_bytes", "bytes_per_slot")})
    measurer.speeds |= {Crew(1, slots): reason for slots, reason in given.get("speeds", {}).items()}
    measurer.dies_at = given.get("dies_at")
    assert asked(measurer, file)[0].startswith("measuring")
    assert len(measurer.tried) > 1
    assert not file.exists()


def test_a_model_that_cannot_be_fused_stays_one(tmp_path: Path) -> None:
    """That is kept: its reason lies in the model."""
    file = tmp_path / "engines.json"
    for tried in ([ONE, Crew(1, 2)], [ONE]):
        measurer = Scripted({ONE: 1000.0, **fused("the model drops out by itself")})
        asked(measurer, file)
        assert [crew for crew in measurer.tried if crew.processes == 1] == tried


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


@pytest.mark.parametrize(
    ("text", "cores"),
    [(None, 8), ("max 100000\n", 8), ("50000 100000\n", 1), ("250000 100000\n", 3), ("9900000 100000\n", 8), ("", 8)],
)
def test_a_container_may_have_fewer_cores_than_the_machine(
    text: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel says it: time per period, rounded up, of the 8 cores of the machine."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    assert available_cores() == cores


@pytest.mark.parametrize(
    ("limit", "held", "free"),
    [("max", 1, None), (None, 1, None), (10**6, 4 * 10**5, 7 * 10**5), (10**6, 2 * 10**6, 1), (2**60, 0, None)],
)
def test_a_container_may_have_less_memory_than_the_machine(
    limit: int | str | None, held: int, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit less what it holds, but for 100,000 bytes of files that give way; never 0, which means unknown."""
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_free_of_the_machine", lambda: GIB)
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{held}\n")
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 100000\n")
    assert measuring.free_bytes(torch.device("cpu")) == (GIB if free is None else free)

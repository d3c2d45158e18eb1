"""Which devices a sweep is trained on, and how each of them gets its crew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lrsweep.engines.probing import Gpu, TorchProbed
from lrsweep.errors import InvalidInput, SettingsError
from lrsweep.executors import devices as devices_module
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import crew_for
from lrsweep.executors.device_crew import TROUBLES_THAT_END, DeviceCrew, crews_of
from lrsweep.executors.devices import Device, Devices, among, told
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.process import Launch
from lrsweep.records import Crew
from lrsweep.study import parse_study
from tests.measured import AUTO, ONE, Scripted, fused
from tests.sweeps import a_study

H200, A100 = Gpu("NVIDIA H200", 1, 1), Gpu("NVIDIA A100", 1, 1)
THREE = TorchProbed("2.15", "13.0", (H200, A100, H200))
FIRST, SECOND, THIRD = Device("cuda:0", H200.name), Device("cuda:1", A100.name), Device("cuda:2", H200.name)
NONE = TorchProbed("2.15", "13.0", (), "RuntimeError: no driver")
LAUNCH = Launch("cpu", None, Path(), {})


@pytest.mark.parametrize(
    ("asked", "there", "devices"),
    [
        ("auto", THREE, (FIRST, SECOND, THIRD)),
        ("cuda", THREE, (FIRST, SECOND, THIRD)),
        ("cuda:2, cuda:0", THREE, (THIRD, FIRST)),
        ("cuda:1", THREE, (Device("cuda:1"),)),
        ("cpu", THREE, (Device("cpu"),)),
        ("auto", NONE, (Device("auto"),)),
        ("cuda", NONE, (Device("cuda"),)),
    ],
)
def test_all_gpus_are_used_unless_some_are_named(asked: str, there: TorchProbed, devices: tuple[Device, ...]) -> None:
    """Where there is none, the engine's own process takes the CPU or says why it cannot."""
    assert among(asked, there) == devices


def test_a_list_names_what_is_missing_and_what_is_there() -> None:
    """With the reason, where PyTorch finds nothing at all."""
    with pytest.raises(SettingsError) as refused:
        among("cuda:0,cuda:7", THREE)
    assert str(refused.value) == (
        "--device is 'cuda:0,cuda:7', and PyTorch finds no cuda:7. There is: 'cpu', 'cuda:0', 'cuda:1', 'cuda:2'."
    )
    with pytest.raises(SettingsError, match=r"no cuda:0 and no cuda:1 \(RuntimeError: no driver\)\. There is: 'cpu'\."):
        among("cuda:0,cuda:1", NONE)


@pytest.mark.parametrize("asked", ["cuda:0,cuda:0", "cuda:0,cpu", "cuda,cuda:1", "cuda:0,"])
def test_a_list_of_anything_but_gpus_by_number_is_refused(asked: str) -> None:
    """Before anything is started."""
    with pytest.raises(SettingsError, match=r"a list wants GPUs by their numbers, each of them once"):
        LocalExecutor(asked)


@pytest.mark.parametrize(("device", "is_one"), [("cuda:0,cuda:2", True), ("cuda:0,cpu", False), ("cuda,cuda", False)])
def test_a_study_may_name_several_gpus(device: str, is_one: bool) -> None:
    """As the option does; its file is refused with the forms that there are."""
    text = f'[study]\nname = "a"\nworkload = "digits"\n[budget]\ntrials = 4\n[run]\ndevice = "{device}"\n'
    if is_one:
        assert parse_study(text, "a.toml").run.device == device
    else:
        with pytest.raises(InvalidInput, match='"cuda:1" or "cuda:0,cuda:2"'):
            parse_study(text, "a.toml")


@pytest.mark.parametrize(("asked", "visible"), [("auto", "0"), ("auto", ""), ("cuda:1", "0,1"), ("cpu", "0,1")])
def test_one_device_costs_no_question(asked: str, visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is not imported to count it."""
    monkeypatch.setattr(devices_module, "probing_torch", pytest.fail)
    assert Devices(asked, {"CUDA_VISIBLE_DEVICES": visible}).found() == (Device(asked),)


def test_gpus_that_only_the_driver_lists_are_not_used() -> None:
    """A variable may name what is not there: PyTorch itself is asked, in a process of its own."""
    devices = Devices("auto", {**os.environ, "CUDA_VISIBLE_DEVICES": "98,99"})
    devices.begin()
    assert devices.found() == (Device("auto"),)


def test_devices_are_told_by_their_kinds() -> None:
    """Equal ones together."""
    assert told((FIRST, SECOND, THIRD)) == "3 devices: cuda:0, cuda:2 (NVIDIA H200), cuda:1 (NVIDIA A100)"


# ── crews ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_equal_devices_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind by its first, with its part of what is left; slots may then differ."""
    measured: list[tuple[str, int]] = []

    def choose(*given: Any, devices: int, **_: Any) -> Crew:
        crew = given[3]
        assert isinstance(crew, DeviceCrew)
        measured.append((crew.device.name, devices))
        return Crew(1, 8) if crew.device.kind == A100.name else Crew(2)

    monkeypatch.setattr("lrsweep.executors.local.crew_for", choose)
    executor = LocalExecutor(devices=[FIRST, SECOND, THIRD])
    executor.fit(AUTO, a_study(), Rest(1e6, 64))
    assert measured == [("cuda:0", 3), ("cuda:1", 3)]
    assert executor.arrangement == "sequential:2, fused:8"
    assert executor.free == 2 * 2 + 10 + 2 * 2
    assert [process.device_number for process in executor._used] == [0, 1, 2, 0, 2]


def test_devices_are_counted_and_processes_are_not() -> None:
    """A machine without a GPU is one, and each device has a crew that trains beside the others'."""
    one, two = LocalExecutor("cpu", crew=Crew(4)), LocalExecutor(devices=[Device("cpu")] * 2)
    assert (one.device_count, one.pace_factor) == (1, 1)
    assert (two.device_count, two.pace_factor) == (2, 2)
    two._given_up(two._crews[1], "it is bad")
    assert (two.device_count, two.devices) == (1, ["cpu"])


def test_devices_are_known_before_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget is worked out before ``fit``; until then trainings have the first one alone."""
    monkeypatch.setattr(devices_module, "among", lambda *_: (FIRST, SECOND, THIRD))
    executor = LocalExecutor(environ={"CUDA_VISIBLE_DEVICES": "0,1,2"})
    assert (executor.device_count, executor.devices) == (3, ["auto"])
    executor.close()


def test_a_device_has_its_part_of_what_is_left(tmp_path: Path) -> None:
    """Slots that the search fills on each of four, and trainings that are long enough to be measured for."""
    measurer = Scripted({ONE: 1000.0, **fused(2000.0, 4000.0, 8000.0, 16000.0)})
    crew = crew_for(AUTO, a_study(), Rest(1e6, 48), measurer, tmp_path / "engines.json", devices=4)
    assert crew.slots is not None
    assert crew.slots <= 12 - 2
    short = Scripted({ONE: 1000.0})
    assert crew_for(AUTO, a_study(), Rest(59_000, 48), short, None, devices=4) == ONE
    assert short.tried == [ONE]


def test_slots_that_four_devices_cannot_fill_are_not_made() -> None:
    """It is said how many each of them has."""
    said: list[str] = []
    asked = EngineOption.parsed("fused:32")
    crew = crew_for(asked, a_study(), Rest(1e6, 64), Scripted({}), None, devices=4, say=said.append)
    assert crew == Crew(1, 16)
    assert "at most 16 of the" in said[0]
    assert "in flight on each device: fused:16 is trained in the place of fused:32" in said[0]


@pytest.mark.parametrize(("devices", "most"), [(1, 4), (4, 2), (8, 1)])
def test_the_processes_of_all_gpus_share_the_cores(devices: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores: one GPU may have four processes, and each of eight has one."""
    monkeypatch.setattr("lrsweep.executors.chosen.available_cores", lambda: 8)
    speeds: dict[Crew, float | str] = {Crew(number): 1000.0 * number for number in range(1, 9)}
    measurer = Scripted(speeds, device=H200.name)
    crew_for(AUTO, a_study(), Rest(1e7, 64), measurer, None, devices=devices)
    assert max(crew.processes for crew in measurer.tried) == most


# ── a device that is bad ─────────────────────────────────────────────────────────────────────────────────────────────


def a_crew() -> DeviceCrew:
    [crew] = crews_of([Device("cpu")], [], LAUNCH, print, lambda: 1.0)
    return crew


def test_three_trainings_in_a_row_that_meet_trouble_make_a_device_bad() -> None:
    """One that meets it again is trouble itself, and one that ends clears the device."""
    crew = a_crew()
    assert [crew.is_trouble(each) for each in ("a", "a", "b", "")] == [True, False, True, False]
    assert not crew.is_bad
    crew.works()
    assert [crew.is_trouble([name]) for name in "abc"] == [True] * TROUBLES_THAT_END
    assert crew.is_bad


def test_the_first_device_keeps_the_process_that_is_there() -> None:
    """It has loaded what the workload needs."""
    before = a_crew()
    [process] = before.processes
    first, second = crews_of([FIRST, SECOND], [before], LAUNCH, print, lambda: 1.0)
    assert first.processes == [process]
    assert second.processes[0] is not process
    assert [each.device_number for each in (process, *second.processes)] == [0, 1]

"""Sets of GPUs for trainings that run at the same time, and their ports."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from lrsweep.engines.command import devices
from lrsweep.engines.command.devices import Place, Places, concurrency, device_sets
from lrsweep.errors import InvalidInput
from lrsweep.scripts.command import Command

EIGHT = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}


def test_gpus_are_cut_into_disjoint_sets() -> None:
    """Eight by three: two sets, and two GPUs stay idle."""
    command = Command("train", gpus_per_training=3)
    assert device_sets(command, EIGHT) == [("0", "1", "2"), ("3", "4", "5")]
    assert concurrency(command, EIGHT) == 2


def test_names_are_cudas_own_and_what_follows_a_bad_one_is_not_there() -> None:
    """As CUDA reads the variable: -1 hides the rest, and an empty one hides all."""
    command = Command("train", gpus_per_training=1)
    assert device_sets(command, {"CUDA_VISIBLE_DEVICES": "GPU-a, GPU-b,-1,3"}) == [("GPU-a",), ("GPU-b",)]
    with pytest.raises(InvalidInput, match="gpus_per_training is 1, 1 GPUs in all, and there are 0 in CUDA_VISIBLE"):
        device_sets(command, {"CUDA_VISIBLE_DEVICES": ""})


def test_more_than_there_are_is_refused_with_both_numbers() -> None:
    """For one training, or for all that are to run at the same time."""
    with pytest.raises(InvalidInput, match=r"gpus_per_training is 9, 9 GPUs in all, and there are 8"):
        concurrency(Command("train", gpus_per_training=9), EIGHT)
    with pytest.raises(InvalidInput, match=r"is 4 for each of 3 trainings at a time, 12 GPUs in all, and there are 8"):
        concurrency(Command("train", gpus_per_training=4, concurrency=3), EIGHT)


def test_concurrency_takes_fewer_sets_than_there_are() -> None:
    """And without GPUs of its own it is the number of trainings, one by default."""
    assert device_sets(Command("train", gpus_per_training=2, concurrency=2), EIGHT) == [("0", "1"), ("2", "3")]
    assert concurrency(Command("sbatch --wait job.sh", concurrency=16), {}) == 16
    assert concurrency(Command("train"), EIGHT) == 1


def test_without_the_variable_the_driver_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder per GPU under /proc, as NVIDIA's driver makes them."""
    monkeypatch.setattr(devices, "DRIVER_LIST", tmp_path)
    for bus in ("0000:3b:00.0", "0000:86:00.0"):
        (tmp_path / bus).mkdir()
    assert device_sets(Command("train", gpus_per_training=1), {}) == [("0",), ("1",)]


def test_without_the_list_nvidia_smi_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container /proc may lack the list; without the program there are none."""
    monkeypatch.setattr(devices, "DRIVER_LIST", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.visible_gpus({}) == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-a)'\necho '  MIG 1g.18gb'\necho 'GPU 1: H200'\n")
    program.chmod(0o755)
    assert devices.visible_gpus({}) == ["0", "1"]


def test_places_that_are_taken_at_the_same_time_share_nothing() -> None:
    """Neither a device nor a port; one that was given back is taken again."""
    places = Places(Command("train", gpus_per_training=2), EIGHT)
    with ExitStack() as stack:
        taken = [stack.enter_context(places.taken()) for _ in range(4)]
    assert sorted(device for place in taken for device in place.devices) == list("01234567")
    assert len({place.port for place in taken}) == 4
    assert None not in {place.port for place in taken}
    with places.taken() as again:
        assert again.devices in {place.devices for place in taken}


def test_each_device_has_a_file_that_says_who_uses_it(tmp_path: Path) -> None:
    """One order for all, and no slash in a name: a part of a GPU has some. Without a folder or devices: none."""
    command = Command("train", gpus_per_training=2)
    with Places(command, {"CUDA_VISIBLE_DEVICES": "MIG-b/1/0,GPU-a"}, tmp_path / "devices").taken() as place:
        assert [file.parent for file in place.locks] == [tmp_path / "devices"] * 2
        assert [file.name.removeprefix(socket.gethostname()) for file in place.locks] == [
            "-GPU-a.lock",
            "-MIG-b_1_0.lock",
        ]
    with Places(command, EIGHT).taken() as place:
        assert place.locks == ()
    with Places(Command("train"), EIGHT, tmp_path / "none").taken() as place:
        assert place.locks == ()


def test_a_port_that_the_system_gives_twice_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script binds its port seconds after it got the number."""
    given = iter([5001, 5001, 5002])
    monkeypatch.setattr(devices, "_free_port", lambda: next(given))
    places = Places(Command("train", gpus_per_training=1), EIGHT)
    with places.taken() as one, places.taken() as other:
        assert (one.port, other.port) == (5001, 5002)


def test_a_place_without_devices_sets_nothing() -> None:
    """A job on another machine has devices and an address of its own."""
    assert Place().variables() == {}
    assert Place(("2", "3"), 5001).variables() == {
        "CUDA_VISIBLE_DEVICES": "2,3",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "5001",
        "PET_MASTER_PORT": "5001",
    }

"""What a station gets of a node by default, and how many a cluster holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrsweep.errors import SettingsError
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.ray.losses import FORGIVEN, Losses
from lrsweep.executors.ray.share import Share, device_in, share_of
from lrsweep.records import Record, WorkloadSpec
from lrsweep.scripts.command import Command
from tests.trainings import PLAN

GPUS = [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 64.0}]
CPUS = [{"CPU": 4.0}, {"CPU": 2.0}, {}]
SCRIPT = Command("train", steps=5, gpus_per_training=2).spec()


@pytest.mark.parametrize(
    ("option", "device", "nodes", "share", "stations"),
    [
        ("ray", "auto", GPUS, Share(1, 1), 6),
        ("ray", "auto", CPUS, Share(0, 1), 6),
        ("ray", "cpu", GPUS, Share(0, 1), 82),
        ("ray", "cuda", CPUS, Share(1, 1), 0),
        ("ray,gpus=0.5,cpus=0", "auto", GPUS, Share(0.5, 0), 16),
        ("ray,gpus=2", "auto", GPUS, Share(2, 1), 4),
        ("ray,cpus=2", "auto", CPUS, Share(0, 2), 3),
    ],
)
def test_a_station_gets_a_gpu_where_there_are_any_else_a_core(
    option: str, device: str, nodes: list[dict[str, float]], share: Share, stations: int
) -> None:
    """Unless the option says otherwise; a node without GPUs then holds none."""
    found = share_of(ExecutorOption.parsed(option), device, None, nodes)
    assert (found, found.fits(nodes)) == (share, stations)


def test_a_share_of_nothing_is_refused_where_it_shows_to_be_one() -> None:
    """Of a cluster with GPUs it is not."""
    with pytest.raises(SettingsError, match="'ray,cpus=0', a share of nothing: give cpus= or gpus= more than 0"):
        share_of(ExecutorOption.parsed("ray,cpus=0"), "auto", None, CPUS)


def test_a_script_gets_all_gpus_of_its_training() -> None:
    """They have to be of one node."""
    assert share_of(ExecutorOption("ray"), "auto", SCRIPT, GPUS) == Share(2, 1)
    assert share_of(ExecutorOption("ray"), "auto", WorkloadSpec("digits"), GPUS) == Share(1, 1)


def test_a_station_without_a_gpu_takes_none_and_only_its_cores() -> None:
    """Ray shows a process without GPUs all of them, and binds nobody to cores."""
    assert (Share(0, 2.5).device("auto"), Share(0, 2.5).cores) == ("cpu", 2)
    assert (Share(1, 1).device("auto"), Share(1, 1).cores) == ("auto", None)


def test_a_clusters_device_has_the_models_of_nodes_that_hold_a_station() -> None:
    """Each once; a node that is too small is none of them, and without its own GPU a station has a processor."""
    nodes = [{"CPU": 8.0, "GPU": 2.0, f"accelerator_type:{model}": 1.0} for model in ("H200", "A100", "H200")]
    small = {"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0}
    assert device_in(Share(2, 1), [*nodes, small]) == "cuda (A100, H200)"
    assert device_in(Share(1, 1), [{"CPU": 8.0, "GPU": 2.0}]) == "cuda"
    assert device_in(Share(0, 1), nodes) == "cpu"


def test_a_new_step_clears_a_training_of_the_losses_before_it() -> None:
    """Stations that end while a training gets on are no fault of its own, however many they are."""
    losses = Losses()

    def lost() -> Lost:
        [found] = losses.lose([PLAN.training_id], "gone", [PLAN.training_id])
        return found

    assert not any(lost().was_running for _ in range(FORGIVEN))
    losses.heard(of_steps(first=0, count=10))
    assert not any(lost().was_running for _ in range(FORGIVEN))
    losses.heard(of_steps(first=0, count=10))
    assert lost().was_running


def of_steps(first: int, count: int) -> Record:
    return replace(Record.empty(PLAN, "cpu"), first_step=first, rates=np.zeros(count), train_losses=np.zeros(count))

"""The local executor on all GPUs of a machine: an engine's process each, and the same numbers on equal ones."""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Record, Status
from lrsweep.study import parse_study
from tests.crews import SHORT, curve_of, ends, named, submit, until_idle
from tests.trainings import assert_same_curve

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices"),
]

STUDY = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 60\n[budget]\ntrials = 24\n'


def test_every_gpu_trains() -> None:
    """Each gets a training before any has a second."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names = [f"t{index}" for index, _ in enumerate(gpus)]
    said: list[str] = []
    with closing(LocalExecutor("auto", say=said.append)) as executor:
        asked = parse_study(STUDY, "tiny.toml")
        executor.start(asked.workload)
        study = asked.resolved(executor.describe(asked.workload))
        executor.fit(EngineOption.parsed("sequential"), study, Rest(1e6, 64))
        assert executor.devices == gpus
        assert said[0].startswith(f"{len(gpus)} devices: cuda:0")
        submit(executor, named(SHORT, names))
        messages = until_idle(executor, [])
    assert {end.status for end in ends(messages).values()} == {Status.COMPLETED}
    assert {each.device for each in messages if isinstance(each, Record)} == set(gpus)


def test_equal_gpus_give_the_same_bits() -> None:
    """One after the other, the same plan on the first and on the second."""
    if torch.cuda.get_device_name(0) != torch.cuda.get_device_name(1):
        pytest.skip("needs two equal GPUs")
    curves = []
    for device in ("cuda:0", "cuda:1"):
        with closing(LocalExecutor(device)) as executor:
            executor.submit(SHORT)
            curves.append(curve_of("t", until_idle(executor, [])))
    assert_same_curve(*curves)

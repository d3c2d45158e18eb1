"""The sequential engine on a GPU: the same draws, the same plan, and nearly the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrsweep.engines.device import open_device
from lrsweep.engines.sequential import train
from lrsweep.records import Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import load
from lrsweep.workloads.draw import draw

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_a_gpu_draws_the_same_bits() -> None:
    """Integers wrap alike on every device."""
    assert draw(7, 3, "order", 1000, device="cuda").cpu().equal(draw(7, 3, "order", 1000))


def test_auto_takes_the_gpu() -> None:
    """Where there is one."""
    assert open_device("auto").type == "cuda"


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_on_a_gpu_is_the_one_on_a_cpu(model: str, optimizer: str) -> None:
    """The rates to the last bit; the losses of the first 20 updates within 1e-3, before rounding grows."""
    curves = {}
    for device in ("cpu", "cuda"):
        workload = load(WorkloadSpec("digits", {"model": model, "noise": 0.1}), open_device(device))
        plan = TrainingPlan(
            training_id="t",
            attempt=1,
            workload=WorkloadSpec("digits"),
            schedule=schedule("cosine"),
            peak_lr=0.01,
            optimizer=OPTIMIZERS[optimizer],
            horizon=60,
            seed=3,
        )
        records: list[Record] = []
        train(plan, workload, records.append)
        assert records[-1].outcome is not None
        assert records[-1].outcome.status is Status.COMPLETED
        assert records[-1].device.startswith(device)
        curves[device] = [np.concatenate([getattr(r, part) for r in records]) for part in ("rates", "train_losses")]
    np.testing.assert_array_equal(curves["cpu"][0], curves["cuda"][0])
    np.testing.assert_allclose(curves["cpu"][1][:20], curves["cuda"][1][:20], rtol=1e-3)

"""What a workload says of its model's size is what the model has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lrsweep.records import WorkloadSpec
from lrsweep.workloads.base import load


@pytest.mark.parametrize(
    "spec",
    [
        WorkloadSpec("digits", {"model": "mlp"}),
        WorkloadSpec("digits", {"model": "cnn"}),
        WorkloadSpec("logistic", {"table": "wine"}),
        WorkloadSpec("logistic", {"table": "breast_cancer"}),
        WorkloadSpec("cifar10", {"synthetic": True}),
        WorkloadSpec("char_lm", {"synthetic": True}),
    ],
    ids=str,
)
def test_a_workload_says_how_large_its_model_is(spec: WorkloadSpec, tmp_path: Path) -> None:
    """Counted in the model itself."""
    workload = load(spec, torch.device("cpu"), tmp_path)
    assert workload.facts.parameters == sum(each.numel() for each in workload.model(0).parameters())

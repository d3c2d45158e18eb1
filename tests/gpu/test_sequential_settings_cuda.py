"""The engine's settings on a GPU: graphs, compiling, bfloat16, channels_last; checkpoints, and memory that runs out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lrsweep.engines.device import open_device
from lrsweep.records import EngineSettings, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import Workload, load
from tests.trainings import PLAN, Images, assert_same_curve, outcome_of, trained

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # what has no deterministic algorithm says so; a training goes on all the same
    pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation"),
]

PLATEAU = schedule("plateau", patience=0, threshold=0.1, gamma=0.7, warmup=0.1)
GRAPHS = EngineSettings(graphs=True)


def on_gpu(model: str = "mlp") -> Workload:
    return load(WorkloadSpec("digits", {"model": model}), open_device("cuda"))


def plan_of(optimizer: str) -> TrainingPlan:
    return replace(PLAN, schedule=PLATEAU, optimizer=OPTIMIZERS[optimizer], peak_lr=0.005, horizon=60)


def completed(plan: TrainingPlan, workload: Workload) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The training losses, all of them."""
    curve, records = trained(plan, workload)
    assert records[-1].outcome is not None
    assert records[-1].outcome.status is Status.COMPLETED, records[-1].outcome.error
    assert curve.steps == plan.horizon
    return curve.train_losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_graphed_training_has_the_curve_of_an_eager_one(optimizer: str) -> None:
    """With every optimizer and rates that react: the losses of the first 20 updates within 1e-3, and it learns."""
    plan = plan_of(optimizer)
    eager, graphed = completed(plan, on_gpu()), completed(replace(plan, engine=GRAPHS), on_gpu())
    np.testing.assert_allclose(graphed[:20], eager[:20], rtol=1e-3)
    assert not np.array_equal(graphed[:20], np.full(20, graphed[0]))


def test_a_graph_keeps_clipping_statistics_and_masks() -> None:
    """Clipped to a small norm, with BatchNorm's buffers; dropout draws other masks in a graph, and new ones each time.

    Of the model without dropout the losses are those of an eager training.
    """
    plan = replace(PLAN, workload=WorkloadSpec("images"), peak_lr=0.05, engine=EngineSettings(clip_norm=0.1))

    class Undropped(Images):
        def model(self, seed: int) -> torch.nn.Module:
            made = super().model(seed)
            made[4] = torch.nn.Identity()  # type: ignore[operator]
            return made

    eager = completed(plan, Undropped("cuda"))
    graphed = completed(replace(plan, engine=EngineSettings(clip_norm=0.1, graphs=True)), Undropped("cuda"))
    np.testing.assert_allclose(graphed[:20], eager[:20], rtol=1e-3)
    completed(replace(plan, engine=GRAPHS), Images("cuda"))


@pytest.mark.parametrize("engine", [EngineSettings(), GRAPHS], ids=["eager", "graphs"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_same_plan_gives_the_same_bits_on_a_gpu(optimizer: str, engine: EngineSettings) -> None:
    """A convolutional network, twice, with another training between."""
    plan = replace(plan_of(optimizer), engine=engine)
    first, _ = trained(plan, on_gpu("cnn"))
    trained(replace(plan, seed=4), on_gpu("cnn"))
    assert_same_curve(trained(plan, on_gpu("cnn"))[0], first)


def test_a_batch_of_another_shape_is_refused_by_a_graph() -> None:
    """Not broadcast into the one that was recorded."""

    class Shrinks(Images):
        def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
            inputs, targets = super().batch(seed, step)
            return (inputs[:1], targets[:1]) if step == 9 else (inputs, targets)

    outcome = outcome_of(replace(PLAN, engine=GRAPHS), Shrinks("cuda"))
    assert outcome.status is Status.FAILED
    assert "graphs = true needs batches of one shape, and after (16, 3, 8, 8) came (1, 3, 8, 8)" in (
        outcome.error or ""
    )


def test_a_momentum_that_cycles_is_refused_by_a_graph() -> None:
    """It would repeat the momentum that it recorded."""
    cycling = schedule("one_cycle", cycle_momentum=True)
    outcome = outcome_of(replace(PLAN, schedule=cycling, engine=GRAPHS), on_gpu())
    assert (outcome.status, outcome.steps) == (Status.FAILED, 0)
    assert "a graph repeats the momentum that it recorded" in (outcome.error or "")


@pytest.mark.parametrize(
    ("engine", "tolerance"),
    [
        (EngineSettings(compile=True), 1e-2),
        (EngineSettings(compile=True, graphs=True), 1e-2),
        (EngineSettings(precision="bfloat16"), 0.1),
        (EngineSettings(precision="bfloat16", graphs=True), 0.1),
        (EngineSettings(channels_last=True), 1e-2),
    ],
    ids=lambda value: str(value.changed()) if isinstance(value, EngineSettings) else "",
)
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_setting_changes_speed_and_rounding_alone(engine: EngineSettings, tolerance: float) -> None:
    """The losses of the first 20 updates of a convolutional network are nearly the plain ones."""
    plan = plan_of("sgd")
    plain, changed = completed(plan, on_gpu("cnn")), completed(replace(plan, engine=engine), on_gpu("cnn"))
    np.testing.assert_allclose(changed[:20], plain[:20], rtol=tolerance)


@pytest.mark.parametrize("engine", [EngineSettings(), GRAPHS], ids=["eager", "graphs"])
@pytest.mark.parametrize("optimizer", ["nesterov", "rmsprop", "adamw"])
def test_a_resumed_training_goes_on_on_a_gpu(
    optimizer: str, engine: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off after 31 updates: the same curve to the bit; nearly, with graphs: eager updates come first again."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    plan = replace(plan_of(optimizer), engine=engine, checkpoint_url=str(tmp_path / "training"))
    undisturbed, _ = trained(replace(plan, checkpoint_url=None), on_gpu())
    breaking = on_gpu()
    batch = breaking.batch
    monkeypatch.setattr(breaking, "batch", lambda seed, step: batch(seed, step) if step < 31 else 1 / 0)
    assert outcome_of(plan, breaking).status is Status.FAILED

    curve, records = trained(replace(plan, attempt=2), on_gpu())

    assert len(records[0].rates) == 31
    if engine == GRAPHS:
        np.testing.assert_allclose(curve.train_losses, undisturbed.train_losses, rtol=1e-2)
    else:
        assert_same_curve(curve, undisturbed)


def test_memory_that_runs_out_is_told_with_its_numbers() -> None:
    """1 PiB on the GPU, really asked for; and the next training in the same process completes."""

    class Huge(Images):
        def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
            if step == 5:
                torch.empty(2**48, device=self.device)
            return super().batch(seed, step)

    outcome = outcome_of(PLAN, Huge("cuda"))
    assert outcome.status is Status.FAILED
    said = (outcome.error or "").partition("\n\n")[0]
    assert said.startswith("out of memory on cuda")
    for part in ("were asked for; this process has ", " allocated and ", " reserved of ", "GiB. The training does not"):
        assert part in said
    completed(PLAN, Images("cuda"))

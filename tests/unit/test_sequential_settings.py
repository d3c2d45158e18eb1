"""The engine's settings, its determinism, and memory that runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines import graphed
from lrsweep.engines.memory import chain, shortage
from lrsweep.errors import InvalidInput
from lrsweep.records import EngineSettings, Status, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from tests.trainings import (
    PLAN,
    Constant,
    Fate,
    Images,
    assert_same_curve,
    attempt,
    digits,
    joined,
    outcome_of,
    trained,
)

IMAGES = replace(PLAN, workload=WorkloadSpec("images"), peak_lr=0.05, horizon=20, evaluations=4)


# ── the same plan, the same bits ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "optimizer"), [("mlp", "sgd"), ("cnn", "adamw"), ("mlp", "rmsprop")])
def test_the_same_plan_gives_the_same_bits_after_others_and_in_another_process(model: str, optimizer: str) -> None:
    """After a training of another seed on the same workload, on a fresh workload, and in a new process."""
    plan = replace(PLAN, optimizer=OPTIMIZERS[optimizer], peak_lr=0.01, horizon=40)
    used = digits(model)
    first, _ = trained(plan, used)
    trained(replace(plan, seed=4, horizon=25), used)
    assert_same_curve(trained(plan, used)[0], first)
    assert_same_curve(trained(plan, digits(model))[0], first)
    assert_same_curve(joined(attempt(plan, model, Fate()).records), first)


def test_a_model_that_draws_from_pytorchs_own_generator_gives_the_same_bits_too() -> None:
    """Its dropout is seeded by the plan: whatever was drawn before does not matter, and another seed does."""
    first, _ = trained(IMAGES, Images())
    torch.rand(7)
    assert_same_curve(trained(IMAGES, Images())[0], first)
    assert not np.array_equal(trained(replace(IMAGES, seed=4), Images())[0].train_losses, first.train_losses)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Plane(Constant):
    """Loss = 3·x + 4·y, from the origin: the gradient is (3, 4), of norm 5."""

    def model(self, seed: int) -> nn.Module:
        layer = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return torch.tensor([[3.0, 4.0]]), torch.zeros(1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum()


@pytest.mark.parametrize(("clip_norm", "fall"), [(None, 25.0), (10.0, 25.0), (1.0, 5.0), (0.5, 2.5)])
def test_gradients_are_clipped_to_their_norm_together(clip_norm: float | None, fall: float) -> None:
    """With plain SGD and a rate of 1 the loss falls by g·g = 25 per step; by 5 where the step has length 1."""
    plan = replace(PLAN, schedule=schedule("constant"), peak_lr=1.0, optimizer=OPTIMIZERS["sgd_plain"], horizon=5)
    curve, _ = trained(replace(plan, engine=EngineSettings(clip_norm=clip_norm)), Plane())
    np.testing.assert_allclose(curve.train_losses, [-fall * step for step in range(5)], rtol=1e-5)


def test_bfloat16_is_for_the_forward_pass_alone() -> None:
    """The layers compute in it, the weights and what the optimizer holds stay float32, and it learns about as well."""
    outputs: list[torch.dtype] = []
    weights: list[torch.dtype] = []

    class Watched(Images):
        def loss(self, given: Tensor, targets: Tensor) -> Tensor:
            outputs.append(given.dtype)
            return super().loss(given, targets)

        def model(self, seed: int) -> nn.Module:
            made = super().model(seed)
            made.register_forward_pre_hook(lambda module, _: weights.extend(p.dtype for p in module.parameters()))
            return made

    exact, _ = trained(IMAGES, Watched())
    assert set(outputs) == {torch.float32}
    outputs.clear()
    rounded, _ = trained(replace(IMAGES, engine=EngineSettings(precision="bfloat16")), Watched())
    assert outputs.count(torch.bfloat16) == 20  # evaluations are in float32
    assert set(weights) == {torch.float32}
    np.testing.assert_allclose(rounded.train_losses, exact.train_losses, rtol=0.1)
    assert not np.array_equal(rounded.train_losses, exact.train_losses)


def test_channels_last_is_the_layout_of_weights_and_batches() -> None:
    """Both; the numbers stay the same but for rounding."""
    layouts: list[bool] = []

    class Watched(Images):
        def model(self, seed: int) -> nn.Module:
            made = super().model(seed)
            made.register_forward_pre_hook(
                lambda module, inputs: (
                    layouts.extend(
                        each.is_contiguous(memory_format=torch.channels_last) for each in (module[0].weight, inputs[0])
                    )
                    if module.training
                    else None
                )
            )
            return made

    usual, _ = trained(IMAGES, Watched())
    assert layouts == [False] * 40
    layouts.clear()
    last, _ = trained(replace(IMAGES, engine=EngineSettings(channels_last=True)), Watched())
    assert layouts == [True] * 40
    np.testing.assert_allclose(last.train_losses, usual.train_losses, rtol=1e-3)


def test_what_is_compiled_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is given the model once and its answer runs in every step; compiling itself is for ``tests/gpu``."""
    compiled: list[nn.Module] = []
    runs: list[int] = []

    def compile_(model: nn.Module) -> Callable[[Tensor], Tensor]:
        def run(inputs: Tensor) -> Tensor:
            runs.append(1)
            output: Tensor = model(inputs)
            return output

        compiled.append(model)
        return run

    monkeypatch.setattr(torch, "compile", compile_)
    plain, _ = trained(IMAGES, Images())
    assert compiled == []
    curve, _ = trained(replace(IMAGES, engine=EngineSettings(compile=True)), Images())
    assert (len(compiled), len(runs)) == (1, 20)
    assert_same_curve(curve, plain)


def test_graphs_are_refused_without_a_cuda_device() -> None:
    """Before the first step, with the reason and what to do."""
    outcome = outcome_of(replace(IMAGES, engine=EngineSettings(graphs=True)), Images())
    assert (outcome.status, outcome.steps) == (Status.FAILED, 0)
    assert "graphs = true needs a CUDA device, and this training is on cpu: leave it out" in (outcome.error or "")


class Recording:
    """Stands in for ``torch.cuda.graph``, whose end fails too where what it records has failed."""

    def __init__(self, _: object) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, at: object) -> None:
        if error is not None:
            raise RuntimeError("operation failed due to a previous error during capture")


def test_an_update_that_cannot_be_recorded_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first error, not with that of the recording's end; both are kept as its cause."""
    monkeypatch.setattr(torch.cuda, "Stream", SimpleNamespace)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", SimpleNamespace)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(graphed, "EAGER_UPDATES", 0)
    graphed.first_updates_stream.cache_clear()

    def update(inputs: Tensor, targets: Tensor) -> Tensor:
        raise ValueError("a copy to the host\nand where")

    with pytest.raises(InvalidInput) as raised:
        graphed.Graphed(update)(torch.ones(1), torch.ones(1))
    assert str(raised.value) == (
        "graphs = true, and an update of this training cannot be recorded (ValueError: a copy to the host): leave "
        "graphs out of [study.engine]"
    )
    assert [type(each) for each in chain(raised.value)] == [InvalidInput, RuntimeError, ValueError]


def test_all_trainings_of_a_process_begin_on_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was freed on a stream is kept for it: a stream per training would keep the memory of each."""
    made: list[object] = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda: made.append(object()))
    graphed.first_updates_stream.cache_clear()
    for _ in range(3):
        graphed.Graphed(torch.add)
    assert len(made) == 1


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_allocation_that_fails_is_told_with_its_numbers() -> None:
    """64 TiB, really asked for; the steps before are kept, the traceback comes after the sentence."""

    class Huge(Constant):
        def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
            if step == 5:
                torch.empty(2**44)
            return super().batch(seed, step)

    curve, records = trained(replace(PLAN, evaluations=60), Huge())
    outcome = records[-1].outcome
    assert outcome is not None
    assert (outcome.status, curve.steps) == (Status.FAILED, 5)
    assert outcome.error is not None
    sentence, _, rest = outcome.error.partition("\n\n")
    assert sentence.startswith("out of memory on the CPU: 64.00 TiB were asked for; this process has ")
    assert "MiB allocated, and the machine " in sentence or "GiB allocated, and the machine " in sentence
    assert "Take a smaller batch" in sentence
    assert rest.startswith("Traceback")
    assert "torch.empty(2**44)" in rest


def test_numpys_shortage_is_one_too_and_other_errors_are_none() -> None:
    """An array of 64 TiB; and a RuntimeError of another kind."""
    with pytest.raises(MemoryError) as raised:
        np.empty(2**43)
    said = shortage(raised.value, torch.device("cpu"))
    assert said is not None
    assert said.startswith("out of memory on the CPU: 64.0 TiB were asked for")
    assert shortage(RuntimeError("the disk has a scratch"), torch.device("cpu")) is None


def test_a_shortage_elsewhere_than_on_the_device_is_told_without_asking_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload on the CPU that raises PyTorch's error for memory by itself; where no driver is, CUDA would raise."""

    def no_driver(_: object) -> None:
        raise RuntimeError("Found no NVIDIA driver on your system.")

    monkeypatch.setattr(torch.cuda, "get_device_properties", no_driver)
    said = shortage(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), torch.device("cpu"))
    assert said is not None
    assert said.startswith("out of memory: CUDA out of memory. Tried to allocate 2.00 GiB. This training is on cpu")


@pytest.fixture
def gpu_of_8_gib(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """What PyTorch would say of one; machines without a GPU have nobody to ask."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=8 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 4 * 2**30)
    return torch.device("cuda:0")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("CUDA error: out of memory\nCUDA kernel errors might be …", "an allocation failed"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "an allocation failed"),
    ],
)
def test_a_librarys_shortage_on_a_gpu_is_told_too(text: str, asked: str, gpu_of_8_gib: torch.device) -> None:
    """These are bare RuntimeErrors: the driver and cuBLAS ask for memory without PyTorch."""
    said = shortage(RuntimeError(text), gpu_of_8_gib)
    assert said is not None
    assert said.startswith(
        f"out of memory on cuda:0: {asked}; this process has 3.00 GiB allocated and 4.00 GiB reserved of 8.00 GiB."
    )


def test_a_shortage_is_found_behind_the_error_that_hid_it(gpu_of_8_gib: torch.device) -> None:
    """As the cause, and as what was being handled; an error that is its own cause ends the search."""
    short = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    caused, met = RuntimeError("the recording broke"), RuntimeError("capture failed")
    caused.__cause__ = short
    met.__context__ = caused
    for error in (caused, met):
        assert (shortage(error, gpu_of_8_gib) or "").startswith("out of memory on cuda:0: 2.00 GiB were asked for;")
    caused.__cause__ = caused
    assert shortage(caused, gpu_of_8_gib) is None

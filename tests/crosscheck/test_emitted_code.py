"""What ``to_code`` writes for transformers, optax and Keras, in trainings of these libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrsweep.schedules import schedule
from tests.crosscheck.peers import peer
from tests.emitted import executed, one_of_each, rates_of

STEPS = 12
CURVES = {s.family: s for s in one_of_each()}
CYCLED = schedule("one_cycle", cycle_momentum=True, warmup="2 steps")

every_family = pytest.mark.parametrize("name", CURVES)


# ── optax ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@every_family
def test_optax_has_the_rates_inside_jit(name: str) -> None:
    """A traced count gives the rate of its step, in 64 bits where JAX has them; past the end the last holds."""
    jax = peer("jax")
    own = executed(CURVES[name].to_code("optax", STEPS, 0.3))
    rate = jax.jit(own["schedule"])
    found = [float(rate(jax.numpy.asarray(step))) for step in range(STEPS + 3)]
    expected = rates_of(CURVES[name], STEPS, 0.3)
    assert jax.config.jax_enable_x64
    np.testing.assert_allclose(found, [*expected, expected[-1], expected[-1]], rtol=1e-12, atol=1e-12)


def test_an_optax_optimizer_takes_the_rates_step_by_step() -> None:
    """With a gradient of 1, SGD moves a weight by the rate of each update."""
    jax, optax = peer("jax"), peer("optax")
    own = executed(schedule("linear", warmup="1 step").to_code("optax", 5, 0.8))
    sgd = optax.sgd(own["schedule"])
    one = jax.numpy.asarray(1.0)
    state, moved = sgd.init(one), []
    update = jax.jit(sgd.update)
    for _ in range(6):
        change, state = update(one, state)
        moved.append(float(-change))
    assert moved == pytest.approx([0.4, 0.8, 0.6, 0.4, 0.2, 0.0], rel=1e-12)


def test_optax_can_move_the_momentum() -> None:
    """``inject_hyperparams`` takes both schedules, and has what ``momenta`` says."""
    jax, optax = peer("jax"), peer("optax")
    own = executed(CYCLED.to_code("optax", STEPS, 0.3))
    sgd = optax.inject_hyperparams(optax.sgd)(learning_rate=own["schedule"], momentum=own["momentum_schedule"])
    one = jax.numpy.asarray(1.0)
    state = sgd.init(one)
    found: list[tuple[float, float]] = []
    for _ in range(STEPS):
        _, state = sgd.update(one, state)
        found.append((float(state.hyperparams["learning_rate"]), float(state.hyperparams["momentum"])))
    momenta = CYCLED.momenta(STEPS)
    assert momenta is not None
    np.testing.assert_allclose(found, np.stack([CYCLED.rates(STEPS, 0.3), momenta], axis=1), rtol=1e-12)


# ── Keras ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@every_family
def test_keras_has_the_rates_and_reads_its_own_config(name: str) -> None:
    """The schedule and its copy from a config as JSON have the rates, as far as Keras's 32 bits can hold them."""
    keras = peer("keras")
    own = executed(CURVES[name].to_code("keras", STEPS, 0.3))
    expected = rates_of(CURVES[name], STEPS, 0.3)
    made = own["Rate"]()
    stored = json.loads(json.dumps(keras.optimizers.schedules.serialize(made)))
    for rate in (made, keras.optimizers.schedules.deserialize(stored)):
        found = [float(rate(keras.ops.convert_to_tensor(step))) for step in range(STEPS + 3)]
        np.testing.assert_allclose(found, [*expected, expected[-1], expected[-1]], rtol=1e-6, atol=1e-7)
        assert [float(rate(step)) for step in range(3)] == found[:3]


def test_keras_has_the_rates_in_64_bits_when_asked() -> None:
    """With ``floatx`` float64 nothing is rounded."""
    keras = peer("keras")
    rate = executed(schedule("cosine", warmup=0.2).to_code("keras", STEPS, 0.3))["Rate"]()
    keras.config.set_floatx("float64")
    try:
        found = [float(rate(step)) for step in range(STEPS + 1)]
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(found, rates_of(schedule("cosine", warmup=0.2), STEPS, 0.3), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras's own
def test_a_keras_model_trains_with_the_rates_and_is_saved_with_them(tmp_path: Path) -> None:
    """A weight whose gradient is 1 moves by the rate of each update, after loading too; another peak is kept."""
    keras = peer("keras")
    own = executed(schedule("linear", warmup="1 step").to_code("keras", 5, 0.8))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=own["Rate"](peak_lr=0.4)), loss=_mean)
    moved = [_moved(model) for _ in range(3)]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"_mean": _mean})
    moved += [_moved(loaded) for _ in range(3)]
    assert moved == pytest.approx([0.2, 0.4, 0.3, 0.2, 0.1, 0.0], abs=1e-6)


def _mean(_: Any, predicted: Any) -> Any:
    return predicted.mean()


def _moved(model: Any) -> float:
    before = float(model.get_weights()[0][0, 0])
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    return before - float(model.get_weights()[0][0, 0])


def test_keras_refuses_a_config_for_another_horizon() -> None:
    """A model that was saved with other code must not train with these rates."""
    peer("keras")
    rate = executed(schedule("cosine").to_code("keras", STEPS))["Rate"]
    with pytest.raises(ValueError, match="these rates are for 12 steps, not 100"):
        rate.from_config({"peak_lr": 0.1, "steps": 100})


# ── transformers ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Data(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 2 * STEPS

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(1)}


class Model(torch.nn.Module):
    """One weight, whose gradient is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.weight * x).mean()}


def trained(own: dict[str, Any], folder: Path, resume: bool = False, **options: Any) -> tuple[Any, list[float]]:
    """A Trainer after its training, and the rate of each update that it made."""
    transformers = peer("transformers")
    peer("accelerate")  # the Trainer asks for it
    seen = []

    class Watch(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_pre_optimizer_step(self, *_: Any, **given: Any) -> None:
            seen.append(float(given["optimizer"].param_groups[0]["lr"]))

    told = {"max_steps": STEPS, "per_device_train_batch_size": 2, "save_steps": 5, "report_to": [], "use_cpu": True}
    arguments = transformers.TrainingArguments(str(folder), **{**told, "disable_tqdm": True, **options})
    trainer = own["ScheduledTrainer"](Model(), arguments, train_dataset=Data(), callbacks=[Watch()])
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-5") if resume else None)
    return trainer, seen


def test_a_trainer_trains_with_the_rates_and_resumes(tmp_path: Path) -> None:
    """Each update has its rate, whatever the arguments say of rates, and a second training begins at the first;
    from a checkpoint the next ones follow."""
    own = executed(CYCLED.to_code("transformers", STEPS, 0.3))
    trainer, seen = trained(own, tmp_path, learning_rate=7.0, warmup_steps=3)
    assert seen == [own["rate"](step) for step in range(STEPS)]
    trainer.train()
    assert seen[STEPS:] == seen[:STEPS]
    assert trained(own, tmp_path, resume=True)[1] == seen[5:STEPS]


def test_a_trainer_refuses_another_number_of_updates(tmp_path: Path) -> None:
    """The message has both numbers and what to do."""
    own = executed(schedule("linear").to_code("transformers", STEPS))
    with pytest.raises(ValueError, match="for 12 updates, and this training has 7; give max_steps=12"):
        trained(own, tmp_path, max_steps=7)


@every_family
def test_a_trainer_has_the_scheduler_of_every_family(name: str) -> None:
    """Without a training: what ``create_scheduler`` makes has the rates."""
    peer("transformers")
    own = executed(CURVES[name].to_code("transformers", STEPS, 0.3))
    trainer = object.__new__(own["ScheduledTrainer"])
    trainer.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = trainer.create_scheduler(STEPS)
    assert scheduler is trainer.lr_scheduler
    found = []
    for _ in range(STEPS + 1):
        found += scheduler.get_last_lr()
        trainer.optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(found, rates_of(CURVES[name], STEPS, 0.3), rtol=1e-12, atol=1e-12)

"""What joins ``rate(step)`` to each library: what it imports, and what comes after the functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    needs: str
    imports: tuple[str, ...] = ()
    standard_imports: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    """top-level pieces"""


def _python(*, momentum: bool) -> Target:
    del momentum
    return Target("the standard library")


# ── PyTorch ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEDULER = '''\
def scheduler(optimizer: Optimizer, first_step: int = 0) -> LambdaLR:
    """A PyTorch scheduler; call its ``step()`` after each ``optimizer.step()``.

    The optimizer's own learning rate counts no more: update i has rate(i), times
    "lr_scale" in a parameter group that has an entry of that name. To go on from a
    checkpoint, load the optimizer's state first and then give the number of updates
    made as ``first_step``; the scheduler has no state of its own to load.
    """
    for group in optimizer.param_groups:
        group["initial_lr"] = PEAK_LR * group.get("lr_scale", 1.0)
    return LambdaLR(optimizer, factor, last_epoch=first_step - 1)'''

RATE_AND_MOMENTUM = '''\
class RateAndMomentum(LambdaLR):
    """LambdaLR that sets the momentum as well."""

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        for group in self.optimizer.param_groups:
            set_momentum(group, momentum(self.last_epoch))'''

SET_MOMENTUM = '''\
def set_momentum(group: dict[str, Any], value: float) -> None:
    """Gives a parameter group a momentum, or a beta1 where there are betas."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value
    else:
        raise ValueError("the schedule moves the momentum, and this optimizer has none")'''

TORCH_IMPORTS = ("from torch.optim import Optimizer", "from torch.optim.lr_scheduler import LambdaLR")


def _torch(*, momentum: bool) -> Target:
    if not momentum:
        return Target("PyTorch", TORCH_IMPORTS, text=(SCHEDULER,))
    made = SCHEDULER.replace("return LambdaLR(", "return RateAndMomentum(")
    return Target("PyTorch", TORCH_IMPORTS, ("from typing import Any",), (made, RATE_AND_MOMENTUM, SET_MOMENTUM))


# ── transformers ─────────────────────────────────────────────────────────────────────────────────────────────────────

TRAINER = '''\
class ScheduledTrainer(Trainer):
    """A Trainer with these rates; of its arguments, those about the learning rate and
    its schedule count no more.

    For another subclass of Trainer, copy the method there.
    """

    def create_scheduler(
        self,
        num_training_steps: int,
        optimizer: Optimizer | None = None,
    ) -> LambdaLR:
        if num_training_steps != TOTAL_STEPS:
            raise ValueError(
                f"these rates are for {TOTAL_STEPS} updates, and this training has "
                f"{num_training_steps}; give max_steps={TOTAL_STEPS}, or other rates"
            )
        optimizer = optimizer or self.optimizer
        if optimizer is None:
            raise ValueError("the optimizer must be made before its scheduler")
        self.lr_scheduler = scheduler(optimizer)
        return self.lr_scheduler'''


def _transformers(*, momentum: bool) -> Target:
    torch = _torch(momentum=momentum)
    imports = (*TORCH_IMPORTS, "from transformers import Trainer")
    return Target("transformers and PyTorch", imports, torch.standard_imports, (*torch.text, TRAINER))


# ── optax ────────────────────────────────────────────────────────────────────────────────────────────────────────────

OPTAX = '''\
RATES = np.array([rate(step) for step in range(TOTAL_STEPS + 1)])


def schedule(count: ArrayLike) -> jax.Array:
    """A schedule for optax, such as ``optax.adamw(learning_rate=schedule)``.

    It can be traced: under jit a count cannot be refused, and one below 0 has the first
    rate. JAX rounds the rates to float32, unless jax_enable_x64 is on.
    """
    return jnp.asarray(RATES)[jnp.clip(count, 0, TOTAL_STEPS)]'''

OPTAX_MOMENTUM = '''\
MOMENTA = np.array([momentum(step) for step in range(TOTAL_STEPS + 1)])


def momentum_schedule(count: ArrayLike) -> jax.Array:
    """The momentum, for ``optax.inject_hyperparams(optax.sgd)(learning_rate=schedule,
    momentum=momentum_schedule)``; adamw has it as b1.
    """
    return jnp.asarray(MOMENTA)[jnp.clip(count, 0, TOTAL_STEPS)]'''


def _optax(*, momentum: bool) -> Target:
    imports = ("import jax", "import jax.numpy as jnp", "import numpy as np", "from jax.typing import ArrayLike")
    return Target("JAX", imports, text=(OPTAX, *([OPTAX_MOMENTUM] if momentum else [])))


# ── Keras ────────────────────────────────────────────────────────────────────────────────────────────────────────────

KERAS = '''\
FACTORS = np.array([factor(step) for step in range(TOTAL_STEPS + 1)])


@keras.saving.register_keras_serializable(package="rates")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule for Keras, such as ``keras.optimizers.AdamW(learning_rate=Rate())``.

    In a graph a step cannot be refused, and one below 0 has the first rate. Keras
    rounds the rates to its own floats: float32, unless ``keras.config.set_floatx`` says
    otherwise.
    """

    def __init__(self, peak_lr: float = PEAK_LR, steps: int = TOTAL_STEPS) -> None:
        if steps != TOTAL_STEPS:  # a config that was saved with other code
            raise ValueError(f"these rates are for {TOTAL_STEPS} steps, not {steps}")
        self.peak_lr = peak_lr

    def __call__(self, step: Any) -> Any:
        factors = keras.ops.convert_to_tensor(FACTORS, dtype=keras.config.floatx())
        place = keras.ops.cast(keras.ops.clip(step, 0, TOTAL_STEPS), "int32")
        return self.peak_lr * keras.ops.take(factors, place)

    def get_config(self) -> dict[str, Any]:
        return {"peak_lr": self.peak_lr, "steps": TOTAL_STEPS}'''


def _keras(*, momentum: bool) -> Target:
    del momentum  # a Keras optimizer has one for all steps
    return Target("Keras", ("import keras", "import numpy as np"), ("from typing import Any",), (KERAS,))


TARGETS: Mapping[str, Callable[..., Target]] = {
    "python": _python,
    "torch": _torch,
    "transformers": _transformers,
    "optax": _optax,
    "keras": _keras,
}
"""By name; each takes ``momentum``, whether there is a ``momentum(step)`` to follow."""

"""The optimizers that a search can choose among, with their fixed settings and the rate rule of their rungs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lrsweep.records import OptimizerSpec

OPTIMIZERS: Mapping[str, OptimizerSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
            OptimizerSpec("adamw", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}),
            OptimizerSpec("sgd_plain", {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("sgd_dampened", {"momentum": 0.9, "dampening": 0.9, "weight_decay": 0.0}),
            OptimizerSpec("nesterov", {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("rmsprop", {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0}),
            OptimizerSpec("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
        )
    }
)

DEFAULT_OPTIMIZERS = ("sgd", "adamw")
"""What is searched unless the file says otherwise: one of each kind."""

# A shorter training wants a larger peak rate. Measured at a third of the horizon on six small workloads, the best peak
# moved with the root of the horizon under SGD and with a power between 0 and 1/4 under Adam, whose step hardly depends
# on the gradient's size. Without the correction a rung misjudges the rate of a schedule and with it the schedule.
# The others have the exponent of their kind.
RATE_EXPONENTS: Mapping[str, float] = MappingProxyType(
    {
        "sgd": 0.5,
        "adamw": 0.15,
        "sgd_plain": 0.5,
        "sgd_dampened": 0.5,
        "nesterov": 0.5,
        "rmsprop": 0.15,
        "adam": 0.15,
    }
)

"""PyTorch's own optimizers by the names that a study uses. Rates, and momenta that cycle, are written at every update.

    sgd, sgd_plain, sgd_dampened, nesterov   momentum, weight_decay; and but for sgd: dampening
    rmsprop                                  alpha, eps, momentum, weight_decay
    adam, adamw                              beta1, beta2, eps, weight_decay

Each in the fastest of PyTorch's forms. Microseconds per update on one thread of a CPU (torch 2.15; medians of 9
alternating rounds of 200; the MLP and the CNN of ``digits``, and the CNN of ``mnist``):

             SGD, momentum       Nesterov            AdamW               RMSprop
    loop     151  203  271       195  255  344       562  788  1283      395  535  636
    foreach  165  201  263       183  226  287       537  689  1098      380  488  652
    fused     84   97  134        94  107  131       180  237   308      (PyTorch has none)

On a GPU a loop would cost a kernel per parameter as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import OptimizerSpec
from lrsweep.workloads.base import ParamGroup

# A process would load all of ``torch.compile`` for its first optimizer, to hear that such bookkeeping is not to be
# compiled: 1.2 s of a core, as much as torch itself. Here models are compiled at most.
for _name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
    _plain = inspect.unwrap(getattr(torch.optim.Optimizer, _name))
    vars(_plain).setdefault("__dynamo_disable", _plain)

NAMES = ("sgd", "sgd_plain", "sgd_dampened", "nesterov", "rmsprop", "adam", "adamw")

SCALE = "rate_scale"
"""In a parameter group: what the schedule's rate is multiplied by there."""


def make_optimizer(spec: OptimizerSpec, parameters: ParamsT, *, capturable: bool = False) -> torch.optim.Optimizer:
    """Parameters or groups of them, as PyTorch takes them; ``capturable``: its update can become part of a CUDA graph.

    A graph repeats what it recorded, so there the groups bring rates that are tensors.
    """
    settings = dict(spec.settings)
    if spec.name in ("sgd", "sgd_plain", "sgd_dampened", "nesterov"):
        return torch.optim.SGD(
            parameters,
            lr=0.0,
            momentum=settings["momentum"],
            dampening=settings.get("dampening", 0.0),
            weight_decay=settings["weight_decay"],
            nesterov=spec.name == "nesterov",
            fused=True,
        )
    if spec.name == "rmsprop":
        return torch.optim.RMSprop(
            parameters,
            lr=0.0,
            alpha=settings["alpha"],
            eps=settings["eps"],
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
            capturable=capturable,
            foreach=True,
        )
    if spec.name in ("adam", "adamw"):
        kind = torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW
        return kind(
            parameters,
            lr=0.0,
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["eps"],
            weight_decay=settings["weight_decay"],
            capturable=capturable,
            fused=True,
        )
    raise InvalidInput(
        f"no engine knows the optimizer {spec.name!r}; there are {', '.join(NAMES)}.{did_you_mean(spec.name, NAMES)}"
    )


def update_of(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Its ``step`` without what PyTorch wraps around it: hooks, which nobody has here, a mark for its profiler, and
    words to ``torch.compile``, which would be loaded for them."""
    step = inspect.unwrap(type(optimizer).step)

    def update() -> None:
        with torch.no_grad():
            step(optimizer)

    return update


def trained_groups(model: nn.Module, groups: list[ParamGroup], *, tensor_rates: bool) -> list[dict[str, Any]]:
    """The groups as PyTorch takes them; what is in none of them is frozen."""
    trained = {id(parameter) for group in groups for parameter in group.parameters}
    if not trained:
        raise InvalidInput("the workload's groups hold no parameter: there is nothing to train")
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    made = []
    for group in groups:
        parameters = list(group.parameters)
        made.append({"params": parameters, SCALE: group.rate})
        if tensor_rates and parameters:
            made[-1]["lr"] = torch.zeros((), dtype=torch.float32, device=parameters[0].device)
    return made


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The schedule's rate times each group's own scale."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group[SCALE])
        else:
            group["lr"] = rate * group[SCALE]


def set_momentum(optimizer: torch.optim.Optimizer, momentum: float) -> None:
    """The momentum of SGD and RMSprop, and what plays its part in Adam: the first beta."""
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

"""PyTorch's optimizers for K trainings at once: each row has a kind, settings and a clock of its own.

Rows that do the same arithmetic are updated together, whatever the names of their optimizers:

    SGD without and with momentum    RMSprop without and with momentum    Adam and AdamW

What a row leaves out is never a product with 0 in it, which would be NaN where the row is infinite: where rows are
updated in one operation, those with a weight decay in their gradients, or Nesterov's momentum, are a group apart.

On a CPU the rows of a group go one after the other through PyTorch's own fused kernels, because a row stays in the
cache from its first operation to its last. On a GPU each row would be a launch, RMSprop has no such kernel, and parts
of a model with rates of their own would each need one. There a group is stacked: what its rows differ in is a few
numbers each, which are computed in float64 on the host and go to the device as one small tensor. A group that is the
whole bank is updated in place; the rows of another are copied out and back, so that every other row keeps every bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.optimizers import make_optimizer
from lrsweep.records import Floats, OptimizerSpec

_SGD, _RMSPROP, _ADAM = range(3)
_FAMILIES = dict.fromkeys(("sgd", "sgd_plain", "sgd_dampened", "nesterov"), _SGD)
_FAMILIES |= {"rmsprop": _RMSPROP, "adam": _ADAM, "adamw": _ADAM}
_SETTINGS = ("momentum", "dampening", "weight_decay", "alpha", "beta1", "beta2", "eps")

_BUFFERS = {"momentum_buffer": "mean", "exp_avg": "mean", "square_avg": "square", "exp_avg_sq": "square"}
"""PyTorch's names for what a number's optimizer keeps, and ours: a row never needs more than these two."""


class Updates:
    """Optimizer state of K slots, and their updates."""

    def __init__(self, slots: int, layout: Layout, *, stacked: bool | None = None) -> None:
        """``stacked``: without PyTorch's kernels for single rows; None: where they cost more."""
        self._slots = slots
        self._layout = layout
        self._family = np.full(slots, -1)
        self._numbers = np.zeros((len(_SETTINGS), slots))
        self._settings = dict(zip(_SETTINGS, self._numbers, strict=True))
        self._is_nesterov = np.zeros(slots, dtype=np.bool_)
        self._is_decoupled = np.zeros(slots, dtype=np.bool_)
        """AdamW's weight decay, which is no part of the gradient"""
        self._apart = np.zeros(slots, dtype=np.int64)
        """rows that differ in it are never updated together"""
        self._steps = np.zeros(slots, dtype=np.int64)
        self._has_momentum = np.zeros(slots, dtype=np.bool_)
        """SGD and RMSprop have the buffer from their first update with a momentum on"""
        self._buffers: dict[str, Tensor] = {}
        """``[K, width]``; zeros where a row has none"""
        self._rows: dict[int, _Rows] = {}
        """of the last update: mostly those of the next one too"""
        self._stacked = (layout.device.type != "cpu" or layout.scale is not None) if stacked is None else stacked
        self._accepted: set[object] = set()
        """names and settings that PyTorch takes, because to ask takes longer than to write them down"""
        self._views: dict[str, tuple[Tensor, Views]] = {}
        """kept, because to make one takes as long as to update a small row"""

    def put(self, slot: int, spec: OptimizerSpec, state: Mapping[int, Mapping[str, Any]], steps: int) -> None:
        """A training begins in the slot ({} and 0), or goes on from what PyTorch's optimizer has in ``state_dict``.

        Raises what ``make_optimizer`` raises for such a spec.
        """
        if (known := (spec.name, *sorted(spec.settings.items()))) not in self._accepted:
            make_optimizer(spec, [nn.Parameter(torch.empty(0))])
            self._accepted.add(known)
        self._family[slot] = _FAMILIES[spec.name]
        self._numbers[:, slot] = [spec.settings.get(name, 0.0) for name in _SETTINGS]
        self._is_nesterov[slot] = spec.name == "nesterov"
        self._is_decoupled[slot] = spec.name == "adamw"
        self._apart[slot] = 4 * self._family[slot]
        if self._stacked or _GROUPS[self._family[slot], False].one_by_one is None:
            is_coupled = self._settings["weight_decay"][slot] != 0 and not self._is_decoupled[slot]
            self._apart[slot] += 2 * is_coupled + self._is_nesterov[slot]
        self._steps[slot] = steps
        self._has_momentum[slot] = any("momentum_buffer" in held for held in state.values())
        for name, buffer in self._buffers.items():
            self._kept_views(name, buffer)[slot].zero_()
        for index, held in state.items():
            for name in held.keys() & _BUFFERS.keys():
                self._layout.pieces(self._buffer(_BUFFERS[name])[slot])[index].copy_(held[name])

    def state_of(self, slot: int) -> dict[int, dict[str, Tensor]]:
        """The same form back, in copies: PyTorch's optimizer has just that after these updates."""
        names: tuple[str, ...] = ("momentum_buffer",) if self._has_momentum[slot] else ()
        step: dict[str, Tensor] = {}
        if self._steps[slot] and self._family[slot] == _RMSPROP:
            names = ("square_avg", *names)
            step["step"] = torch.tensor(float(self._steps[slot]))
        elif self._steps[slot] and self._family[slot] == _ADAM:
            names = ("exp_avg", "exp_avg_sq")
            step["step"] = torch.tensor(float(self._steps[slot]), dtype=torch.float32, device=self._layout.device)
        if not names:
            return {}
        pieces = {name: self._layout.pieces(self._buffer(_BUFFERS[name])[slot]) for name in names}
        return {
            index: {name: tensor.clone() for name, tensor in (*step.items(), *((n, pieces[n][index]) for n in names))}
            for index in range(len(self._layout.names))
        }

    @torch.no_grad()
    def apply(
        self, theta: Tensor, gradients: Tensor, rates: Floats, momenta: Floats | None, active: NDArray[np.bool_]
    ) -> None:
        """One update of the active rows of ``theta`` ``[K, width]``, in place; ``gradients`` is used up.

        ``rates`` are the schedules', without the layout's scale. ``momenta`` are written before the update as
        ``set_momentum`` does; None, or NaN in a row: its own.
        """
        momentum = np.where(self._family == _ADAM, self._settings["beta1"], self._settings["momentum"])
        if momenta is not None:
            momentum = np.where(np.isnan(momenta), momentum, momenta)
        moves = (self._family != _ADAM) & (momentum > 0)
        self._steps += active
        kinds = 2 * self._apart + moves
        for kind in np.unique(kinds[active]).tolist():
            group = _GROUPS[kind // 8, bool(kind % 2)]
            chosen = active & (kinds == kind)
            rows = self._rows.get(kind)
            if rows is None or not np.array_equal(rows.chosen, chosen):
                rows = self._rows[kind] = _Rows(chosen, self._layout.device)
            numbers = {name: values[rows.slots] for name, values in self._settings.items()} | {
                "slot": rows.slots,
                "rate": rates[rows.slots],
                "momentum": momentum[rows.slots],
                "steps": self._steps[rows.slots],
                "has_momentum": self._has_momentum[rows.slots],
                "is_nesterov": self._is_nesterov[rows.slots],
                "is_decoupled": self._is_decoupled[rows.slots],
            }
            buffers = [self._buffer(name) for name in group.buffers]
            if group.one_by_one is None or self._stacked:
                coefficients = self._uploaded(group.coefficients(numbers))
                with rows.borrowed(theta, *buffers) as parts:
                    group.update(*parts, rows.taken(gradients), coefficients)
            else:
                group.one_by_one(
                    numbers, *map(self._kept_views, ("theta", *group.buffers), (theta, *buffers)), gradients.unbind()
                )
        self._has_momentum |= active & moves

    def _uploaded(self, coefficients: Mapping[str, Floats]) -> Coefficients:
        named = {
            name: each for name, each in coefficients.items() if name not in _NEUTRAL or (each != _NEUTRAL[name]).any()
        }
        columns = torch.from_numpy(np.stack(list(named.values()))).unsqueeze(-1)
        on_device = columns.to(self._layout.device, self._layout.dtype, non_blocking=True)
        return Coefficients(dict(zip(named, on_device.unbind(), strict=True)), self._layout.scale)

    def _kept_views(self, name: str, whole: Tensor) -> Views:
        if name not in self._views or self._views[name][0] is not whole:
            self._views[name] = whole, whole.unbind()
        return self._views[name][1]

    def _buffer(self, name: str) -> Tensor:
        if name not in self._buffers:
            shape = self._slots, self._layout.width
            self._buffers[name] = torch.zeros(shape, dtype=self._layout.dtype, device=self._layout.device)
        return self._buffers[name]


def clip(gradients: Tensor, largest: float) -> None:
    """``nn.utils.clip_grad_norm_`` of each row, in place: a row of an infinite norm becomes 0 and NaN."""
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    gradients.mul_((largest / (norms + 1e-6)).clamp_(max=1.0))


# ── the rows of a group ──────────────────────────────────────────────────────────────────────────────────────────────


class _Rows:
    """Some rows of the bank, or all."""

    def __init__(self, chosen: NDArray[np.bool_], device: torch.device) -> None:
        self.chosen = chosen
        self.slots = np.flatnonzero(chosen)
        self._are_all = len(self.slots) == len(chosen)
        if self._are_all:
            return
        places = np.maximum(np.cumsum(chosen) - 1, 0)
        self._mask = torch.from_numpy(chosen[:, None]).to(device, non_blocking=True)
        self._slots, self._places = (
            torch.from_numpy(each).to(device, non_blocking=True) for each in (self.slots, places)
        )

    def taken(self, whole: Tensor) -> Tensor:
        return whole if self._are_all else whole.index_select(0, self._slots)

    @contextmanager
    def borrowed(self, *wholes: Tensor) -> Iterator[list[Tensor]]:
        """To be changed in place."""
        parts = [self.taken(whole) for whole in wholes]
        yield parts
        if not self._are_all:
            for whole, part in zip(wholes, parts, strict=True):
                put_back = self.put_back_by_mask if whole.is_cuda else self.put_back_by_index
                put_back(whole, part)

    def put_back_by_index(self, whole: Tensor, part: Tensor) -> None:
        """On a GPU a dozen kernels, because there it sorts its indices when algorithms are to be deterministic."""
        whole.index_copy_(0, self._slots, part)

    def put_back_by_mask(self, whole: Tensor, part: Tensor) -> None:
        """The same in two kernels; on a CPU 3 times as slow."""
        torch.where(self._mask, part.index_select(0, self._places), whole, out=whole)


Numbers = Mapping[str, NDArray[Any]]
"""Of each row: the optimizer's settings, with the momentum (or beta1) and the rate of this update, and its state."""


# ── one row after the other ──────────────────────────────────────────────────────────────────────────────────────────

Views = Sequence[Tensor]
"""The rows of a whole tensor."""


def _sgd_one_by_one(of: Numbers, theta: Views, gradients: Views) -> None:
    _momentum_one_by_one(of, theta, None, gradients)


def _momentum_one_by_one(of: Numbers, theta: Views, mean: Views | None, gradients: Views) -> None:
    named = ("slot", "rate", "momentum", "dampening", "weight_decay", "is_nesterov", "has_momentum")
    for slot, rate, momentum, dampening, decay, nesterov, begun in zip(*(of[n].tolist() for n in named), strict=True):
        torch._fused_sgd_(
            [theta[slot]],
            [gradients[slot]],
            [] if mean is None else [mean[slot]],
            lr=rate,
            momentum=momentum,
            dampening=dampening,
            weight_decay=decay,
            nesterov=nesterov,
            maximize=False,
            is_first_step=not begun,
        )


def _adam_one_by_one(of: Numbers, theta: Views, mean: Views, square: Views, gradients: Views) -> None:
    named = ("slot", "rate", "momentum", "beta2", "eps", "weight_decay", "is_decoupled")
    clocks = torch.from_numpy(of["steps"].astype(np.float32)).unbind()
    rows = zip(clocks, *(of[n].tolist() for n in named), strict=True)
    for clock, slot, rate, beta1, beta2, eps, decay, is_decoupled in rows:
        (torch._fused_adamw_ if is_decoupled else torch._fused_adam_)(
            [theta[slot]],
            [gradients[slot]],
            [mean[slot]],
            [square[slot]],
            [],
            [clock],
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=decay,
            amsgrad=False,
            maximize=False,
        )


# ── all rows of a group at once ──────────────────────────────────────────────────────────────────────────────────────

_NEUTRAL = {"weight_decay": 0.0, "decay": 0.0, "undampened": 1.0, "ahead": 0.0}


@dataclass(frozen=True, eq=False)
class Coefficients:
    """By name ``[rows, 1]``, of the layout's type on its device. What would change nothing in any row is absent."""

    named: Mapping[str, Tensor]
    scale: Tensor | None

    def __contains__(self, name: str) -> bool:
        return name in self.named

    def __getitem__(self, name: str) -> Tensor:
        return self.named[name]

    def scaled(self, name: str) -> Tensor:
        """One that has the rate in it: for each number, where numbers have a scale of their own."""
        return self.named[name] if self.scale is None else self.named[name] * self.scale


def _sgd_coefficients(of: Numbers) -> dict[str, Floats]:
    return {"weight_decay": of["weight_decay"], "rate": -of["rate"]}


def _sgd(theta: Tensor, gradients: Tensor, c: Coefficients) -> None:
    _add_weight_decay(theta, gradients, c)
    theta.addcmul_(gradients, c.scaled("rate"))


def _momentum_coefficients(of: Numbers) -> dict[str, Floats]:
    return {
        "weight_decay": of["weight_decay"],
        "momentum": of["momentum"],
        "undampened": np.where(of["has_momentum"], 1 - of["dampening"], 1.0),
        "rate": -of["rate"] * np.where(of["is_nesterov"], of["momentum"], 1.0),
        "ahead": np.where(of["is_nesterov"], -of["rate"], 0.0),
    }


def _momentum(theta: Tensor, mean: Tensor, gradients: Tensor, c: Coefficients) -> None:
    """The first mean is the gradient: what was there before is 0. Dampened rows have no use for the gradient itself."""
    _add_weight_decay(theta, gradients, c)
    if "undampened" in c:
        gradients.mul_(c["undampened"])
    torch.addcmul(gradients, mean, c["momentum"], out=mean)
    if "ahead" in c:
        theta.addcmul_(gradients, c.scaled("ahead"))
    theta.addcmul_(mean, c.scaled("rate"))


def _rmsprop_coefficients(of: Numbers) -> dict[str, Floats]:
    return {
        "weight_decay": of["weight_decay"],
        "kept": of["alpha"],
        "new": 1 - of["alpha"],
        "eps": of["eps"],
        "momentum": of["momentum"],
        "rate": -of["rate"],
    }


def _rmsprop(theta: Tensor, square: Tensor, gradients: Tensor, c: Coefficients) -> None:
    _add_weight_decay(theta, gradients, c)
    root = _root(square, gradients, c)
    theta.addcdiv_(gradients.mul_(c.scaled("rate")), root)


def _rmsprop_momentum(theta: Tensor, square: Tensor, mean: Tensor, gradients: Tensor, c: Coefficients) -> None:
    _add_weight_decay(theta, gradients, c)
    gradients.div_(_root(square, gradients, c))
    torch.addcmul(gradients, mean, c["momentum"], out=mean)
    theta.addcmul_(mean, c.scaled("rate"))


def _adam_coefficients(of: Numbers) -> dict[str, Floats]:
    """Both sides of mean / (root + eps) carry the correction of the root, which saves a pass over all numbers."""
    steps = of["steps"].tolist()
    # math.pow is C's, as in PyTorch; numpy's may differ in the last place, which 1 - beta makes a thousand of
    toward_one = 1 - np.array(list(map(math.pow, of["momentum"].tolist(), steps)))
    root_toward_one = np.sqrt(1 - np.array(list(map(math.pow, of["beta2"].tolist(), steps))))
    return {
        "weight_decay": np.where(of["is_decoupled"], 0.0, of["weight_decay"]),
        "decay": np.where(of["is_decoupled"], -of["rate"] * of["weight_decay"], 0.0),
        "new_mean": 1 - of["momentum"],
        "kept": of["beta2"],
        "new": 1 - of["beta2"],
        "eps": of["eps"] * root_toward_one,
        "rate": -of["rate"] / toward_one * root_toward_one,
    }


def _adam(theta: Tensor, mean: Tensor, square: Tensor, gradients: Tensor, c: Coefficients) -> None:
    _add_weight_decay(theta, gradients, c)
    if "decay" in c:
        theta.mul_(1 + c.scaled("decay"))
    mean.lerp_(gradients, c["new_mean"])
    root = _root(square, gradients, c)
    theta.addcdiv_(torch.mul(mean, c.scaled("rate"), out=gradients), root)


def _add_weight_decay(theta: Tensor, gradients: Tensor, c: Coefficients) -> None:
    if "weight_decay" in c:
        gradients.addcmul_(theta, c["weight_decay"])


def _root(square: Tensor, gradients: Tensor, c: Coefficients) -> Tensor:
    """√square + eps, after the gradients have gone into the mean of squares."""
    scratch = gradients * c["new"]  # not after the square, which overflows sooner than PyTorch's product
    square.mul_(c["kept"]).addcmul_(scratch, gradients)
    return torch.sqrt(square, out=scratch).add_(c["eps"])


@dataclass(frozen=True, eq=False)
class _Group:
    coefficients: Callable[[Numbers], dict[str, Floats]]
    update: Callable[..., None]
    one_by_one: Callable[..., None] | None
    """by PyTorch's own kernel"""
    buffers: tuple[str, ...] = ()


_GROUPS = {
    (_SGD, False): _Group(_sgd_coefficients, _sgd, _sgd_one_by_one),
    (_SGD, True): _Group(_momentum_coefficients, _momentum, _momentum_one_by_one, ("mean",)),
    (_RMSPROP, False): _Group(_rmsprop_coefficients, _rmsprop, None, ("square",)),
    (_RMSPROP, True): _Group(_rmsprop_coefficients, _rmsprop_momentum, None, ("square", "mean")),
    (_ADAM, False): _Group(_adam_coefficients, _adam, _adam_one_by_one, ("mean", "square")),
}
"""By the family, and whether it has a momentum now; Adam's beta1 is none."""

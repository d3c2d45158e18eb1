"""Why the trainings of a workload cannot be fused: found by trying it with two models and two batches each.

First each model computes its losses and gradients alone, then both do side by side, by the same ``Program`` that would
train them. What stands in the way becomes one sentence, with what to do about it. Nobody has to: such a workload is
trained one after the other, and loses nothing but time.

    of the settings     those that belong to the sequential engine
    of the models       another structure with another seed, numbers of several types, parameters without a gradient
    of the batches      another shape at another step
    of the operators    random numbers of their own, and what PyTorch cannot do for several models at once
    of the results      anything else: side by side they are not what they are alone
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lrsweep.engines.fused.layout import Layout
from lrsweep.engines.fused.program import Program
from lrsweep.engines.memory import shortage
from lrsweep.engines.optimizers import trained_groups
from lrsweep.errors import InvalidInput
from lrsweep.records import EngineSettings
from lrsweep.workloads.base import Workload
from lrsweep.workloads.dropout import Clock, clocked

SEEDS = (1, 2)
SHOWN = 3
"""Places in a sentence: a transformer may draw in all of its blocks."""

LIMITS = (
    (r"calling \.item\(\)", "takes a number out of a tensor, as .item() does", "keep it a tensor"),
    (r"doesn't have storage", "takes the numbers out of a tensor", "compute with PyTorch's operators"),
    (r"data-dependent control flow", "branches on what a tensor holds", "choose by torch.where"),
    (r"dynamic shape", "makes a tensor whose shape depends on its numbers", "multiply by a mask"),
    (r"inplace|match the broadcast shape", "writes into a tensor that all models share", "make a new tensor"),
    (r"setup_context", "calls an autograd.Function that was written for one", "give it a vmap of its own"),
    (r"random operation", "draws random numbers", "use lrsweep.workloads.dropout.Dropout"),
    (r"rule not implemented for (?P<name>[\w:]+)", "calls {name}", "use a layer that is written with other operators"),
)
"""How PyTorch tells what it cannot do for several models at once, what that is, and what to do."""


class CannotFuse(InvalidInput):
    """Its text is one that ``why_not`` gives."""


def why_not(workload: Workload, settings: EngineSettings) -> str | None:
    """What is in the way and what to do, in one sentence; None where the workload's trainings can be fused.

    PyTorch's generators are left as they were.
    """
    answers = vars(workload).setdefault(_ANSWERS, {})
    if settings not in answers:
        answers[settings] = _why_not(workload, settings)
    reason: str | None = answers[settings]
    return reason


_ANSWERS = "_why_not_fused"
"""A workload remembers them by settings: banks of several sizes are tried one after the other, and a look takes a
second."""


def _why_not(workload: Workload, settings: EngineSettings) -> str | None:
    for name in ("channels_last", "graphs"):
        if getattr(settings, name):
            return f"{name} = true belongs to the sequential engine alone: leave it out of [study.engine]"
    if settings.precision == "bfloat16":
        return (
            'precision = "bfloat16" belongs to the sequential engine alone, because autocast reaches only some of the '
            "operators of models side by side: leave it out of [study.engine]"
        )
    on_gpu = [workload.device] if workload.device.type == "cuda" else []
    with torch.random.fork_rng(devices=on_gpu), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training itself tells what is slow, or not the same twice
        try:
            _Trial(workload, replace(settings, compile=False)).run()  # compiling takes seconds
        except CannotFuse as reason:
            return str(reason)
        except Exception as error:
            if shortage(error, workload.device):
                return "two models side by side do not fit into the memory: take a smaller batch or model"
            return f"one model alone cannot be trained: {_first_line(error)}"
    return None


Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class _Found:
    """What one model comes to for one batch."""

    loss: Tensor
    gradients: Tensor
    """side by side, as in a row of the layout"""
    buffers: Mapping[str, Tensor]
    """after it"""


class _Model:
    """A model as an engine makes it for a training."""

    def __init__(self, workload: Workload, seed: int) -> None:
        torch.manual_seed(seed)
        self.module = workload.model(seed)
        groups = workload.groups(self.module)
        trained_groups(self.module, groups, tensor_rates=False)
        own = {id(parameter) for parameter in self.module.parameters()}
        if not all(id(parameter) in own for group in groups for parameter in group.parameters):
            raise CannotFuse("groups gives parameters that are not the model's: make them a part of the model")
        try:
            self.layout = Layout.of(self.module, groups)
        except InvalidInput as error:
            raise CannotFuse(f"{error}: give them one type") from error
        self.clock = Clock(self.module, seed)

    @property
    def named(self) -> dict[str, Tensor]:
        return {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}

    @property
    def structure(self) -> object:
        scale = None if self.layout.scale is None else self.layout.scale.tolist()
        return self.layout.names, scale, {name: (each.shape, each.dtype) for name, each in self.named.items()}


class _Trial:
    def __init__(self, workload: Workload, settings: EngineSettings) -> None:
        self._workload = workload
        self._settings = settings
        self._where = _Where()

    def run(self) -> None:
        """Raises CannotFuse with the reason, and what else goes wrong as it is."""
        template, *models = (_Model(self._workload, seed) for seed in (0, *SEEDS))
        if any(model.structure != template.structure for model in models):
            raise CannotFuse(
                "another seed makes a model of another structure: let it change numbers alone, and give every model "
                "the same parameters, buffers and groups"
            )
        steps, batches = self._batches()
        for model in (template, *models):
            self._where.follow(model.module)
        rows = torch.stack([model.layout.row(model.module) for model in models])
        others = {
            name: torch.stack([model.named[name].detach() for model in models])
            for name in (*template.layout.frozen, *template.layout.buffers)
        }
        alone = [
            [self._alone(*each) for each in zip(models, of_round, batch, strict=True)]
            for of_round, batch in zip(steps, batches, strict=True)
        ]
        together = self._together(template, rows, others, steps, batches)
        eps = torch.finfo(template.layout.dtype).eps
        for one, many in zip(alone, together, strict=True):
            for slot in range(len(SEEDS)):
                _compare(one[slot], many[slot], rows[slot], eps)

    def _batches(self) -> tuple[list[list[int]], list[list[Batch]]]:
        """By round and slot the steps, which differ from slot to slot, and the batches there."""
        facts = self._workload.facts
        last = max(1, (facts.examples_per_epoch or 0) // facts.batch_size - 1)
        asked = [(seed, step) for seed in SEEDS for step in (0, last)] + [(SEEDS[-1], last + 1)]
        found = {key: self._workload.batch(*key) for key in asked}
        (inputs, targets), *_ = found.values()
        if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
            raise CannotFuse("a batch is not one tensor of inputs and one of targets: put them into one each")
        for (_, step), batch in found.items():
            for name, one, other in zip(("inputs", "targets"), (inputs, targets), batch, strict=True):
                if (one.shape, one.dtype) != (other.shape, other.dtype):
                    raise CannotFuse(
                        f"the {name} are {_kind(one)} at step 0 and {_kind(other)} at step {step}: give all batches "
                        "one shape and type; drop a last part, or pad it"
                    )
        steps = [[0, last], [last, 0]]
        return steps, [[found[key] for key in zip(SEEDS, of_round, strict=True)] for of_round in steps]

    def _alone(self, model: _Model, step: int, batch: Batch) -> _Found:
        model.clock.set(step)
        inputs, targets = batch
        with _Draws(self._where, self._workload.device) as draws:
            loss = self._loss(model.module(inputs), targets)
        if draws.places:
            verb = "draws" if len(draws.places) == 1 else "draw"
            raise CannotFuse(
                f"{_listed(draws.places)} {verb} from PyTorch's generator, which trainings side by side would share: "
                "use lrsweep.workloads.dropout.Dropout, or take what is random from `draw` in `batch`"
            )
        parameters = [model.named[name] for name in model.layout.names]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        idle = [name for name, each in zip(model.layout.names, gradients, strict=True) if each is None]
        if idle:
            raise CannotFuse(
                f"the parameter {idle[0]!r} has no part in the loss, and weight decay would change it: leave it out of "
                "`groups`"
            )
        if not loss.isfinite().all():
            raise CannotFuse("the loss of one model alone is not finite before the first update: look at its data")
        buffers = {name: model.named[name].clone() for name in model.layout.buffers}
        return _Found(loss.detach(), model.layout.joined([each for each in gradients if each is not None]), buffers)

    def _together(
        self,
        template: _Model,
        rows: Tensor,
        others: Mapping[str, Tensor],
        steps: Sequence[Sequence[int]],
        batches: Sequence[Sequence[Batch]],
    ) -> list[list[_Found]]:
        program = Program(template.module, self._loss, template.layout, self._settings)
        frozen = {name: others[name] for name in template.layout.frozen}
        buffers = {name: others[name] for name in template.layout.buffers}
        own_feed = self._workload.feed() if type(self._workload).feed is not Workload.feed else None
        found = []
        for of_round, batch in zip(steps, batches, strict=True):
            stacked = [torch.stack(pieces) for pieces in zip(*batch, strict=True)]
            if own_feed is not None:
                _compare_feed(own_feed(SEEDS, of_round), stacked)
            inputs, targets = stacked
            buffers |= {
                f"{each.place}.step".lstrip("."): torch.tensor(of_round, device=rows.device)
                for each in clocked(template.module)
            }
            self._where.forget()
            try:
                losses, gradients, buffers = program(rows, frozen, buffers, inputs, targets)
            except Exception as error:
                if shortage(error, self._workload.device):
                    raise
                raise CannotFuse(f"{self._where} {_limit(error)}") from error
            found.append(
                [
                    _Found(losses[slot], gradients[slot], {name: each[slot] for name, each in buffers.items()})
                    for slot in range(len(SEEDS))
                ]
            )
        return found

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._where.within("the loss", lambda: self._workload.loss(outputs, targets))


class _Where:
    """The module that runs just now, also after it has raised."""

    def __init__(self) -> None:
        self._places: list[str] = []

    def __str__(self) -> str:
        return self._places[-1] if self._places else "the gradient"

    def forget(self) -> None:
        self._places.clear()

    def follow(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            kind = type(module).__name__
            place = f"the module {name!r} ({kind})" if name else f"the model ({kind})"
            module.register_forward_pre_hook(lambda *_, place=place: self._places.append(place))
            module.register_forward_hook(lambda *_: self._leave())

    def within(self, place: str, work: Callable[[], Tensor]) -> Tensor:
        self._places.append(place)
        result = work()
        self._leave()
        return result

    def _leave(self) -> None:
        self._places.pop()


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the places in which a generator of PyTorch's moves on. Attention has operators that could draw, and do
    not while its dropout is 0; so the tag alone tells too much."""

    def __init__(self, where: _Where, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._where = where
        self._device = device
        self.places: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        before = self._generators()
        result = func(*args, **kwargs)
        moved = any(not torch.equal(*pair) for pair in zip(before, self._generators(), strict=True))
        if (moved or kwargs.get("generator") is not None) and (place := str(self._where)) not in self.places:
            self.places.append(place)
        return result

    def _generators(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states


def _compare_feed(given: Sequence[Tensor], stacked: Sequence[Tensor]) -> None:
    """Raises CannotFuse where the workload's own ``feed`` gives another bit."""
    for one, other in zip(given, stacked, strict=True):
        if one.dtype != other.dtype or not torch.equal(one, other):
            raise CannotFuse("feed gives other batches than batch: give the same bits, or leave feed out")


def _compare(alone: _Found, beside: _Found, row: Tensor, eps: float) -> None:
    """Raises CannotFuse where they differ by more than rounding: by half of the digits that the numbers have."""
    bound = math.sqrt(eps)
    differs = None
    if not _near(alone.loss, beside.loss, bound, 1.0):
        differs = f"a loss is {beside.loss.item():.6g}, and alone {alone.loss.item():.6g}"
    elif not _near(alone.gradients, beside.gradients, bound, math.sqrt(eps) * row.norm().item()):
        differs = "the gradients differ"
    else:
        for name, buffer in alone.buffers.items():
            if not _near(buffer, beside.buffers[name], bound, 1.0):
                differs = f"the buffer {name!r} differs"
    if differs:
        raise CannotFuse(
            f"two models side by side do not give what each gives alone ({differs}): something in the model or in the "
            "loss is kept outside of parameters and buffers, such as an attribute that counts, or that depends on the "
            "seed; make it a buffer"
        )


def _near(one: Tensor, other: Tensor, bound: float, least: float) -> bool:
    """Whether their distance is small beside the length of ``one``, or beside ``least`` where that is more."""
    if torch.equal(one, other):  # a mask may hold infinities
        return True
    if not one.dtype.is_floating_point:
        return False
    distance: float = (one.double() - other.double()).norm().item()
    length: float = one.double().norm().item()
    return distance <= bound * max(length, least)


def _limit(error: Exception) -> str:
    line = _first_line(error)
    for pattern, does, instead in LIMITS:
        if found := re.search(pattern, line):
            what = does.format(**found.groupdict())
            return f"{what}, which PyTorch cannot do for several models at once: {instead} instead"
    return f"cannot be computed for several models at once ({line}): write it with other operators"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _listed(places: Sequence[str]) -> str:
    more = len(places) - SHOWN
    *first, last = [*places[:SHOWN], f"{more} more"] if more > 0 else places
    return f"{', '.join(first)} and {last}" if first else last


def _kind(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"

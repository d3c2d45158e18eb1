"""The loss of each example of the half that decides, as a workload tells it, looked at before it is kept.

    [models, examples], finite or infinite ──> each model's mean is its loss ──> kept
    any other answer, or an error          ──> None, and one line to the log

By then the training is over and paid for, so nothing that is wrong here may cost it: without these losses it has no
intervals over examples, and all else. ``lrsweep check-workload`` asks before, by the same functions.
"""

from __future__ import annotations

import logging
import math
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lrsweep.errors import InvalidInput
from lrsweep.records import Losses
from lrsweep.workloads.base import Forward, Workload, evaluating

APART, APART_AT_ZERO = 1e-3, 1e-6
"""How far a mean may be from the loss, as a share of the larger, or at all: another order of adding in float32 is a
thousandth of the first; label smoothing, weights and sums are far above it."""

LIBRARIES = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")))
"""Folders of code that a workload's author has not written."""

_log = logging.getLogger(__name__)
_said: set[tuple[str, str]] = set()
"""the workloads, by name and settings, of which this process has said that their losses are not kept"""


def of_model(workload: Workload, model: nn.Module, loss: float) -> Losses | None:
    """Of a model whose loss on the *decide* half is known; None where the workload does not know them, or wrongly."""
    with evaluating(model):
        [found] = of_models(workload, lambda inputs: model(inputs).unsqueeze(0), [loss])
    return found


def of_models(workload: Workload, forward: Forward, losses: Sequence[float]) -> Sequence[Losses | None]:
    """Of several at once, which whoever calls has put in evaluation mode, without gradients."""
    try:
        found = told(workload, forward, len(losses))
        if found is not None:
            return [_kept(workload, row, loss) for row, loss in zip(found, losses, strict=True)]
    except InvalidInput as error:
        _say(workload, str(error))
    except Exception as error:
        _say(workload, f"example_losses {raised(error)}")
    return [None] * len(losses)


def told(workload: Workload, forward: Forward, models: int) -> Tensor | None:
    """``[models, examples]`` on the CPU. Raises InvalidInput for anything else that is not None."""
    found: object = workload.example_losses(forward, "decide")
    if found is None:
        return None
    wanted = (
        f"wanted is a tensor [{models}, examples] of floats, a row for each model and in it the loss of each example: "
        "stack them as `torch.stack([cross_entropy(each, targets, reduction='none') for each in forward(inputs)])` does"
    )
    if not isinstance(found, Tensor):
        raise InvalidInput(f"example_losses gives {type(found).__name__} for {_counted(models)}; {wanted}")
    if found.dim() != 2 or len(found) != models or not found.shape[1] or not found.is_floating_point():
        dtype = str(found.dtype).removeprefix("torch.")
        raise InvalidInput(f"example_losses gives {list(found.shape)} of {dtype} for {_counted(models)}; {wanted}")
    return found.detach().cpu()


def disagreement(losses: Tensor, loss: float) -> str | None:
    """What is wrong with a model's losses beside its own; an infinite one may be anywhere."""
    if bool(losses.isnan().any()) and not math.isnan(loss):
        return (
            f"example_losses gives NaN for {int(losses.isnan().sum()):,} of {len(losses):,} examples, and evaluate a "
            f"loss of {loss:.6g} on the same half; wanted are numbers whose mean is that loss"
        )
    mean = losses.double().mean().item()
    if math.isnan(loss) or math.isclose(mean, loss, rel_tol=APART, abs_tol=APART_AT_ZERO):
        return None
    return (
        f"example_losses has a mean of {mean:.6g} over {len(losses):,} examples, and evaluate gives a loss of "
        f"{loss:.6g} on the same half; wanted is what evaluate takes the mean of: the same examples, label smoothing "
        "and weights, and no sum. Where the loss is no such mean, let example_losses give None"
    )


def raised(error: Exception) -> str:
    """In a line, with the place in the user's own code that came last, however deep in a library it was raised; the
    rest of the traceback is of little use to whoever wrote it."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((each for each in reversed(frames) if _is_theirs(each.filename)), frames[-1])
    return f"raised {type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"


def _is_theirs(file: str) -> bool:
    """Whether it is neither Python's, nor an installed library's, nor ours."""
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in LIBRARIES)


def _kept(workload: Workload, losses: Tensor, loss: float) -> Losses | None:
    """None without a word of a model whose loss is no number: its examples are none either."""
    if math.isnan(loss):
        return None
    if wrong := disagreement(losses, loss):
        _say(workload, wrong)
        return None
    return losses.to(torch.float32).numpy()


def _say(workload: Workload, wrong: str) -> None:
    """Once in a process: numbers differ from training to training, and what is to be done is the same."""
    facts = workload.facts
    name = (facts.name, repr(sorted(facts.settings.items())))
    if name not in _said:
        _said.add(name)
        text = " ".join(wrong.split())  # of a text with several lines the driver's user sees the first
        _log.warning(
            "%s: %s. Trainings are kept without the losses of their examples, so there are no intervals over examples; "
            "mend it, and ask lrsweep check-workload %s",
            facts.name,
            text,
            facts.name,
        )


def _counted(models: int) -> str:
    return "one model" if models == 1 else f"{models} models"

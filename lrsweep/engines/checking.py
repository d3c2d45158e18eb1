"""Whether a workload is what an engine takes it for: trained for a few steps, and looked at.

It runs the user's code, so each question (``lrsweep.engines.questions``) has a process of its own, which ``main``
answers through a pipe.

A *trace* is a hash of every bit of a training's curve. That a training is a function of its seed is what resuming,
comparing seeds and training many at once all stand on, so most checks are about that. Each text says how to mend it.
"""

from __future__ import annotations

import hashlib
import math
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, get_args

import torch
from torch import Tensor, nn

from lrsweep.engines import checkpoints as engine_checkpoints
from lrsweep.engines.device import open_device
from lrsweep.engines.examples import disagreement, raised, told
from lrsweep.engines.machine import peak_bytes
from lrsweep.engines.questions import Again, Check, FusedSpeed, Look, Looked, Repeated, Training
from lrsweep.engines.side_by_side import side_by_side
from lrsweep.engines.watched import Watched, watch
from lrsweep.errors import InvalidInput, LrsweepError, SweepFailed
from lrsweep.workloads.base import Half, Workload, evaluating, load

SEED, OTHER_SEED = 1, 2
TIMED_SECONDS = 1.0
"""A longer measurement of the speed than the few steps of the checks, where these take less."""
MOST_TIMED_STEPS = 2000
MOST_EXAMPLES = 20_000
"""Of each part, that are looked at for doubles."""
DOUBLES = 0.01
"""Real data have a few: 1 in 100 of the smaller part is not yet a mistake."""
SEEN_AGAIN = 0.25
"""Of the training examples that two epochs have in common as they were cut: below it they are changed at each step. To
mirror half of them leaves a half alike, a shift by one pixel at most a ninth."""

FROM_DRAW = (
    "take all that is random from `draw(seed, step, …)`, nothing from torch's, numpy's or Python's own generators"
)
UNSEEDED = "numpy's and Python's own generators, a clock and what an earlier training left are no functions of the seed"


def look(training: Training) -> Looked:
    """All checks; what the user's code raises in one of them fails that check alone. Raises InvalidInput where the
    workload cannot be loaded."""
    workload = load(training.workload, open_device(training.device), training.data)
    checks = [
        _check("weights_follow_the_seed", lambda: weights(workload)),
        _check("batches_stand_alone", lambda: batches(workload)),
        _check("evaluate_only_looks", lambda: evaluation(workload)),
        _check("parts_are_apart", lambda: parts(workload)),
        _check("examples_add_up", lambda: examples(workload)),
    ]
    runs: list[Watched] = []
    checks.append(reproduced := _check("seeds_reproduce", lambda: seeds(workload, training, runs)))
    trained = bool(runs) and runs[-1].is_complete
    if trained:
        _leave_half(workload, training)
    on_gpu = workload.device.type == "cuda"
    speed = _speed(workload, training, runs[-1]) if trained else None
    process_bytes = peak_bytes()
    device_bytes = torch.cuda.max_memory_allocated(workload.device) if on_gpu else None
    fused: list[FusedSpeed] = []
    checks.append(_check("fused_equals_sequential", lambda: fusing(workload, training, reproduced, runs, fused)))
    return Looked(
        facts=workload.facts,
        device=str(workload.device),
        checks=tuple(checks),
        trace=runs[0].trace if trained else None,
        steps_per_second=speed,
        fused=fused[0] if fused else None,
        process_bytes=process_bytes,
        device_bytes=device_bytes,
    )


def again(training: Training) -> Repeated:
    """The training with the first seed, whole, and as it goes on from the half that ``look`` has left."""
    workload = load(training.workload, open_device(training.device), training.data)
    whole = watch(workload, training, SEED, training.steps)
    resumed = watch(workload, training, SEED, training.steps, checkpoints=training.checkpoints)
    return Repeated(whole.trace, resumed.trace if resumed.resumed_at else None)


# ── the checks: each gives whether it holds, and what was seen ───────────────────────────────────────────────────────

Answer = tuple[bool | None, str]
Question = Callable[[Workload], Answer]


def weights(workload: Workload) -> Answer:
    torch.manual_seed(SEED)  # as the engine does
    first = _state(workload.model(SEED))
    torch.manual_seed(SEED)
    if first == _state(workload.model(SEED)):
        return True, "the same seed gives the same weights"
    return False, f"model({SEED}) gave two different models: draw the weights from the seed, as `draw_weights` does"


def batches(workload: Workload) -> Answer:
    """Step 5 alone, after 0 to 4, and after another seed's; and the same in the next epoch."""
    facts = workload.facts
    epoch = (facts.examples_per_epoch or 0) // facts.batch_size
    late = [5, epoch + 1] if epoch else [5]
    alone = {step: _batch(workload, SEED, step) for step in late}
    for step in (0, 1, 2, 3, 4):
        workload.batch(SEED, step)
    for step in late:
        workload.batch(OTHER_SEED, step)
        if _batch(workload, SEED, step) != alone[step]:
            return False, f"batch({SEED}, {step}) depends on what was asked before: {FROM_DRAW}, and keep no position"
    examples = len(workload.batch(SEED, 0)[0])
    if examples != facts.batch_size:
        return False, f"a batch has {examples} examples, and facts.batch_size says {facts.batch_size}: make them agree"
    return True, "a batch is a function of seed and step"


def evaluation(workload: Workload) -> Answer:
    model = workload.model(SEED)
    before = _state(model)
    first, second = (workload.evaluate(model, "search") for _ in range(2))
    declared = set(workload.facts.metrics)
    if set(first) != declared:
        return False, (
            f"evaluate gives {', '.join(sorted(first))}, and facts.metrics declares "
            f"{', '.join(sorted(declared)) or 'nothing'}: name each metric there, with 'minimize' or 'maximize'"
        )
    odd = {name: value for name, value in first.items() if type(value) is not float or not math.isfinite(value)}
    if odd:
        return False, f"evaluate gives {odd} for a fresh model: wanted are finite numbers of type float, as of .item()"
    if _state(model) != before:
        return False, (
            "evaluate has changed the model (its weights, buffers, gradients or training mode): "
            "evaluate inside `with evaluating(model):`"
        )
    if first != second:
        return False, f"evaluate gave {first} and then {second} for one model: {FROM_DRAW}, and switch dropout off"
    return True, f"evaluate gives {', '.join(first)}, and leaves the model as it was"


def parts(workload: Workload) -> Answer:
    """The model sees what it is evaluated on; so do we. Of the training part two epochs are looked at: where the second
    brings few examples of the first, they are changed at each step, and no leak can be seen by them."""
    seen: dict[str, set[int]] = {half: _examples_of(workload, half) for half in get_args(Half)}
    size = workload.facts.batch_size
    examples = workload.facts.examples_per_epoch or MOST_EXAMPLES
    epoch = max(1, examples // size)
    count = max(1, min(examples, MOST_EXAMPLES) // size)
    first, second = (
        {row for step in range(begin, begin + count) for row in _rows(workload.batch(SEED, step)[0])}
        for begin in (0, epoch)
    )
    expected = min(len(first), len(second)) * min(1.0, count * size / examples)
    changed = len(first & second) < SEEN_AGAIN * expected
    seen["train"] = first | second
    if not all(seen.values()):
        return None, "it cannot be seen: evaluate gives its inputs to the model in a way of its own"
    names = list(seen)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared, smaller = len(seen[one] & seen[other]), min(len(seen[one]), len(seen[other]))
            if shared > DOUBLES * smaller:
                return False, (
                    f"{shared:,} of {smaller:,} examples are in {one} and in {other} as well: cut the data into parts "
                    "once, and keep them apart; otherwise a result says how well they were learned by heart"
                )
    if changed:
        return None, "training examples are changed at each step, so only the held-out parts were compared"
    return True, f"no part shares examples: {', '.join(f'{len(rows):,} {name}' for name, rows in seen.items())}"


def examples(workload: Workload) -> Answer:
    """Of two models at once, as the fused engine asks: their losses must not be mixed up."""
    models = [workload.model(seed) for seed in (SEED, OTHER_SEED)]
    losses = [workload.evaluate(model, "decide").get("loss", math.nan) for model in models]
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(evaluating(model))
        try:
            first, second = (
                told(workload, lambda inputs: torch.stack([model(inputs) for model in models]), len(models))
                for _ in range(2)
            )
        except InvalidInput as error:
            return False, str(error)
    if first is None or second is None:
        return True, "example_losses gives None, as it may: a choice then has no intervals over examples"
    for row, loss in zip(first, losses, strict=True):
        if wrong := disagreement(row, loss):
            return False, wrong
    if first.shape != second.shape or not torch.allclose(first, second, equal_nan=True):
        return False, f"example_losses gave two answers for the same models: keep the examples' order, and {FROM_DRAW}"
    return True, f"the losses of {first.shape[1]:,} examples have the loss for their mean"


def seeds(workload: Workload, training: Training, runs: list[Watched]) -> Answer:
    """One seed, another, and the first again; ``runs`` gets all three."""
    for seed in (SEED, OTHER_SEED, SEED):
        runs.append(watch(workload, training, seed, training.steps))
        if not runs[-1].is_complete:
            return False, f"it does not train: {runs[-1].ending}"
    first, other, second = runs
    if first.trace != second.trace:
        losses = zip(first.curve.train_losses, second.curve.train_losses, strict=True)
        step = next((step for step, (one, two) in enumerate(losses) if one != two), None)
        where = "its evaluation" if step is None else f"its loss at step {step}"
        return False, f"seed {SEED} trained twice differs, first in {where}: {UNSEEDED}"
    if first.trace == other.trace:
        return False, f"seeds {SEED} and {OTHER_SEED} give the same training: use the seed for weights or batches"
    return True, f"the same seed gives the same {training.steps} steps bit for bit, and another seed others"


def fusing(
    workload: Workload, training: Training, reproduced: Check, runs: list[Watched], fused: list[FusedSpeed]
) -> Answer:
    """The trainings of ``seeds`` side by side; ``fused`` gets the speed."""
    if not reproduced.passed:
        return None, "it was not tried: there is no training to compare with as long as seeds do not reproduce"
    found = side_by_side(workload, training, {SEED: runs[0], OTHER_SEED: runs[1]})
    if found.speed is not None:
        fused.append(found.speed)
    return found.equal, found.text


# ── the training ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _leave_half(workload: Workload, training: Training) -> None:
    """Trains to the first evaluation with a checkpoint at every step, and leaves it there."""
    usual = engine_checkpoints.CHECKPOINT_SECONDS
    engine_checkpoints.CHECKPOINT_SECONDS = 0.0
    try:
        watch(workload, training, SEED, training.steps, checkpoints=training.checkpoints, until_evaluated=True)
    finally:
        engine_checkpoints.CHECKPOINT_SECONDS = usual


def _speed(workload: Workload, training: Training, run: Watched) -> float | None:
    """Updates a second, without evaluations."""
    if not run.updates:
        return None
    if run.seconds < TIMED_SECONDS / 2:
        steps = round(2 * TIMED_SECONDS * run.updates / max(run.seconds, 1e-6))
        run = watch(workload, training, SEED, min(max(steps, training.steps), MOST_TIMED_STEPS))
    return run.updates / run.seconds if run.updates and run.seconds > 0 else None


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(name: str, answer: Callable[[], Answer]) -> Check:
    try:
        passed, text = answer()
    except Exception as error:
        return Check(name, False, f"it {raised(error)}")
    return Check(name, passed, text)


def _state(model: nn.Module) -> str:
    """A hash of all that training and evaluation may change in a model."""
    found = hashlib.sha256(repr([module.training for module in model.modules()]).encode())
    for tensor in model.state_dict().values():
        found.update(_bytes(tensor) if isinstance(tensor, Tensor) else repr(tensor).encode())
    for parameter in model.parameters():
        found.update(repr((parameter.requires_grad, parameter.grad is None)).encode())
    return found.hexdigest()


def _batch(workload: Workload, seed: int, step: int) -> list[bytes]:
    return [_bytes(tensor) for tensor in workload.batch(seed, step)]


def _examples_of(workload: Workload, half: Half) -> set[int]:
    model = workload.model(SEED)
    found: set[int] = set()

    def remember(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and len(found) < MOST_EXAMPLES:
            found.update(_rows(inputs[0]))

    model.register_forward_pre_hook(remember)
    workload.evaluate(model, half)
    return found


def _rows(inputs: Tensor) -> Iterable[int]:
    """A number for each example: equal ones have the same."""
    return (hash(_bytes(row)) for row in inputs.detach().cpu())


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(asked: Look | Again) -> Looked | Repeated | LrsweepError:
    try:
        return look(asked.training) if isinstance(asked, Look) else again(asked.training)
    except InvalidInput as error:
        return InvalidInput(str(error))
    except Exception:
        name = asked.training.workload.name
        return SweepFailed(f"workload {name!r} could not be loaded:\n{traceback.format_exc()}")


def main(fd: int) -> None:
    connection: Connection[object, object] = Connection(fd)
    asked = connection.recv()
    assert isinstance(asked, Look | Again)
    connection.send(answered(asked))

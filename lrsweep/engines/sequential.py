"""The sequential engine: one training after the other, readable from top to bottom. It is the meaning of a plan.

The same plan gives the same bits: on the same device, in any process, whatever was trained there before, and also when
the training was killed and went on from a checkpoint. With graphs the resumed curve is only nearly the same, because a
few eager updates come first again. What gives other bits: another kind of device or number of threads, another release
of PyTorch or of its libraries, and each of the engine's settings (clipping, bfloat16, channels_last, compile, graphs).
On a GPU ``open_device`` chooses deterministic algorithms without TF32; an operation
that has none warns. A model may draw from PyTorch's own generators, which are seeded by the plan and kept in
checkpoints; what a workload draws from anywhere else is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lrsweep.engines import divergence, examples, graphed
from lrsweep.engines.applied import Applied
from lrsweep.engines.checkpoints import Checkpoints, identity, restore, taken
from lrsweep.engines.device import seed_generators
from lrsweep.engines.memory import failure
from lrsweep.engines.optimizers import make_optimizer, set_momentum, set_rate, trained_groups, update_of
from lrsweep.engines.recording import Emit, Recorder
from lrsweep.errors import InvalidInput
from lrsweep.records import SEQUENTIAL, Curve, OptimizerSpec, Outcome, Status, TrainingPlan
from lrsweep.workloads.base import Workload
from lrsweep.workloads.dropout import Clock

Alive = Callable[[], AbstractContextManager[None]]
"""``lrsweep.executors.heartbeat``"""
Stopped = Callable[[], bool]
"""Whether the training is to end now."""


class Drained(Exception):
    """The training was asked to give way; all that it has done is in its checkpoint, and another attempt goes on."""


def never() -> bool:
    return False


def train(
    plan: TrainingPlan,
    workload: Workload,
    emit: Emit,
    alive: Alive = nullcontext,
    stopped: Stopped = never,
    gives_way: Stopped = never,
) -> None:
    """Runs the plan to its end, from its newest checkpoint where there is one; the last record has the outcome.

    Raises Drained after the step at which it ``gives_way``: then there is no outcome.

    ``with alive():`` stands around all that may take long without a record, but not around the steps: one that hangs is
    to be found. A training that diverges says by which rule (``lrsweep.engines.divergence``). Exceptions become
    ``failed``.
    """
    recorder = Recorder(plan, str(workload.device), emit)
    try:
        outcome = _train(plan, workload, recorder, alive, stopped, gives_way)
    except Drained:
        raise
    except Exception as error:
        outcome = recorder.outcome(Status.FAILED, error=failure(error, workload.device))
    recorder.end(outcome)


def end_unbegun(plan: TrainingPlan, workload: Workload, emit: Emit, engine: str = SEQUENTIAL) -> None:
    """Ends a training as stopped that waits for its turn; what an earlier attempt has done is kept where its model can
    be made."""
    recorder = Recorder(plan, str(workload.device), emit, engine)
    try:
        found = Checkpoints(plan.checkpoint_url, identity(plan, workload.model(plan.seed))).newest()
        recorder.begin(found.curve if found else Curve.empty(), found.seconds if found else 0.0)
        outcome = recorder.outcome(Status.STOPPED)
    except Exception as error:  # what has been asked for is its end, and no model
        outcome = recorder.outcome(Status.STOPPED, error=failure(error, workload.device))
    recorder.end(outcome)


def _train(
    plan: TrainingPlan, workload: Workload, recorder: Recorder, alive: Alive, stopped: Stopped, gives_way: Stopped
) -> Outcome:
    engine = plan.engine
    if engine.graphs and (why_not := graphed.why_not(plan, workload.device)):
        raise InvalidInput(why_not)

    seed_generators(plan.seed, workload.device)
    with alive():
        model = workload.model(plan.seed)
    clock = Clock(model, plan.seed)
    if engine.channels_last:
        model = model.to(memory_format=torch.channels_last)
    groups = trained_groups(model, workload.groups(model), tensor_rates=engine.graphs)
    optimizer = make_optimizer(plan.optimizer, groups, capturable=engine.graphs)
    apply = update_of(optimizer)
    trained = [parameter for group in groups for parameter in group["params"]]
    with alive():  # torch.compile is loaded
        forward = torch.compile(model) if engine.compile else model
    bfloat16 = torch.autocast(workload.device.type, torch.bfloat16) if engine.precision == "bfloat16" else nullcontext()

    def update(inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of the optimizer; the training loss before it."""
        with bfloat16:
            loss = workload.loss(forward(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if engine.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, engine.clip_norm)
        apply()
        return loss.detach()

    def validated() -> dict[str, float]:
        with alive():
            return checked(workload.evaluate(model, "search"), plan)

    step_of = graphed.Graphed(update) if engine.graphs else update
    applied = Applied(plan)
    losses = torch.empty(plan.horizon, dtype=torch.float32, device=workload.device)
    val_losses: list[float] = []
    metrics: dict[str, float] = {}
    done = evaluated = 0
    begins_trained = plan.workload.settings.get("init") is not None
    val_loss_before = validated()["val_loss"] if begins_trained else -math.inf

    checkpoints = Checkpoints(plan.checkpoint_url, identity(plan, model))
    with alive():
        found = checkpoints.newest()
    if found is None:
        recorder.begin(Curve.empty(), 0.0)
    else:
        recorder.begin(found.curve, found.seconds)
        restore(found, model, optimizer)
        applied.resume(found.states, found.curve.rates)
        done = found.curve.steps
        clock.set(done - 1)  # an evaluation may come before the next update
        losses[:done] = torch.from_numpy(found.curve.train_losses)
        if len(found.curve.evaluation_steps):
            evaluated = int(found.curve.evaluation_steps[-1])
            val_losses = found.curve.evaluations["val_loss"].tolist()

    first = done
    for point in evaluation_steps(plan.horizon, plan.evaluations):
        if point <= evaluated:
            continue
        for step in range(done, point):
            set_rate(optimizer, applied.rates[step])
            if applied.momenta is not None:
                set_momentum(optimizer, applied.momenta[step])
            clock.set(step)
            inputs, targets = workload.batch(plan.seed, step)
            if engine.channels_last and inputs.dim() == 4:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with alive() if step == first else nullcontext():  # PyTorch compiles in it
                losses[step] = step_of(inputs, targets)

            now = time.monotonic()
            if stopped():
                reason = recorder.add(losses[recorder.steps : step + 1], applied.rates)
                return recorder.outcome(Status.DIVERGED if reason else Status.STOPPED, reason=reason)
            is_leaving = gives_way()
            if is_leaving or now >= recorder.due or now >= checkpoints.due:
                if reason := recorder.add(losses[recorder.steps : step + 1], applied.rates):
                    return recorder.outcome(Status.DIVERGED, reason=reason)
                if checkpoints.are_kept and (is_leaving or now >= checkpoints.due):
                    with alive():
                        checkpoints.save(taken(recorder.seconds, recorder.curve, applied.states, model, optimizer))
            if is_leaving:
                raise Drained

        done = point
        if reason := recorder.add(losses[recorder.steps : done], applied.rates):
            return recorder.outcome(Status.DIVERGED, reason=reason)
        metrics = validated()
        recorder.evaluated(metrics)
        val_losses.append(metrics["val_loss"])
        if reason := divergence.of_validation_losses(val_losses, max(losses[0].item(), val_loss_before), done):
            return recorder.outcome(Status.DIVERGED, reason=reason)
        applied.hear(metrics[plan.metric], done)

    with alive():
        decide = {f"decide_{name}": value for name, value in workload.evaluate(model, "decide").items()}
        test = workload.evaluate(model, "test") if plan.reads_test else {}
        loss = decide.get("decide_loss", math.nan)
        example_losses = examples.of_model(workload, model, loss) if plan.keeps_examples else None
    return recorder.outcome(
        Status.COMPLETED,
        metrics | decide | {f"test_{name}": value for name, value in test.items()},
        example_losses=example_losses,
    )


def checked(metrics: Mapping[str, float], plan: TrainingPlan) -> dict[str, float]:
    """What an evaluation gave, as ``val_loss`` and so on. Raises InvalidInput where something needed is missing."""
    found = {f"val_{name}": value for name, value in metrics.items()}
    given = ", ".join(map(repr, metrics)) or "nothing"
    if "val_loss" not in found:
        raise InvalidInput(
            f"evaluate of the workload {plan.workload.name!r} gives {given}; wanted 'loss' too, because divergence "
            "is seen by it"
        )
    if plan.metric not in found:
        raise InvalidInput(
            f"the metric is {plan.metric!r}, and evaluate of the workload {plan.workload.name!r} gives {given}: "
            f"wanted one of {', '.join(found)} under [study]"
        )
    return found


def warm_up(workload: Workload) -> None:
    """One step for nothing: what PyTorch and the device load for the first is no training's time."""
    model = workload.model(0)
    optimizer = make_optimizer(OptimizerSpec("sgd", {"momentum": 0.0, "weight_decay": 0.0}), model.parameters())
    inputs, targets = workload.batch(0, 0)
    workload.loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
    update_of(optimizer)()


def evaluation_steps(horizon: int, evaluations: int) -> list[int]:
    """After how many updates to evaluate: evenly spaced, the last one at the end; fewer where the steps are fewer.

    >>> evaluation_steps(600, 20)[:3], evaluation_steps(200, 20)[-1], evaluation_steps(3, 20)
    ([30, 60, 90], 200, [1, 2, 3])
    """
    return sorted({max(1, horizon * k // evaluations) for k in range(1, evaluations + 1)})

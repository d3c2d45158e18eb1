"""What the end of a script means: an outcome, or that the same training is to be started again."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from lrsweep.engines.command.process import Ended
from lrsweep.engines.command.story import Story
from lrsweep.records import Outcome, Status, TrainingPlan
from lrsweep.scripts.command import TOO_LATE, Command
from lrsweep.scripts.plan_file import PREEMPTED

SHELL_KILLED = {128 + number: number for number in (signal.SIGKILL, signal.SIGTERM)}
"""How a shell tells that its child was killed."""


@dataclass(frozen=True)
class Cut:
    """The attempt came to no result; the training is to be queued again."""

    reason: str
    is_death: bool
    """whether it counts as a death of the training: a script that gave way has not died"""


def what_it_means(
    plan: TrainingPlan, command: Command, story: Story, ended: Ended, *, was_asked_to_stop: bool, seconds: float
) -> Outcome | Cut:
    """Of a script that ended by itself and has said nothing that ends the training whatever its exit code."""
    code = SHELL_KILLED.get(ended.code or 0, 0) * -1 or ended.code
    done = story.steps if story.updates is None else story.updates
    if story.preempted:  # whatever its exit code: torchrun and accelerate have one of their own
        return Cut(f"it was preempted: the script gave way after {done:,} updates", is_death=False)
    if code is None:
        return Cut("the process that guards the script was killed, and the script with it", is_death=True)
    if code == PREEMPTED:
        return Cut(f"it was preempted: the script ended with exit code {PREEMPTED}", is_death=False)
    if was_asked_to_stop and (code != 0 or done < plan.horizon):
        return Cut(f"it was asked to stop and left after {done:,} updates", is_death=False)
    if code < 0:
        return Cut(f"the script was killed by {_signal_name(-code)}{ended.last_words}", is_death=True)

    def failed(text: str) -> Outcome:
        return Outcome(Status.FAILED, story.steps, seconds, {}, text)

    if code > 0:
        return failed(f"the script ended with exit code {code}{ended.last_words}")
    problem = _problem(plan, command, story, done)
    if problem is not None:
        return failed(f"{problem}{ended.last_words}")
    return Outcome(Status.COMPLETED, plan.horizon, seconds, story.last_metrics)


def _problem(plan: TrainingPlan, command: Command, story: Story, done: int) -> str | None:
    """Why a script that ended in order has not trained what it should; None where it has."""
    if not story.has_metric and not story.is_attached and not story.names and command.follows == "attach":
        return (
            "the script ended without a word: neither lrsweep.attach nor run.report was called. Add the calls, or hand "
            "it its rates with {lr_table} in the command or with flags under [study.workload.families]"
        )
    if not story.has_metric:
        how = (
            f"run.report(step, {plan.metric}=...)"
            if command.follows == "attach"
            else f'a line such as {{"step": {plan.horizon}, "{plan.metric}": 0.5}} on its standard output'
        )
        said = f"; it reported {', '.join(story.names)}, and one of these can be study.metric" if story.names else ""
        return f"the script never reported {plan.metric}, which the study goes by{said}; wanted: {how}"
    if done != plan.horizon:
        return (
            f"the script did {done:,} updates, and this training has {plan.horizon:,}. Its loop has to end "
            "after run.total_steps, or {steps} of its command line, also inside of an epoch, as a rung has a third of "
            "them. A step is one update of the optimizer: not a micro-batch, and not once per process"
        )
    if story.metric_after != plan.horizon:
        return (
            f"the script reported {plan.metric} last after {story.metric_after:,} of {plan.horizon:,} updates; wanted: "
            "once more after the last one, because a schedule is judged by where it ends"
        )
    if plan.schedule.needs_metric and not story.reactor_heard:
        return too_late(plan)
    return None


def too_late(plan: TrainingPlan) -> str:
    return (
        f"the schedule {plan.schedule.family!r} reacts to {plan.metric}, {TOO_LATE}. "
        "Report it several times within a training, or leave such families out of space.families"
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""``lrsweep.attach``: a script of the user's as part of a sweep, and unchanged outside of one. numpy alone.

    run = lrsweep.attach(peak_lr=1e-3, total_steps=20_000)
    scheduler = run.torch(optimizer)
    for step in range(run.total_steps):
        ...
        optimizer.step()
        if (step + 1) % 500 == 0:
            run.report(step + 1, val_loss=evaluate(model))

Outside a sweep the script's own values hold, and nothing is read or written. In a sweep ``LRSWEEP_PLAN`` names a plan
file, whose values replace the script's; where several processes train together, the first alone reports. A call that
cannot be meant raises at once, in a sweep and outside; what the sweep can tell its user is reported and raises nothing:

- With ``run.torch`` the optimizer's updates are counted, and compared with each reported step and with the horizon; at
  each update the rates must be those that were written, except where a rate is a tensor: to read one waits for a GPU.
- With ``run.rate`` or ``run.rates``, as with a table or flags, nobody sees an update: only the last reported step is
  compared, with the horizon.
"""

from __future__ import annotations

import importlib
import json
import operator
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import InvalidInput, ScheduleError, did_you_mean
from lrsweep.integrations.reporter import Reporter
from lrsweep.records import Json
from lrsweep.schedules import Schedule
from lrsweep.schedules import schedule as schedule_of
from lrsweep.schedules.checks import as_metric, checked_horizon
from lrsweep.schedules.course import States
from lrsweep.scripts.hearing import Heard
from lrsweep.scripts.plan_file import ATTEMPT, PREEMPTED, VARIABLE, PlanFile, ScriptFacts, read_plan_file, write_facts
from lrsweep.scripts.processes import is_first, trains_with_others
from lrsweep.scripts.reports import Preempted, Report, reported
from lrsweep.scripts.stopping import StopSign

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lrsweep.integrations.attached import AttachedScheduler

METRIC_NAME = re.compile(r"[\w.\-/: ]+")
"""What MLflow takes."""


def attach(
    *,
    peak_lr: float,
    total_steps: int | None = None,
    schedule: Schedule | str = "constant",
    seed: int = 0,
    metric: str = "val_loss",
    settings: Mapping[str, Json] | None = None,
    checkpoint_dir: str | os.PathLike[str] = "checkpoints",
) -> Run:
    """This script's place in a sweep; outside a sweep, what is given here.

    ``schedule`` is what ``run.torch`` follows outside a sweep, and ``metric`` what it hears if it reacts to one.
    ``settings`` are all of the script's own parameters that ``[space.extra]`` of a study may vary; without them it may
    vary any. Call it before anything is loaded: a sweep first starts the script once to hear these values, and this
    call then ends it.
    """
    steps, peak = checked_horizon(1 if total_steps is None else total_steps, peak_lr, "attach")
    own = ScriptFacts(peak, None if total_steps is None else steps, _checked_settings(settings))
    followed = schedule_of(schedule) if isinstance(schedule, str) else schedule
    named = os.environ.get(VARIABLE)
    if not named:
        return Run(own, followed, seed, metric, Path(checkpoint_dir), None)
    plan = read_plan_file(named)
    if os.environ.get(ATTEMPT, str(plan.attempt)) != str(plan.attempt):
        sys.stderr.write(
            f"lrsweep: this script was started for attempt {os.environ[ATTEMPT]} of a training whose plan is of "
            f"attempt {plan.attempt} by now; it leaves that one alone\n"
        )
        sys.exit(PREEMPTED)
    if plan.asks == "facts":
        if is_first():
            write_facts(plan, replace(own, schedule=followed.to_dict()))
        sys.exit(0)
    assert plan.schedule is not None  # as the plan was read
    run = Run(own, plan.schedule, plan.seed, plan.metric, plan.checkpoint_dir, plan)
    if settings is not None and (unknown := [name for name in plan.settings if name not in own.settings]):
        raise run.refused(
            f"attach: the sweep sets {', '.join(map(repr, unknown))}, and the script's settings are "
            f"{', '.join(map(repr, own.settings)) or 'none'}; give attach(settings=...) the name with the script's own "
            f"value, or take it out of [space.extra].{did_you_mean(unknown[0], own.settings)}"
        )
    return run


class Run:
    """What ``attach`` gives: the values to train with, and where to report."""

    def __init__(
        self,
        own: ScriptFacts,
        schedule: Schedule,
        seed: int,
        metric: str,
        checkpoint_dir: Path,
        plan: PlanFile | None,
    ) -> None:
        self.schedule = schedule
        """the shape of the rate; in a sweep, the trial's"""
        self.peak_lr = own.peak_lr if plan is None else plan.peak_lr
        """its largest rate"""
        self.seed = seed
        self.settings: Mapping[str, Json] = {**own.settings, **({} if plan is None else plan.settings)}
        """the user's own parameters: the script's, and over them what the search has drawn"""
        self.checkpoint_dir = checkpoint_dir
        """in a sweep a folder that is there, and the same for every attempt of this training"""
        self._metric = metric
        self._total_steps = own.total_steps if plan is None else plan.total_steps
        self._plan = plan
        self._reporter = None if plan is None else Reporter(plan)
        self._stop_sign = None if plan is None else StopSign(plan)
        self._asked_to_stop = 0
        self._scheduler: AttachedScheduler | None = None
        self._updates: int | None = None
        self._heard: Heard | None = None

    @property
    def in_sweep(self) -> bool:
        return self._plan is not None

    @property
    def total_steps(self) -> int:
        """The number of updates to do: the plan's horizon, which on a rung is shorter than the script's own number."""
        if self._total_steps is None:
            raise ScheduleError(
                "attach: total_steps is not given, and outside a sweep nobody else knows the number of updates; "
                "wanted attach(peak_lr=..., total_steps=20_000)"
            )
        return self._total_steps

    @property
    def updates(self) -> int:
        """The optimizer's updates so far, without those that a GradScaler has skipped. ``run.torch`` counts them."""
        if self._updates is None:
            raise ScheduleError("updates: nobody counts them before run.torch(optimizer) is called")
        return self._updates

    @property
    def should_stop(self) -> bool:
        """Whether to save what is needed to go on, and to leave, as by ``run.preempted()``; the sweep starts the
        training again later, or has already, where a batch system's job outlives its attempt.

        Ask once per update. Where several processes train together, all of them must ask: it becomes true for all after
        the same update, up to 18 after the sweep has asked, or 2 where an update takes more than a second.
        """
        if self._stop_sign is None:
            return False
        self._asked_to_stop += 1
        return self._stop_sign.is_up(self._asked_to_stop if self._updates is None else self._updates)

    def preempted(self) -> NoReturn:
        """Leaves with exit code 75, for a script that has saved what it needs to go on: ``if run.should_stop:`` or when
        a batch system takes the machine back. Not a failure: the sweep starts the training again.

        It hears so from the reports as well, because launchers such as torchrun have an exit code of their own. Where
        several processes train together, all call it, and those after the first leave with 0: at any other exit code a
        launcher kills the rest, and the first may still be saving.
        """
        if self._reporter is not None:
            self._reporter.say(Preempted(self._updates))
        sys.exit(PREEMPTED if is_first() else 0)

    def report(self, step: SupportsIndex, **metrics: Any) -> None:
        """The metrics after ``step`` updates: ``run.report(step, val_loss=0.4)``. A schedule that reacts hears them.

        Numbers, also NumPy's and PyTorch's; NaN and infinity are results as well. A step that is not the number
        of updates fails the training in a sweep, with both counts.
        """
        said = _checked_step("report", step)
        if not metrics:
            raise ScheduleError(f"report: nothing to report after {said} updates; wanted report(step, val_loss=0.4)")
        numbers = {name: _checked_metric(name, given) for name, given in metrics.items()}
        done = said if self._updates is None else self._updates
        if said != done:
            self.wrong(
                f"the script reports step {said:,} when the optimizer has made {done:,} updates. A step is one "
                "update: neither an epoch, nor a micro-batch, nor an update that a GradScaler skipped. Wanted "
                "run.report(run.updates, ...), and after a resume run.torch(optimizer) with its state loaded, or "
                "with updates_done"
            )
        if self.schedule.needs_metric and self._metric in numbers:
            self._follow().hear(done, numbers[self._metric])
            if self._scheduler is not None:
                self._scheduler.follow(self._follow().states(done))
        if self._reporter is not None:
            self._reporter.say(Report(said, numbers, self._updates))

    # ── with PyTorch ─────────────────────────────────────────────────────────────────────────────────────────────────

    def torch(self, optimizer: Optimizer, *, updates_done: int = 0) -> AttachedScheduler:
        """A PyTorch scheduler that follows the optimizer's own updates, however often its ``step`` is called.

        The largest rate among the optimizer's groups is its peak, and becomes ``peak_lr``; the others keep their ratio
        to it, and one with rate 0 stays at 0. ``updates_done``: for a script that continues from its checkpoint without
        this scheduler's state. One optimizer: a GAN's second one can have a schedule of its own from ``s.torch``.
        """
        if self._scheduler is not None:
            raise ScheduleError(
                "run.torch: it was called before, and follows the updates of one optimizer. Put all parameters into "
                "groups of that; one that is trained beside it, as in a GAN, can have run.schedule.torch(other, "
                "run.total_steps, peak_lr=...), whose .step() the script then calls"
            )
        self._refuse_to_react_with_others()
        done = _checked_step("run.torch", updates_done)
        if done and self.schedule.needs_metric and self._plan is None:
            raise ScheduleError(
                f"run.torch: {self.schedule!r} reacts to a metric, and nobody knows what it has heard in "
                f"{done} updates; save scheduler.state_dict() in the checkpoint, and load it instead of updates_done"
            )
        attached = importlib.import_module("lrsweep.integrations.attached")
        scheduler: AttachedScheduler = attached.AttachedScheduler(self, optimizer, done)
        self._scheduler = scheduler
        return scheduler

    def goes_on_from(self, updates: int, stored: States) -> States:
        """Where the scheduler stands, and a reactive schedule with it: ``stored`` is what a checkpoint says of that.

        In a sweep the reports know better: a checkpoint that is saved before the evaluation at its step has not heard
        that, and the sweep has.
        """
        self._updates = updates
        if not self.schedule.needs_metric:
            return stored
        if self._plan is None:
            self._heard = Heard(self.schedule.course(self.total_steps), stored, updates)
        return self._follow().states(updates)

    def counted(self, updates: int) -> None:
        """So many updates are done, and one of them now."""
        self._updates = updates
        if self._reporter is not None:
            self._reporter.count(updates)

    def wrong(self, text: str) -> None:
        """The training is not what the plan says. Outside a sweep there is no plan."""
        if self._reporter is not None:
            self._reporter.wrong(text)

    def refused(self, text: str) -> ScheduleError:
        """To be raised: the script cannot be trained as the plan says; the sweep hears why."""
        self.wrong(text)
        return ScheduleError(text)

    # ── without ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def rates(self) -> NDArray[np.float64]:
        """The rate of every update, for scripts without PyTorch. Raises NeedsMetric for a schedule that reacts."""
        return self.schedule.rates(self.total_steps, self.peak_lr)

    def rate(self, step: int) -> float:
        """The rate of the update that follows ``step`` others, for scripts without PyTorch. A schedule that reacts has
        heard what was reported after ``step`` updates or fewer, in a sweep by earlier attempts too."""
        self._refuse_to_react_with_others()
        return self.peak_lr * self._follow().factor(_checked_step("rate", step))

    def _follow(self) -> Heard:
        if self._heard is None:
            self._heard = Heard(self.schedule.course(self.total_steps))
            if self._plan is not None and self.schedule.needs_metric:
                for step, metric in reported(self._plan.reports, self._metric):
                    self._heard.hear(step, metric)
        return self._heard

    def _refuse_to_react_with_others(self) -> None:
        if self.schedule.needs_metric and trains_with_others():
            raise self.refused(
                f"{self.schedule!r} reacts to a metric, and several processes train together: each would hear its own, "
                "and their rates would part. Wanted a time-driven schedule, or one process; in a study, "
                "[space] families without those that react"
            )


def _checked_settings(given: Mapping[str, Json] | None) -> dict[str, Json]:
    settings = dict(given or {})
    try:
        json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"attach: settings must be what JSON can hold, not {shortened(settings)} ({error}); wanted names with "
            "numbers, texts, True, False, None, or lists of these"
        ) from error
    return settings


def _checked_step(asked: str, given: SupportsIndex) -> int:
    try:
        step = -1 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        step = -1
    if step < 0:
        raise ScheduleError(f"{asked}: wanted the number of updates done, 0 or more, not {shortened(given)}")
    return step


def _checked_metric(name: str, given: Any) -> float:
    if not METRIC_NAME.fullmatch(name):
        raise ScheduleError(
            f"report: {name!r} cannot be a metric's name in MLflow; wanted letters, digits, spaces and _ - . / : alone"
        )
    number = as_metric(given.detach() if hasattr(given, "detach") else given)
    if number is None:
        raise ScheduleError(f"report: {name} must be a number, not {shortened(given)}")
    return number

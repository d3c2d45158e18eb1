"""``lrsweep.attach``: a script of the user's as part of a sweep, and unchanged outside of one. numpy alone.

    run = lrsweep.attach(peak_lr=1e-3, total_steps=20_000)
    scheduler = run.torch(optimizer)
    for step in range(run.total_steps):
        ...
        optimizer.step()
        if (step + 1) % 500 == 0:
            run.report(step + 1, val_loss=evaluate(model))

Outside a sweep the script's own values hold, and nothing is read or written. In a sweep ``LRSWEEP_PLAN`` names a plan
file, whose values replace the script's; where several processes train together, the first alone reports.
"""

from __future__ import annotations

import atexit
import importlib
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError
from lrsweep.records import Json
from lrsweep.schedules import Schedule, schedule
from lrsweep.schedules.checks import as_metric
from lrsweep.scripts.plan_file import VARIABLE, PlanFile, ScriptFacts, read_plan_file, write_facts
from lrsweep.scripts.reports import Begin, End, Line, Report, Wrong, to_line

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lrsweep.integrations.attached import AttachedScheduler

RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Where launchers say which of several processes this one is."""
LOOK_EVERY = 1.0
"""Seconds between two looks for the file that asks a script to stop: a look costs a call to the file system."""


def attach(
    *,
    peak_lr: float,
    total_steps: int | None = None,
    schedule: Schedule | str = "constant",
    seed: int = 0,
    settings: Mapping[str, Json] | None = None,
    checkpoint_dir: str | os.PathLike[str] = "checkpoints",
) -> Run:
    """This script's place in a sweep; outside a sweep, what is given here.

    ``schedule`` is what ``run.torch`` follows outside a sweep, ``settings`` are the script's own parameters, which
    ``[space.extra]`` of a study may vary. Call it before anything is loaded: a sweep first starts the script once to
    hear ``peak_lr``, and this call then ends it.
    """
    own = ScriptFacts(float(peak_lr), total_steps, dict(settings or {}))
    named = os.environ.get(VARIABLE)
    if not named:
        return Run(own, _schedule(schedule), seed, Path(checkpoint_dir), None)
    plan = read_plan_file(named)
    if plan.asks == "facts":
        if _rank() == 0:
            write_facts(plan, own)
        sys.exit(0)
    assert plan.schedule is not None
    return Run(own, plan.schedule, plan.seed, plan.checkpoint_dir, plan)


class Run:
    """What ``attach`` gives: the values to train with, and where to report."""

    def __init__(
        self, own: ScriptFacts, schedule: Schedule, seed: int, checkpoint_dir: Path, plan: PlanFile | None
    ) -> None:
        self._plan = plan
        self.schedule = schedule
        """the shape of the rate; in a sweep, the trial's"""
        self.peak_lr = own.peak_lr if plan is None else plan.peak_lr
        """its largest rate"""
        self.seed = seed
        self.settings: Mapping[str, Json] = {**own.settings, **({} if plan is None else plan.settings)}
        """the user's own parameters: the script's, and over them what the search has drawn"""
        self.checkpoint_dir = checkpoint_dir
        """in a sweep a folder that is there, and the same for every attempt of this training"""
        self._total_steps = own.total_steps if plan is None else plan.total_steps
        self._scheduler: AttachedScheduler | None = None
        self._updates: int | None = None
        self._looked_at = -math.inf
        self._stop = False
        self._reporting = plan is not None and not multiprocessing.current_process().daemon
        if self._reporting:
            self._say(Begin(plan.attempt if plan else 1))
            atexit.register(self._end)

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
    def should_stop(self) -> bool:
        """Whether to save what is needed to go on, and to leave; the sweep starts the training again later."""
        if self._plan is not None and not self._stop and time.monotonic() - self._looked_at > LOOK_EVERY:
            self._looked_at = time.monotonic()
            self._stop = self._plan.stop.exists()
        return self._stop

    @property
    def rates(self) -> NDArray[np.float64]:
        """The rate of every update, for scripts without PyTorch. Raises NeedsMetric for a schedule that reacts."""
        return self.schedule.rates(self.total_steps, self.peak_lr)

    def torch(self, optimizer: Optimizer, *, updates_done: int = 0) -> AttachedScheduler:
        """A PyTorch scheduler that follows the optimizer's own updates, however often its ``step`` is called.

        The largest rate among the optimizer's groups is its peak, and becomes ``peak_lr``; the others keep their ratio
        to it. ``updates_done``: for a script that continues from its checkpoint without this scheduler's state.
        """
        attached = importlib.import_module("lrsweep.integrations.attached")
        self._scheduler = attached.AttachedScheduler(self, optimizer, updates_done=updates_done)
        return self._scheduler

    def report(self, step: int, **metrics: Any) -> None:
        """The metrics after ``step`` updates: ``run.report(step, val_loss=0.4)``. A schedule that reacts hears them."""
        numbers = {name: _number(name, given) for name, given in metrics.items()}
        if self._plan is None or not numbers:
            return
        heard = numbers.get(self._plan.metric)
        if heard is not None and self._scheduler is not None and self.schedule.needs_metric:
            self._scheduler.report(heard)
        self._say(Report(int(step), numbers, self._updates))

    # ── what the scheduler tells ─────────────────────────────────────────────────────────────────────────────────────

    def counted(self, updates: int) -> None:
        """So many updates are done."""
        self._updates = updates

    def wrong(self, text: str) -> None:
        """The training is not what the plan says."""
        self._say(Wrong(text))

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, line: Line) -> None:
        if self._plan is None or not self._reporting or _rank() != 0:
            return
        with self._plan.reports.open("a", encoding="utf-8") as file:
            file.write(to_line(line))

    def _end(self) -> None:
        self._say(End(self._updates))


def _schedule(given: Schedule | str) -> Schedule:
    return schedule(given) if isinstance(given, str) else given


def _number(name: str, given: object) -> float:
    number = as_metric(given.detach() if hasattr(given, "detach") else given)
    if number is None:
        raise ScheduleError(f"report: {name} must be a number, not {given!r}")
    return number


def _rank() -> int:
    """Of this process among those that train together; 0 where it is alone."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return next((int(os.environ[name]) for name in RANKS if os.environ.get(name, "").isdecimal()), 0)

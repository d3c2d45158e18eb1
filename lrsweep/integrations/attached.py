"""The scheduler that ``run.torch`` gives: it follows the optimizer's updates, not the calls of its ``step``.

A step is one update of the optimizer. Loops call ``scheduler.step()`` once per micro-batch, once per process
(Accelerate) or once per epoch; counted by the optimizer itself, the rate of each update is the plan's in all of them.
The optimizer keeps the scheduler, so that a script need not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import PEAK, RATE, Group, as_float, momentum_key, write
from lrsweep.integrations.torch_scheduler import TorchScheduler
from lrsweep.schedules.course import States

if TYPE_CHECKING:
    from lrsweep.integrations.attach import Run


AHEAD = 1000
"""So many factors are taken from the course at once: one by one costs more than all else at an update."""


class AttachedScheduler(TorchScheduler):
    """``run.torch(optimizer)``: each update of the optimizer has the rate that the plan gives it.

    ``step`` may be called as often as a training loop likes, or never. The rates are written again before each update,
    so that another scheduler on the same optimizer changes nothing. After the horizon the last value holds, and the
    count goes on.
    """

    def __init__(self, run: Run, optimizer: Optimizer, updates_done: int = 0) -> None:
        self._run = run
        self._largest = math.nan
        self._ahead: list[float] = []
        """factors of some updates from ``_ahead_from`` on, as far as metrics are known"""
        self._ahead_from = 0
        self._cycles_momentum = run.schedule.momenta(run.total_steps) is not None
        super().__init__(run.schedule, optimizer, run.total_steps, peak_lr=run.peak_lr)
        self._stand_at(updates_done)

    def step(self, metric: float | Tensor | None = None) -> None:
        """Does nothing: the optimizer's updates are what counts."""
        if metric is not None:
            raise ScheduleError(
                "step: the scheduler of run.torch takes no metric and no epoch; a metric is given to "
                "run.report(step, val_loss=...)"
            )

    def report(self, metric: float | Tensor) -> None:
        del metric
        raise ScheduleError("report: a metric is given to run.report(step, val_loss=...), for the sweep to hear it too")

    def follow(self, states: States) -> None:
        """The reactors stand there: a metric was reported, or is known of an earlier attempt."""
        [track] = self._followed.distinct()
        track.states = states
        self._ahead = []
        self._heard = self._followed.has_heard
        self._write_rates()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._stand_at(self.last_epoch)

    def _stand_at(self, updates: int) -> None:
        self.last_epoch = updates
        self._step_count = updates + 1
        [track] = self._followed.distinct()
        self.follow(self._run.goes_on_from(updates, track.states))

    # ── each update ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _before(self, *_: object) -> None:
        self._know_groups()
        if not self._are_due():
            self._write_rates()
        elif self._cycles_momentum:
            self._write_momenta()

    def _after(self, optimizer: Optimizer, *_: object) -> None:
        if _was_skipped(optimizer):
            return
        if not self._are_due():
            self._tell_foreign_rates()
        self.last_epoch += 1
        self._step_count += 1
        self._write_rates()
        self._run.counted(self.last_epoch)
        if self.last_epoch == self.total_steps and self.needs_metric and not self._heard:
            warnings.warn(
                f"{self.schedule!r} reacts to a metric, and its {self.total_steps} updates have ended without one: "
                "nothing but time has changed the rates. Wanted run.report(step, val_loss=...) after each evaluation",
                UserWarning,
                stacklevel=2,
            )

    def _are_due(self) -> bool:
        """Whether the groups hold the very numbers that were written last; never where a rate is a tensor."""
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):  # noqa: SIM110 (half as slow)
            if group[RATE] is not rate:
                return False
        return True

    def _write_rates(self) -> None:
        """Twice as fast as what it extends, in the common case; this is done in every update."""
        groups = self.optimizer.param_groups
        if not all(type(group[RATE]) is float for group in groups):
            super()._write_rates()
            return
        factor = self._factor(self.last_epoch)
        self._last_lr = [peak * factor for peak in self._lines.peaks]
        for group, rate in zip(groups, self._last_lr, strict=True):
            group[RATE] = rate
        if self._cycles_momentum:
            self._write_momenta()

    def _write_momenta(self) -> None:
        for place, momentum in self._lines.momenta(self.last_epoch):
            group = self.optimizer.param_groups[place]
            if key := momentum_key(group):
                write(group, key, momentum)

    def _factor(self, step: int) -> float:
        place = step - self._ahead_from
        if not 0 <= place < len(self._ahead):
            track = self._lines.tracks[0]
            begin = min(step, self.total_steps)
            self._ahead = track.course.factors(track.states, begin, begin + AHEAD).tolist()
            self._ahead_from, place = step, 0
        return self._ahead[place]

    def _tell_foreign_rates(self) -> None:
        for place, (group, rate) in enumerate(zip(self.optimizer.param_groups, self._last_lr, strict=True)):
            held = group[RATE]
            if not isinstance(held, Tensor) and held != rate:  # reading a tensor would wait for a GPU
                self._run.wrong(
                    f"the rate of group {place} was {held} at update {self.last_epoch + 1:,}, and the plan says "
                    f"{rate}: something changed it between. Wanted an optimizer whose rate run.torch alone sets"
                )

    def _watch(self) -> None:
        watched: Any = self.optimizer
        while not hasattr(watched, "_optimizer_step_pre_hooks"):  # wrappers around the real one
            watched = getattr(watched, "optimizer", None)
            if watched is None:
                raise ScheduleError(
                    f"run.torch: {type(self.optimizer).__name__} does not tell when it makes an update; give the "
                    "optimizer of torch.optim that is inside of it"
                )
        self._handles = [
            watched.register_step_pre_hook(self._before),
            watched.register_step_post_hook(self._after),
            watched.register_load_state_dict_post_hook(self._after_load),
        ]

    def _after_load(self, *_: object) -> None:
        self._know_groups()
        self._write_all()

    # ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _peaks_of(self, added: Sequence[Group], known: int) -> list[float]:
        """Ratios to the largest rate, which is ``peak_lr``. The rate that a group began with counts where it is known:
        another scheduler, or the training that a checkpoint is of, has moved the present one."""
        own = [as_float(group.get(PEAK, group.get(RATE))) for group in added]
        if not known:
            self._largest = max(own)
        if not all(0 <= rate < math.inf for rate in own) or not self._largest > 0:
            raise ScheduleError(
                f"run.torch: the rates of the optimizer's groups are {', '.join(f'{rate:g}' for rate in own)}; wanted "
                "finite ones of 0 or more, and the largest above 0: it becomes peak_lr"
            )
        peak_lr = self._run.peak_lr
        return [
            # Outside a sweep no last bit changes; and a later group's peak from a checkpoint is the plan's already.
            rate if self._largest == peak_lr or (known and PEAK in group) else peak_lr * (rate / self._largest)
            for rate, group in zip(own, added, strict=True)
        ]


def _was_skipped(optimizer: Optimizer) -> bool:
    """By a GradScaler that leaves it to a fused optimizer to look for infinite gradients; others do not call it then.

    Note: this waits for the GPU, once per update under such a scaler, as any other optimizer under it does.
    """
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)

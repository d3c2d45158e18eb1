"""A schedule as one of PyTorch's schedulers: ``s.torch(optimizer, total_steps)``.

    scheduler = lrsweep.schedule("cosine", warmup=0.05).torch(optimizer, total_steps=10_000, peak_lr=0.1)
    for batch in batches:
        ...
        optimizer.step()
        scheduler.step()

Nothing is computed from the rate before: step i of each group gets its peak times the schedule's factor, so that any
position can be gone to, and a rate that somebody else wrote into the optimizer lasts until the next step at most. The
rates are those of ``s.rates(total_steps, peak_lr)``; after the last step the value at the end holds.

The whole state is plain data (``state_dict``), with the schedule as JSON in it. Two hooks of the optimizer keep it in
hand: before an update, groups that ``add_param_group`` brought get their rate; after ``optimizer.load_state_dict``,
which replaces all groups, every rate is written again, so that it does not matter which state is loaded first.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from reprlib import repr as shortened
from typing import Any, SupportsIndex
from weakref import finalize, ref

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.hooks import RemovableHandle

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.integrations.param_groups import (
    BETAS,
    MOMENTUM,
    OWN_MOMENTUM,
    PEAK,
    RATE,
    WEIGHT_DECAY,
    WEIGHT_DECAY_PEAK,
    Group,
    as_float,
    give_back_own,
    give_own_tensors,
    keep_own,
    momentum_key,
    write,
)
from lrsweep.integrations.peaks import PeakRates, later_peak, peaks_of, plain
from lrsweep.integrations.saved import SUBJECT, Saved, differences, read_saved
from lrsweep.integrations.tracks import Followed, Lines, followed
from lrsweep.schedules import Schedule
from lrsweep.schedules.checks import as_metric, checked_horizon
from lrsweep.schedules.groups import Grouped
from lrsweep.schedules.kinds import listing

ON_CONFLICT = ("refuse", "stored", "given")


class TorchScheduler(LRScheduler):
    """Gives each parameter group its peak times the schedule's factor.

    ``peak_lr``: one rate for all groups, a list with one per group, a mapping by ``group["name"]``, or None: the
    group's own ``initial_lr``, else its ``lr``. ``weight_decay``: a schedule that each group's own weight decay
    follows. ``on_conflict``: what ``load_state_dict`` does with the state of another training.

    A group added later has its own rate as its peak if that is not the optimizer's default, else ``peak_lr``.

    Not for a place inside of SequentialLR or ChainedScheduler; ``lrsweep.sequence`` puts schedules one after the other.
    """

    def __init__(
        self,
        schedule: Schedule | Grouped,
        optimizer: Optimizer,
        total_steps: SupportsIndex,
        *,
        peak_lr: PeakRates = None,
        weight_decay: Schedule | None = None,
        on_conflict: str = "refuse",
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ScheduleError(f"torch: wanted a torch.optim.Optimizer, not {shortened(optimizer)}")
        if on_conflict not in ON_CONFLICT:
            raise ScheduleError(
                f"on_conflict must be one of {', '.join(map(repr, ON_CONFLICT))}, not {shortened(on_conflict)}."
                f"{did_you_mean(str(on_conflict), ON_CONFLICT)}"
            )
        self.optimizer = optimizer
        self.on_conflict = on_conflict
        self.last_epoch = 0
        self._step_count = 1  # PyTorch's own count, one more than the updates; some trainers write it
        self._peak_lr = plain(peak_lr)
        groups = optimizer.param_groups
        self._follow(followed(schedule, checked_horizon(total_steps, 1.0, "torch")[0], weight_decay))
        self._check(self._followed, groups)
        self._peaks = self._peaks_of(groups, 0)
        self._decay_peaks = [_decay_peak(group) for group in groups]
        if weight_decay is not None and not any(self._decay_peaks):
            raise ScheduleError(
                "weight_decay: no group of the optimizer has a weight decay above 0, so nothing would follow the "
                "schedule; give the optimizer one, which becomes the peak"
            )
        self._heard = False
        self._write_all()
        self._watch()

    # ── a training ───────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, metric: float | Tensor | None = None) -> None:
        """One update is done. With a metric: and it was evaluated after it, which is for schedules that need one.

        A schedule that reacts to a metric and never hears one stays as it began, which a warning tells at the end of
        the horizon. Where several processes train one model, each must be given the same metric. An update that a
        ``GradScaler`` skipped counts as well, unless ``step`` is not called for it.
        """
        heard = None if metric is None else self._checked_metric(metric)
        self._know_groups()
        self.last_epoch += 1
        self._step_count += 1
        if heard is not None:
            self._hear(heard)
        self._write_rates()
        if self.last_epoch == self.total_steps and self.needs_metric and not self._heard:
            warnings.warn(
                f"{self.schedule!r} reacts to a metric, and its {self.total_steps} steps have ended without one: "
                "nothing but time has changed the rates. After an update that was evaluated, call .step(metric)",
                UserWarning,
                stacklevel=2,
            )

    def report(self, metric: float | Tensor) -> None:
        """An evaluation without an update: for a training that evaluates elsewhere than after ``step``."""
        heard = self._checked_metric(metric)
        self._know_groups()
        self._hear(heard)
        self._write_rates()

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at the present step, as the schedule has it."""
        self._know_groups()
        return [*self.rates_at(self._position)]

    def rates_at(self, step: int) -> list[float]:
        """The rate of each group at any step, as far as metrics are known now."""
        return self._lines.rates(step)

    def get_last_lr(self) -> list[float | Tensor]:
        """The rates as they were last written: numbers, also where a rate is a tensor, so that no GPU is waited for."""
        return list(self._last_lr)

    @property
    def _position(self) -> int:
        return max(self.last_epoch, 0)  # SequentialLR puts the schedulers in it one step before their beginning

    def _checked_metric(self, metric: object) -> float:
        if not self.needs_metric:
            raise ScheduleError(
                f"step: {self.schedule!r} needs no metric, and {shortened(metric)} was given; call step(). "
                "It counts the updates itself: no step or epoch number is given to it either"
            )
        number = as_metric(metric.detach() if isinstance(metric, Tensor) else metric)
        if number is None:
            raise ScheduleError(
                f"step: the metric must be a number, not {shortened(metric)}; "
                "after an update without an evaluation, call step() without one"
            )
        return number

    @property
    def needs_metric(self) -> bool:
        """Whether the rates react to a metric."""
        return self.schedule.needs_metric

    def _hear(self, metric: float) -> None:
        self._heard = True
        self._followed.hear(metric, self.last_epoch)

    # ── the optimizer ────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, followed: Followed) -> None:
        self._followed = followed
        self.schedule = followed.schedule
        self.total_steps = followed.total_steps
        self.weight_decay = followed.weight_decay

    def _write_rates(self) -> None:
        step = self._position
        groups, decay = self.optimizer.param_groups, self._followed.decay
        rates = self._lines.rates(step)
        for group, rate in zip(groups, rates, strict=True):
            write(group, RATE, rate)
        for place, momentum in self._lines.momenta(step):
            if key := momentum_key(groups[place]):
                write(groups[place], key, momentum)
        if decay is not None:
            factor = decay.factor(step)
            for group, peak in zip(groups, self._decay_peaks, strict=True):
                if WEIGHT_DECAY in group:
                    write(group, WEIGHT_DECAY, peak * factor)
        self._last_lr = [*rates]

    def _write_all(self) -> None:
        """The peaks too, in groups that may be new ones."""
        give_own_tensors(self.optimizer)
        self._lines = Lines.of(self._followed, self.optimizer.param_groups, self._peaks)
        self.base_lrs = [*self._peaks]
        for group, peak, decay in zip(self.optimizer.param_groups, self._peaks, self._decay_peaks, strict=True):
            group[PEAK] = peak
            if WEIGHT_DECAY in group and self.weight_decay is not None:
                group[WEIGHT_DECAY_PEAK] = decay
            elif WEIGHT_DECAY in group:
                give_back_own(group, WEIGHT_DECAY, WEIGHT_DECAY_PEAK)
            key = momentum_key(group)
            if key is not None and self._followed.of(group).momenta is not None:
                keep_own(group, key, OWN_MOMENTUM)
            else:
                give_back_own(group, key, OWN_MOMENTUM)
        self._write_rates()

    def _know_groups(self) -> None:
        """Takes in the groups that were added since."""
        groups = self.optimizer.param_groups
        known = len(self._peaks)
        if len(groups) == known:
            return
        if len(groups) < known:
            raise ScheduleError(
                f"the optimizer has {len(groups)} parameter groups and had {known}: which peak belongs to which is no "
                "longer known; make the scheduler anew"
            )
        added = groups[known:]
        self._check(self._followed, added)
        self._peaks = [*self._peaks, *self._peaks_of(added, known)]
        self._decay_peaks = [*self._decay_peaks, *map(_decay_peak, added)]
        self._write_all()

    def _peaks_of(self, added: Sequence[Group], known: int) -> list[float]:
        """Of groups that are new; ``known`` others are there already."""
        if not known:
            return peaks_of(added, self._peak_lr)
        default = self.optimizer.defaults.get(RATE, math.nan)
        return [later_peak(known + place, group, default, self._peak_lr) for place, group in enumerate(added)]

    def _check(self, followed: Followed, groups: list[Group]) -> None:
        """That these groups of the optimizer can follow that."""
        followed.check_names(groups, self.optimizer.param_groups)
        if any(followed.of(group).momenta is not None and momentum_key(group) is None for group in groups):
            raise ScheduleError(
                f"{followed.schedule!r} cycles the momentum, and {type(self.optimizer).__name__} has neither "
                f"{MOMENTUM!r} nor {BETAS!r}; take one that has, or cycle_momentum=False"
            )

    def _watch(self) -> None:
        """The hooks know the scheduler weakly: one that nobody keeps writes nothing any more."""
        watched = self.optimizer
        if not hasattr(watched, "_optimizer_step_pre_hooks"):  # a wrapper around the real optimizer
            watched = getattr(watched, "optimizer", watched)
        me = ref(self)
        self._handles: list[RemovableHandle] = []
        if hasattr(watched, "_optimizer_step_pre_hooks"):
            self._handles = [
                watched.register_step_pre_hook(partial(_before_update, me)),
                watched.register_load_state_dict_post_hook(partial(_after_load, me)),
            ]
        for handle in self._handles:
            finalize(self, handle.remove)

    # ── its state ────────────────────────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on, and what it is the state of: numbers, texts, lists and dicts, as JSON has them.

        ``torch.load(..., weights_only=True)`` reads it.
        """
        self._know_groups()
        return self._saved().to_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken, whether the optimizer's state is loaded before, after or not at all.

        The state of another schedule, horizon, or other peaks raises a ScheduleError that lists each difference. With
        ``on_conflict="stored"`` the stored schedule, horizon, peaks and weight decay replace the given ones; with
        ``"given"`` the given ones go on from the stored number of updates. A reactive schedule then keeps what it has
        heard if it is of the stored family, and else begins anew, which is told by a warning.
        """
        stored = read_saved(state_dict)
        self._know_groups()
        found = differences(stored, self._saved())
        if found and self.on_conflict == "refuse":
            raise ScheduleError(_conflict(found, stored.step))
        if found and self.on_conflict == "stored":
            self._take_over(stored)
        else:
            self._go_on(stored, begins_anew=bool(found))
        self.last_epoch = stored.step
        self._step_count = stored.step + 1
        self._heard = self._followed.has_heard
        self._write_all()

    def _go_on(self, stored: Saved, *, begins_anew: bool) -> None:
        """What is given, from where ``stored`` stands; what was heard and does not fit is refused or forgotten."""
        followed = self._followed.anew()
        told = followed.resume(stored)
        if told and not begins_anew:
            raise ScheduleError(listing(SUBJECT, told))
        if told and stored.reactive:
            warnings.warn(
                f"{SUBJECT}: {'; '.join(told)}. What does not fit begins anew, as if nothing had been heard",
                UserWarning,
                stacklevel=3,
            )
        self._follow(followed)

    def _take_over(self, stored: Saved) -> None:
        """The schedule, horizon, peaks and weight decay of another training; nothing is changed if they do not fit."""
        groups, before, decay = self.optimizer.param_groups, self._followed, stored.weight_decay
        counts = {len(stored.peaks), len(groups), len(groups if decay is None else decay.peaks)}
        if len(counts) > 1:
            raise ScheduleError(
                f"{SUBJECT}: it has {len(stored.peaks)} parameter groups and the optimizer {len(groups)}; "
                "on_conflict='stored' needs as many: add the groups to the optimizer before the state is loaded"
            )
        taken = before.as_stored(stored)
        if told := taken.resume(stored):
            raise ScheduleError(listing(SUBJECT, told))
        self._check(taken, groups)
        self._follow(taken)
        self._peaks = list(stored.peaks)
        self._peak_lr = self._peaks[0] if len(set(self._peaks)) == 1 else None  # of groups that are added later
        if decay is not None:
            self._decay_peaks = list(decay.peaks)

    def _saved(self) -> Saved:
        return self._followed.saved(self._peaks, self.last_epoch, self._decay_peaks)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_handles"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._watch()

    def __repr__(self) -> str:
        return f"<{self.schedule!r} at step {self.last_epoch} of {self.total_steps}>"


def _conflict(found: list[str], step: int) -> str:
    told = listing(f"{SUBJECT}: it is that of another training, at step {step}", found)
    return (
        f"{told}\nChoose one: give s.torch(...) what was stored; or on_conflict='stored', and what is stored replaces "
        "what is given; or on_conflict='given', and what is given goes on from the stored step"
    )


def _decay_peak(group: Group) -> float:
    return as_float(group.get(WEIGHT_DECAY_PEAK, group.get(WEIGHT_DECAY, 0.0)))


def _before_update(scheduler: ref[TorchScheduler], *_: object) -> None:
    if (alive := scheduler()) is not None:
        alive._know_groups()


def _after_load(scheduler: ref[TorchScheduler], *_: object) -> None:
    if (alive := scheduler()) is not None:
        alive._know_groups()
        alive._write_all()

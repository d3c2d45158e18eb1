"""The scheduler that ``run.torch`` gives: it follows the optimizer's updates, not the calls of its ``step``.

A step is one update of the optimizer. Loops call ``scheduler.step()`` once per micro-batch, once per process
(Accelerate) or once per epoch; counted by the optimizer itself, the rate of each update is the plan's in all of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

from torch import Tensor
from torch.optim import Optimizer

from lrsweep.errors import ScheduleError
from lrsweep.integrations.param_groups import RATE, as_float
from lrsweep.integrations.torch_scheduler import TorchScheduler

if TYPE_CHECKING:
    from lrsweep.integrations.attach import Run


class AttachedScheduler(TorchScheduler):
    """``run.torch(optimizer)``: each update of the optimizer has the rate that the plan gives it.

    ``step`` may be called as often as a training loop likes, or never. The rates are written again before each update,
    so that another scheduler on the same optimizer changes nothing.
    """

    def __init__(self, run: Run, optimizer: Optimizer, *, updates_done: int = 0) -> None:
        rates = [as_float(group[RATE]) for group in optimizer.param_groups]
        largest = max(rates)
        if not largest > 0:
            raise ScheduleError(f"run.torch: the rates of the optimizer's groups are {rates}; wanted one above 0")
        super().__init__(
            run.schedule, optimizer, run.total_steps, peak_lr=[run.peak_lr * (rate / largest) for rate in rates]
        )
        self._run = run
        self.last_epoch = updates_done
        self._write_rates()
        inner = getattr(optimizer, "optimizer", optimizer)  # Accelerate's wrapper around the real one
        me = ref(self)
        self._handles += [
            inner.register_step_pre_hook(partial(_before, me)),
            inner.register_step_post_hook(partial(_after, me)),
        ]

    def step(self, metric: float | Tensor | None = None) -> None:
        """Does nothing: the optimizer's updates are what counts. A metric is given to ``run.report``."""
        del metric

    def before_update(self) -> None:
        self._write_rates()

    def after_update(self) -> None:
        super().step()
        self._run.counted(self.last_epoch)


def _before(scheduler: ref[AttachedScheduler], *_: object) -> None:
    if (alive := scheduler()) is not None:
        alive.before_update()


def _after(scheduler: ref[AttachedScheduler], *_: object) -> None:
    if (alive := scheduler()) is not None:
        alive.after_update()

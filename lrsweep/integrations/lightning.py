"""A Lightning Trainer in a sweep.

    run = lrsweep.attach(peak_lr=1e-3, total_steps=20_000)
    seed_everything(run.seed)
    trainer = Trainer(max_steps=run.total_steps, callbacks=[SweepCallback(run)], default_root_dir=run.checkpoint_dir)
    trainer.fit(model, ckpt_path=last_checkpoint(run))

The callback puts the plan's scheduler where Lightning has its own, so that checkpoints hold its state and
LearningRateMonitor shows it; a scheduler that ``configure_optimizers`` returns is left out. Each validation is reported
under the names that were logged, such as ``val_loss``, and the last update is followed by one. Outside a sweep the
callback does nothing: the module's own scheduler holds.
"""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
    from lightning.pytorch.utilities.types import LRSchedulerConfig
except ModuleNotFoundError:  # its former name, which many environments have alone
    from pytorch_lightning import Callback
    from pytorch_lightning.utilities.types import LRSchedulerConfig

from lrsweep.integrations.attach import Run

LEAVING = "last.ckpt"
"""What a training that the sweep asks to leave is saved as; ModelCheckpoint's ``save_last`` has the same name."""


class SweepCallback(Callback):  # type: ignore[misc] # lightning is not type-checked here
    """The module's optimizer follows the plan, validations are reported, and the Trainer leaves when the sweep asks."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._updates = 0

    def on_fit_start(self, trainer: Any, *_: Any) -> None:
        """The optimizer is made, and a checkpoint's state is not loaded yet: Lightning loads the scheduler's too."""
        if not self._run.in_sweep:
            return
        self._check(trainer)
        scheduler = self._run.torch(trainer.optimizers[0])
        trainer.strategy.lr_scheduler_configs = [LRSchedulerConfig(scheduler, interval="step")]

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        self._updates = trainer.global_step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Between updates alone: gradients that were accumulated so far are in no checkpoint."""
        if not self._run.in_sweep or trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        if self._updates == trainer.max_steps:
            trainer.should_stop = True  # it ends here anyway, but asked to stop it validates first
        elif self._run.should_stop:
            trainer.should_stop = True
            trainer.save_checkpoint(self._run.checkpoint_dir / LEAVING)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        told = {name: value for name, value in trainer.callback_metrics.items() if name != "step"}
        if self._run.in_sweep and not trainer.sanity_checking and told:
            self._run.report(trainer.global_step, **told)

    def _check(self, trainer: Any) -> None:
        run = self._run
        if len(trainer.optimizers) != 1:
            raise run.refused(
                f"SweepCallback: the module has {len(trainer.optimizers)} optimizers, and a plan has the rates of one; "
                "wanted a module whose configure_optimizers returns a single optimizer"
            )
        if trainer.max_steps != run.total_steps:
            raise run.refused(
                f"SweepCallback: the Trainer has max_steps={trainer.max_steps} and the plan {run.total_steps} updates; "
                "give Trainer(max_steps=run.total_steps)"
            )


def last_checkpoint(run: Run) -> str | None:
    """The newest checkpoint anywhere in ``run.checkpoint_dir``, if there is one; Lightning writes whole ones alone."""
    found = list(run.checkpoint_dir.rglob("*.ckpt"))
    return str(max(found, key=lambda path: path.stat().st_mtime_ns)) if found else None

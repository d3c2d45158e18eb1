"""A Hugging Face Trainer in a sweep.

    run = lrsweep.attach(peak_lr=2e-5, total_steps=20_000)
    arguments = TrainingArguments(run.checkpoint_dir, max_steps=run.total_steps, seed=run.seed, ...)
    trainer = Trainer(args=arguments, callbacks=[SweepCallback(run)], ...)
    trainer.train(resume_from_checkpoint=last_checkpoint(run))

The Trainer makes its optimizer as ever; when the training begins, the callback gives that optimizer the plan's rates,
and what the Trainer logs as ``learning_rate`` is what the optimizer used. Each evaluation is reported under the
Trainer's own names, such as ``eval_loss``. Outside a sweep the callback does nothing, and the Trainer's own scheduler
holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from lrsweep.integrations.attach import Run
from lrsweep.schedules.checks import as_metric

if TYPE_CHECKING:
    from lrsweep.integrations.attached import AttachedScheduler

WRITTEN_LAST = "trainer_state.json"
"""Of the files in a checkpoint's folder."""
SPEED = ("_runtime", "_per_second", "_preparation_time", "_compilation_time")
"""How the names end under which the Trainer tells how fast an evaluation was."""


class SweepCallback(TrainerCallback):  # type: ignore[misc] # transformers is not type-checked here
    """The Trainer's optimizer follows the plan, evaluations are reported, and it leaves when the sweep asks."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._scheduler: AttachedScheduler | None = None

    def on_train_begin(self, args: Any, state: Any, _control: Any, *, optimizer: Any, **_: Any) -> None:
        """The optimizer is made, and a checkpoint's state is in it. Metrics of earlier attempts the sweep knows."""
        if self._run.in_sweep:
            self._check(state.max_steps, args.seed)
            self._scheduler = self._run.torch(optimizer, updates_done=state.global_step)

    def on_pre_optimizer_step(self, _args: Any, _state: Any, _control: Any, *, lr_scheduler: Any, **_: Any) -> None:
        """The Trainer asks its own scheduler for the rate that it logs, and no callback can replace that one."""
        if self._scheduler is not None:
            lr_scheduler._last_lr = self._scheduler.get_last_lr()

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step < state.max_steps and self._run.should_stop:
            control.should_training_stop = control.should_save = True

    def on_evaluate(self, _args: Any, state: Any, _control: Any, *, metrics: dict[str, Any], **_: Any) -> None:
        told = {
            name: value
            for name, value in metrics.items()
            if as_metric(value) is not None and name not in ("epoch", "step") and not name.endswith(SPEED)
        }
        if self._run.in_sweep and told:
            self._run.report(state.global_step, **told)

    def _check(self, steps: int, seed: int) -> None:
        run = self._run
        wanted = []
        if steps != run.total_steps:
            wanted.append(f"max_steps=run.total_steps (it makes {steps} updates, and the plan has {run.total_steps})")
        if seed != run.seed:
            wanted.append(f"seed=run.seed (it has {seed}, and the plan {run.seed})")
        if wanted:
            told = " and ".join(wanted)
            raise run.refused(f"SweepCallback: the Trainer would not train the plan; give TrainingArguments {told}")


def last_checkpoint(run: Run) -> str | None:
    """The newest of the Trainer's checkpoints in ``run.checkpoint_dir`` that is whole, if there is one."""
    found = [path.parent for path in run.checkpoint_dir.glob(f"checkpoint-*/{WRITTEN_LAST}")]
    return str(max(found, key=lambda folder: int(folder.name.rpartition("-")[2]))) if found else None

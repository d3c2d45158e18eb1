"""Lightning with DDP, automatic optimization, and a scheduler in ``configure_optimizers`` that a sweep replaces.

``--own-numbers``: it trains as long as it likes. ``--two-optimizers``: as a GAN has them.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch.utils.data import DataLoader

import lrsweep
from lrsweep.integrations.lightning import SweepCallback, last_checkpoint
from tests.trainers.recorded import RecordedSGD, examples, groups


class Regression(LightningModule):  # type: ignore[misc] # lightning is not type-checked here
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return torch.nn.functional.mse_loss(self.linear(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        loss = torch.nn.functional.mse_loss(self.linear(batch[0]), batch[1])
        self.log("val_loss", loss, sync_dist=True)
        self.log("step", float(self.current_epoch), sync_dist=True)  # a well-known way to have another x axis

    def configure_optimizers(self) -> Any:
        optimizer = RecordedSGD(groups(self.linear), lr=0.4)
        if "--two-optimizers" in sys.argv:
            self.automatic_optimization = False
            return [optimizer, RecordedSGD(groups(self.linear), lr=0.4)]
        warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 1000)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": warm_up, "interval": "step"}}


run = lrsweep.attach(peak_lr=0.4, total_steps=20)
seed_everything(run.seed)
trainer = Trainer(
    max_steps=20 if "--own-numbers" in sys.argv else run.total_steps,
    accelerator="cpu",
    strategy="ddp",
    devices=int(os.environ.get("WORLD_SIZE", "1")),
    accumulate_grad_batches=4,
    check_val_every_n_epoch=None,
    val_check_interval=20,  # micro-batches
    default_root_dir=run.checkpoint_dir,
    callbacks=[SweepCallback(run)],
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Regression(), DataLoader(examples(64), 4), DataLoader(examples(16), 4), ckpt_path=last_checkpoint(run))

"""Accelerate's own loop with accumulation. ``--prepare``: the scheduler is prepared too, which steps it per process."""

from __future__ import annotations

import sys
from itertools import chain, repeat

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

import lrsweep
from tests.trainers.recorded import RecordedSGD, examples, groups

run = lrsweep.attach(peak_lr=0.4, total_steps=20)
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
torch.manual_seed(run.seed)
linear = torch.nn.Linear(3, 1)
model, optimizer, batches = accelerator.prepare(
    linear, RecordedSGD(groups(linear), lr=0.4), DataLoader(examples(64), 4, shuffle=True)
)
scheduler = run.torch(optimizer)
if "--prepare" in sys.argv:
    scheduler = accelerator.prepare(scheduler)
updates = 0
for inputs, targets in chain.from_iterable(repeat(batches)):
    with accelerator.accumulate(model):
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        accelerator.backward(loss)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    if accelerator.sync_gradients:
        updates += 1
        if updates % 5 == 0 or updates == run.total_steps:
            run.report(updates, val_loss=loss)
        if updates == run.total_steps:
            break
accelerator.end_training()

"""A bare loop of DistributedDataParallel that accumulates four micro-batches. ``--each-batch``: it forgets to."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from itertools import cycle, islice

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import lrsweep
from tests.trainers.recorded import RecordedSGD, examples, groups

ACCUMULATION = 4

run = lrsweep.attach(peak_lr=0.4, total_steps=20)
torch.distributed.init_process_group("gloo")
torch.manual_seed(run.seed)
model = DistributedDataParallel(torch.nn.Linear(3, 1))
optimizer = RecordedSGD(groups(model.module), lr=0.4)
run.torch(optimizer)
data = examples(64)
batches = DataLoader(data, 4, sampler=DistributedSampler(data))
updates = 0
for number, (inputs, targets) in enumerate(islice(cycle(batches), run.total_steps * ACCUMULATION), 1):
    is_update = number % ACCUMULATION == 0 or "--each-batch" in sys.argv
    with nullcontext() if is_update else model.no_sync():
        loss = torch.nn.functional.mse_loss(model(inputs), targets) / ACCUMULATION
        loss.backward()  # type: ignore[no-untyped-call]
    if is_update:
        optimizer.step()
        optimizer.zero_grad()
        updates += 1
        if updates % 5 == 0 or updates == run.total_steps:
            run.report(updates, val_loss=loss)
torch.distributed.destroy_process_group()

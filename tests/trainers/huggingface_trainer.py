"""The Hugging Face Trainer, with an optimizer that it makes itself and a schedule of its own that a sweep replaces.

``--own-numbers``: it trains as long as it likes, with the seed that it likes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import lrsweep
from lrsweep.integrations.huggingface import SweepCallback, last_checkpoint
from tests.trainers.recorded import FOLDER, RecordedSGD, examples


class Regression(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = self.linear(inputs)
        return {"loss": torch.nn.functional.mse_loss(outputs, labels), "outputs": outputs}


class AddsItsStep(TrainerCallback):  # type: ignore[misc] # transformers is not type-checked here
    """One of the user's own, to the metrics that the callbacks after it see."""

    def on_evaluate(self, *_: Any, metrics: dict[str, Any], **__: Any) -> None:
        metrics["step"] = 3


def collate(rows: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, Any]:
    return {"inputs": torch.stack([row[0] for row in rows]), "labels": torch.stack([row[1] for row in rows])}


run = lrsweep.attach(peak_lr=0.4, total_steps=20)
own_numbers = "--own-numbers" in sys.argv
arguments = TrainingArguments(
    run.checkpoint_dir,
    max_steps=20 if own_numbers else run.total_steps,
    seed=42 if own_numbers else run.seed,
    learning_rate=0.4,
    lr_scheduler_type="cosine",
    warmup_steps=3,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=4,
    eval_strategy="steps",
    eval_steps=5,
    save_steps=5,
    logging_steps=1,
    use_cpu=True,
    report_to="none",
    disable_tqdm=True,
    remove_unused_columns=False,
)
trainer = Trainer(
    Regression(),
    arguments,
    data_collator=collate,
    train_dataset=examples(64),
    eval_dataset=examples(16),
    optimizer_cls_and_kwargs=(RecordedSGD, {"lr": 0.4}),
    callbacks=[AddsItsStep(), SweepCallback(run)],
)
trainer.train(resume_from_checkpoint=last_checkpoint(run))
if trainer.is_world_process_zero():
    logged = [line["learning_rate"] for line in trainer.state.log_history if "learning_rate" in line]
    (FOLDER / "logged.json").write_text(json.dumps(logged))

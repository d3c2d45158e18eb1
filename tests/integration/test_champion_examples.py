"""The README's examples of a choice in a loop, in the Trainer and in Lightning: each is run, and its rates compared."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrsweep.champion.reading import written
from lrsweep.champion.value import ChampionChoice
from lrsweep.schedules import schedule
from tests.choices import ADAMW, choice

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
STEPS = 12

# What stands around the lines of the README: a model, its data, and a list of the rate of every update.
BEFORE = """
import json
import torch
import lrsweep
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

rates = []
register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(float(optimizer.param_groups[0]["lr"])))
torch.manual_seed(0)
examples = torch.randn(64 * 4, 3)
values = examples.sum(1, keepdim=True)
"""
LOOP = """
model = torch.nn.Linear(3, 1)
loss_of = torch.nn.functional.mse_loss
batches = [(examples[:64], values[:64])] * STEPS
EXAMPLE
"""
TRAINER = """
from transformers import Trainer, TrainingArguments

class Regression(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def forward(self, inputs, labels):
        return {"loss": torch.nn.functional.mse_loss(self.linear(inputs), labels)}

model = Regression()
data = [{"inputs": each, "labels": value} for each, value in zip(examples, values)]
EXAMPLE
"""
LIGHTNING = """
from lightning.pytorch import LightningModule, Trainer

EXAMPLE

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def training_step(self, batch, _):
        return torch.nn.functional.mse_loss(self.linear(batch[0]), batch[1])

Model.configure_optimizers = configure_optimizers
batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(examples, values), 64)
Trainer(max_steps=STEPS, accelerator="cpu", logger=False, enable_checkpointing=False).fit(Model(), batches)
"""
AFTER = """
print("RATES" + json.dumps(rates))
"""


def example(after: str) -> str:
    """The block of the README that follows these words."""
    section = README[README.index("### Using it") : README.index("### Handing it on")]
    found = re.search(re.escape(after) + r"\n\n```python\n(.*?)```", section, re.S)
    assert found is not None, after
    return found[1]


def trained(folder: Path, value: ChampionChoice, program: str, lines: str) -> list[float]:
    """The rate of every update of the program around the README's lines, run in a folder that has the choice."""
    (folder / "schedules").mkdir()
    (folder / "schedules" / "digits.json").write_text(written(value))
    text = (BEFORE + program.replace("EXAMPLE", lines) + AFTER).replace("2_000", "STEPS").replace("STEPS", str(STEPS))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), "HF_HUB_OFFLINE": "1"}
    environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env=environ, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout.split("RATES")[1])
    return found


@pytest.fixture
def value() -> ChampionChoice:
    """A warm-up and a decay under AdamW on a shorter horizon, so that the peak has to move as well."""
    return choice(
        schedule=schedule("wsd", warmup=0.25, cooldown=0.5), optimizer=ADAMW, peak_lr=0.01, horizon=STEPS // 3
    )


def expected(value: ChampionChoice) -> list[float]:
    """The shape on the new horizon, under a third of the steps' peak: 0.01 / √3 at exponent 0.5."""
    rates: list[float] = (value.schedule.rates(STEPS) * 0.01 / np.sqrt(3)).tolist()
    return rates


def test_the_loop_of_the_readme_trains_with_the_rates_of_the_choice(tmp_path: Path, value: ChampionChoice) -> None:
    """Every update, the first and the last too."""
    assert trained(tmp_path, value, LOOP, example("Your own loop:")) == pytest.approx(expected(value))


@pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed: `make test` installs it"
)
def test_the_trainer_of_the_readme_trains_with_the_rates_of_the_choice(tmp_path: Path, value: ChampionChoice) -> None:
    """The Trainer steps the scheduler that it is given, once per update, after its own wrappers."""
    assert trained(tmp_path, value, TRAINER, example("The Hugging Face Trainer:")) == pytest.approx(expected(value))


@pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed: `make test` installs it"
)
def test_the_module_of_the_readme_trains_with_the_rates_of_the_choice(tmp_path: Path, value: ChampionChoice) -> None:
    """Lightning steps it after every update, across the ends of epochs."""
    assert trained(tmp_path, value, LIGHTNING, example("Lightning, in the module:")) == pytest.approx(expected(value))


@pytest.mark.parametrize("after", ["Your own loop:", "The Hugging Face Trainer:", "Lightning, in the module:"])
def test_an_example_takes_five_lines(after: str) -> None:
    """Of a loop, five lines beside those that it has anyway."""
    lines = [line for line in example(after).splitlines() if line.strip()]
    own = ("for ", "    optimizer.zero_grad()", "    loss_of(", "    optimizer.step()")
    added = [line for line in lines if not line.startswith(own)]
    assert len(added) <= 5

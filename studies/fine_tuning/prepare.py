"""Makes what ``studies/fine_tuning.toml`` begins with, beside this file: ``weights.pt``, a small language model that
was trained on Shakespeare's plays, and ``descriptions.txt``, what scikit-learn says of its data. A minute on a CPU.

The weights depend on the versions and the processor in their last bits, and the texts on scikit-learn's version: a
study on another machine is another study.
"""

from importlib.resources import files
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import lrsweep
from lrsweep.records import WorkloadSpec
from lrsweep.workloads.base import load

HERE = Path(__file__).parent
PLAYS = HERE.parent / "texts" / "shakespeare.txt"
STEPS, PEAK_LR, SEED = 1500, 0.002, 0


def descriptions() -> str:
    folder = files("sklearn.datasets.descr")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".rst"))
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def pretrained(text: Path, steps: int) -> nn.Module:
    """The model of ``char_lm`` after so many updates with AdamW and a cosine."""
    spec = WorkloadSpec("char_lm", {"text": str(text), "context": 32, "batch_size": 8})
    workload = load(spec, torch.device("cpu"))
    model = workload.model(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR)
    schedule = lrsweep.schedule("cosine", warmup=0.05)
    scheduler = schedule.torch(optimizer, total_steps=steps)
    for step in range(steps):
        inputs, targets = workload.batch(SEED, step)
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    print(f"after {steps} updates on plays: {workload.evaluate(model, 'search')}")
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)  # so small a model gains nothing by more
    (HERE / "descriptions.txt").write_text(descriptions(), encoding="utf-8")
    torch.save(pretrained(PLAYS, STEPS).state_dict(), HERE / "weights.pt")
    print(f"{HERE / 'weights.pt'} and descriptions.txt beside it")

"""``cifar10``: colour pictures of 32 x 32 pixels.

45,000 to train on, 2,500 for each half of validation, 10,000 to test.
"""

from __future__ import annotations

from functools import partial

from torchvision.datasets import CIFAR10

from lrsweep.workloads.base import Maker, peak_ranges
from lrsweep.workloads.downloads import Source
from lrsweep.workloads.pictures import Pictures, PictureSet
from lrsweep.workloads.resnet import resnet18, resnet20

Cifar10: Maker = partial(
    Pictures,
    PictureSet(
        name="cifar10",
        version=1,
        source=lambda: Source.of_cifar(CIFAR10),
        published=(50_000, 10_000),
        shape=(3, 32, 32),
        classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        deviation=(0.2470, 0.2435, 0.2616),
        held_out_share=20,
        crops=True,
        models={"resnet20": partial(resnet20, 10), "resnet18": partial(resnet18, 10)},
        batch_size=128,
        horizon="30 epochs",
        peak_lr=peak_ranges(sgd=(0.01, 1.0), adam=(3e-4, 0.03)),
    ),
)

"""``cifar100``: as ``cifar10``, with 100 classes of 600 pictures each."""

from __future__ import annotations

from functools import partial

from torchvision.datasets import CIFAR100

from lrsweep.workloads.base import Maker, peak_ranges
from lrsweep.workloads.downloads import Source
from lrsweep.workloads.pictures import Pictures, PictureSet
from lrsweep.workloads.resnet import resnet18, resnet20

Cifar100: Maker = partial(
    Pictures,
    PictureSet(
        name="cifar100",
        version=1,
        source=lambda: Source.of_cifar(CIFAR100),
        published=(50_000, 10_000),
        shape=(3, 32, 32),
        classes=100,
        mean=(0.5071, 0.4865, 0.4409),
        deviation=(0.2673, 0.2564, 0.2762),
        held_out_share=20,
        crops=True,
        models={"resnet20": partial(resnet20, 100), "resnet18": partial(resnet18, 100)},
        batch_size=128,
        horizon="30 epochs",
        peak_lr=peak_ranges(sgd=(0.01, 1.0), adam=(3e-4, 0.03)),
    ),
)

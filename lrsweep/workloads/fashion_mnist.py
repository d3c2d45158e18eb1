"""``fashion_mnist``: pictures of clothes in the format of MNIST, with its parts and its models, and harder to learn."""

from __future__ import annotations

from functools import partial

from torchvision.datasets import FashionMNIST

from lrsweep.workloads.base import Maker, peak_ranges
from lrsweep.workloads.downloads import Source
from lrsweep.workloads.mnist import cnn, mlp
from lrsweep.workloads.pictures import Pictures, PictureSet

FashionMnist: Maker = partial(
    Pictures,
    PictureSet(
        name="fashion_mnist",
        version=1,
        source=lambda: Source.of_mnist(FashionMNIST),
        published=(60_000, 10_000),
        shape=(1, 28, 28),
        classes=10,
        mean=(0.2860,),
        deviation=(0.3530,),
        held_out_share=12,
        crops=False,
        models={"cnn": cnn, "mlp": mlp},
        batch_size=64,
        horizon="5 epochs",
        peak_lr=peak_ranges(sgd=(1e-3, 0.5), adam=(1e-4, 0.03)),
    ),
)

"""``mnist``: handwritten digits of 28 x 28 pixels.

50,000 to train on, 5,000 for each half of validation, 10,000 to test.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn
from torchvision.datasets import MNIST

from lrsweep.workloads.base import Maker, peak_ranges
from lrsweep.workloads.downloads import Source
from lrsweep.workloads.pictures import Pictures, PictureSet


def cnn() -> nn.Module:
    """21,840 parameters."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 10, 5),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(10, 20, 5),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flat=nn.Flatten(),
            hidden=nn.Linear(320, 50),
            relu3=nn.ReLU(),
            head=nn.Linear(50, 10),
        )
    )


def mlp() -> nn.Module:
    """101,770 parameters."""
    return nn.Sequential(
        OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(784, 128), relu=nn.ReLU(), head=nn.Linear(128, 10))
    )


Mnist: Maker = partial(
    Pictures,
    PictureSet(
        name="mnist",
        version=1,
        source=lambda: Source.of_mnist(MNIST),
        published=(60_000, 10_000),
        shape=(1, 28, 28),
        classes=10,
        mean=(0.1307,),
        deviation=(0.3081,),
        held_out_share=12,
        crops=False,
        models={"cnn": cnn, "mlp": mlp},
        batch_size=64,
        horizon="3 epochs",
        peak_lr=peak_ranges(sgd=(1e-3, 0.5), adam=(1e-4, 0.03)),
    ),
)

"""Residual networks for pictures of 32 x 32 pixels: one of 20 layers that was made for them, and the wide one of 18.

From He, Zhang, Ren and Sun (2015). The mean over the last pictures is a plain mean: PyTorch's adaptive pooling has no
gradient on a GPU that is the same twice.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional


def resnet20(classes: int) -> nn.Module:
    """Three stages of three blocks; shortcuts without parameters. 269,722 parameters for 10 classes."""
    return _resnet([16, 32, 64], blocks=3, classes=classes, shortcut=Subsampled)


def resnet18(classes: int) -> nn.Module:
    """Four stages of two blocks; shortcuts with a convolution. 11,173,962 parameters for 10 classes."""
    return _resnet([64, 128, 256, 512], blocks=2, classes=classes, shortcut=Projected)


class Subsampled(nn.Module):
    """Every second pixel, and channels of zeros on both sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self._zeros = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self._zeros, self._zeros))


class Projected(nn.Sequential):
    """Every second pixel through a convolution of size 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions, and beside them the shortcut."""

    def __init__(self, inputs: int, outputs: int, shortcut: type[Subsampled] | type[Projected]) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 else shortcut(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def _resnet(widths: list[int], *, blocks: int, classes: int, shortcut: type[Subsampled] | type[Projected]) -> nn.Module:
    """``stem``, ``layer1``, ``layer2``, …, ``head``: the names that a study file freezes by."""
    first = widths[0]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(3, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
    )
    for stage, (inputs, outputs) in enumerate(zip([first, *widths[:-1]], widths, strict=True), start=1):
        sizes = [(inputs, outputs), *[(outputs, outputs)] * (blocks - 1)]
        layers[f"layer{stage}"] = nn.Sequential(*(Block(*size, shortcut) for size in sizes))
    layers["mean"] = Mean()
    layers["head"] = nn.Linear(widths[-1], classes)
    return nn.Sequential(layers)

"""Data sets of a few dozen pictures in the files of the real ones: torchvision's own classes read them.

torchvision compares checksums with the published ones; they are replaced by those of the small files, and nothing
else. Whoever writes these takes the network away, too.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST

Bytes = NDArray[np.uint8]

MNIST_TRAIN, MNIST_TEST = 240, 40
CIFAR_TRAIN, CIFAR_TEST = 100, 20


def without_network(patch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise urllib.error.URLError("no network in this test")

    patch.setattr(urllib.request, "urlopen", refused)


def write_mnist(folder: Path, patch: pytest.MonkeyPatch, kind: type[MNIST] = MNIST) -> None:
    """The four archives as they are published, ``train-images-idx3-ubyte.gz`` and so on."""
    raw = folder / kind.__name__ / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(3)
    sums = {}
    for name, examples in (("train", MNIST_TRAIN), ("t10k", MNIST_TEST)):
        labels = np.arange(examples, dtype=np.uint8) % 10
        images = random.integers(0, 60, (examples, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 6] += 150  # what there is to learn: how high the bright band is
        parts = {
            f"{name}-images-idx3-ubyte.gz": struct.pack(">IIII", 0x803, examples, 28, 28) + images.tobytes(),
            f"{name}-labels-idx1-ubyte.gz": struct.pack(">II", 0x801, examples) + labels.tobytes(),
        }
        for file, content in parts.items():
            (raw / file).write_bytes(gzip.compress(content))
            sums[file] = _md5(raw / file)
    patch.setattr(kind, "resources", [(file, sums[file]) for file, _ in kind.resources])


def write_cifar(folder: Path, patch: pytest.MonkeyPatch, kind: type[CIFAR10] = CIFAR10) -> None:
    """The one archive as it is published, with its pickles."""
    packed = folder / "packed" / kind.base_folder
    packed.mkdir(parents=True)
    per_file = CIFAR_TRAIN // len(kind.train_list)
    begin = 0
    for name, _ in kind.train_list:
        _write_pictures(packed / name, begin, per_file, kind)
        begin += per_file
    _write_pictures(packed / kind.test_list[0][0], begin, CIFAR_TEST, kind)
    (packed / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: ["a class"] * 10}, protocol=2))
    with tarfile.open(folder / kind.filename, "w:gz") as archive:
        archive.add(packed, arcname=kind.base_folder)
    patch.setattr(kind, "tgz_md5", _md5(folder / kind.filename))
    for attribute in ("train_list", "test_list"):
        patch.setattr(kind, attribute, [[name, _md5(packed / name)] for name, _ in getattr(kind, attribute)])
    patch.setattr(kind, "meta", kind.meta | {"md5": _md5(packed / kind.meta["filename"])})


def _write_pictures(path: Path, begin: int, examples: int, kind: type[CIFAR10]) -> None:
    """Picture i is red = i all over, so that it is known again after it was shifted and mirrored."""
    random = np.random.default_rng(begin)
    labels = [int(i) % 10 for i in range(begin, begin + examples)]
    pictures: Bytes = random.integers(0, 60, (examples, 3, 32, 32), dtype=np.uint8)
    for picture, label, number in zip(pictures, labels, range(begin, begin + examples), strict=True):
        picture[0] = number
        picture[1] += np.uint8(15 * label)  # what there is to learn: how green it is
    content: dict[str, Any] = {"data": pictures.reshape(examples, -1), "filenames": ["a.png"] * examples}
    content |= {"fine_labels": labels, "coarse_labels": labels} if kind is CIFAR100 else {"labels": labels}
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_all(folder: Path, patch: pytest.MonkeyPatch) -> None:
    without_network(patch)
    for mnist in (MNIST, FashionMNIST):
        write_mnist(folder, patch, mnist)
    for cifar in (CIFAR10, CIFAR100):
        write_cifar(folder, patch, cifar)


def a_text(characters: int) -> str:
    """Each character another one, in the order of Unicode: a window tells where it stands."""
    return "".join(chr(0x4E00 + k) for k in range(characters))


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()

"""torchvision's own data sets: read from the folder of data sets, and downloaded into it where files are missing.

torchvision compares checksums of what it downloads, and for CIFAR, whose files are pickles, of what it reads.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torchvision.datasets import CIFAR10, MNIST
from torchvision.datasets.utils import check_integrity

from lrsweep.errors import InvalidInput
from lrsweep.workloads.fetching import alone

PATIENCE = 30.0
"""Seconds without a byte from the network; torchvision itself would wait for ever."""


class Dataset(Protocol):
    data: Any
    targets: Any


@dataclass(frozen=True)
class Source:
    """One of torchvision's classes and the files that it reads, relative to the folder of data sets."""

    dataset: Callable[..., Dataset]
    files: tuple[tuple[str, str | None], ...]
    """each with its MD5, where torchvision knows one"""
    to_put: tuple[str, ...]
    """what to put there by hand: the files as they are published"""

    @classmethod
    def of_mnist(cls, dataset: type[MNIST]) -> Source:
        raw = f"{dataset.__name__}/raw"
        published = [Path(url).name for url, _ in dataset.resources]
        return cls(
            dataset,
            files=tuple((f"{raw}/{name.removesuffix('.gz')}", None) for name in published),
            to_put=tuple(f"{raw}/{name}" for name in published),
        )

    @classmethod
    def of_cifar(cls, dataset: type[CIFAR10]) -> Source:
        lists = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
        return cls(
            dataset,
            files=tuple((f"{dataset.base_folder}/{name}", md5) for name, md5 in lists),
            to_put=(dataset.filename,),
        )


def read(source: Source, folder: Path, name: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Bytes [n, channels, height, width] and labels: what is published for training, and for the test.

    Raises InvalidInput that says what to put where.
    """
    missing = [file for file, _ in source.files if not (folder / file).is_file()]
    if missing:
        try:
            with _alone_in(folder), _downloading():  # who has waited finds the files, and downloads nothing
                source.dataset(folder, train=True, download=True)
        except Exception as error:  # of urllib, sockets, archives and torchvision: there is no list of them
            raise InvalidInput(_not_there(source, folder, name, missing, error)) from error
    damaged = [file for file, md5 in source.files if not check_integrity(folder / file, md5)]
    if damaged:
        raise InvalidInput(_damaged(folder, name, damaged, "their checksums differ from the published ones"))
    try:
        with _old_files():
            return _tensors(source.dataset(folder, train=True)), _tensors(source.dataset(folder, train=False))
    except Exception as error:  # whatever a torn file leads torchvision to
        files = [file for file, _ in source.files]
        raise InvalidInput(_damaged(folder, name, files, f"{type(error).__name__}: {_line(error)}")) from error


def _tensors(dataset: Dataset) -> tuple[Tensor, Tensor]:
    data = torch.as_tensor(dataset.data)
    images = data.unsqueeze(1) if data.dim() == 3 else data.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(dataset.targets, dtype=torch.int64)
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images with {len(labels)} labels")
    return images, labels


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that cannot be written: the download says so itself
            stack.enter_context(alone(folder / ".downloading"))
        yield


@contextlib.contextmanager
def _old_files() -> Iterator[None]:
    """Python warns of how torchvision unpacks archives, and NumPy of the age of CIFAR's pickles: nothing to be done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _downloading() -> Iterator[None]:
    """Whatever is said goes to standard error: standard output is the command's own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(sys.stderr), _old_files():
            yield
    finally:
        socket.setdefaulttimeout(before)


def _not_there(source: Source, folder: Path, name: str, missing: list[str], error: Exception) -> str:
    return (
        f"workload {name!r}: {missing[0]} is not in {str(folder)!r}, and the download failed "
        f"({type(error).__name__}: {_line(error)}). From a machine with a network, put {', '.join(source.to_put)} into "
        f"that folder, or set LRSWEEP_DATA to the folder that has them. To measure speed alone: synthetic = true."
    )


def _damaged(folder: Path, name: str, files: list[str], why: str) -> str:
    return (
        f"workload {name!r}: {', '.join(files)} in {str(folder)!r} cannot be used: {why}. "
        "Delete what is damaged; the next run downloads it again."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

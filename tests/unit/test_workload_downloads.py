"""Data sets that are there, that are missing and that are damaged; the network is always away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100, MNIST

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads import downloads
from lrsweep.workloads.base import load
from lrsweep.workloads.downloads import Source
from tests.datasets import without_network, write_cifar, write_mnist

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)


def test_published_archives_are_unpacked_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put there by hand, they are all that is needed, and the second time the unpacked files are."""
    write_mnist(tmp_path, monkeypatch)
    known, test = downloads.read(Source.of_mnist(MNIST), tmp_path, "mnist")
    assert (known[0].shape, known[0].dtype) == ((240, 1, 28, 28), torch.uint8)
    assert (test[0].shape, test[1][:12].tolist()) == ((40, 1, 28, 28), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    for archive in (tmp_path / "MNIST" / "raw").glob("*.gz"):
        archive.unlink()
    again, _ = downloads.read(Source.of_mnist(MNIST), tmp_path, "mnist")
    assert again[0].equal(known[0])


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
def test_the_archive_with_pickles_is_unpacked_and_read(
    kind: type[CIFAR10], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels first; CIFAR-100 has its fine labels. Picture i is red = i."""
    write_cifar(tmp_path, monkeypatch, kind)
    known, test = downloads.read(Source.of_cifar(kind), tmp_path, "cifar")
    assert known[0].shape == (100, 3, 32, 32)
    assert known[0][:, 0].amax(dim=(1, 2)).tolist() == list(range(100))
    assert test[0][:, 0, 5, 9].tolist() == list(range(100, 120))
    assert known[1][:11].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


@pytest.mark.parametrize(
    ("name", "first", "to_put"),
    [
        (
            "mnist",
            "MNIST/raw/train-images-idx3-ubyte",
            "put MNIST/raw/train-images-idx3-ubyte.gz, MNIST/raw/train-labels",
        ),
        (
            "fashion_mnist",
            "FashionMNIST/raw/train-images-idx3-ubyte",
            "put FashionMNIST/raw/train-images-idx3-ubyte.gz",
        ),
        ("cifar10", "cifar-10-batches-py/data_batch_1", "put cifar-10-python.tar.gz into"),
        ("cifar100", "cifar-100-python/train", "put cifar-100-python.tar.gz into"),
    ],
)
def test_without_data_and_network_one_message_says_what_to_put_where(
    name: str, first: str, to_put: str, tmp_path: Path
) -> None:
    """What is missing, the folder, why the download failed, the archives, and the variable that names the folder."""
    with pytest.raises(InvalidInput) as raised:
        load(WorkloadSpec(name), CPU, tmp_path)
    text = str(raised.value)
    assert text.startswith(f"workload {name!r}: {first} is not in {str(tmp_path)!r}, and the download failed (")
    assert "no network in this test" in text
    assert to_put in text
    assert "set LRSWEEP_DATA to the folder" in text
    assert "\n" not in text


def test_a_torn_file_is_named_and_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of an unpacked file of MNIST: there is no checksum of it, but it cannot be read."""
    write_mnist(tmp_path, monkeypatch)
    downloads.read(Source.of_mnist(MNIST), tmp_path, "mnist")
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"train-images-idx3-ubyte.* cannot be used: .*Delete what is damaged"):
        load(WorkloadSpec("mnist"), CPU, tmp_path)
    assert len(images.read_bytes()) == 1000


def test_fewer_labels_than_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision reads both; that they do not belong together is seen here."""
    write_mnist(tmp_path, monkeypatch)
    downloads.read(Source.of_mnist(MNIST), tmp_path, "mnist")
    raw = tmp_path / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(InvalidInput, match="240 images with 40 labels"):
        load(WorkloadSpec("mnist"), CPU, tmp_path)


def test_a_pickle_with_another_checksum_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle may run code: one that is not the published one is named, and stays closed."""
    write_cifar(tmp_path, monkeypatch)
    downloads.read(Source.of_cifar(CIFAR10), tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as raised:
        load(WorkloadSpec("cifar10"), CPU, tmp_path)
    assert str(raised.value) == (
        f"workload 'cifar10': cifar-10-batches-py/data_batch_3 in {str(tmp_path)!r} cannot be used: their checksums "
        "differ from the published ones. Delete what is damaged; the next run downloads it again."
    )
    assert not (tmp_path / "ran").exists()


def test_other_data_have_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pixel of the test pictures is enough."""
    write_mnist(tmp_path, monkeypatch)
    before = load(WorkloadSpec("mnist"), CPU, tmp_path).facts.data_hash
    assert load(WorkloadSpec("mnist"), CPU, tmp_path).facts.data_hash == before
    images = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    assert load(WorkloadSpec("mnist"), CPU, tmp_path).facts.data_hash != before


def test_a_download_says_nothing_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There a command prints its one JSON object."""

    class Talking:
        data: object
        targets: object

        def __init__(self, *_: object, **__: object) -> None:
            print("Downloading …")  # noqa: T201 (as torchvision once did)
            raise OSError("away")

    with pytest.raises(InvalidInput, match="away"):
        downloads.read(Source(Talking, (("a", None),), ("a.gz",)), tmp_path, "mnist")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Downloading …\n")

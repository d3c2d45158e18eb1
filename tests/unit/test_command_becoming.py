"""Which commands can be forked, read from their arguments alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsweep.engines.command.becoming import Invocation, hides, read


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("python train.py", Invocation("python", False, False, "train.py", ())),
        ("python3.12 -u a/train.py --lr 0.1", Invocation("python3.12", True, False, "a/train.py", ("--lr", "0.1"))),
        ("/opt/bin/python3 -m pkg.train -m x", Invocation("/opt/bin/python3", False, True, "pkg.train", ("-m", "x"))),
        ("python -u -m train", Invocation("python", True, True, "train", ())),
    ],
)
def test_python_with_a_file_or_a_module_can_be_forked(command: str, wanted: Invocation) -> None:
    """``-u`` is the one option that a server is started with."""
    assert read(command.split()) == wanted


@pytest.mark.parametrize(
    "command",
    [
        "torchrun --nproc-per-node 8 train.py",
        "accelerate launch train.py",
        "bash train.sh",
        "python",
        "python -u",
        "python -m",
        "python -c pass",
        "python -I train.py",
        "python -O -u train.py",
        "python -W error train.py",
        "python train",
        "python2 train.py",
        "pythonw train.py",
        "ipython train.py",
        "env A=1 python train.py",
        "",
    ],
)
def test_every_other_command_starts_plainly(command: str) -> None:
    """Other options change the interpreter itself, and other programs are none of ours."""
    assert read(command.split()) is None


def test_a_module_hides_a_library_and_a_folder_of_data_does_not(tmp_path: Path) -> None:
    """Python takes an installed package before a folder without code, and a module of the script's before both."""
    (tmp_path / "torch").mkdir()
    assert not hides(str(tmp_path), {"torch", "numpy"})
    (tmp_path / "numpy.py").touch()
    assert hides(str(tmp_path), {"torch", "numpy"})
    (tmp_path / "torch" / "__init__.py").touch()
    assert hides(str(tmp_path), {"torch"})

"""The trial itself, where this machine can: an image is built, the stack runs, breaks and comes back.

It takes ten minutes: ``.ci/run`` does it beside the tests, ``docker/try.sh`` by hand, and ``LRSWEEP_TRY_CONTAINERS=1``
asks the tests for it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.containers import images
from tests.containers.__main__ import main
from tests.containers.images import wheel_for_the_cpu
from tests.containers.telling import Failed, Unable, output_of, until

REPOSITORY = Path(__file__).parents[2]
ASKED_FOR = "LRSWEEP_TRY_CONTAINERS"


@pytest.mark.containers
@pytest.mark.skipif(
    not os.environ.get(ASKED_FOR),
    reason=f".ci/run tries it beside the tests, for ten minutes; {ASKED_FOR}=1 does it here",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="containers are root's here")
def test_the_whole_stack_is_built_run_broken_and_restored(tmp_path: Path) -> None:
    """``docker/try.sh`` ends well, and leaves nothing in the folder that it was given."""
    command = [str(REPOSITORY / "docker" / "try.sh"), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert list(tmp_path.iterdir()) == []


def test_a_trial_says_why_this_machine_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is said before anything is installed or fetched."""
    monkeypatch.setattr(images, "NEEDED_BYTES", 2**60)
    with pytest.raises(Unable, match=r"\d+ GB are free in .*; images and their build need 1073741824"):
        images.make_able(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_a_trial_is_asked_for_if_able_the_reason_is_told_and_nothing_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI leaves with 0 and a sentence; whoever asks without that hears of a failure. Nothing is left in either case."""
    monkeypatch.setattr(images, "NEEDED_BYTES", 2**60)
    assert main(["--folder", str(tmp_path), "--if-able"]) == 0
    assert "the containers are not tried here: " in capsys.readouterr().out
    assert main(["--folder", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"], "torch==2.13.0"),
        (["torch-2.9.1+cpu-cp311-x.whl", "torch-2.13.0+cpu-cp311-x.whl"], "torch==2.13.0"),
        (["torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", "torch-2.13.0-cp311-x.whl", "torchvision-1.whl"], None),
        ([], None),
    ],
)
def test_a_cpu_build_of_pips_own_folders_is_taken(tmp_path: Path, names: list[str], wanted: str | None) -> None:
    """The newest wheel for the CPU and the image's Python; one for CUDA, or for another Python, is none."""
    for name in names:
        (tmp_path / name).touch()
    assert wheel_for_the_cpu({"find-links": f"/no/such/folder file://{tmp_path}"}) == wanted


def test_a_command_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    """What was run, what it said, and how it left; and a wait that is over tells the last error."""
    with pytest.raises(Failed, match=r"(?s)sh -c.*\nthe reason\nleft with 3"):
        output_of(["sh", "-c", "echo the reason >&2; exit 3"], environ=os.environ, folder=tmp_path)

    def never() -> None:
        raise Failed("not yet")

    with pytest.raises(Failed, match=r"the moon: not within 0 s. not yet"):
        until(never, "the moon", 0.01, every=0.02)

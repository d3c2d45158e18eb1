"""A disk that fills up, or is only read from, in the middle of a sweep: a small disk in memory, which root may mount.

What a full disk costs a checkpoint stands in ``test_killed_training.py``.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lrsweep.store import open_store
from tests.choices import choice
from tests.commands import lrsweep, query, write_study
from tests.drivers import SLOW, Home, until
from tests.served import promote, served

pytestmark = pytest.mark.chaos

TOLD = "SELECT count(*) FROM lrs_trial WHERE state <> 'running'"
FAILED = "SELECT count(*) FROM lrs_training WHERE status = 'failed'"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if mount("-t", "tmpfs", "-o", "size=24m", "none", str(place)).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def mount(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", *arguments], capture_output=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """To the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    yield
    filler.unlink()


@contextmanager
def only_read_from(disk: Path) -> Iterator[None]:
    """As an administrator or a fault of the disk leaves it."""
    mount("-o", "remount,ro", str(disk)).check_returncode()
    yield
    mount("-o", "remount,rw", str(disk)).check_returncode()


def test_a_disk_that_fills_up_ends_the_driver_and_costs_nothing(disk: Path) -> None:
    """Exit code 75, with the file and the remedy; with room again the same command goes on, and nothing has failed."""
    home = Home(disk.parent, path=disk / "home", trials=60)
    driver = home.start(**SLOW)
    until(lambda: query(home.path, TOLD) >= 2, driver)
    with filled(disk):
        ran = driver.wait()
    assert ran.code == 75, ran.err
    assert "disk is full" in ran.err
    assert str(home.path / "results.db") in ran.err
    assert "Make room on that disk." in ran.err
    assert "What was committed is safe; the same command continues." in ran.err
    home.shrink()
    home.finish()
    assert query(home.path, FAILED) == 0


def test_a_folder_that_is_only_read_from_is_said_and_left_as_it_is(disk: Path) -> None:
    """The next driver of a killed sweep meets it: a sentence with the file and the remedy, and no traceback. When it
    may be written the same command goes on."""
    home = Home(disk.parent, path=disk / "home")
    assert home.run(fault="after-commit:4").code == -signal.SIGKILL
    with only_read_from(disk):
        ran = home.run()
    assert ran.code in (69, 75), ran.err
    assert str(home.path / "results.db") in ran.err
    assert "Make the file and its folder writable for this user" in ran.err or "this user may write there" in ran.err
    assert "Traceback" not in ran.err
    home.finish()
    assert query(home.path, FAILED) == 0


def test_a_full_disk_of_artifacts_costs_no_training(tmp_path: Path, disk: Path) -> None:
    """The sweep goes on and says what MLflow lacks; with room again the same command sends it."""
    home = Home(tmp_path)
    (home.path / "artifacts").symlink_to(disk, target_is_directory=True)
    with filled(disk):
        ran = home.run()
    assert ran.code == 0, ran.err
    assert "No space left on device" in ran.out + ran.err
    home.finish()
    assert query(home.path, FAILED) == 0


def test_a_service_on_a_full_disk_goes_on_to_answer_and_keeps_no_half_of_anything(tmp_path: Path, disk: Path) -> None:
    """What is asked for gets 503 with the remedy, and a token is not made; with room the same request is queued."""
    home = disk / "home"
    registered = lrsweep("register", str(write_study(tmp_path)), home=home)
    assert registered.code == 0, registered.err
    store = open_store(f"sqlite:///{home}/results.db")
    promote(store, choice())
    store.close()
    with served(home) as service:
        assert service.get("/readyz").status == 200
        with filled(disk):
            assert service.get("/").status == 200
            assert service.get("/v1/studies/digits/schedule").status == 200
            refused = service.ask("POST", "/v1/studies/tiny/sweeps", headers={"Idempotency_Key": "tonight"})
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert "Make room on that disk." in refused.problem
            assert str(disk) not in refused.problem
            made = lrsweep("token", "create", "ci", home=home)
            assert made.code in (69, 75), made.err
            assert "Make room on that disk." in made.err
        assert service.get("/readyz").status == 200  # no token was made: none is needed
        queued = service.ask("POST", "/v1/studies/tiny/sweeps", headers={"Idempotency_Key": "tonight"})
        assert queued.status == 202
    assert query(home, "SELECT count(*) FROM lrs_queued") == 1
    assert query(home, "SELECT count(*) FROM lrs_token") == 0

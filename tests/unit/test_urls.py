"""Data and checkpoints behind URLs: copied once, carried whole, and found again."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from lrsweep.engines.remote import RemoteFolder
from lrsweep.errors import InvalidInput, SettingsError
from lrsweep.scripts.command import Command
from lrsweep.settings import make_homes, read_settings
from lrsweep.store.memory import MemoryStore
from lrsweep.sweep.checkpoints import Checkpoints, refuse_remote
from lrsweep.sweep.remote_checkpoints import RemoteFolders
from lrsweep.sweep.remover import Remover
from lrsweep.workloads.fetching import at_hand, folder_for
from tests.patience import in_time
from tests.trainings import PLAN, assert_same_curve, digits, trained

ID = "0123456789abcdef" * 2


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".cache" / "lrsweep" / "from"


def test_data_behind_a_url_are_copied_once_whoever_asks(tmp_path: Path, copies: Path) -> None:
    """Many processes of a machine ask at the same time; what is at the URL later is not looked at again."""
    source = tmp_path / "data set"
    (source / "MNIST" / "raw").mkdir(parents=True)
    (source / "MNIST" / "raw" / "images").write_bytes(b"all of them")
    folder = read_settings({"LRSWEEP_DATA": f"file://{source}/"}).data
    assert folder is not None
    assert folder.parent == copies
    found: list[Path] = []
    asking = [threading.Thread(target=lambda: found.append(at_hand(folder))) for _ in range(4)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert found == [folder] * 4
    assert (folder / "MNIST" / "raw" / "images").read_bytes() == b"all of them"
    before = (folder / "MNIST" / "raw" / "images").stat().st_mtime_ns
    (source / "MNIST" / "raw" / "images").write_bytes(b"others")
    assert (at_hand(folder) / "MNIST" / "raw" / "images").stat().st_mtime_ns == before


def test_another_machine_has_the_copy_in_its_own_cache(copies: Path, tmp_path: Path) -> None:
    """The driver's path says where the content comes from, not where it lies."""
    (tmp_path / "a").write_text("content")
    elsewhere = Path("/elsewhere/.cache/lrsweep/from") / folder_for(f"file://{tmp_path}").name
    assert at_hand(elsewhere).parent == copies
    assert (at_hand(elsewhere) / "a").read_text() == "content"
    assert at_hand(tmp_path) == tmp_path


@pytest.mark.parametrize("url", ["file:///no/such/folder", "nosuch://bucket/data"])
def test_data_that_cannot_be_copied_are_told_with_the_reason(copies: Path, url: str) -> None:
    """Nothing is left of the attempt."""
    with pytest.raises(InvalidInput, match=f"LRSWEEP_DATA is '{url}', which cannot be copied to this machine: "):
        at_hand(folder_for(url))
    assert [each.suffix for each in copies.iterdir()] == [".lock"]


def test_a_copy_that_was_cut_off_is_made_anew(tmp_path: Path, copies: Path) -> None:
    """It has its name only when it is whole."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("whole")
    folder = folder_for(f"file://{tmp_path}/data")
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True)
    (part / "b").write_text("of another try")
    assert sorted(path.name for path in at_hand(folder).iterdir()) == ["a"]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, float], None]]:
    """Writes a file in memory that was touched so many days ago."""
    files = fsspec.filesystem("memory")

    def write(path: str, days: float) -> None:
        files.pipe_file(path, b"weights")
        files.store[path].modified = datetime.now(UTC) - timedelta(days=days)

    yield write
    with suppress(FileNotFoundError):
        files.rm("/aged", recursive=True)


def test_checkpoints_behind_a_url_that_nobody_knows_go_after_a_week(there: Callable[[str, float], None]) -> None:
    """By the newest of their files, as a night's and another database's; what has no training's name stays for ever."""
    old, torn, mine = "0" * 32, "1" * 32, "my-own"
    for path, days in ((f"{old}/a", 9), (f"{old}/b", 8), (f"{torn}/a", 9), (f"{torn}/b", 6), (f"{mine}/a", 9)):
        there(f"/aged/{path}", days)
    checkpoints = Checkpoints("memory://aged")
    checkpoints.tidy(MemoryStore())
    checkpoints.finish(lambda: None)
    assert set(RemoteFolders("memory://aged").names()) == {torn, mine}


def test_checkpoints_behind_a_url_whose_age_is_not_told_stay(
    there: Callable[[str, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some libraries have no times."""

    def untold(_files: object, _path: str) -> None:
        raise NotImplementedError

    there(f"/aged/{ID}/a", 9)
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.modified", untold)
    checkpoints = Checkpoints("memory://aged")
    checkpoints.tidy(MemoryStore())
    checkpoints.finish(lambda: None)
    assert RemoteFolders("memory://aged").names() == [ID]


@pytest.mark.parametrize("name", ["LRSWEEP_DATA", "LRSWEEP_CHECKPOINTS"])
def test_a_password_in_a_url_is_refused_and_not_shown(name: str) -> None:
    """It would show in names of folders and in messages."""
    with pytest.raises(SettingsError, match=f"{name} is a URL with a password") as caught:
        read_settings({name: "sftp://me:secret@host/folder"})
    assert "secret" not in str(caught.value)


def test_checkpoints_lie_in_the_home_unless_the_variable_names_a_place(tmp_path: Path) -> None:
    """A folder, or a URL as it stands."""

    def checkpoints(environ: dict[str, str]) -> Path | str:
        return make_homes(read_settings({"LRSWEEP_HOME": str(tmp_path / "home"), **environ})).checkpoints

    assert checkpoints({}) == tmp_path / "home" / "checkpoints"
    assert checkpoints({"LRSWEEP_CHECKPOINTS": str(tmp_path / "shared")}) == tmp_path / "shared"
    assert checkpoints({"LRSWEEP_CHECKPOINTS": "s3://bucket/there/"}) == "s3://bucket/there"
    with pytest.raises(SettingsError, match="a script saves into a folder"):
        refuse_remote("s3://bucket/there", Command("train").spec())


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_training_goes_on_from_a_checkpoint_behind_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """The two newest are kept there; the curve is the undisturbed one, to the bit; a damaged one is passed over."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    url = f"{scheme}://{tmp_path}/{ID}"
    undisturbed, _ = trained(replace(PLAN, checkpoint_url=None), digits())
    trained(replace(PLAN, checkpoint_url=url), digits())
    files, root = fsspec.core.url_to_fs(url)
    names = sorted(str(each) for each in files.ls(root, detail=False))
    assert [name.rpartition("/")[2].split("-")[1] for name in names] == ["59", "60"]
    files.pipe_file(names[-1], files.cat_file(names[-1])[:-1])
    curve, records = trained(replace(PLAN, checkpoint_url=url, attempt=2), digits())
    assert len(records[0].rates) == 59
    assert_same_curve(curve, undisturbed)

    checkpoints = Checkpoints(url.removesuffix(f"/{ID}"))
    assert checkpoints.url(ID) == url
    checkpoints.tidy(MemoryStore())
    checkpoints.finish(lambda: None)
    assert files.exists(root), "a training that this store does not know may be another's"
    checkpoints.remove(ID)
    checkpoints.finish(lambda: None)
    assert not files.exists(root)


def test_a_store_that_does_not_answer_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and the training goes on."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "file").write_text("no folder")
    url = f"file://{tmp_path}/file/{ID}"
    curve, _ = trained(replace(PLAN, checkpoint_url=url), digits())
    assert_same_curve(curve, trained(replace(PLAN, checkpoint_url=None), digits())[0])
    assert f"No checkpoint could be written to {url}" in caplog.text


def test_what_engines_have_left_here_that_were_killed_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file on its way to a URL lies in a folder of this machine, which a killed engine cannot remove; what was read
    does not stay there either."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as ended:
        pass
    at_work = RemoteFolder("memory://there")
    left = at_work.here.with_name(at_work.here.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    left.mkdir()
    (left / "step-6.ckpt").write_bytes(b"whole")
    another = RemoteFolder("memory://there")
    assert {*tmp_path.iterdir()} == {at_work.here, another.here}


def test_the_end_does_not_wait_for_a_store_that_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread removes one after the other; what has not gone within the time is left to the next start."""
    threads, let = [], threading.Event()

    def removed(_folders: RemoteFolders, name: str) -> None:
        threads.append(threading.get_ident())
        let.wait()

    monkeypatch.setattr(RemoteFolders, "remove", removed)
    monkeypatch.setattr("lrsweep.sweep.checkpoints.FINISH_SECONDS", 0.2)
    checkpoints = Checkpoints(f"file://{tmp_path}")
    try:
        for number in range(3):
            checkpoints.remove(f"{number:032x}")
        checkpoints.finish(lambda: None)
        assert len(threads) <= 1
    finally:
        let.set()
    monkeypatch.setattr("lrsweep.sweep.checkpoints.FINISH_SECONDS", 600.0)
    checkpoints.finish(lambda: None)
    assert (len(threads), len(set(threads))) == (3, 1)


def test_a_removal_that_raises_keeps_nobody_waiting() -> None:
    """The next one is done all the same, and the end waits for nothing any more."""
    done, remover = threading.Event(), Remover()

    def raises() -> None:
        raise ZeroDivisionError

    remover.begin(raises)
    remover.begin(done.set)
    assert done.wait(60)
    in_time(lambda longer: _until_done(remover, longer))


def _until_done(remover: Remover, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not remover.is_done:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_where_no_thread_is_to_be_had_a_removal_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised into what has just been committed, and nobody waits for it."""
    done, remover, real = threading.Event(), Remover(), threading.Thread.start

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    remover.begin(done.set)
    assert (remover.is_done, done.is_set()) == (True, False)
    monkeypatch.setattr(threading.Thread, "start", real)
    remover.begin(lambda: None)
    assert done.wait(60)

"""Files for users are written whole or not at all, and what cannot be written is refused before the work."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from lrsweep.errors import SettingsError
from lrsweep.files import check_target, write_whole


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def there() -> list[str]:
    return sorted(each.name for each in Path().iterdir())


def test_a_text_and_bytes_are_written_as_they_are() -> None:
    """In UTF-8, over what was there, with nothing beside; readable as other files are."""
    write_whole(Path("a.txt"), "ü\n", "--out")
    write_whole(Path("a.txt"), "new\r\n", "--out")
    write_whole(Path("b"), b"\xff", "--out")
    assert (Path("a.txt").read_bytes(), Path("b").read_bytes(), there()) == (b"new\r\n", b"\xff", ["a.txt", "b"])
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(Path("b").stat().st_mode) == 0o666 & ~mask


def test_a_file_keeps_its_permissions_and_a_link_what_it_leads_to() -> None:
    """Who has made a file private finds it so."""
    Path("folder").mkdir()
    Path("folder/real").write_text("old")
    Path("folder/real").chmod(0o600)
    Path("link").symlink_to("folder/real")
    write_whole(Path("link"), "new", "--out")
    assert Path("link").is_symlink()
    assert Path("folder/real").read_text() == "new"
    assert stat.S_IMODE(Path("folder/real").stat().st_mode) == 0o600
    assert there() == ["folder", "link"]


def test_a_pipe_gets_the_text_and_stays_a_pipe() -> None:
    """As `/dev/stdout` does."""
    os.mkfifo("pipe")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    write_whole(Path("pipe"), "text", "--out")
    reader.join(120)
    assert (got, Path("pipe").is_fifo(), there()) == (["text"], True, ["pipe"])


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (".", "--out . is a folder; wanted a file."),
        ("..", "--out .. is a folder"),
        ("/", "--out / is a folder"),
        ("", "--out . is a folder"),
        ("../no/such/a", "--out ../no/such/a: there is no folder ../no/such; make it, or name a file in another one."),
        ("out/new/a", "--out out/new/a: there is no folder out/new; make it"),
        ("taken/a", "--out taken/a: cannot be written ("),
        (f"{'x' * 300}", "cannot be written (File name too long)"),
        ("circle", "--out circle: cannot be written (Symlink loop from"),
    ],
)
def test_what_cannot_be_a_file_is_refused_before_and_when_it_is_written(file: str, said: str) -> None:
    """The same sentence, with the option's name; nothing is left."""
    Path("taken").write_text("")
    Path("circle").symlink_to("circle")
    Path("out").symlink_to("..")
    with pytest.raises(SettingsError) as before:
        check_target(Path(file), "--out")
    assert said in str(before.value)
    with pytest.raises(SettingsError) as written:
        write_whole(Path(file), "x", "--out")
    assert str(written.value) == str(before.value)
    assert there() == ["circle", "out", "taken"]
    assert not Path("../no").exists()


def test_folders_are_made_below_the_working_folder() -> None:
    """Where a relative path names them; not by the check, and not below a file."""
    check_target(Path("a/b/c"), "--to")
    assert there() == []
    write_whole(Path("a/b/c"), "x", "--to")
    assert Path("a/b/c").read_text() == "x"
    named = Path("new/a").absolute()
    with pytest.raises(SettingsError, match=f"--to {named}: there is no folder {named.parent}; make it"):
        write_whole(named, "x", "--to")
    with pytest.raises(SettingsError, match=r"--to a/b/c/d/e: cannot be written \(.* is no folder"):
        check_target(Path("a/b/c/d/e"), "--to")


def test_a_folder_of_somebody_else_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system says; whoever may do everything is not asked."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match=r"--out a: cannot be written \(.* is not yours to write in\)"):
        check_target(Path("a"), "--out")


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(28, "No space left on device"), SettingsError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_and_an_interruption_leave_the_old_file(
    error: BaseException, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing beside it."""
    Path("a").write_text("old")

    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(raised):
        write_whole(Path("a"), "new", "--out")
    assert (Path("a").read_text(), there()) == ("old", ["a"])

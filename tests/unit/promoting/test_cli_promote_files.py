"""`lrsweep promote --to FILE`: what cannot be written is refused before the work; else it is the row's text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.promoted import Begin, OnTestSet, reads, rows


@pytest.mark.parametrize("file", [".", "home", "taken/quick.json", "../no/such/quick.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_test_set_is_read(
    begin: Begin, tmp_path: Path, executor: type[OnTestSet], file: str
) -> None:
    """A read cannot be taken back, and nothing is promoted."""
    run = begin()
    Path("taken").write_text("a file")
    ran = run("promote", "quick", "--to", file)
    assert ran.code == 64
    assert f"--to {file}" in ran.err
    assert (rows(tmp_path), reads(tmp_path), executor.made) == ([], 0, 0)


@pytest.mark.parametrize(
    ("file", "instead"),
    [("quick.yaml", "quick.json"), ("schedules/quick.py", "schedules/quick.json"), ("py", "py.json")],
)
def test_a_file_of_another_kind_is_refused(begin: Begin, tmp_path: Path, file: str, instead: str) -> None:
    """JSON in a file that is called otherwise misleads whoever opens it; a pipe may be called as it likes."""
    run = begin()
    ran = run("promote", "quick", "--no-test", "--to", file)
    assert (ran.code, rows(tmp_path), Path(file).exists()) == (64, [], False)
    assert (
        f"--to is {file!r}, and the choice is written as JSON; wanted a name that ends in .json, such as {instead}."
        in ran.err
    )
    assert run("promote", "quick", "--no-test", "--to", "/dev/null").code == 0
    assert run("promote", "quick", "--no-test", "--to", "quick.JSON").code == 0


def test_a_file_that_turns_out_unwritable_comes_after_the_row(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion is in force, and the error says so; nothing half-written is left beside."""
    run = begin()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        ran = run("promote", "quick", "--no-test", "--to", "quick.json")
    assert ran.code == 64
    assert "the choice is promoted, but --to quick.json: cannot be written (No space left on device)" in ran.err
    assert len(rows(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert run("promote", "quick", "--no-test", "--to", "quick.json").code == 0
    assert Path("quick.json").read_text() == rows(tmp_path)[0].choice


def test_a_file_that_says_the_same_is_left_alone(begin: Begin) -> None:
    """Byte for byte, and not even touched, so that git sees no change."""
    run = begin()
    file = Path("quick.json")
    assert run("promote", "quick", "--no-test", "--to", str(file)).code == 0
    before = (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino)
    assert run("promote", "quick", "--no-test", "--to", str(file)).code == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) == before

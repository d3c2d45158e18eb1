"""`lrsweep report`: what it writes where, and what it refuses."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest

from tests.looked import Typed, in_a_home, typed
from tests.reported import WITH_FINALS, noisy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a sweep that MLflow was never told of."""
    return in_a_home(tmp_path_factory.mktemp("home"), WITH_FINALS, noisy)


@pytest.fixture
def run(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, home, {})


def test_the_page_is_written_beside_and_named_after_the_study(run: Typed) -> None:
    """With a sentence that says where; readable as other files are."""
    ran = run("report", "quick")
    assert (ran.code, ran.out) == (0, "the report is in quick-report.html\n")
    assert "MLflow has no run of this sweep" in ran.err
    text = Path("quick-report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(Path("quick-report.html").stat().st_mode) == 0o666 & ~mask


def test_out_names_another_file_and_writes_over_it(run: Typed) -> None:
    """Nothing is left beside it."""
    Path("page.html").write_text("before", encoding="utf-8")
    assert run("report", "quick", "--out", "page.html", "--no-mlflow").err == ""
    assert "<h1>quick</h1>" in Path("page.html").read_text(encoding="utf-8")
    assert os.listdir() == ["page.html"]  # noqa: PTH208 (of the working folder)


def test_markdown_goes_to_standard_output_or_to_a_file(run: Typed) -> None:
    """The same text; no page is written."""
    shown = run("report", "quick", "--markdown")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("# quick: proven\n")
    assert "## Finalists" in shown.out
    assert run("report", "quick", "--markdown", "--out", "r.md").out == "the report is in r.md\n"
    body = [text.rpartition("\n\n*Made")[0] for text in (shown.out, Path("r.md").read_text(encoding="utf-8"))]
    assert body[0] == body[1]
    assert os.listdir() == ["r.md"]  # noqa: PTH208 (of the working folder)


def test_json_is_one_object_with_the_choice_and_the_file(run: Typed) -> None:
    """For programs: what the page tells but its curves."""
    ran = run("report", "quick", "--json", "--no-mlflow")
    found = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    assert (found["file"], found["is_in_mlflow"]) == ("quick-report.html", False)
    assert (found["choice"]["winner"], found["state"]) == ("cosine", "unfinished")
    assert {"families", "importance", "rungs", "cost", "divergences", "provenance", "use"} <= set(found)


def test_open_shows_the_page_in_a_browser(run: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its address; where there is no browser, that is said."""
    opened: list[str] = []

    def without_browser(address: str) -> bool:
        opened.append(address)
        return False

    monkeypatch.setattr(webbrowser, "open", without_browser)
    ran = run("report", "quick", "--open", "--no-mlflow")
    assert opened == [(tmp_path / "quick-report.html").as_uri()]
    assert "there is no browser here that could be opened" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quik",), "there are no results of a study 'quik'. Did you mean 'quick'?"),
        (("quick", "--out", "."), "--out . is a folder; wanted a file"),
        (("quick", "--out", "../no/r.html"), "there is no folder ../no; make it, or name a file in another one."),
        (("quick", "--markdown", "--out", "../no/r.md"), "--out ../no/r.md: there is no folder ../no; make it"),
        (("quick", "--markdown", "--open"), "--markdown and --open are both given"),
        (("quick", "--markdown", "--json"), "--markdown and --json are both given"),
    ],
)
def test_what_cannot_be_written_is_refused(run: Typed, words: tuple[str, ...], said: str) -> None:
    """With what was given, and what to do; nothing is left behind."""
    ran = run("report", *words)
    assert ran.code == 64
    assert said in ran.err
    assert os.listdir() == []  # noqa: PTH208 (of the working folder)


def test_neither_torch_nor_mlflow_is_loaded_without_mlflow(home: Path, tmp_path: Path) -> None:
    """A report is made on any machine that has the results."""
    code = (
        "import sys\nfrom lrsweep.cli.main import app\n"
        "app(['report', 'quick', '--no-mlflow'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'mlflow') if name in sys.modules])"
    )
    environ = {**os.environ, "LRSWEEP_HOME": str(home)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert ran.stdout.splitlines()[-1:] == ["[]"], ran.stderr

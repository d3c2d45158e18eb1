"""`lrsweep choose` as the README shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from typer.main import get_command

from lrsweep.cli.choosing.table import NEEDED, OPTIONAL
from lrsweep.cli.main import app
from lrsweep.selection.deciding import Evidence
from tests.looked import Typed, typed


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, tmp_path / "home", {})


REPOSITORY = Path(__file__).parents[2]


def test_the_readmes_example_is_what_the_command_prints(
    run: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole output, of the table that lies beside the tests."""
    monkeypatch.setenv("COLUMNS", "100")
    table = REPOSITORY / "tests" / "fixtures" / "choose" / "next-character.csv"
    ran = run("choose", "--from", str(table), "--baseline", "cosine")
    printed = "".join(f"{line.rstrip()}\n" for line in ran.out.splitlines())
    assert printed in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_option_and_every_column() -> None:
    """In its own section."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## Which schedule should I use?") :].split("\n## ")[0]
    options = {word for each in app_options("choose") for word in each.opts if word.startswith("--")}
    assert {option for option in options if f"`{option}" not in section and f" {option} " not in section} <= {"--help"}
    assert {column for column in (*NEEDED, *OPTIONAL) if f"| `{column}` |" not in section} == set()
    assert {word.value for word in Evidence if f"`{word.value}`" not in section} == set()


def app_options(command: str) -> Sequence[Any]:
    found: Sequence[Any] = cast(Any, get_command(app)).commands[command].params
    return found

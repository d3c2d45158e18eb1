"""What a user can type, set or import is documented, and what is documented exists."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import lrsweep
from lrsweep.cli.main import app
from lrsweep.schedules import family as schedule_class
from lrsweep.schedules.base import shared_names
from tests.checks import families_table

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
READMES = [
    path.relative_to(REPOSITORY)
    for path in (REPOSITORY / "README.md", *sorted(REPOSITORY.glob("[a-z]*/**/README.md")))  # not those in .venv
]
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


@cache
def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by the words one types after ``lrsweep``."""
    return dict(_below("", get_command(app)))


def _below(name: str, command: object) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    if isinstance(command, typer.core.TyperGroup):
        for word, inner in command.commands.items():
            yield from _below(f"{name} {word}".strip(), inner)
    elif isinstance(command, typer.core.TyperCommand):
        yield name, command


def environment_variables(source: str) -> set[str]:
    """The variables that a module names in string constants of their own, as in ``HOME = "LRSWEEP_HOME"``."""
    constants = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    return {
        value for value in constants if isinstance(value, str) and re.fullmatch(r"(LRSWEEP|MLFLOW)(_[A-Z]+)+", value)
    }


VARIABLES = sorted(environment_variables((REPOSITORY / "lrsweep" / "settings.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    """The README shows each command as one types it."""
    assert f"lrsweep {command}" in README


@pytest.mark.parametrize("command", commands())
def test_every_command_and_each_of_its_options_explains_itself(command: str) -> None:
    """``--help`` has a sentence for the command and one for everything that it takes."""
    assert commands()[command].help
    silent = [parameter.name for parameter in commands()[command].params if not getattr(parameter, "help", None)]
    assert silent == []


@pytest.mark.parametrize("name", lrsweep.__all__)
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    """What ``lrsweep.__all__`` lists can be imported, and ``help()`` shows a docstring of its own."""
    value = getattr(lrsweep, name)
    if name != "__version__":
        assert vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)


@pytest.mark.parametrize("family", lrsweep.family_names())
def test_every_schedule_family_is_in_the_readme(family: str) -> None:
    """A family that can be picked by name is named, in code type."""
    assert f"`{family}`" in README


@pytest.mark.parametrize("family", lrsweep.family_names())
def test_the_readme_has_each_familys_formula_and_settings(family: str) -> None:
    """Its row is what the family says of itself: `python -m tests.checks.families_table` prints them all."""
    assert families_table.row(schedule_class(family)) in README.splitlines()


@pytest.mark.parametrize("shared", sorted(shared_names()))
def test_every_setting_that_all_families_have_is_in_the_readme(shared: str) -> None:
    """Warm-up, hold, floor and noise are named, in code type."""
    assert f"`{shared}`" in README


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_environment_variable_is_in_the_readme(variable: str) -> None:
    """A variable that changes what lrsweep does is documented."""
    assert f"`{variable}`" in README


def test_the_environment_variables_are_found_in_the_settings() -> None:
    """The check itself: the settings name at least the two variables that a user needs, and prose is not read."""
    assert {"LRSWEEP_HOME", "LRSWEEP_DATABASE_URL"} <= set(VARIABLES)
    assert environment_variables('"LRSWEEP_A_B"; "set LRSWEEP_C"; "OTHER_D"; LRSWEEP_E = 1') == {"LRSWEEP_A_B"}


def test_the_readme_names_only_commands_that_exist() -> None:
    """Neither ``lrsweep COMMAND`` nor ``make TARGET`` in the README is stale."""
    # At the start of a line or of code type, with variables before and a path in front: prose also says `lrsweep`.
    place = r"(?:^|`)\s*(?:[A-Z_]+=\S+ )*"
    typed = set(re.findall(place + r"(?:\S*/)?lrsweep ([a-z-]+)", README, re.M))
    assert typed <= {command.split()[0] for command in commands()}
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(place + r"make ([a-z]+)", README, re.M)) <= targets


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_a_readme_links_to_files_that_exist(readme: Path) -> None:
    """A relative link or picture leads to a file, seen from the README that has it."""
    text = (REPOSITORY / readme).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
    assert [target for target in targets if not (REPOSITORY / readme.parent / target).exists()] == []


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_a_readme_has_no_gap_that_waits_to_be_filled(readme: Path) -> None:
    """A figure that is still to be measured stands as ``@@NAME@@`` until it is there."""
    assert re.findall(r".*@@.*", (REPOSITORY / readme).read_text(encoding="utf-8")) == []


def test_the_readmes_tree_has_every_part_of_the_package() -> None:
    """Each folder and module of ``lrsweep/`` stands in it, and nothing else that begins a line does."""
    tree = README[README.index("```\nlrsweep/\n") :].split("```")[1]
    parts = {path.name for path in (REPOSITORY / "lrsweep").glob("[a-z]*") if path.suffix in ("", ".py")}
    assert {part for part in parts if not re.search(rf"\b{re.escape(part)}(?!\w)", tree)} == set()
    assert set(re.findall(r"^  (\w[\w.]*)", tree, re.M)) <= parts


def test_the_examples_in_the_readme_run() -> None:
    """Every ``>>>`` in the README gives what is written below it."""
    # Fences would be read as expected output.
    text = re.sub(r"^```.*$", "", README, flags=re.M)
    example = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed == 0


def test_the_changelog_begins_with_this_version() -> None:
    """A version comes with an entry for its users."""
    headings = re.findall(r"^## (\S+)", CHANGELOG, re.M)
    assert headings[0] == lrsweep.__version__

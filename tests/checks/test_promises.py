"""What the README promises about faults has a test for each line, and the test is there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from tests.chaos.monkey.figures import RESULTS, quoted
from tests.chaos.monkey.plan import DECKS

TESTS = Path(__file__).parents[1]
README = (TESTS.parent / "README.md").read_text(encoding="utf-8")
SECTION = "## What is promised"
NAMED = re.compile(r"`((?:\w+/)+test_\w+\.py)::(\w+)`")
MOST_KINDS = 10
BY_HAND = "`make chaos`"


def promised() -> list[str]:
    """The lines of the table, without its head."""
    _, found, rest = README.partition(f"\n{SECTION}\n")
    assert found, f"the README has no {SECTION!r}"
    return [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")][2:]


def test_every_promise_names_a_test_that_exists() -> None:
    """By its file and its name; the random kills are no test of pytest's."""
    lines = promised()
    assert len(lines) >= 20
    for line in lines:
        named = NAMED.search(line)
        if named is None:
            assert BY_HAND in line, f"no test is named: {line}"
            continue
        file, name = named.groups()
        tests = [node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)]
        assert name in tests, f"tests/{file} has no {name}"
        if file.startswith("chaos/"):  # those of `make chaos` alone are marked as such
            assert (_is_slow(file, name)) == line.rstrip(" |").endswith("*"), line


def test_the_longest_run_of_the_monkey_is_quoted_as_it_was() -> None:
    """The README has one sentence for each executor, made of ``chaos/results/monkey.json``: 200 trials and more, every
    round whole, every training compared, and most kinds of fault."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert "local" in found
    for executor, run in found.items():
        assert quoted(run) in README, f"the README does not say: {quoted(run)}"
        assert run["executor"] == executor
        assert run["whole"] == run["rounds"]
        assert run["trials"] >= 200
        assert sum(run["compared"].values()) == run["trainings"]
        assert len(run["faults_by_kind"].keys() & {kind.value for kind in DECKS[executor]}) >= MOST_KINDS
        assert sum(run["faults_by_kind"].values()) == run["faults"]


def _is_slow(file: str, name: str) -> bool:
    tree = ast.parse((TESTS / file).read_text())
    marked = any(ast.unparse(node) == "pytestmark = pytest.mark.chaos" for node in tree.body)
    [test] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return marked or any(ast.unparse(each) == "pytest.mark.chaos" for each in test.decorator_list)

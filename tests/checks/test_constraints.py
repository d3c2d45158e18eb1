"""constraints.txt: exact, complete, and in agreement with pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checks import pins

REPOSITORY = Path(__file__).parents[2]
CONSTRAINTS = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    Requirement(line)
    for line in [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
]


def test_constraints_are_sorted_names_with_exact_versions_and_nothing_else() -> None:
    """The file is what its own program would write: no URL, no range, no line for lrsweep."""
    written = pins.from_text(CONSTRAINTS)
    assert pins.to_text(written) == CONSTRAINTS
    assert "lrsweep" not in written


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_every_declared_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    """A dependency or an extra that pyproject.toml names has a pin, and the pin is a version that it allows."""
    version = pins.from_text(CONSTRAINTS).get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} has no line in constraints.txt: run `make constraints`"
    assert version in requirement.specifier


def test_a_line_that_is_not_an_exact_version_is_refused() -> None:
    """A range or a file address cannot slip in by hand."""
    for line in ("numpy>=2", "torch @ file:///somewhere/torch.whl", "-e ."):
        with pytest.raises(ValueError, match="is not NAME==VERSION; run `make constraints`"):
            pins.from_text(line)


def test_pins_are_read_from_what_pip_reports() -> None:
    """Names are normalised, and the project itself is left out."""
    report = {
        "install": [
            {"metadata": {"name": "Flask_Cors", "version": "6.0.5"}},
            {"metadata": {"name": "lrsweep", "version": "0.1.0"}},
        ]
    }
    assert pins.pins_of(report, without="lrsweep") == {"flask-cors": "6.0.5"}

"""What a user installs with lrsweep is permissively licensed, or accepted by name for a reason."""

from __future__ import annotations

import pytest

from tests.checks.licences import EXCEPTIONS, Package, installed_packages, is_permissive, licence_of

PACKAGES = installed_packages()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_runtime_dependency_has_an_accepted_licence(package: Package) -> None:
    """An unknown or copyleft licence anywhere in the closure fails by the package's name."""
    assert package.accepted, f"{package.name} {package.version}: {package.licence or 'no licence stated'}"


def test_the_closure_reaches_the_dependencies_of_dependencies_and_of_extras() -> None:
    """Flask comes with MLflow, and psycopg-binary only with psycopg's extra."""
    names = {package.name for package in PACKAGES}
    assert {"torch", "mlflow", "flask", "psycopg-binary"} <= names
    assert not names & {"pytest", "mypy", "ruff"}


def test_no_exception_outlives_its_package() -> None:
    """Each exception is for a package that is installed and whose licence needs one (CUDA comes to Linux alone)."""
    needed = {package.name for package in PACKAGES if not is_permissive(package.licence)}
    assert set(EXCEPTIONS) - needed <= {"cuda-toolkit"}


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "Proprietary", ""])
def test_a_licence_that_is_not_permissive_is_refused(licence: str) -> None:
    """Copyleft, proprietary and unstated licences are refused for a package that no exception names."""
    assert not Package("somebody", "1.0", licence).accepted


def test_several_classifiers_are_a_choice() -> None:
    """A dual-licensed package is accepted for its permissive half."""
    classifiers = [
        "License :: OSI Approved :: BSD License",
        "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)",
    ]
    assert licence_of("", classifiers, "Dual License") == "BSD OR MPL-2.0"
    assert is_permissive("BSD OR MPL-2.0")

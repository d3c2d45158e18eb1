"""The wheel, installed outside the checkout: it is whole, and it runs where the repository is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import lrsweep

REPOSITORY = Path(__file__).parents[2]

STUDY = """
[study]
name = "abroad"
workload = "digits"
horizon = 30

[space]
families = ["linear"]
optimizers = ["sgd"]

[budget]
trials = 1
"""


def run(*command: str | Path, folder: Path, home: Path | None = None) -> str:
    """What the command writes to standard output; it must succeed."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if home is not None:
        environ["LRSWEEP_HOME"] = str(home)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; what builds it is installed already, so that nothing is fetched."""
    target = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target)]
    run(sys.executable, "-m", "pip", "wheel", *options, REPOSITORY, folder=target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a new environment that holds the wheel and borrows its dependencies from this one.

    A folder named by a .pth file is searched, but the .pth files in it are not read: the checkout stays invisible.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, folder=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(borrowed))
    return python.parent


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    """Code, ``py.typed``, migrations and the demo's study; no test, no study of ours, no cache."""
    files = {path for path in (REPOSITORY / "lrsweep").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {path.relative_to(REPOSITORY).as_posix() for path in files}
    assert {"lrsweep/py.typed", "lrsweep/cli/demo.toml", "lrsweep/store/migrations/env.py"} <= names
    assert any(name.startswith("lrsweep/store/migrations/versions/") for name in names)


def test_the_wheel_carries_its_licence_and_its_readme(wheel: Path) -> None:
    """Apache-2.0 by name and in full, and the README as the long description."""
    with zipfile.ZipFile(wheel) as archive:
        about = f"lrsweep-{lrsweep.__version__}.dist-info"
        text = archive.read(f"{about}/METADATA").decode()
        assert archive.read(f"{about}/licenses/LICENSE") == (REPOSITORY / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in text.splitlines()
    assert (REPOSITORY / "README.md").read_text(encoding="utf-8").strip() in text


def test_the_installed_command_is_the_wheel_and_not_the_checkout(elsewhere: Path, tmp_path: Path) -> None:
    """``lrsweep --version`` runs from a foreign folder, with the code that the wheel brought."""
    assert run(elsewhere / "lrsweep", "--version", folder=tmp_path).strip() == f"lrsweep {lrsweep.__version__}"
    home = run(elsewhere / "python", "-c", "import lrsweep; print(lrsweep.__file__)", folder=tmp_path).strip()
    assert Path(home).is_relative_to(elsewhere.parent)


def test_a_study_runs_where_the_repository_is_not(elsewhere: Path, tmp_path: Path) -> None:
    """One small trial from end to end: engine, store with its migrations, MLflow and the JSON line."""
    (tmp_path / "abroad.toml").write_text(STUDY)
    home = tmp_path / "results"
    output = run(elsewhere / "lrsweep", "run", "abroad.toml", "--json", folder=tmp_path, home=home)
    result = json.loads(output.splitlines()[-1])
    assert (result["study"], result["trials"], result["home"]) == ("abroad", 1, str(home))
    assert result["best"]
    assert (home / "results.db").exists()

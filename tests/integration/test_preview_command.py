"""``lrsweep families`` and ``lrsweep preview`` as a person or a program types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lrsweep
from tests.commands import lrsweep as run

LARGE = {"alembic", "mlflow", "optuna", "scipy", "sklearn", "sqlalchemy", "torch"}


def modules_after(*arguments: str, folder: Path) -> set[str]:
    """The top-level modules that the command has loaded when it ends."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr))\n"
        f"sys.argv = {['lrsweep', *arguments]!r}\n"
        "from lrsweep.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_looking_at_schedules_loads_neither_torch_nor_a_database(tmp_path: Path) -> None:
    """The commands start at once; the picture alone needs matplotlib."""
    for arguments in (("families",), ("families", "--json"), ("preview",), ("preview", "plateau", "--json")):
        assert not modules_after(*arguments, folder=tmp_path) & (LARGE | {"matplotlib"})
    loaded = modules_after("preview", "--png", "a.png", folder=tmp_path)
    assert not loaded & LARGE
    assert "matplotlib" in loaded


def test_families_as_json_is_one_array_and_nothing_else(tmp_path: Path) -> None:
    """Its names are what ``lrsweep.schedule`` takes."""
    ran = run("families", "--json", home=tmp_path / "home")
    assert (ran.code, ran.err) == (0, "")
    assert [one["name"] for one in json.loads(ran.out)] == list(lrsweep.family_names())


def test_a_preview_as_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    """The rates are exact."""
    ran = run("preview", "cosine", "--steps", "5", "--peak-lr", "0.3", "--json", home=tmp_path / "home")
    assert (ran.code, ran.err) == (0, "")
    [found] = json.loads(ran.out)["schedules"]
    assert found["rates"] == lrsweep.schedule("cosine").rates(5, 0.3).tolist()


def test_a_picture_lies_where_it_was_asked_for(tmp_path: Path) -> None:
    """And standard output says where; nothing else is made."""
    ran = run("preview", "cosine", "wsd", "--png", "two.png", home=tmp_path / "home")
    assert (ran.code, ran.out, ran.err) == (0, "2 schedules, 1,000 steps: two.png\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["two.png"]


def test_what_is_wrong_has_the_exit_code_of_wrong_input(tmp_path: Path) -> None:
    """64, a sentence on standard error, and nothing on standard output, whatever is wrong."""
    wrong = [
        ("families", "cosin"),
        ("preview", "cosin"),
        ("preview", "none.json"),
        ("preview", "cosine", "--set", "floor=2"),
        ("preview", "cosine", "--steps", "0"),
        ("preview", "cosine", "--steps", "many"),
        ("preview", "cosine", "--png", "a.svg"),
        ("preview", "cosine", "--png", "no/a.png"),
        ("preview", "cosine", "--png", "a.png", "--json"),
    ]
    for arguments in wrong:
        ran = run(*arguments, home=tmp_path / "home")
        assert (arguments, ran.code, ran.out) == (arguments, 64, "")
        assert ran.err
        assert "Traceback" not in ran.err


def test_a_schedule_can_come_through_a_pipe(tmp_path: Path) -> None:
    """``-`` is standard input."""
    text = lrsweep.schedule("wsd", cooldown=0.5).to_json()
    command = [sys.executable, "-m", "lrsweep.cli", "preview", "-", "linear", "--steps", "4", "--json"]
    done = subprocess.run(command, cwd=tmp_path, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one["rates"] for one in json.loads(done.stdout)["schedules"]}
    assert found == {"standard input": [1.0, 1.0, 1.0, 0.5], "linear": [1.0, 0.75, 0.5, 0.25]}


def test_a_function_of_the_current_folder_is_found_only_when_code_is_allowed(tmp_path: Path) -> None:
    """Without ``--allow-code`` the module is not even imported."""
    (tmp_path / "mine.py").write_text("open('imported', 'w').close()\ndef half(progress):\n    return 0.5\n")
    arguments = ("preview", "function", "--set", "path=mine:half", "--steps", "2", "--json")
    assert run(*arguments, home=tmp_path / "home").code == 64
    assert not (tmp_path / "imported").exists()
    ran = run(*arguments, "--allow-code", home=tmp_path / "home")
    assert json.loads(ran.out)["schedules"][0]["rates"] == [0.5, 0.5]


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    """As in ``lrsweep families | head -1``: no traceback."""
    command = f"'{sys.executable}' -m lrsweep.cli families | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("constant  time-driven, simplicity 0\n", "")

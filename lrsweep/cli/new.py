"""``lrsweep new``: files to begin with, written where nothing is yet."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from lrsweep.errors import SettingsError

TEMPLATE = "template.py.txt"


def write_workload(path: Path) -> str:
    """Writes the template, and says what to do next. A file that exists is left alone."""
    if path.suffix != ".py":
        raise SettingsError(f"{path}: a workload is Python; wanted a name that ends in .py")
    text = resources.files("lrsweep.workloads").joinpath(TEMPLATE).read_text(encoding="utf-8")
    text = text.replace("FILE.py", path.as_posix())
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SettingsError(f"{path} is there already, and is left as it is; give another name") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); wanted a place that can") from error
    return next_steps(path, class_in(text))


def class_in(template: str) -> str:
    """The name of the workload that a template defines."""
    found = re.search(r"^class (\w+)\(Workload\)", template, re.MULTILINE)
    assert found is not None
    return found[1]


def next_steps(path: Path, name: str) -> str:
    given = f"{path.as_posix()}:{name}"
    return f"""\
{path}: a workload that trains as it is. Put your model and data in, then

    lrsweep check-workload {given}
    lrsweep range {given}

and in a study file

    [study]
    name = "{path.stem.replace("_", "-")}"
    workload = "{given}"
    [budget]
    trials = 40"""

"""Exact versions: ``constraints.txt`` from what pip resolves. Run by ``make constraints``::

pip install --dry-run --ignore-installed --report REPORT '.[dev,nightly,peers,ray,service]'
python -m tests.checks.pins REPORT constraints.txt
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

HEADER = """\
# The exact versions that `make install` takes; tests have passed with them. A constraint installs nothing by itself, so
# a line for another platform does no harm, and a package that only another platform needs is free.
# Made by `make constraints`, which takes the newest versions that pyproject.toml and its extras allow: run it, then
# `make test`. torch and torchvision must stay a pair that was released together.
"""


def pins_of(report: Mapping[str, Any], *, without: str) -> dict[str, str]:
    """Name to version of all that pip's installation report would install, except the project itself."""
    packages = [item["metadata"] for item in report["install"]]
    return {
        canonicalize_name(package["name"]): package["version"]
        for package in packages
        if canonicalize_name(package["name"]) != without
    }


def to_text(pins: Mapping[str, str]) -> str:
    return HEADER + "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def from_text(text: str) -> dict[str, str]:
    """What ``to_text`` wrote. Raises ValueError for a line that is neither a pin nor a comment."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, separator, version = line.partition("==")
        if not separator or " " in line or not version[:1].isdigit():
            raise ValueError(f"{line!r} is not NAME==VERSION; run `make constraints`")
        pins[name] = version
    return pins


def main(report: str, target: str) -> None:
    pins = pins_of(json.loads(Path(report).read_text(encoding="utf-8")), without="lrsweep")
    Path(target).write_text(to_text(pins), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

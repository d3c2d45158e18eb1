"""The licence of every package that a user of lrsweep installs: ``make licences`` prints the table.

The closure starts at the dependencies in pyproject.toml and follows what each installed package asks for on this
platform. A package says its licence in up to three places; the first that says anything counts: the SPDX expression,
the trove classifiers, the free text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]

PERMISSIVE = frozenset(
    {
        "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
        "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip
"""SPDX names, and BSD where a package does not say which."""

NVIDIA = "NVIDIA's own terms: torch asks for it on Linux; free of charge, not open source; lrsweep ships none of it"
EXCEPTIONS: Mapping[str, str] = {
    "certifi": "MPL-2.0: holds for changes to its own files, and there are none",
    "cuda-toolkit": NVIDIA,
    "huey": "no licence in its metadata; the file it ships is MIT",
    "psycopg": "LGPL-3.0: imported as a package of its own, which a user may replace",
    "psycopg-binary": "LGPL-3.0: as psycopg",
    "skops": "its metadata says `OSI Approved` alone; the file it ships is MIT",
    "tqdm": "MPL-2.0 AND MIT: holds for changes to its own files, and there are none",
}
"""Packages that are accepted by name, each with the reason; ``nvidia-…`` is accepted as a family (``NVIDIA``)."""

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
FREE_TEXT = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT license": "MIT",
}


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    licence: str
    """an SPDX expression, or what else the package says; empty where it says nothing"""

    @property
    def exception(self) -> str | None:
        """Why this package is accepted by name, or None where its licence speaks for itself."""
        return NVIDIA if self.name.startswith("nvidia-") else EXCEPTIONS.get(self.name)

    @property
    def accepted(self) -> bool:
        return is_permissive(self.licence) or self.exception is not None


def is_permissive(expression: str) -> bool:
    """Whether every part of a conjunction leaves a permissive choice.

    >>> is_permissive("Apache-2.0 OR GPL-3.0-only"), is_permissive("MIT AND (GPL-2.0-only OR BSD-3-Clause)")
    (True, True)
    >>> is_permissive("MIT AND GPL-3.0-only"), is_permissive("")
    (False, False)
    """
    parts = re.split(r" AND (?![^(]*\))", expression)
    return all(any(choice.strip("() ") in PERMISSIVE for choice in part.split(" OR ")) for part in parts)


def licence_of(expression: str, classifiers: Iterable[str], text: str) -> str:
    """The licence that a package's metadata states, as an SPDX expression where it can be read as one.

    >>> licence_of("", ["License :: OSI Approved :: BSD License"], "BSD-3-Clause")
    'BSD'
    >>> licence_of("", [], "Apache 2.0")
    'Apache-2.0'
    """
    if expression:
        return expression
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    if any(name in CLASSIFIERS for name in named):
        # Several classifiers mean a choice: `Dual License` packages list both.
        return " OR ".join(sorted({CLASSIFIERS.get(name, name) for name in named}))
    first_line = text.strip().partition("\n")[0]
    return FREE_TEXT.get(first_line, first_line) or " OR ".join(named)


def runtime_closure(project: Mapping[str, Iterable[str]]) -> list[Package]:
    """Every package that the project's dependencies bring in here, by name.

    Raises metadata.PackageNotFoundError for one that is asked for and not installed.
    """
    waiting = [(Requirement(line), "") for line in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, parent_extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": parent_extra}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {known for package, known in seen if package == name}:
            seen.add((name, extra))
            waiting += [(Requirement(line), extra) for line in metadata.requires(name) or []]
    return [_package(name) for name in sorted({name for name, _ in seen})]


def _package(name: str) -> Package:
    about = metadata.metadata(name)

    def lines(field: str) -> list[str]:
        return about.get_all(field) or []

    licence = licence_of("".join(lines("License-Expression")), lines("Classifier"), "".join(lines("License")))
    return Package(name, about["Version"], licence)


def installed_packages() -> list[Package]:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return runtime_closure(pyproject["project"])


def main() -> int:
    packages = installed_packages()
    for package in packages:
        mark = " " if package.accepted else "!"
        print(f"{mark} {package.name:30} {package.version:16} {package.exception or package.licence or 'not stated'}")
    refused = sum(not package.accepted for package in packages)
    print(f"{len(packages)} packages, {refused} with a licence that tests/checks/licences.py does not accept")
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())

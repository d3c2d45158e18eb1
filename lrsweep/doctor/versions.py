"""Are the packages there, in versions that we support? By lrsweep's own metadata, so that nothing can drift."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.engines.probing import TorchProbed
from lrsweep.engines.versions import version_of

AREA = "versions"
OLDEST_PYTHON = (3, 11)
SHOWN = ("torch", "torchvision", "optuna", "mlflow", "sqlalchemy", "psycopg", "numpy")

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?P<limits>[<>=!~][^;]*)?(?P<rest>;.*)?$")


@dataclass(frozen=True)
class Wanted:
    at_least: str | None = None
    below: str | None = None

    def __str__(self) -> str:
        limits = [f">= {self.at_least}" if self.at_least else "", f"< {self.below}" if self.below else ""]
        return " and ".join(limit for limit in limits if limit)

    def takes(self, version: str) -> bool:
        found = numbers(version)
        low = self.at_least is None or found >= numbers(self.at_least)
        return low and (self.below is None or found < numbers(self.below))


def check_versions(torch: TorchProbed) -> list[Finding]:
    """``torch``: what importing PyTorch has shown; its metadata alone would not say that it does not import."""
    found = [_python()]
    wanted = wanted_of(metadata.requires("lrsweep") or []) if version_of("lrsweep") else {}
    if not wanted:
        remedy = "Nothing to do if it runs from a checkout; else install it: pip install lrsweep"
        found.append(warning(AREA, "lrsweep is not installed, so which versions it supports is unknown", remedy))
    for name in dict.fromkeys([*SHOWN, *wanted]):
        finding = _package(name, wanted.get(name, Wanted()))
        if finding is not None and (name in SHOWN or finding.remedy):
            found.append(finding)
    if torch.error is not None:
        found.append(fault(AREA, f"PyTorch cannot be imported: {torch.error}", "Install it anew: pip install torch"))
    elif torch.torchvision_error is not None:
        found.append(
            fault(
                AREA,
                f"torchvision cannot be imported: {torch.torchvision_error}",
                "Its build belongs to another PyTorch: install both from one index, pip install --force-reinstall "
                "torch torchvision",
            )
        )
    return found


def wanted_of(requirements: list[str]) -> Mapping[str, Wanted]:
    """By package; what only an extra asks for is left out.

    >>> wanted_of(["mlflow<4,>=3.17", "psycopg[binary]>=3.2", "ray>=2; extra == 'ray'"])
    {'mlflow': Wanted(at_least='3.17', below='4'), 'psycopg': Wanted(at_least='3.2', below=None)}
    """
    found = {}
    for text in requirements:
        parts = _REQUIREMENT.match(text)
        if parts is None or "extra ==" in (parts["rest"] or ""):
            continue
        limits = dict(re.findall(r"(>=|<)\s*([0-9][\w.]*)", parts["limits"] or ""))
        found[parts["name"]] = Wanted(limits.get(">="), limits.get("<"))
    return found


def numbers(version: str) -> tuple[int, ...]:
    """For comparing: what follows the numbers (`rc1`, `+cpu`) is left out.

    >>> numbers("2.15.0+cpu") >= numbers("2.9"), numbers("3.9") < numbers("3.17")
    (True, True)
    """
    leading = re.match(r"[0-9.]*", version)
    assert leading is not None
    return tuple(int(part) for part in leading[0].split(".") if part)


def _python() -> Finding:
    said = f"Python {platform.python_version()}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return fault(AREA, said, f"lrsweep needs Python >= {'.'.join(map(str, OLDEST_PYTHON))}")
    return ok(AREA, said)


def _package(name: str, wanted: Wanted) -> Finding | None:
    version = version_of(name)
    if version is None:
        return fault(AREA, f"{name} is not installed", f"pip install {name!r}") if str(wanted) else None
    if not wanted.takes(version):
        limits = str(wanted).replace(" and ", ",").replace(" ", "")
        return fault(AREA, f"{name} {version}, but lrsweep needs {wanted}", f"pip install '{name}{limits}'")
    return ok(AREA, f"{name} {version}")

"""Plan files for tests of scripts, and what a script has reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lrsweep
from lrsweep.scripts.plan_file import VARIABLE, PlanFile, write_plan_file
from lrsweep.scripts.reports import Line, from_line


def plan_in(folder: Path, **changes: Any) -> PlanFile:
    """A plan of 8 updates of a linear schedule with peak 0.8: the rates are 0.8, 0.7, 0.6, …"""
    values: dict[str, Any] = {
        "training_id": "t",
        "schedule": lrsweep.schedule("linear"),
        "peak_lr": 0.8,
        "total_steps": 8,
        "seed": 7,
    }
    plan = PlanFile(folder=folder / "training", **(values | changes))
    write_plan_file(plan)
    return plan


def in_sweep(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: Any) -> PlanFile:
    """The same, and this process is a script in a sweep."""
    plan = plan_in(folder, **changes)
    monkeypatch.setenv(VARIABLE, str(plan.folder / "plan.json"))
    return plan


def said(plan: PlanFile) -> list[Line | None]:
    """Every line of the reports; None for one that says nothing."""
    if not plan.reports.exists():
        return []
    return [from_line(line) for line in plan.reports.read_text().splitlines()]

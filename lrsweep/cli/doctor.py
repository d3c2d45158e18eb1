"""How the doctor's findings read in a terminal: ``lrsweep doctor``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from lrsweep.doctor import Finding, Level
from lrsweep.errors import SweepFailed
from lrsweep.records import Json

MARKS = {Level.OK: "[green]ok[/]     ", Level.WARNING: "[yellow]warning[/]", Level.FAULT: "[bold red]FAULT[/]  "}


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """By area, in their order; under each that is not well, what to do."""
    for area in dict.fromkeys(each.area for each in findings):
        console.print(f"[bold]{escape(area)}[/]", highlight=False)
        for each in findings:
            if each.area == area:
                console.print(f"  {MARKS[each.level]} {escape(each.found)}", highlight=False, soft_wrap=True)
                if each.remedy is not None:
                    console.print(f"          {escape(each.remedy)}", style="dim", highlight=False, soft_wrap=True)


def findings_json(findings: Sequence[Finding]) -> dict[str, Json]:
    counts = {level.value: sum(each.level is level for each in findings) for level in Level}
    return {**counts, "findings": [each.to_json() for each in findings]}


def refuse_faults(findings: Sequence[Finding]) -> None:
    """Raises SweepFailed, exit code 70, where a sweep would not run."""
    faults = sum(each.level is Level.FAULT for each in findings)
    if faults:
        raise SweepFailed(f"{faults} {'fault' if faults == 1 else 'faults'}: the lines above say what to do")

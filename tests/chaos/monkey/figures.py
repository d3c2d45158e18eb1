"""What a run of the monkey's came to, as data that the README quotes."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tests.benchmarks.sweep.machine import machine, versions
from tests.chaos.monkey.plan import tally
from tests.chaos.monkey.round import Told, counted

RESULTS = Path(__file__).parents[1] / "results" / "monkey.json"


def figures(told: Sequence[Told]) -> dict[str, Any]:
    checks = [each.checked for each in told if each.checked is not None]
    faults = list(chain.from_iterable(each.faults for each in told))
    exits = list(chain.from_iterable(each.exits for each in told))
    return {
        "seed": told[0].asked.seed,
        "executor": told[0].asked.executor,
        "rounds": len(told),
        "whole": sum(each.error is None for each in told),
        "seconds": round(sum(each.seconds for each in told)),
        "strikes": sum(each.strikes for each in told),
        "faults": len(faults),
        "faults_by_kind": tally(faults),
        "drivers": len(exits),
        "exit_codes": counted(exits),
        "trials": sum(each.trials for each in checks),
        "trainings": sum(each.trainings for each in checks),
        "attempts": sum(each.attempts for each in checks),
        "steps": sum(each.steps for each in checks),
        "compared": dict(sum((Counter({each.beside: each.compared}) for each in checks), Counter())),
        "has_small_disks": all(each.disks for each in told),
        "machine": machine(),
        "system": platform.platform(),
        "versions": versions(),
    }


def written(found: dict[str, Any], path: Path) -> None:
    """One run for each executor; that of the same executor is replaced."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**kept, found["executor"]: found}, indent=1) + "\n", encoding="utf-8")


def quoted(found: Mapping[str, Any]) -> str:
    """One sentence for the README."""
    where = {"local": "this machine's executor", "ray": "a Ray cluster of two nodes"}[found["executor"]]
    return (
        f"On {where}, seed {found['seed']}: {found['faults']} faults of {len(found['faults_by_kind'])} kinds in "
        f"{found['seconds'] / 60:.0f} minutes ({found['machine']['cores']} cores); {found['trials']} trials, "
        f"{found['trainings']} trainings in {found['attempts']:,} attempts by {found['drivers']} drivers; one result "
        f"each, none failed, {sum(found['compared'].values())} of {found['trainings']} the same to the bit as "
        "undisturbed ones."
    )


def table(found: dict[str, Any]) -> str:
    """For the terminal."""
    lines = [
        f"{found['whole']} of {found['rounds']} rounds are whole (seed {found['seed']}), {found['seconds']} s",
        f"{found['trials']} trials, {found['trainings']} trainings in {found['attempts']} attempts by "
        f"{found['drivers']} drivers, exit codes {found['exit_codes']}",
        f"{found['faults']} faults in {found['strikes']} strikes:",
        *(f"  {times:>4}  {name}" for name, times in found["faults_by_kind"].items()),
    ]
    return "\n".join(lines)

"""What a script finds when it starts: its folder, its arguments and its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lrsweep.records import Json, TrainingPlan
from lrsweep.scripts.command import Command
from lrsweep.scripts.command_line import LR_TABLE, filled, placeholders
from lrsweep.scripts.plan_file import ATTEMPT, PLAN, VARIABLE, PlanFile, write_plan_file
from lrsweep.scripts.rate_tables import write_rates
from lrsweep.scripts.reports import Begin, append

PYTHONPATH = "PYTHONPATH"
PACKAGES = "packages"
"""A folder with a link to lrsweep and nothing else."""
LRSWEEP = Path(__file__).parents[2]


def prepare(folder: Path, plan: TrainingPlan, command: Command) -> list[str]:
    """Writes the files of an attempt and returns its arguments. No earlier attempt may live any more."""
    written = PlanFile(
        folder=folder,
        training_id=plan.training_id,
        attempt=plan.attempt,
        schedule=plan.schedule,
        peak_lr=plan.peak_lr,
        total_steps=plan.horizon,
        seed=plan.seed,
        metric=plan.metric,
        settings=plan.extra,
    )
    write_plan_file(written)
    link_lrsweep(folder)
    append(written.reports, [Begin(plan.attempt)])  # from here on nothing counts that earlier attempts still say
    values: dict[str, Json] = {
        **plan.extra,
        "seed": plan.seed,
        "steps": plan.horizon,
        "peak_lr": plan.peak_lr,
    }
    flags = command.families[plan.schedule.family] if command.families else ""
    if LR_TABLE in {*placeholders(command.command), *placeholders(flags)}:
        rates = plan.schedule.rates(plan.horizon, plan.peak_lr)
        values[LR_TABLE] = str(write_rates(folder, rates, command.table_format))
    argv = filled(command.command, values)
    return argv + filled(flags, plan.schedule.settings_dict() | values)


def link_lrsweep(folder: Path) -> None:
    """The script may run in an environment without lrsweep: this copy of it needs numpy alone."""
    link = folder / PACKAGES / "lrsweep"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != LRSWEEP:
        link.unlink(missing_ok=True)
        link.symlink_to(LRSWEEP, target_is_directory=True)


RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""Left over from what started the sweep; a script that took itself for a second process would report nothing."""


def script_environment(
    environ: Mapping[str, str], folder: Path, place: Mapping[str, str], attempt: int = 1
) -> dict[str, str]:
    """The environment that the sweep was started with, and where the plan and lrsweep are."""
    packages = str(folder / PACKAGES)
    earlier = environ.get(PYTHONPATH)
    return {
        **{name: value for name, value in environ.items() if name not in RANKS},
        **place,
        VARIABLE: str(folder / PLAN),
        ATTEMPT: str(attempt),
        PYTHONPATH: f"{packages}{os.pathsep}{earlier}" if earlier else packages,
    }

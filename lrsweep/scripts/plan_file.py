"""The plan file: one JSON object that tells a user's script what to train. ``LRSWEEP_PLAN`` names it.

A training has a folder of its own that stays the same for all its attempts::

    plan.json          this file, written anew for each attempt
    reports.jsonl      what the script reports, all attempts in one file (``lrsweep.scripts.reports``)
    stop               is there when the script should save what it has and leave
    stop_at.ATTEMPT    after which update, where several processes train together (``lrsweep.scripts.stopping``)
    checkpoint/        the script's own, kept until the result is committed
    facts.json         what ``attach`` answers when it is asked what the script is (``asks`` is "facts")

``LRSWEEP_ATTEMPT`` says for which attempt a script was started: a job that a batch system starts late, or that outlives
its sweep, finds the plan of another one and leaves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lrsweep.errors import InvalidInput
from lrsweep.records import Json
from lrsweep.schedules import Schedule
from lrsweep.schedules.reading import schedule_from_dict

VARIABLE = "LRSWEEP_PLAN"
ATTEMPT = "LRSWEEP_ATTEMPT"
FORMAT = 1
PREEMPTED = 75
"""The exit code of a script that gave way and can go on later: EX_TEMPFAIL of sysexits.h."""

PLAN, REPORTS, CHECKPOINT, FACTS = "plan.json", "reports.jsonl", "checkpoint", "facts.json"
STOP, STOP_AT = "stop", "stop_at"

Asks = Literal["training", "facts"]


@dataclass(frozen=True)
class PlanFile:
    """One attempt of one training, as a script sees it."""

    folder: Path
    asks: Asks = "training"
    """``facts``: the script is not trained; ``attach`` answers with ``ScriptFacts`` and ends it"""
    training_id: str = ""
    attempt: int = 1
    schedule: Schedule | None = None
    """None where ``asks`` is ``facts``"""
    peak_lr: float = 0.0
    total_steps: int = 0
    seed: int = 0
    metric: str = "val_loss"
    settings: Mapping[str, Json] = field(default_factory=dict)
    """the user's own parameters, drawn by the search"""

    @property
    def reports(self) -> Path:
        return self.folder / REPORTS

    @property
    def path(self) -> Path:
        return self.folder / PLAN

    @property
    def stop(self) -> Path:
        return self.folder / STOP

    @property
    def stop_at(self) -> Path:
        """Each attempt's own: the processes of another may still leave together."""
        return self.folder / f"{STOP_AT}.{self.attempt}"

    @property
    def checkpoint_dir(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def facts(self) -> Path:
        return self.folder / FACTS


WRITTEN = tuple(each.name for each in fields(PlanFile) if each.name != "folder")
"""What the file holds beside its format."""


@dataclass(frozen=True)
class ScriptFacts:
    """What a script says of itself in its call of ``attach``."""

    peak_lr: float
    total_steps: int | None
    settings: Mapping[str, Json]
    schedule: Mapping[str, Json] | None = None
    """what it follows outside of a sweep; None where an older lrsweep answers, which does not say"""


def write_plan_file(plan: PlanFile) -> Path:
    """Makes the folder and writes the file, whole or not at all; an earlier attempt's stop and answer are removed."""
    plan.checkpoint_dir.mkdir(parents=True, exist_ok=True)
    for earlier in (plan.stop, plan.facts, *plan.folder.glob(f"{STOP_AT}.*")):
        earlier.unlink(missing_ok=True)
    written = {name: getattr(plan, name) for name in WRITTEN} | {
        "format": FORMAT,
        "schedule": None if plan.schedule is None else plan.schedule.to_dict(),
        "settings": dict(plan.settings),
    }
    write_whole(plan.path, json.dumps(written, indent=1, allow_nan=False))
    return plan.path


def read_plan_file(path: str | Path) -> PlanFile:
    """Raises InvalidInput for a file that is not there or is no plan."""
    path = Path(path).absolute()  # scripts change their working folder
    try:
        read: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{VARIABLE} names {path}, which cannot be read as a plan: {error}. A sweep sets it for the script that it "
            "starts: to run the script by itself, unset it; on another machine, share the folder with that"
        ) from error
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        found = read.get("format") if isinstance(read, dict) else None
        raise InvalidInput(
            f"{VARIABLE} names {path}, a plan of format {found!r}; this lrsweep reads format {FORMAT}. "
            "The sweep and the script's environment have different versions of lrsweep: install the sweep's there."
        )
    if missing := [name for name in WRITTEN if name not in read]:
        raise InvalidInput(f"{VARIABLE} names {path}, a plan without {', '.join(missing)}; start the sweep again")
    schedule = None
    if read["asks"] != "facts":
        problems: list[str] = []
        schedule = schedule_from_dict(read["schedule"] or {}, problems)
        if schedule is None:
            raise InvalidInput(f"the plan {path} has a schedule that cannot be made here: {'; '.join(problems)}")
    return PlanFile(folder=path.parent, **{name: read[name] for name in WRITTEN} | {"schedule": schedule})


def write_facts(plan: PlanFile, facts: ScriptFacts) -> None:
    answer = {
        "peak_lr": facts.peak_lr,
        "total_steps": facts.total_steps,
        "settings": dict(facts.settings),
        "schedule": None if facts.schedule is None else dict(facts.schedule),
    }
    write_whole(plan.facts, json.dumps(answer, allow_nan=False))


def read_facts(plan: PlanFile) -> ScriptFacts | None:
    """None where the script has not answered."""
    try:
        read = json.loads(plan.facts.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return ScriptFacts(read["peak_lr"], read["total_steps"], read["settings"], read.get("schedule"))


def write_whole(path: Path, text: str) -> None:
    """A reader finds the whole text, or what was there before."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)

"""``lrsweep reproduce``: trains a stored training again, and says whether it comes out the same. It stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lrsweep.cli.show import found_training
from lrsweep.engines.versions import kept_versions, versions
from lrsweep.errors import InvalidInput, SettingsError, SweepFailed
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.to_the_end import train, value_of
from lrsweep.findings.reading import chosen_sweep, generation_of
from lrsweep.records import (
    SEQUENTIAL,
    Crew,
    Curve,
    Status,
    SweepRow,
    TrainingPlan,
    TrainingRow,
    TrialRow,
    stable_hash,
)
from lrsweep.store.base import Store
from lrsweep.study import ResolvedStudy
from lrsweep.study.lost import unreadable
from lrsweep.sweep import reproducing
from lrsweep.sweep.plans import next_plan
from lrsweep.sweep.reproducing import Reproduction, Verdict
from lrsweep.sweep.stored import resolved_from

FUSED = "fused/"


@dataclass(frozen=True)
class Asked:
    """A stored training and all that belongs to it."""

    row: TrainingRow
    trial: TrialRow
    sweep: SweepRow
    study: ResolvedStudy
    curve: Curve
    problems: Sequence[str]
    """why it cannot be repeated at all"""


def read_asked(store: Store, study: str, what: str) -> Asked:
    """Raises SettingsError for what is not there."""
    row = found_training(store, chosen_sweep(store, study).study, what)
    trial, sweep = store.trial(row.study, row.trial), store.sweep(row.sweep_id)
    stored = generation_of(store, sweep)
    resolved = resolved_from(stored, sweep)
    curve = store.curve(row.training_id)
    problems = reproducing.forbidden(row, trial, stored, resolved)
    if curve is None and not problems:
        problems = ["its curve is not in the results any more"]
    return Asked(row, trial, sweep, resolved, Curve.empty() if curve is None else curve, problems)


def executor_for(asked: Asked, *, device: str | None, data: Path | None) -> LocalExecutor:
    """The device and the slots that trained it, unless another device is named: the last bits depend on both."""
    return LocalExecutor(device or asked.row.device or "auto", data=data, crew=crew_of(asked.row))


def reproduce(
    asked: Asked, executor: LocalExecutor, *, seeds: int, say: Callable[[str], None] = lambda _: None
) -> Reproduction:
    """Fresh seeds are trained only where the bits differ. Raises SettingsError, and TryAgain where a process ends."""
    if seeds < 0 or seeds == 1:
        raise SettingsError(f"--seeds is {seeds}; wanted 2 or more, or 0 for none: one says nothing of the spread")
    plan = None if asked.problems else _plan(asked)
    if plan is None:
        return _cannot(asked, asked.problems or [unreadable(str(asked.trial.params["family"]))])
    say("loading the workload")
    try:
        facts = executor.describe(asked.study.workload)
    except (InvalidInput, SweepFailed) as error:
        return _cannot(asked, [f"its workload cannot be loaded here: {str(error).strip().splitlines()[-1]}"])
    if problems := reproducing.changed_workload(asked.study, facts):
        return _cannot(asked, problems)
    say("training it again")
    again = train(executor, [plan])[plan.training_id]
    if again.outcome.status is Status.FAILED:
        return _cannot(asked, [f"it fails now: {(again.outcome.error or '').strip().splitlines()[-1]}"])
    bits = reproducing.compared(asked.curve, again.curve)
    fresh: Sequence[float] = ()
    if bits.first is not None and seeds and asked.row.status is Status.COMPLETED:
        say(f"it differs; training {seeds} fresh seeds")
        plans = [replace(plan, training_id=f"fresh-{n}", seed=fresh_seed(asked.row, n)) for n in range(seeds)]
        ends = train(executor, plans).values()
        fresh = [value for end in ends if (value := value_of(asked.study, end, asked.row.horizon)) is not None]
    return reproducing.judged(
        asked.row,
        metric=asked.study.value_key,
        bits=bits,
        then=asked.row.metrics.get(asked.study.value_key) if asked.row.status is Status.COMPLETED else None,
        now=value_of(asked.study, again, asked.row.horizon),
        differences=reproducing.changed_making(
            asked.row, kept_versions(asked.sweep.settings), versions(), engine=again.engine, device=again.device
        ),
        fresh=fresh,
    )


def fresh_seed(row: TrainingRow, number: int) -> int:
    return int(stable_hash(["reproduce", row.training_id, number])[:7], 16)


def crew_of(row: TrainingRow) -> Crew:
    """One process with the slots that trained it: the last bits depend on their number."""
    engine = row.engine or SEQUENTIAL
    return Crew(1, int(engine.removeprefix(FUSED))) if engine.startswith(FUSED) else Crew()


def show_reproduction(console: Console, found: Reproduction) -> None:
    style = {Verdict.REPRODUCED: "bold green", Verdict.MOVED: "bold yellow", Verdict.CANNOT: "bold red"}[found.verdict]
    console.print(f"[{style}]{found.verdict.value}[/]: {escape(found.sentence)}", highlight=False, soft_wrap=True)
    for difference in found.differences if found.verdict is not Verdict.CANNOT else ():
        console.print(f"  {escape(difference)}", style="dim", highlight=False, soft_wrap=True)


def refuse_unlike(found: Reproduction) -> None:
    """Raises SweepFailed, exit code 70, unless it came out the same."""
    if found.verdict is not Verdict.REPRODUCED:
        raise SweepFailed(f"training {found.training[:8]} was not reproduced")


def _cannot(asked: Asked, problems: Sequence[str]) -> Reproduction:
    return Reproduction(Verdict.CANNOT, "; ".join(problems), asked.row.training_id, tuple(problems))


def _plan(asked: Asked) -> TrainingPlan | None:
    """As a sweep would make it, but without a folder for checkpoints; None where this release cannot read the trial."""
    try:
        plan = next_plan(asked.row, asked.trial, asked.study, checkpoint_url="")
    except (KeyError, InvalidInput):
        return None
    return replace(plan, attempt=1, checkpoint_url=None)

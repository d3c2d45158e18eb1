"""``lrsweep plan``: what a study comes to. Trains nothing; asks the workload what it is, and the results how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsweep.cli.sweep_drawing import counted
from lrsweep.cli.terminal import written_for
from lrsweep.errors import SettingsError
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Json, Purpose, SweepRow
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.settings import Settings
from lrsweep.store import Store
from lrsweep.study import BUDGETS, Examined, ResolvedStudy
from lrsweep.study.budgets import seed_deviation
from lrsweep.study.planning import Plan, plan
from lrsweep.sweep import exponents
from lrsweep.sweep.beginning import Course, pace_here
from lrsweep.sweep.outlook import Left, Outlook, outlook
from lrsweep.sweep.refusals import completed


@dataclass(frozen=True)
class Asked:
    """A plan, and where its pace is from."""

    study: ResolvedStudy
    plan: Plan | None
    """None: a budget in time or money, and nobody knows the pace"""
    pace_from: str | None
    outlook: Outlook

    @property
    def _seconds_from_now(self) -> float | None:
        """Until the sweep would end if the next run began now; None where nobody knows, or nothing is to do."""
        if self.outlook.course.is_new:
            return None if self.plan is None or self.plan.cost is None else self.plan.cost.seconds
        return None if self.outlook.left is None else self.outlook.left.seconds or None

    def until(self, now: datetime) -> str:
        """``, until 2026-11-22 00:17 if it began now``; nothing where that is not known, or nothing is left."""
        lasts = self._seconds_from_now
        verb = "began" if self.outlook.course.is_new else "went on"
        ends = "" if lasts is None else (now + timedelta(seconds=lasts)).strftime("%Y-%m-%d %H:%M")
        return f", until {ends} if it {verb} now" if ends else ""

    def to_json(self, now: datetime) -> dict[str, Json]:
        found = self.plan
        if found is None:
            learn = _learn(self.study)
            return {
                "study": self.study.name,
                "plan": None,
                "how_to_learn_the_pace": learn,
                "next": self.outlook.to_json(),
            }
        lasts = self._seconds_from_now
        ends = None if lasts is None else (now + timedelta(seconds=lasts)).isoformat("T", "seconds")
        said = {"ends_at": ends, "pace_from": self.pace_from, "budget": _budget(self.study)}
        return {**found.to_json(), **said, "next": self.outlook.to_json()}


def resolved(examined: Examined, settings: Settings, *, device: str, price_per_hour: float | None) -> ResolvedStudy:
    """The study as its workload completes it. Raises StudyError with all that ``lrsweep run`` would refuse."""
    _above_zero("--price-per-hour", price_per_hour)
    study = examined.study
    if price_per_hour is not None:
        study = replace(study, budget=replace(study.budget, price_per_hour=price_per_hour))
    executor = LocalExecutor(device, data=settings.data)
    try:
        found = completed(replace(examined, study=study), executor.describe)
        if study.workload.name == COMMAND:
            return replace(found, scripts_at_once=executor.free)
        return replace(found, devices_at_once=executor.device_count)
    finally:
        executor.close()


def asked_plan(study: ResolvedStudy, store: Store | None, steps_per_second: float | None) -> Asked:
    """With what the results know, where there are any; a pace that was given wins."""
    _above_zero("--steps-per-second", steps_per_second)
    known, deviation = (None, None) if store is None else _known(store, study)
    speed = steps_per_second or (None if known is None else known.steps_per_second)
    pace_from = "--steps-per-second" if steps_per_second else None if known is None else known.of(study.name)
    at_pace = study.paced(speed) if study.needs_pace else study
    found = plan(study, steps_per_second=speed, deviation=deviation, design_steps=exponents.planned_cost(at_pace))
    if found is not None and (no_design := exponents.why_none(at_pace)):
        found = replace(found, warnings=(*found.warnings, f"{no_design}."))
    return Asked(study, found, pace_from, outlook(store, study, found))


def _above_zero(name: str, given: float | None) -> None:
    if given is not None and not 0 < given < math.inf:
        raise SettingsError(f"{name} is {given:g}; wanted a number above 0")


@dataclass(frozen=True)
class Pace:
    steps_per_second: float
    times: float
    """that the sweep's own is taken, which may have had another number of devices"""
    sweep: SweepRow

    def of(self, study: str) -> str:
        """Where it is from, for a plan of that study."""
        other = "" if self.sweep.study == study else f" of study {self.sweep.study}, which trains the same"
        here = "" if math.isclose(self.times, 1.0, rel_tol=0.01) else f", taken {self.times:.3g} times for the devices"
        return f"the pace of sweep {self.sweep.sweep_id[:8]}{other}{here}"


def _known(store: Store, study: ResolvedStudy) -> tuple[Pace | None, float | None]:
    """How fast the newest sweep of any study trained this workload, and how much seeds of this one differ."""
    rows = store.studies()
    workload = study.spec()["workload"]
    same_speed = {(row.name, row.generation) for row in rows if row.spec["workload"] == workload}
    same_meaning = {row.generation for row in rows if row.name == study.name and row.meaning == study.meaning}
    names = {name for name, _ in same_speed} | {study.name}
    sweeps = sorted((sweep for name in names for sweep in store.sweeps(name)), key=lambda sweep: sweep.created_at)
    seeds = [
        row
        for sweep in sweeps
        if sweep.study == study.name and sweep.generation in same_meaning
        for row in store.trainings(study.name, sweep_id=sweep.sweep_id)
        if row.purpose is Purpose.FINAL
    ]
    alike = [sweep for sweep in reversed(sweeps) if (sweep.study, sweep.generation) in same_speed]
    paces = ((pace_here(store, sweep, study), sweep) for sweep in alike)
    known = next((Pace(*found, sweep) for found, sweep in paces if found is not None), None)
    return known, seed_deviation(seeds, study.value_key)


def show_plan(console: Console, asked: Asked, now: datetime) -> None:
    study, found = asked.study, asked.plan
    console.print(Text(f"{study.name}: ", style="bold") + Text(_budget(study), style="not bold"), highlight=False)
    if found is None:
        console.print(f"How many trials that is depends on the pace. {_learn(study)}", highlight=False, soft_wrap=True)
        _show_outlook(console, asked.outlook, asked.until(now))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("family")
    for horizon in found.rungs:
        table.add_column(f"at {horizon:,}", justify="right")
    for name, counts in found.families:
        table.add_row(name, *(f"{count:.0f}" if count.is_integer() else f"{count:.1f}" for count in counts))
    console.print(table)
    lines = [
        f"search: {counted(found.trials, 'trial')}, about {counted(found.search_trainings, 'training')} and "
        f"{found.search_steps:,.0f} steps, at an equal share per family; the search moves it to those that do better",
        *([f"rate exponents: {found.design_steps:,} steps measure them"] if found.design_steps else []),
        _finalists(found),
        f"in all: about {found.total_steps:,} steps, as many as {found.trainings:,.1f} trainings of {found.horizon:,}",
        _cost(found, asked, now),
    ]
    for line in lines:
        console.print(written_for(console, line), highlight=False, soft_wrap=True)
    for warning in found.warnings:
        console.print(Text(f"warning: {written_for(console, warning)}", style="yellow"), soft_wrap=True)
    _show_outlook(console, asked.outlook, asked.until(now))


def _show_outlook(console: Console, found: Outlook, until: str) -> None:
    for line in _outlook(found, until):
        console.print(written_for(console, line), highlight=False, soft_wrap=True)


def _outlook(found: Outlook, until: str) -> list[str]:
    """What the next run does; of a sweep that is there, what is done and left."""
    lines = [f"the next run: {_next_run(found)}"]
    if found.driver is not None:
        lines.append(f"now: {found.driver} drives the study; until it has left, another run leaves at once")
    if done := found.done:
        lines.append(
            f"done: {counted(done.trials, 'trial')}, {counted(done.trainings, 'training')}, {done.steps:,} steps in "
            f"{_duration(done.seconds)}"
        )
    if found.left is not None:
        lines.append(f"left: {_left(found.left)}{until}")
    return lines


def _advised(found: Outlook) -> str:
    if not found.advised:
        return ""
    points = counted(found.advised, "point")
    return f"; it first tries {points} that studies of the same kind found good ({', '.join(found.advisers)})"


def _next_run(found: Outlook) -> str:
    match found.course:
        case Course.FIRST | Course.ANOTHER:
            return f"a new sweep, the first of this study{_advised(found)}"
        case Course.CHANGED:
            return f"a new sweep, for {found.why_changed}; the earlier results stay"
        case Course.CANCELLED:
            return "a new sweep, for the last one was cancelled; its results stay"
    assert found.sweep is not None
    name = f"sweep {found.sweep.sweep_id[:8]}"
    if found.course is Course.NOTHING:
        return f"nothing to do, {name} is finished; `--new` starts another, a larger budget continues it"
    again = f", and tries again {counted(found.tried_again, 'failed trial')}" if found.tried_again else ""
    return f"goes on with {name}{again}"


def _left(left: Left) -> str:
    by_time = "" if left.seconds is None else _duration(left.seconds)
    if left.trials is None:
        return f"{by_time} of the budget" + ("" if left.steps is None else f", about {left.steps:,} steps at that pace")
    trainings, steps = left.trainings or 0, left.steps or 0
    paced = f", {by_time} at that pace" if by_time and steps else ""
    if not left.is_search_over or left.trials:
        which = " under way, the last of the search" if left.is_search_over else ""
        about = f"about {counted(trainings, 'training')} and {steps:,} steps{paced}"
        return f"{counted(left.trials, 'trial')}{which}, {about}"
    if not trainings:
        return "nothing to train: the search and the finals have used the budget"
    return f"the finals, for the search has ended: at most {counted(trainings, 'training')} and {steps:,} steps{paced}"


def _finalists(found: Plan) -> str:
    if found.resolvable is None:
        return "finalists: none"
    resolvable = found.resolvable
    metric = f" ({resolvable.in_metric:.3g} of the metric, by its earlier seeds)" if resolvable.in_metric else ""
    tells = f"differences from {resolvable.in_deviations:.2f} standard deviations of a seed on{metric}"
    if found.looks:
        return (
            f"finalists: about {found.finalists} with {found.looks[0]} to {found.looks[-1]} fresh seeds each, at most "
            f"{found.final_steps:,} steps: those that are still open to be best get more; {found.seeds} each would "
            f"tell {tells}"
        )
    return (
        f"finalists: about {found.finalists} with {found.seeds} fresh seeds each, {found.final_steps:,} steps; they "
        f"tell {tells}"
    )


def _cost(found: Plan, asked: Asked, now: datetime) -> str:
    if found.cost is None:
        return f"time and money: unknown. {_learn(asked.study)}"
    until = asked.until(now) if asked.outlook.course.is_new else ""
    whole = "" if asked.outlook.course.is_new else " for the whole of it"
    money = f", {found.cost.money:,.2f} in money" if found.cost.money is not None else ""
    return (
        f"time: {_duration(found.cost.seconds)}{whole} at {found.steps_per_second:,.0f} steps per second "
        f"({asked.pace_from}){until}; {found.cost.gpu_hours:,.2f} device hours{money}"
    )


def _budget(study: ResolvedStudy) -> str:
    given = {name: getattr(study.budget, name) for name in (*BUDGETS, "price_per_hour")}
    return ", ".join(
        f"{name} = {_duration(value) if name == 'wall_clock' else f'{value:,g}'}"
        for name, value in given.items()
        if value is not None
    )


def _learn(study: ResolvedStudy) -> str:
    given = "Give --steps-per-second: all trainings together, side by side."
    if study.workload.name == COMMAND:
        return f"{given} The first sweep of the script measures it."
    return f"{given} `lrsweep check-workload` measures it, and the first sweep of {study.facts.name} does."


def _duration(seconds: float) -> str:
    """
    >>> _duration(45.2), _duration(3700)
    ('45 s', '1 h 02 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"

"""Which sweep a driver drives: the one that was left, or a new one with all that is settled when it begins."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum

from lrsweep.errors import SettingsError
from lrsweep.executors.choosing import Measurer
from lrsweep.executors.chosen import measuring_plans
from lrsweep.records import Crew, Json, Origin, Status, SweepRow, SweepStatus
from lrsweep.scripts import command
from lrsweep.store.base import Lease, Store
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.study.budgets import FEWEST_CALIBRATION_TRIALS, pace
from lrsweep.sweep.exponents import frozen_for
from lrsweep.sweep.failures import to_try_again, trials_of
from lrsweep.sweep.halting import RATE_EXPONENTS_KEY
from lrsweep.sweep.homes import When
from lrsweep.sweep.meter import mean_devices
from lrsweep.sweep.warm_start import POINTS_KEY, warm_start

MEASURED_SECONDS = 1.0
FINISHED_KEY = "finished_budget"
"""Where a sweep's settings hold the budget that it has used up, in a unit that is no number of trials."""

DRIVEN_KEY = "driven_budget"
"""Where they hold the budget that its driver had used up when the copies were still to be brought up to date."""


class Course(StrEnum):
    """What a driver does when it begins."""

    CONTINUE = "continue"
    NOTHING = "nothing"
    """but read the result: the budget is used up"""
    FIRST = "first"
    CHANGED = "changed"
    """a new sweep, as the study's meaning or space is another one"""
    CANCELLED = "cancelled"
    """a new sweep, as the last one was"""
    ANOTHER = "another"
    """a new sweep, as it was asked for"""

    @property
    def is_new(self) -> bool:
        return self not in (Course.CONTINUE, Course.NOTHING)


def new_id() -> str:
    """Of a sweep that begins."""
    return secrets.token_hex(8)


def course_of(store: Store, study: ResolvedStudy, found: SweepRow | None, another: When) -> Course:
    """``found`` is the newest sweep of the file's generation."""
    if found is None:
        return Course.CHANGED if store.sweeps(study.name) else Course.FIRST
    if another == "always" or (another == "when over" and is_over(store, found, study)):
        return Course.ANOTHER
    if found.is_cancelled or found.status is SweepStatus.CANCELLED:
        return Course.CANCELLED
    is_read = another == "never" and found.status is SweepStatus.FINISHED and is_over(store, found, study)
    return Course.NOTHING if is_read else Course.CONTINUE


def settled(
    store: Store,
    study: ResolvedStudy,
    found: SweepRow | None,
    sweep_id: str,
    another: When,
    *,
    generation: str | None = None,
) -> When:
    """Whether a driver begins another sweep, where it was settled before which one it is to drive, and of which
    ``generation`` (None: an earlier release has queued it).

    Raises SettingsError where that cannot be it any more: nothing is begun or continued that nobody has asked for.
    """
    if found is not None and found.sweep_id == sweep_id:
        return "never"
    if any(each.sweep_id == sweep_id for each in store.sweeps(study.name)):
        why = f"{changed_sentence(store, study)}" if found is None else f"a later one, {found.sweep_id}, has begun"
        raise SettingsError(f"sweep {sweep_id} does not go on: {why}. Ask again: then it is settled anew.")
    if generation is not None and generation != study.generation:
        raise SettingsError(
            f"sweep {sweep_id} was asked for of generation {generation[:8]} of the study, which is generation "
            f"{study.generation[:8]} now: its file, its data or the code have changed since. `lrsweep register` it "
            "again, and ask again."
        )
    if another == "never" and found is not None and not course_of(store, study, found, another).is_new:
        raise SettingsError(
            f"a new sweep was asked for, and meanwhile {found.sweep_id} has begun, which is {found.status.value}. Ask "
            "again: then it is settled anew."
        )
    return "always" if another == "always" else "never"


def changed_sentence(store: Store, study: ResolvedStudy) -> str:
    before = store.sweeps(study.name)[-1].generation
    return (
        f"the study's meaning or space has changed since its last sweep (generation {before[:8]}, now "
        f"{study.generation[:8]})"
    )


def newest_sweep(store: Store, study: ResolvedStudy) -> SweepRow | None:
    """Of the file's generation."""
    same = [sweep for sweep in store.sweeps(study.name) if sweep.generation == study.generation]
    return same[-1] if same else None


def resolved_in(sweep: SweepRow, study: ResolvedStudy) -> ResolvedStudy:
    """With the exponents that the sweep has frozen; one of an earlier release had the optimizers' defaults."""
    return replace(study, rate_exponents=dict(sweep.settings.get(RATE_EXPONENTS_KEY, {})))


def is_over(store: Store, sweep: SweepRow, study: ResolvedStudy) -> bool:
    """Whether it has used up the budget that the file has now, well or not; a cancelled one is not continued."""
    if sweep.status is SweepStatus.RUNNING:
        return sweep.is_cancelled
    if sweep.status is SweepStatus.CANCELLED:
        return True
    if to_try_again(store, sweep):
        return False
    had, has = sweep.settings.get(FINISHED_KEY, {}), used_up(study)[FINISHED_KEY]
    if study.budget.trials is not None:
        # more finalists or seeds continue a sweep whose search is over
        same_finals = sweep.status is not SweepStatus.FINISHED or had.get("selection") in (None, has["selection"])
        return trials_left(store, study, sweep) == 0 and same_finals
    return sweep.status is SweepStatus.FINISHED and had == has


def used_up(study: ResolvedStudy) -> dict[str, Json]:
    """What a finished sweep's settings say of its budget and finals: seconds, steps and money do not follow from its
    rows."""
    spec = study.spec()
    budget = {name: value for name, value in spec["budget"].items() if name not in ("trials", "total_steps")}
    # whether they are a race changes none that have ended, and is nothing that an earlier release has kept
    selection = {name: value for name, value in spec["selection"].items() if name != "racing"}
    return {FINISHED_KEY: {"budget": budget, "selection": selection}}


def driven_out(spec: Mapping[str, Json]) -> dict[str, Json]:
    """What a sweep's settings say once nothing is left to train; ``spec`` is the study's."""
    return {DRIVEN_KEY: {name: spec.get(name) for name in ("budget", "selection")}}


def is_driven_out(sweep: SweepRow, spec: Mapping[str, Json]) -> bool:
    """Whether all that an unfinished sweep lacks is in the copies; a larger budget would continue it."""
    is_left = sweep.status is SweepStatus.RUNNING and not sweep.is_cancelled
    return is_left and sweep.settings.get(DRIVEN_KEY) == driven_out(spec)[DRIVEN_KEY]


def trials_left(store: Store, study: ResolvedStudy, sweep: SweepRow) -> int:
    """Of the budget that the file has now, those that are tried again included."""
    trials = store.trials(study.name, sweep_id=sweep.sweep_id)
    told = sum(trial.is_told and trial.origin.counts for trial in trials) + Removed.of(sweep).trials
    return max(0, study.trials - told + len(trials_of(to_try_again(store, sweep))))


def say_of_another_seed(store: Store, study: ResolvedStudy, say: Callable[[str], None]) -> None:
    [before] = [row for row in store.studies(study.name) if row.generation == study.generation]
    if before.spec.get("seed") != study.seed:
        say(
            f"study.seed is {study.seed} and was {before.spec.get('seed')}: trials that exist keep theirs, new ones "
            "take the new one; `--new` starts a sweep of it alone"
        )


def continued_or_new(
    store: Store,
    lease: Lease,
    study: ResolvedStudy,
    found: SweepRow | None,
    another: When,
    say: Callable[[str], None],
    *,
    sweep_id: str | None = None,
) -> SweepRow:
    """The sweep to drive; a new one has its id committed before the first ask, and ``sweep_id`` is that id where it is
    given. Others that were left are stopped, or cancelled where that was asked of them, stopped ones too."""
    course = course_of(store, study, found, another)
    if course is Course.CHANGED:
        say(f"{changed_sentence(store, study)}: this is a new sweep; the earlier results stay")
    if course is Course.CANCELLED:
        say("the last sweep was cancelled: this is a new one; the earlier results stay")
    chosen = None if course.is_new else found
    for left in store.sweeps(study.name):
        is_wished = left.status is SweepStatus.STOPPED and left.is_cancelled  # while nobody drove it
        is_left = left.status is SweepStatus.RUNNING or is_wished
        if is_left and (chosen is None or left.sweep_id != chosen.sweep_id):
            for row in store.trainings(study.name, sweep_id=left.sweep_id):
                if row.status is Status.RUNNING:
                    store.queue_again(lease, row.training_id, reason="another sweep was started")
            status = SweepStatus.CANCELLED if left.is_cancelled else SweepStatus.STOPPED
            store.update_sweep(lease, left.sweep_id, status=status)
    if chosen is None:
        return created(store, lease, study, say, sweep_id=sweep_id)
    return _warmed(store, lease, study, chosen, say)


def created(
    store: Store, lease: Lease, study: ResolvedStudy, say: Callable[[str], None], *, sweep_id: str | None = None
) -> SweepRow:
    """The exponents are frozen, and what earlier generations found is taken over."""
    same = {row.generation for row in store.studies(study.name) if row.meaning == study.meaning}
    earlier = [sweep for sweep in store.sweeps(study.name) if sweep.generation in same]
    settings = {RATE_EXPONENTS_KEY: frozen_for(study, earlier)}
    new = SweepRow(sweep_id or new_id(), study.name, study.generation, settings=settings)
    sweep = store.create_sweep(lease, new)
    return _warmed(store, lease, study, sweep, say)


def _warmed(store: Store, lease: Lease, study: ResolvedStudy, sweep: SweepRow, say: Callable[[str], None]) -> SweepRow:
    """A sweep whose search has asked nothing yet takes over what it may: its driver can have died as it was created."""
    trials = store.trials(study.name, sweep_id=sweep.sweep_id)
    has_asked = Removed.of(sweep).trials or any(row.origin is Origin.SEARCH for row in trials)
    if POINTS_KEY in sweep.settings or has_asked:
        return sweep
    begun = warm_start(store, lease, resolved_in(sweep, study), sweep)
    if str(begun):
        say(str(begun))
    return begun.sweep


def pace_of(store: Store, sweep: SweepRow) -> float | None:
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id)
    return pace(sweep, trainings, removed_steps=Removed.of(sweep).all_steps)


def pace_here(store: Store, sweep: SweepRow, study: ResolvedStudy) -> tuple[float, float] | None:
    """The sweep's pace on as many devices as the study has now, and how many times its own that is: one device trains
    as fast whatever the number of the others. How scripts share theirs their study says, and nothing is made of it."""
    found = pace_of(store, sweep)
    if found is None:
        return None
    times = 1.0 if study.workload.name == command.NAME else study.devices / mean_devices(sweep, study)
    return found * times, times


def paced(
    study: ResolvedStudy,
    store: Store,
    measurer: Measurer,
    tick: Callable[[], None],
    say: Callable[[str], None],
    *,
    pace_factor: int = 1,
) -> ResolvedStudy:
    """A study whose budget is time or money with what that comes to, by the newest sweep of such trainings, else by a
    short measurement of one crew, of which ``pace_factor`` train side by side. How fast a script is shows only as it
    trains; until then the clock alone says when it is over.
    """
    if not study.needs_pace:
        return study
    workload = study.spec()["workload"]
    alike = {row.generation for row in store.studies(study.name) if row.spec.get("workload") == workload}
    for sweep in reversed(store.sweeps(study.name)):
        found = pace_here(store, sweep, study) if sweep.generation in alike else None
        if found is not None:
            return study.paced(found[0])
    if study.workload.name != command.NAME:
        [measured] = measurer.measure(Crew(), measuring_plans(study, 1), MEASURED_SECONDS, tick)
        if measured.updates:
            pace = measured.updates / measured.seconds
            known = study.paced(pace * pace_factor)
            at_once = f", and {pace_factor} such train side by side" if pace_factor > 1 else ""
            say(f"measured {pace:,.0f} updates a second{at_once}: the budget pays for about {known.trials} trials")
            return known
    return replace(study, trials=max(FEWEST_CALIBRATION_TRIALS, len(study.space.families)))

"""A sweep's rows as the content of its report. Whatever there is of the sweep, there is a report of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lrsweep.errors import SettingsError
from lrsweep.findings.choosing import choose_in
from lrsweep.findings.look import standing_of
from lrsweep.findings.reading import chosen_sweep, generation_of, is_superseded
from lrsweep.findings.reporting.curves import curve_lines, peak_points, shown_horizon
from lrsweep.findings.reporting.origins import provenance, workload_named
from lrsweep.findings.reporting.spent import cost_of, divergence_lines
from lrsweep.records import Purpose, Status, SweepRow, SweepStatus, TrainingRow, TrialRow
from lrsweep.redaction import public
from lrsweep.report.content import FamilyLine, Importance, Report, RungLine, Use
from lrsweep.schedules import schedule_from_json
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.selection import by_family
from lrsweep.selection.choice import Choice
from lrsweep.selection.statistics import Interval
from lrsweep.space import peak_of
from lrsweep.store import Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.exponents import FITTED_KEY, Fit
from lrsweep.sweep.finals import deciding
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.importances import importances
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.stored import resolved_from
from lrsweep.sweep.trust import DROPPED_KEY, calibrating, rung_trusts

SHORT = 8
"""digits of an id that are enough to name it"""


def gather(
    store: Store,
    given: str,
    *,
    now: float,
    sweep_id: str | None = None,
    commit: str | None = None,
    state: str | None = None,
    note: str = "",
) -> Report:
    """Of the newest sweep of the study, or of the one whose id begins so. ``state`` is given by a driver that is about
    to end it, and ``commit`` and ``note`` by who has asked MLflow.

    Raises SettingsError where there is no such study or sweep, TryAgain while its first sweep begins.
    """
    sweep = chosen_sweep(store, given, sweep_id)
    row = generation_of(store, sweep)
    study = resolved_from(row, sweep)
    generation = store.trials(sweep.study, generation=sweep.generation)
    of_generation = store.trainings(sweep.study, generation=sweep.generation)
    trials = [trial for trial in generation if trial.sweep_id == sweep.sweep_id]
    trainings = [each for each in of_generation if each.sweep_id == sweep.sweep_id]
    own = [trial for trial in trials if trial.origin.counts]
    standing = standing_of(sweep, row, trials, trainings, store.holders().get(sweep.study))
    finals = [each for each in trainings if each.purpose is Purpose.FINAL]
    metric, choice, why_none = _choice(store, sweep)
    has_finals = choice is not None and any(each.status is Status.COMPLETED for each in finals)
    horizon = shown_horizon(study, trainings)
    finalists = {each.trial for each in finals}
    finals_left = sum(not each.status.is_outcome for each in finals)
    curves, left_out = curve_lines(store, study, own, trainings, horizon, finalists)
    others = OtherRules(study, [each for each in store.sweeps(sweep.study) if each.generation == sweep.generation])
    dropped = sweep.settings.get(DROPPED_KEY, [])
    return Report(
        study=sweep.study,
        sweep=sweep.sweep_id,
        state=state or standing.state,
        made_at=now,
        workload=workload_named(study),
        horizon=study.horizon,
        metric=metric or deciding(study, finals)[0],
        searched_metric=study.value_key,
        curve_metric=study.metric,
        direction=study.sense,
        trials_told=standing.trials_told,
        trials_wanted=standing.trials_wanted,
        choice=choice,
        why_none=why_none,
        has_finals=has_finals,
        finals_left=finals_left,
        are_finals_open=finals_left > 0 or _is_racing(sweep, state),
        is_superseded=is_superseded(store, sweep),
        failed=sum(each.status is Status.FAILED for each in trainings),
        families=_families(own, study),
        curves=curves,
        curves_left_out=left_out,
        curve_horizon=horizon,
        peaks=peak_points(study, own, trainings),
        importance=_importance(study, own, trainings),
        rungs=tuple(
            RungLine(
                horizon=each.horizon,
                n=each.n,
                correlation=each.correlation,
                interval=_pair(each.interval),
                families=each.families,
                family_correlation=each.family_correlation,
                family_interval=_pair(each.family_interval),
                is_dropped=each.rung in dropped,
            )
            for each in rung_trusts(study, calibrating(generation), of_generation, others)
        ),
        exponents=_exponents(study, sweep),
        cost=cost_of(study, sweep, trainings),
        trainings_ended=sum(each.status in (Status.COMPLETED, Status.DIVERGED) for each in trainings),
        divergences=divergence_lines(own, trainings),
        provenance=provenance(study, row, sweep, trainings, commit),
        use=None if choice is None else _use(choice, study, trainings),
        notes=(note,) if note else (),
    )


def _choice(store: Store, sweep: SweepRow) -> tuple[str | None, Choice | None, str | None]:
    """The metric that decides, with the choice, or why there is none."""
    try:
        metric, choice = choose_in(store, sweep.study, worth=None, sweep_id=sweep.sweep_id)
    except SettingsError as error:
        sentence = str(error)
        return None, None, f"{sentence[:1].upper()}{sentence[1:]}"
    return metric, choice, None


def _is_racing(sweep: SweepRow, state: str | None) -> bool:
    """Between two rounds of a race no training of it is left, and yet it has not ended."""
    is_finished = sweep.status is SweepStatus.FINISHED or state == "finished"
    race = sweep.settings.get(RACE_KEY, {})
    return bool(race) and race.get("ended") is None and not is_finished


def _families(trials: Sequence[TrialRow], study: ResolvedStudy) -> tuple[FamilyLine, ...]:
    return tuple(
        FamilyLine(
            family=each.family,
            trials=each.trials,
            full=each.complete,
            halted=each.pruned,
            diverged=each.diverged,
            failed=each.failed,
            best=None if each.best is None else each.best.value,
            trial=None if each.best is None else each.best.number,
            peak_lr=None if each.best is None else peak_of(each.best.params),
            optimizer=None if each.best is None else _optimizer(str(each.best.params["optimizer"])),
            is_baseline=each.baseline is not None,
        )
        for each in by_family(trials, study.sense)
    )


def _importance(study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> Importance:
    found = importances(study, trials, trainings)
    return Importance(found.shares, found.n, found.diverged, found.horizon, found.is_of_few, found.why_none)


def _exponents(study: ResolvedStudy, sweep: SweepRow) -> tuple[str, ...]:
    """What the sweep assumed of how the best peak moves with the horizon, and what it measured."""
    if len(study.rungs) == 1:
        return ()
    used = ", ".join(
        f"{name} {exponent:.2g}" if name != OPTIMIZER else f"{exponent:.2g}"
        for name, exponent in study.rate_exponents.items()
    )
    fitted = {name: Fit.from_json(each).sentence for name, each in sweep.settings.get(FITTED_KEY, {}).items()}
    measured = [f"Measured{'' if name == OPTIMIZER else f' for {name}'}: {text}." for name, text in fitted.items()]
    return (f"A rung trains at peak · (horizon / rung) ^ exponent; the exponent was {used}.", *measured) if used else ()


def _use(choice: Choice, study: ResolvedStudy, trainings: Sequence[TrainingRow]) -> Use | None:
    point = choice.recommended.point
    beside = json.loads(point.beside)
    read = schedule_from_json(point.schedule)
    number = int(beside["trial"])
    own = [row for row in trainings if row.trial == number and row.horizon == study.horizon]
    own = [row for row in own if row.status is Status.COMPLETED]
    row = min(own, key=lambda each: each.purpose is not Purpose.FINAL, default=None)
    assert point.peak_lr is not None
    return Use(
        schedule=point.schedule,
        reacts=bool(getattr(read, "needs_metric", False)),
        peak_lr=point.peak_lr,
        horizon=study.horizon,
        optimizer=_optimizer(beside["optimizer"]),
        optimizer_settings=beside["optimizer_settings"],
        extra=public(beside.get("extra", {})),
        trial=number,
        training=None if row is None else row.training_id[:SHORT],
    )


def _optimizer(name: str) -> str | None:
    """A script has its own."""
    return None if name == OPTIMIZER else name


def _pair(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)

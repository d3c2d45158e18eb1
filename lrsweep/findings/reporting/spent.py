"""What a sweep took, by its phases, and where its trainings diverged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from lrsweep.records import Purpose, Status, SweepRow, TrainingRow, TrialRow
from lrsweep.report.content import Cost, CostLine, DivergenceLine
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.space import peak_of
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.sweep import progress
from lrsweep.sweep.meter import spent_by

PHASES = {Purpose.FIT: "measuring the rate exponent", Purpose.FINAL: "finals"}


def cost_of(study: ResolvedStudy, sweep: SweepRow, trainings: Sequence[TrainingRow]) -> Cost:
    """Of the rows that there are; what `lrsweep prune` took away is in the last line alone."""
    by_phase: dict[str, list[TrainingRow]] = defaultdict(list)
    for row in sorted(trainings, key=lambda row: (list(Purpose).index(row.purpose), row.horizon)):
        if row.steps or row.status.is_outcome:
            by_phase[PHASES.get(row.purpose, f"search, {row.horizon:,} steps")].append(row)
    lines = [
        CostLine(phase, len(rows), sum(row.steps for row in rows), sum(row.seconds for row in rows))
        for phase, rows in by_phase.items()
    ]
    if (removed := Removed.of(sweep).all_steps) > 0:
        lines.append(CostLine("pruned since", 0, removed, 0.0))
    device_seconds = spent_by(sweep, study).device_seconds
    used = progress.Cost.of(study, steps=sum(each.steps for each in lines), device_seconds=device_seconds)
    return Cost(tuple(lines), sweep.seconds, used.device_seconds, used.money, study.budget.price_per_hour)


def divergence_lines(trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> tuple[DivergenceLine, ...]:
    """The most diverging first; what never diverged is not among them."""
    by_number: Mapping[int, TrialRow] = {trial.number: trial for trial in trials}
    rates: dict[tuple[str, str], dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for row in trainings:
        if row.trial in by_number and row.status in (Status.COMPLETED, Status.DIVERGED):
            params = by_number[row.trial].params
            kind = (str(params["family"]), str(params["optimizer"]))
            rates[kind][row.status is Status.DIVERGED].append(peak_of(params) * row.rate_scale)
    lines = [
        DivergenceLine(
            family=family,
            optimizer="" if optimizer == OPTIMIZER else optimizer,
            trainings=len(of_kind[True]) + len(of_kind[False]),
            diverged=len(of_kind[True]),
            lowest=min(of_kind[True]),
            highest_sound=max(of_kind[False], default=None),
        )
        for (family, optimizer), of_kind in rates.items()
        if of_kind[True]
    ]
    return tuple(sorted(lines, key=lambda each: (-each.diverged / each.trainings, each.family, each.optimizer)))

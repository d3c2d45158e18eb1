"""What is trained to learn what the test set says of a choice: its schedule and the baseline, with fresh seeds.

Pure: rows in, plans out; outcomes in, scores out. A sweep keeps no models, so there are trainings for it, with a look
at the test set at their end. Nothing of them is stored but their values. The finals' own seeds have made the choice and
would flatter it: a training that came out well on one part of the data did so on the others, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lrsweep.champion.scoring import Scored
from lrsweep.errors import InvalidInput
from lrsweep.records import (
    Origin,
    Outcome,
    Purpose,
    Status,
    TrainingPlan,
    TrainingRow,
    TrialRow,
    stable_hash,
    training_id,
)
from lrsweep.scripts import command
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.plans import next_plan
from lrsweep.workloads import is_own

FRESH = 3
"""Seeds where there were no finals; else as many as they had."""


@dataclass(frozen=True)
class Reading:
    """One read of a test set, before it happens."""

    data: str
    metric: str
    trials: Mapping[int, str]
    """family by number: the choice first, then the baseline where that is another trial"""
    seeds: tuple[int, ...]
    plans: Mapping[tuple[int, int], TrainingPlan]
    """by trial and seed"""


def data_of(study: ResolvedStudy) -> str:
    """Which test set: studies of the same data share it, wherever a workload's file lies."""
    return data_named(study.facts.name, study.facts.data_hash)


def data_named(workload: str, data_hash: str) -> str:
    """A workload of one's own may have any name on the same data, so their hash alone counts.

    >>> data_named("digits", "2f0c"), data_named("nets/net.py:Net", "2f0c")
    ('digits@2f0c', '@2f0c')
    """
    return f"{'' if is_own(workload) else workload}@{data_hash}"


def why_none(study: ResolvedStudy) -> str | None:
    """Why no test set can be read at all, as a sentence."""
    if study.workload.name == command.NAME:
        return "a script keeps its own test set, which lrsweep does not see"
    return None


def reading(
    study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow], chosen: int
) -> Reading | None:
    """None where this release cannot read the trial that was chosen. One of a baseline that it cannot read is left
    out."""
    by_number = {trial.number: trial for trial in trials}
    seeds = _seeds(study, trainings, chosen)
    baseline = [trial.number for trial in trials if trial.origin is Origin.BASELINE][-1:]
    plans: dict[tuple[int, int], TrainingPlan] = {}
    families: dict[int, str] = {}
    for number in dict.fromkeys([chosen, *baseline]):
        try:
            made = {(number, seed): _plan(study, by_number[number], seed) for seed in seeds}
        except (KeyError, InvalidInput):
            continue
        plans |= made
        families[number] = str(by_number[number].params["family"])
    if chosen not in families:
        return None
    metric = f"test_{study.metric.removeprefix('val_')}"
    return Reading(data_of(study), metric, families, seeds, plans)


def scores(read: Reading, outcomes: Mapping[str, Outcome]) -> list[Scored]:
    """In the order of ``read.trials``; a training that diverged or failed has no value."""

    def value(trial: int, seed: int) -> float | None:
        outcome = outcomes.get(read.plans[trial, seed].training_id)
        if outcome is None or outcome.status is not Status.COMPLETED:
            return None
        return outcome.metrics.get(read.metric)

    return [Scored(trial, family, [value(trial, seed) for seed in read.seeds]) for trial, family in read.trials.items()]


def _seeds(study: ResolvedStudy, trainings: Sequence[TrainingRow], chosen: int) -> tuple[int, ...]:
    finals = [
        row
        for row in trainings
        if row.trial == chosen
        and row.purpose is Purpose.FINAL
        and row.status in (Status.COMPLETED, Status.DIVERGED)
        and row.horizon == study.horizon
    ]
    used = {row.seed for row in trainings}
    drawn = (int(stable_hash([study.seed, study.name, "test", place])[:7], 16) for place in itertools.count())
    return tuple(itertools.islice((seed for seed in drawn if seed not in used), len(finals) or FRESH))


def _plan(study: ResolvedStudy, trial: TrialRow, seed: int) -> TrainingPlan:
    row = TrainingRow(
        training_id=training_id(trial.sweep_id, trial.number, study.horizon, seed, 1.0),
        study=trial.study,
        trial=trial.number,
        sweep_id=trial.sweep_id,
        rung=len(study.rungs) - 1,
        horizon=study.horizon,
        seed=seed,
        rate_scale=1.0,
    )
    return replace(next_plan(row, trial, study, checkpoint_url=""), checkpoint_url=None, reads_test=True)

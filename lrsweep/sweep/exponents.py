"""How the best peak rate moves with the horizon: what a sweep assumes of it, and how it is measured by design.

A rung of T_r steps trains at peak * (T / T_r)**a. A sweep freezes ``a`` per optimizer before its first trial, so that
all its rung values mean the same. What it measures, the next sweep may go by::

    frozen_for(study, earlier sweeps) ──> the sweep's exponents
    design(...) ──> trainings of Purpose.FIT ──> fitted(...) ──> the sweep's settings ──> frozen_for of the next

The design trains the best trial of each of the two leading families at five rates around its own, at the first rung
and at the full horizon, all with the same seeds, which the search did not use: one, and up to four where the budget is
large. Survivors of halting cannot stand in for it: they are those whose rate happened to suit both horizons.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Json, Purpose, Status, SweepRow, TrainingRow, TrialRow, stable_hash, training_id
from lrsweep.selection import best_per_family, cost
from lrsweep.selection.parabola import Optimum, optimum
from lrsweep.selection.statistics import Interval, t_quantile
from lrsweep.study import ResolvedStudy

FITTED_KEY = "fitted_exponents"
"""Where a sweep's settings hold what its design found: ``{optimizer: Fit.to_json()}``."""

FACTORS = (3**-1.0, 3**-0.5, 1.0, 3**0.5, 3.0)
"""Of the trial's own peak, which has led its family and so lies near the best. At twice the reach half of a small
network's curve is divergence, which no parabola follows."""

LEADING_FAMILIES = 2

CHEAP_SHARE = 0.1
"""A design of at most this share of the whole budget is made unasked."""

LARGEST_SHARE = 0.3
"""Of the whole budget: half of what the search has of it, and the design is paid from that."""

MOST_SEEDS = 4

NARROW = 0.5
"""The widest interval that a later sweep goes by: its middle is wrong by at most a quarter, which at a third of the
horizon is a rate wrong by a factor of 1.3."""


@dataclass(frozen=True)
class Fit:
    """The exponent of one optimizer as a design found it."""

    exponent: float | None
    """from 0 to 1; None where no pair of curves gave one"""
    interval: Interval | None
    trials: tuple[int, ...]
    """that it rests on"""
    refused: tuple[str, ...] = ()
    """a sentence per trial that gave none"""

    @property
    def is_narrow(self) -> bool:
        """Whether a later sweep goes by it."""
        return self.exponent is not None and self.interval is not None and self.interval.width <= NARROW

    @property
    def sentence(self) -> str:
        if self.exponent is None or self.interval is None:
            return f"not fitted: {'; '.join(self.refused)}"
        said = f"{self.exponent:.2f} (95 %: {self.interval.low:.2f} to {self.interval.high:.2f})"
        return f"{said}; the next sweep goes by it" if self.is_narrow else f"{said}; too wide for a sweep to go by"

    def to_json(self) -> dict[str, Json]:
        return {
            "exponent": self.exponent,
            "interval": None if self.interval is None else [self.interval.low, self.interval.high],
            "trials": list(self.trials),
            "refused": list(self.refused),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> Fit:
        interval = stored["interval"]
        return cls(
            exponent=stored["exponent"],
            interval=None if interval is None else Interval(*interval),
            trials=tuple(stored["trials"]),
            refused=tuple(stored["refused"]),
        )


def frozen_for(study: ResolvedStudy, earlier_sweeps: Sequence[SweepRow] = ()) -> dict[str, float]:
    """By optimizer, the exponent that a new sweep goes by: the newest narrow fit, else the optimizer's default.

    ``earlier_sweeps`` are those of the same meaning, oldest first. Default exponents are frozen too, so that what a
    sweep went by stands in its row.
    """
    frozen = {name: study.default_exponent(name) for name in study.space.optimizers}
    for sweep in earlier_sweeps:
        for name, stored in sweep.settings.get(FITTED_KEY, {}).items():
            fit = Fit.from_json(stored)
            if name in frozen and fit.is_narrow and fit.exponent is not None:
                frozen[name] = fit.exponent
    return frozen


def design_cost(study: ResolvedStudy, trials: int = LEADING_FAMILIES) -> int:
    """Updates of a design on so many trials with one seed."""
    return trials * len(FACTORS) * (study.rungs[0] + study.rungs[-1])


def is_wanted(study: ResolvedStudy) -> bool:
    """Whether a sweep of the study measures its exponents: as the file says, else where that is cheap."""
    if len(study.rungs) == 1:
        return False
    if study.search.fit_exponent is not None:
        return study.search.fit_exponent and why_none(study) is None
    return design_cost(study) <= CHEAP_SHARE * study.total_steps


def why_none(study: ResolvedStudy) -> str | None:
    """A sentence for the user, where a design is asked for that the budget does not pay for. Of a budget in trials it
    comes on top."""
    if not study.search.fit_exponent or len(study.rungs) == 1 or study.budget.trials is not None:
        return None
    cost = design_cost(study, min(LEADING_FAMILIES, len(study.space.families)))
    if not study.total_steps or cost <= LARGEST_SHARE * study.total_steps:
        return None
    return (
        f"search.fit_exponent takes {cost} updates, more than {LARGEST_SHARE:.0%} of the whole budget's "
        f"{study.total_steps}: no exponent is measured. A budget of {math.ceil(cost / LARGEST_SHARE)} updates would do"
    )


def planned_cost(study: ResolvedStudy) -> int:
    """Updates of the design that a sweep of the study is expected to make; 0 where it makes none."""
    leading = min(LEADING_FAMILIES, len(study.space.families))
    return design_cost(study, leading) * _seeds(study, leading) if is_wanted(study) else 0


def _seeds(study: ResolvedStudy, leading: int) -> int:
    affordable = int(CHEAP_SHARE * study.total_steps / design_cost(study, max(1, leading)))
    return min(MOST_SEEDS, max(1, affordable))


def design(study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> list[TrainingRow]:
    """What to queue when the search has ended, all at once: ``trials`` and ``trainings`` are the sweep's.

    Empty where the study does not want a design, where it is there already, and where no trial has reached the full
    horizon. Of a design that the clock of a smaller budget has stopped the rows that it left come back.
    """
    if not is_wanted(study):
        return []
    if begun := [row for row in trainings if row.purpose is Purpose.FIT]:
        return [row for row in begun if row.status is Status.STOPPED]
    leading = best_per_family(trials, study.sense)[:LEADING_FAMILIES]
    return [
        _training(study, trial, rung, int(stable_hash([study.seed, study.name, "fit", place])[:7], 16), factor)
        for place in range(_seeds(study, len(leading)))
        for trial in leading
        for rung in (0, len(study.rungs) - 1)
        for factor in FACTORS
    ]


def fitted(study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> dict[str, Fit]:
    """By optimizer, what the sweep's design says; empty without one. Call it when all its trainings have ended."""
    rows: dict[int, list[TrainingRow]] = defaultdict(list)
    for row in trainings:
        if row.purpose is Purpose.FIT:
            rows[row.trial].append(row)
    by_optimizer: dict[str, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if trial.number in rows:
            by_optimizer[str(trial.params["optimizer"])].append(trial)
    return {name: _fit(study, [(trial, rows[trial.number]) for trial in of_it]) for name, of_it in by_optimizer.items()}


def _training(study: ResolvedStudy, trial: TrialRow, rung: int, seed: int, factor: float) -> TrainingRow:
    horizon = study.rungs[rung]
    scale = factor * study.rate_scale(str(trial.params["optimizer"]), horizon)
    return TrainingRow(
        training_id=training_id(trial.sweep_id, trial.number, horizon, seed, scale),
        study=trial.study,
        trial=trial.number,
        sweep_id=trial.sweep_id,
        rung=rung,
        horizon=horizon,
        seed=seed,
        rate_scale=scale,
        purpose=Purpose.FIT,
    )


def _fit(study: ResolvedStudy, designs: Sequence[tuple[TrialRow, Sequence[TrainingRow]]]) -> Fit:
    """The mean over trials. Misfits of one horizon are pooled, since one parabola leaves few points to judge by. Where
    the trials lie further apart than misfits explain, each family has an exponent of its own, and the interval is that
    of their mean: with two trials it is seldom narrow then.
    """
    pairs: dict[int, tuple[Optimum, Optimum]] = {}
    refused: list[str] = []
    for trial, rows in designs:
        short, full = (
            optimum(_points([row for row in rows if row.horizon == horizon], study))
            for horizon in (study.rungs[0], study.horizon)
        )
        if isinstance(short, Optimum) and isinstance(full, Optimum):
            pairs[trial.number] = (short, full)
        else:
            at = ((study.rungs[0], short), (study.horizon, full))
            why = ", ".join(f"at {steps} steps {each}" for steps, each in at if isinstance(each, str))
            refused.append(f"trial {trial.number}: {why}")
    if not pairs:
        return Fit(None, None, (), tuple(refused))
    lever = math.log(study.horizon / study.rungs[0])
    shifts = [short.at - full.at for short, full in pairs.values()]
    middle = sum(shifts) / len(shifts)
    parts = [_pooled(curves) for curves in zip(*pairs.values(), strict=True)]
    variance = sum(of_mean for of_mean, _ in parts)
    # Satterthwaite: how many degrees of freedom a sum of two estimated variances has
    degrees = variance**2 / sum(of_mean**2 / freedom for of_mean, freedom in parts) if variance else math.inf
    apart = sum((shift - middle) ** 2 for shift in shifts) / len(shifts) / max(1, len(shifts) - 1)
    if apart > variance:
        variance, degrees = apart, len(shifts) - 1
    exponent, reach = middle / lever, t_quantile(degrees) * math.sqrt(variance) / lever
    interval = Interval(exponent - reach, exponent + reach)
    return Fit(min(1.0, max(0.0, exponent)), interval, tuple(pairs), tuple(refused))


def _pooled(curves: Sequence[Optimum]) -> tuple[float, int]:
    """The variance of the mean of the optima, and its degrees of freedom."""
    freedom = sum(each.freedom for each in curves)
    noise = sum(each.misfit for each in curves) / freedom
    return noise * sum(each.leverage for each in curves) / len(curves) ** 2, freedom


def _points(rows: Sequence[TrainingRow], study: ResolvedStudy) -> list[tuple[float, float | None]]:
    """Log rate and mean cost over the seeds, infinite where one of them diverged."""
    costs: dict[float, list[float | None]] = defaultdict(list)
    for row in rows:
        costs[row.rate_scale].append(_cost(row, study))
    means = {scale: [each for each in of_scale if each is not None] for scale, of_scale in costs.items()}
    return [(math.log(scale), sum(known) / len(known) if known else None) for scale, known in means.items()]


def _cost(row: TrainingRow, study: ResolvedStudy) -> float | None:
    """Infinite where it diverged; None where nothing is known, since it has failed or not ended."""
    value = row.metrics.get(study.value_key)
    if row.status is Status.COMPLETED and value is not None:
        return cost(value, study.sense)
    return math.inf if row.status in (Status.COMPLETED, Status.DIVERGED) else None

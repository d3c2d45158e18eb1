"""``lrsweep range``: the learning-rate range test over several seeds, trained by the engines of a sweep.

A workload's training loss is read at every step. A script has to report a loss often while it trains: that is all that
is known of it.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lrsweep.cli.target import Target
from lrsweep.engines.range_test import FEWEST_POINTS, RangeReading, SeedReading, Spread, growing, read_curve, read_range
from lrsweep.errors import SettingsError, SweepFailed
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Floats, Json, OptimizerSpec, Outcome, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules.kinds import LONGEST_LIST, listing
from lrsweep.workloads import catalog

STEPS, LOW, HIGH, SEEDS = 300, 1e-6, 10.0, 3
FEWEST_STEPS = FEWEST_POINTS + 1
"""A workload's first loss belongs to no rate."""
MOST_SEEDS = 100
POLL_SECONDS = 0.2
RANDOM_DATA = "the data are random: the speed alone means anything, and no rate is suggested"
WORTH_STOPPING = 20.0
"""Seconds that a diverged training would go on for. To stop it ends the engine's process, and a new one takes some
seconds to start and to load the data."""


@dataclass(frozen=True)
class RangeOptions:
    """What the command line says; ``problems`` is everything that is wrong with it."""

    steps: int = STEPS
    low: float = LOW
    high: float = HIGH
    seeds: int = SEEDS
    metric: str | None = None

    def problems(self) -> list[str]:
        found = []
        if not FEWEST_STEPS <= self.steps <= LONGEST_LIST:
            found.append(f"--steps is {self.steps}; wanted a whole number from {FEWEST_STEPS} to {LONGEST_LIST}")
        if not 0 < self.low < self.high < math.inf:
            found.append(f"--low is {self.low:g} and --high {self.high:g}; wanted two rates above 0, the lower first")
        if not 1 <= self.seeds <= MOST_SEEDS:
            found.append(f"--seeds is {self.seeds}; wanted a number from 1 to {MOST_SEEDS}")
        return found


@dataclass(frozen=True)
class RangeTest:
    target: Target
    optimizer: OptimizerSpec
    options: RangeOptions
    metric: str
    device: str
    seeds: tuple[SeedReading, ...]
    reading: RangeReading

    def to_json(self) -> dict[str, Json]:
        reading, command = self.reading, self.target.command
        return {
            "workload": None if command else self.target.workload.name,
            "settings": None if command else dict(catalog.complete(self.target.workload).settings),
            "command": command.command if command else None,
            "optimizer": self.optimizer.name,
            "device": self.device,
            "metric": self.metric,
            "seeds": len(self.seeds),
            "steps": self.options.steps,
            "low": self.options.low,
            "high": self.options.high,
            "steepest": _spread(reading.steepest),
            "lowest": _spread(reading.lowest),
            "divergence": _spread(reading.divergence),
            "suggested": None if reading.suggested is None else list(reading.suggested),
            "peak_lr": reading.peak_lr,
            "notes": list(reading.notes),
            "curves": [_curve(number, seed) for number, seed in enumerate(self.seeds)],
        }

    def for_a_study(self) -> str | None:
        """The lines for a study file."""
        if self.reading.suggested is None:
            return None
        limits = "[{:.2g}, {:.2g}]".format(*self.reading.suggested)
        if self.target.command is not None:
            return f"[space]\npeak_lr = {limits}"
        return f"[space.peak_lr]\n{self.optimizer.name} = {limits}"


def run_range(
    target: Target,
    executor: LocalExecutor,
    options: RangeOptions,
    *,
    optimizer: str | None = None,
    scratch: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> RangeTest:
    """One training per seed. Raises InvalidInput for what was asked, SweepFailed where a training fails.

    ``scratch`` is where a script's plans and reports lie for as long as this takes; None: where temporary files do.
    """
    problems = options.problems()
    metric, wrong = _metric(target, options)
    problems += wrong
    if problems:
        raise SettingsError(listing("range", problems))
    chosen = target.optimizer(optimizer)
    workload = target.workload if target.command is None else replace(target.command, steps=options.steps).spec()
    say("loading")
    executor.describe(workload)  # what cannot be loaded, or is no script for this, is told in a sentence
    seeds, device = [], ""
    with tempfile.TemporaryDirectory(prefix="lrsweep-range-", dir=scratch, ignore_cleanup_errors=True) as folder:
        for seed in range(options.seeds):
            say(f"seed {seed + 1} of {options.seeds}")
            plan = _plan(target, workload, chosen, options, seed, Path(folder))
            curve, outcome, device = _trained(executor, plan)
            seeds.append(_read(plan, curve, outcome, is_script=target.command is not None))
    reading = read_range(seeds)
    if target.is_synthetic:
        reading = replace(reading, suggested=None, peak_lr=None, notes=(RANDOM_DATA,))
    return RangeTest(target, chosen, options, metric, device, tuple(seeds), reading)


def _metric(target: Target, options: RangeOptions) -> tuple[str, list[str]]:
    """What is read, and why it cannot be."""
    if target.command is None:
        wrong = [f"--metric {options.metric}: a workload's training loss is read"] if options.metric else []
        return "train_loss", wrong
    metric = options.metric or target.metric
    if target.command.follows == "flags":
        return metric, [
            "flags choose among the script's own schedules, and none of them is a growing one; let it call "
            "lrsweep.attach, or take a file of rates by {lr_table}"
        ]
    if options.metric is None and target.study is not None and target.study.direction == "maximize":
        return metric, [f"{metric} is better when it is larger; name a loss that the script reports: --metric val_loss"]
    return metric, []


def _plan(
    target: Target, workload: WorkloadSpec, optimizer: OptimizerSpec, options: RangeOptions, seed: int, folder: Path
) -> TrainingPlan:
    return TrainingPlan(
        training_id=f"range-{seed}",
        attempt=1,
        workload=workload,
        schedule=growing(options.low, options.high, options.steps),
        peak_lr=options.high,
        optimizer=optimizer,
        horizon=options.steps,
        seed=seed,
        evaluations=1,  # the training losses are what is read
        metric="val_loss" if target.command is None else options.metric or target.metric,
        extra=target.extra,
        engine=target.engine,
        checkpoint_url=None if target.command is None else str(folder / f"seed-{seed}"),
    )


def _trained(executor: LocalExecutor, plan: TrainingPlan) -> tuple[Curve, Outcome | None, str]:
    """The curve, and how it ended; None: it was stopped here, as it had diverged."""
    began, curve, device = time.monotonic(), Curve.empty(), ""
    executor.submit(plan)
    while True:
        for message in executor.poll(POLL_SECONDS):
            if isinstance(message, Lost):
                raise SweepFailed(f"the range test has lost its training: {message.reason}")
            curve, device = curve.extended(message), message.device
            if message.outcome is not None:
                return curve, message.outcome, device
        seconds_left = (time.monotonic() - began) * (plan.horizon / max(curve.steps, 1) - 1)
        if curve.steps and seconds_left > WORTH_STOPPING and _has_diverged(curve):
            executor.close()
            return curve, None, device


def _has_diverged(curve: Curve) -> bool:
    """With some steps more to see that it lasts."""
    if len(curve.train_losses) < FEWEST_POINTS or np.isnan(curve.train_losses).all():
        return False
    divergence = _after_updates(curve).divergence
    return divergence is not None and divergence < curve.rates[-1] / 2


def _read(plan: TrainingPlan, curve: Curve, outcome: Outcome | None, *, is_script: bool) -> SeedReading:
    if outcome is not None and outcome.status is Status.FAILED:
        raise SweepFailed(f"a training of the range test failed:\n{outcome.error}")
    if not is_script:
        return _after_updates(curve)
    rates, losses = _reported(curve, plan.metric, diverged=outcome is not None and outcome.status is Status.DIVERGED)
    apart = curve.steps / max(len(losses), 1)
    if plan.horizon < FEWEST_POINTS * apart:
        enough = math.ceil(FEWEST_POINTS * apart)
        raise SettingsError(
            f"the script reported {plan.metric} {len(losses)} times in {curve.steps} updates, and a curve of "
            f"{plan.horizon} needs {FEWEST_POINTS}. Report it every {max(1, plan.horizon // FEWEST_POINTS)} updates or "
            f"more often (the loss of the batch will do: run.report(step + 1, train_loss=loss), --metric train_loss), "
            f"or make the test longer: --steps {enough}"
        )
    return read_curve(rates, losses)


def _after_updates(curve: Curve) -> SeedReading:
    """A step's loss is measured before its update: it belongs to the rate of the step before, and the first to none."""
    return read_curve(curve.rates[:-1], curve.train_losses[1:])


def _reported(curve: Curve, metric: str, *, diverged: bool) -> tuple[Floats, Floats]:
    """The rate of the last update before each report, and the metric in it.

    NaN stands for a report of other metrics alone, which says nothing; but not in the last of a training that diverged.
    """
    values = curve.evaluations.get(metric, np.full(len(curve.evaluation_steps), np.nan))
    told = ~np.isnan(values)
    told[-1:] |= diverged
    told &= curve.evaluation_steps > 0  # before the first update there is no rate
    return curve.rates[curve.evaluation_steps[told] - 1], values[told]


def _spread(spread: Spread | None) -> Json:
    return spread and {"rate": spread.rate, "low": spread.low, "high": spread.high, "seeds": spread.seeds}


def _curve(number: int, seed: SeedReading) -> dict[str, Json]:
    return {
        "seed": number,
        "rates": seed.rates.tolist(),
        "losses": [loss if math.isfinite(loss) else None for loss in seed.losses.tolist()],
        "smoothed": seed.smoothed.tolist(),
        "steepest": seed.steepest,
        "lowest": seed.lowest,
        "divergence": seed.divergence,
        "unclear": seed.unclear,
    }

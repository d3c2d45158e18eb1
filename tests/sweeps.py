"""A small study, its rows and its records, for tests of what a sweep is made of; nothing here trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lrsweep.records import (
    Direction,
    Outcome,
    Record,
    Status,
    TrainingRow,
    TrialRow,
    TrialState,
    WorkloadFacts,
    WorkloadSpec,
)
from lrsweep.schedules import core_names
from lrsweep.space import distributions_to_json, peak_lr_name
from lrsweep.study import BudgetSpec, ResolvedStudy, SpaceSpec, Study
from lrsweep.sweep.progress import Progress

FACTS = WorkloadFacts(
    name="digits",
    settings={"model": "mlp", "noise": 0.0},
    version=1,
    data_hash="d",
    batch_size=64,
    horizon=600,
    peak_lr={"sgd": (0.01, 1.0), "adamw": (0.0001, 0.1)},
)

STUDY_FILE = Study(
    name="quick",
    workload=WorkloadSpec("digits"),
    space=SpaceSpec(("cosine",), ("sgd",)),
    budget=BudgetSpec(trials=60),
    source="quick.toml",
)
"""As it is read; ``a_study`` is one that is resolved."""


def a_study(
    *, trials: int = 60, horizon: int = 90, seed: int = 0, direction: Direction = "minimize", **space: Any
) -> ResolvedStudy:
    """The core families and both optimizers unless told otherwise; rungs of 30 and 90 steps."""
    given = {"families": core_names(), "optimizers": ("sgd", "adamw"), "peak_lr": FACTS.peak_lr, **space}
    return ResolvedStudy(
        name="quick",
        workload=WorkloadSpec(FACTS.name, FACTS.settings),
        facts=FACTS,
        metric="val_loss",
        direction=direction,
        horizon=horizon,
        seed=seed,
        space=SpaceSpec(**given),
        trials=trials,
        source="quick.toml",
    )


def a_trial(number: int, *, family: str = "cosine", optimizer: str = "sgd", **changes: Any) -> TrialRow:
    """A trial of the sweep ``s`` whose peak rate is 0.1; of a family that has no settings of its own to search."""
    import optuna

    row = TrialRow(
        study="quick",
        number=number,
        sweep_id="s",
        params={"family": family, "optimizer": optimizer, peak_lr_name(family, optimizer): 0.1},
        distributions=distributions_to_json(
            {
                "family": optuna.distributions.CategoricalDistribution(core_names()),
                "optimizer": optuna.distributions.CategoricalDistribution(("sgd", "adamw")),
                peak_lr_name(family, optimizer): optuna.distributions.FloatDistribution(
                    *FACTS.peak_lr[optimizer], log=True
                ),
            }
        ),
    )
    return replace(row, **changes)


def a_complete_trial(number: int, value: float, **changes: Any) -> TrialRow:
    return a_trial(number, state=TrialState.COMPLETE, value=value, **changes)


def a_training(trial: int = 0, rung: int = 0, *, value: float | None = None, **changes: Any) -> TrainingRow:
    """Waiting; completed with that value of ``val_loss`` where one is given. Rung 0 has the rate of SGD, raised."""
    row = TrainingRow(
        training_id=f"training-{trial}-{rung}",
        study="quick",
        trial=trial,
        sweep_id="s",
        rung=rung,
        horizon=(30, 90)[rung],
        seed=7,
        rate_scale=(3**0.5, 1.0)[rung],
    )
    if value is not None:
        row = replace(row, attempt=1, status=Status.COMPLETED, steps=row.horizon, metrics={"val_loss": value})
    return replace(row, **changes)


def a_record(
    first_step: int = 0,
    rates: list[float] | None = None,
    evaluations: Mapping[int, Mapping[str, float]] | None = None,
    outcome: Outcome | None = None,
    *,
    training_id: str = "training-0-0",
    attempt: int = 1,
) -> Record:
    """A stretch whose losses are ten times its rates. ``evaluations``: updates done -> metric -> value."""
    evaluations = evaluations or {}
    metrics = next(iter(evaluations.values()), {})
    return Record(
        training_id=training_id,
        attempt=attempt,
        device="cpu",
        first_step=first_step,
        rates=np.array(rates or [], dtype=np.float64),
        train_losses=10 * np.array(rates or [], dtype=np.float64),
        evaluation_steps=np.array(list(evaluations), dtype=np.int64),
        evaluations={name: np.array([values[name] for values in evaluations.values()]) for name in metrics},
        outcome=outcome,
    )


def a_progress(**changes: Any) -> Progress:
    """A look at a sweep of 60 trials that has just begun."""
    progress = Progress(
        study="quick",
        sweep_id="s",
        trials_told=0,
        trials_wanted=60,
        trainings_ended=0,
        steps_done=0,
        seconds=0.0,
        seconds_left=None,
        families=[],
        best=None,
        running=[],
        behind=0,
        outage=None,
    )
    return replace(progress, **changes)

"""The parts of a study beside its space: frozen values, as a file states them or by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lrsweep.records import EngineSettings, Json
from lrsweep.schedules import Schedule

PLAIN = EngineSettings()

REDUCTION_FACTOR = 3
"""Unless the file says otherwise; at a ninth of the horizon even the corrected rung picks badly."""


@dataclass(frozen=True)
class Plugin:
    """A sampler or pruner: a name of ours, or a dotted path such as ``optuna.samplers.CmaEsSampler``, and what it is
    called with."""

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict)


SAMPLERS = ("auto", "tpe", "tpe_by_family", "gp", "qmc", "random", "cmaes")
PRUNERS = ("halving", "none", "median", "percentile", "successive_halving", "hyperband", "threshold")
"""What a file may name without a dotted path."""


@dataclass(frozen=True)
class SearchSpec:
    sampler: Plugin = Plugin("auto")
    pruner: Plugin = Plugin("halving")
    """``halving``: inside each family"""
    fidelity: Literal["compressed", "full"] = "compressed"
    rungs: int = 3
    """horizons at which a trial may be trained, the full one included"""
    reduction_factor: int = REDUCTION_FACTOR
    """how much shorter a rung is than the next; Optuna hears of rung r at step ``reduction_factor**r``"""
    fit_exponent: bool | None = None
    """whether a design of trainings measures how the best peak moves with the horizon; None: where it is cheap"""
    advice: bool = True
    """whether a new sweep first tries what other studies of the same kind have found"""


@dataclass(frozen=True)
class BudgetSpec:
    """One of these is given. All convert to trainings at the full horizon."""

    trials: int | None = None
    """of the search; the finalists' share comes on top"""
    trainings: float | None = None
    """full-horizon equivalents, finalists included"""
    steps: int | None = None
    wall_clock: float | None = None
    """seconds"""
    gpu_hours: float | None = None
    money: float | None = None
    price_per_hour: float | None = None
    """of one device: needed for ``money``, and shown as cost wherever it is given"""

    @property
    def kind(self) -> str:
        return next(name for name in BUDGETS if getattr(self, name) is not None)


BUDGETS = ("trainings", "trials", "steps", "wall_clock", "gpu_hours", "money")
TIMED = ("wall_clock", "gpu_hours", "money")
"""Budgets that say nothing of trainings until it is known how fast they are."""


@dataclass(frozen=True)
class SelectionSpec:
    share: float = 0.4
    """of the whole budget that is kept for finalists"""
    finalists: int = 6
    """at most; 0: none are trained"""
    seeds: int = 3
    """fresh ones of each finalist, at least"""
    racing: bool = True
    """whether those finalists that are still open to be best get more seeds than the others"""
    worth: float | None = None
    """the smallest gain that is worth a change"""


@dataclass(frozen=True)
class RunSpec:
    """What a command's options say too, which win."""

    device: str | None = None
    engine: str | None = None
    deadline: float | None = None
    """seconds"""
    failures_that_stop: int = 5
    """in a row"""


RESTARTS = ("device", "versions", "data", "commit")
"""Of a night's surroundings, what a study may say limits start anew with."""


@dataclass(frozen=True)
class NightlySpec:
    """How `lrsweep nightly run` asks whether the champion is still the one to use."""

    seeds: int = 3
    """fresh ones of each canary, and of each challenger and the champion at the full horizon"""
    challengers: int = 3
    """at most, where a canary has left its limits"""
    max_age: float = 7 * 86400.0
    """seconds; a verdict that is older is asked for anew though nothing has changed"""
    worth: float | None = None
    """the smallest gain of a challenger that is worth a change; None: ``selection.worth``"""
    promote: bool = False
    """whether a challenger that is shown to be better comes into force by itself"""
    restarts: tuple[str, ...] = ("device", "versions")
    """of ``RESTARTS``, with whose change limits and comparisons start anew"""


@dataclass(frozen=True)
class TrackingSpec:
    """How runs look in MLflow. Names in braces are filled in; ``lrsweep.templates`` says which ones there are."""

    experiment: str = "{study}"
    run_name: str = "{trial:04d} {family} {optimizer} @{horizon}"
    tags: Mapping[str, str] = field(default_factory=dict)
    runs: Literal["all", "finalists", "sweep"] = "all"
    user: bool = False
    """whether user and host names are sent"""


@dataclass(frozen=True)
class Baseline:
    """What the user runs today; trial 0 of a study."""

    schedule: Schedule
    peak_lr: float
    """at the full horizon"""
    optimizer: str
    settings: Mapping[str, float] = field(default_factory=dict)
    """of the optimizer, where they are not the study's"""
    extra: Mapping[str, Json] = field(default_factory=dict)

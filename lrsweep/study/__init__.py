"""The study file: read, checked whole, frozen.

>>> from lrsweep.study import parse_study
>>> text = '''
... [study]
... name = "quick"
... workload = "digits"
... [budget]
... trials = 60
... '''
>>> study = parse_study(text, "quick.toml")
>>> study.budget.trials, study.space.optimizers, study.workload.settings["model"]
(60, ('sgd', 'adamw'), 'mlp')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrsweep.study.baselines import AskedBaseline
from lrsweep.study.objectives import Objective
from lrsweep.study.optimizers import DEFAULT_OPTIMIZERS, OPTIMIZERS, RATE_EXPONENTS
from lrsweep.study.resolved import TRAINING_RULES, ResolvedStudy
from lrsweep.study.spaces import Drawn, Range, SpaceSpec, hears, mode_of
from lrsweep.study.specs import (
    BUDGETS,
    REDUCTION_FACTOR,
    TIMED,
    Baseline,
    BudgetSpec,
    NightlySpec,
    Plugin,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
)
from lrsweep.study.values import Study

if TYPE_CHECKING:
    from lrsweep.study.file import Examined, examine_file, load_study, parse_study

__all__ = [
    "BUDGETS",
    "DEFAULT_OPTIMIZERS",
    "OPTIMIZERS",
    "RATE_EXPONENTS",
    "REDUCTION_FACTOR",
    "TIMED",
    "TRAINING_RULES",
    "AskedBaseline",
    "Baseline",
    "BudgetSpec",
    "Drawn",
    "Examined",
    "NightlySpec",
    "Objective",
    "Plugin",
    "Range",
    "ResolvedStudy",
    "RunSpec",
    "SearchSpec",
    "SelectionSpec",
    "SpaceSpec",
    "Study",
    "TrackingSpec",
    "examine_file",
    "hears",
    "load_study",
    "mode_of",
    "parse_study",
]


def __getattr__(name: str) -> Any:
    """What reads a file is loaded when it is first used: a look at results reads none, and models of pydantic are slow
    to make."""
    if name not in ("Examined", "examine_file", "load_study", "parse_study"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lrsweep.study import file

    return getattr(file, name)

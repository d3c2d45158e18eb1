"""The study file: read, checked whole, frozen.

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

from lrsweep.study.baselines import AskedBaseline
from lrsweep.study.file import Examined, examine_file, load_study, parse_study
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

"""The study file: read, checked whole, frozen.

>>> text = '''
... [study]
... name = "quick"
... workload = "digits"
... [budget]
... trials = 60
... '''
>>> study = parse_study(text, "quick.toml")
>>> study.trials, study.space.optimizers, study.workload.settings["model"]
(60, ('sgd', 'adamw'), 'mlp')
"""

from lrsweep.study.file import load_study, parse_study
from lrsweep.study.values import (
    DEFAULT_OPTIMIZERS,
    OPTIMIZERS,
    RATE_EXPONENTS,
    REDUCTION_FACTOR,
    TRAINING_RULES,
    Range,
    ResolvedStudy,
    SpaceSpec,
    Study,
    hears,
    mode_of,
)

__all__ = [
    "DEFAULT_OPTIMIZERS",
    "OPTIMIZERS",
    "RATE_EXPONENTS",
    "REDUCTION_FACTOR",
    "TRAINING_RULES",
    "Range",
    "ResolvedStudy",
    "SpaceSpec",
    "Study",
    "hears",
    "load_study",
    "mode_of",
    "parse_study",
]

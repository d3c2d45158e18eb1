"""Families and ranges <-> Optuna's suggestions <-> a ``Candidate``: what a trial is.

    points.py      what is drawn for a point of a study, and the schedule, rate and optimizer that its names stand for
    placing.py     where in the space something lies that was not drawn from it; the baseline may lie beside it
    objectives.py  the same names for somebody's own Optuna objective: ``lrsweep.suggest``

The parameters' names are the ones that people read in MLflow and in SQL: ``family``, ``optimizer``,
``cosine.sgd.peak_lr`` (the rate is searched per family and optimizer: comparing shapes at one shared rate picks the
wrong shape), a family's own settings as ``wsd.cooldown``, the numbers of a list as ``knots.points.1``, ``warmup`` and
``floor`` where the study gives ranges, ``sgd.weight_decay``, and the parameters of a user's own script as
``extra.dropout``. A baseline beside the space has none of these names but the first two: see ``placing.py``.
"""

from __future__ import annotations

from lrsweep.space.placing import baseline_params, distributions_at, params_of, why_not
from lrsweep.space.points import (
    Candidate,
    candidate,
    decay_name,
    distributions_from_json,
    distributions_of,
    distributions_to_json,
    extra_name,
    fits,
    peak_lr_name,
    peak_of,
    suggest,
)

__all__ = [
    "Candidate",
    "baseline_params",
    "candidate",
    "decay_name",
    "distributions_at",
    "distributions_from_json",
    "distributions_of",
    "distributions_to_json",
    "extra_name",
    "fits",
    "params_of",
    "peak_lr_name",
    "peak_of",
    "suggest",
    "why_not",
]

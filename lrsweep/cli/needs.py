"""What the results of a study will take on a disk, as far as its file says it."""

from __future__ import annotations

from pathlib import Path

from lrsweep.doctor import bytes_needed
from lrsweep.study import load_study
from lrsweep.study.file import STUDIES

RUNGS_PER_TRIAL = 1.5
"""Trainings that a trial comes to with halving, the calibrating ones included; the demo's 60 trials took 86."""


def needed_by(given: str) -> tuple[str, int | None]:
    """The study's name, and how many bytes; None where only its name is given, or nothing says it before a training.

    Raises StudyError for a file that cannot be run.
    """
    path = Path(given)
    is_elsewhere = path.name != given and path.is_file()  # a word alone is a name, whatever is called so here
    if not (given.endswith(".toml") or (STUDIES / f"{given}.toml").exists() or is_elsewhere):
        return given, None
    study = load_study(given)
    trials, horizon = study.budget.trials, study.horizon
    if trials is None or not isinstance(horizon, int):
        return study.name, None
    trainings = trials * RUNGS_PER_TRIAL
    return study.name, bytes_needed(trainings, trainings * horizon)

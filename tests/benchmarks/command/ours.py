"""lrsweep on the command: ``lrsweep run`` in a process of its own, and its story as its store tells it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lrsweep.records import Purpose, Status, TrainingRow, TrialRow, TrialState
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.store.base import Event
from tests.benchmarks.command.space import key_of, study_file
from tests.benchmarks.command.story import Moment, Story

METRIC = "val_loss"


def run(folder: Path, environment: Mapping[str, str], *, seconds: float, seed: int) -> Story:
    """Raises RuntimeError where the sweep fails."""
    text = study_file(sys.executable, seconds).replace('name = "command"', f'name = "command"\nseed = {seed}')
    (folder / "study.toml").write_text(text, encoding="utf-8")
    given = {**environment, "LRSWEEP_HOME": str(folder)}
    began = time.time()
    process = subprocess.run(
        [sys.executable, "-m", "lrsweep.cli", "run", "study.toml"],
        cwd=folder,
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    ended = time.time()
    if process.returncode != 0:
        raise RuntimeError(f"lrsweep ended with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    store = open_store(make_homes(read_settings({**os.environ, "LRSWEEP_HOME": str(folder)})).results_url)
    trials, trainings, events = store.trials("command"), store.trainings("command"), store.events("command")
    store.close()
    return story(trials, trainings, events, began=began, ended=ended)


def story(
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    events: Sequence[Event],
    *,
    began: float,
    ended: float,
) -> Story:
    """On its way the best trial at the full horizon is the pick; in the end it is the finalists' leader."""
    known = {trial.number: trial for trial in trials}
    moments: list[Moment] = []
    best: TrialRow | None = None
    for event in events:
        trial = known[event.data["trial"]] if event.kind == "trial_told" else None
        if trial is None or trial.state is not TrialState.COMPLETE or trial.value is None:
            continue
        if best is None or best.value is None or trial.value < best.value:
            best = trial
            moments.append(Moment(event.at - began, key_of(trial.params)))
    leader = _leader(trainings)
    if leader is not None:
        moments.append(Moment(ended - began, key_of(known[leader].params)))
    keys = {moment.point for moment in moments}
    return Story(
        seconds=ended - began,
        moments=moments,
        points={key_of(trial.params): trial.params for trial in trials if key_of(trial.params) in keys},
        trials=len(trials),
        trainings=sum(row.status.is_outcome for row in trainings),
    )


def _leader(trainings: Sequence[TrainingRow]) -> int | None:
    """The finalist with the best mean; None where there were no finals."""
    finals = [row for row in trainings if row.purpose is Purpose.FINAL and row.status is Status.COMPLETED]
    losses: dict[int, list[float]] = {}
    for row in finals:
        losses.setdefault(row.trial, []).append(row.metrics[METRIC])
    return min(losses, key=lambda number: sum(losses[number]) / len(losses[number]), default=None)

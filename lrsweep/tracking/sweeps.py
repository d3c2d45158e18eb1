"""The sweeps whose runs are in an MLflow experiment, as their own runs tell of them: for ``lrsweep choose``.

What the race of a sweep's finals may claim is told there too: whoever has the runs alone could not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lrsweep.tracking.connection import load_mlflow, ready, translated, usable
from lrsweep.tracking.importing import PAGE_SIZE, TIMEOUT_SECONDS

SWEEP_TAG, STUDY_TAG, MEANING_TAG = "lrsweep.sweep", "lrsweep.study", "lrsweep.meaning"
RACE_TAG, LOOKS_TAG, ALPHA_TAG = "lrsweep.race", "lrsweep.race_looks", "lrsweep.race_alpha"
RUNNING = "running"


@dataclass(frozen=True)
class RaceShown:
    """What finals that race may claim."""

    looks: int
    alpha: float
    """of what all looks together claim, so much may be wrong"""
    ended: str | None
    """how; None while they run"""

    def tags(self) -> dict[str, str]:
        """
        >>> RaceShown(2, 0.04, None).tags()
        {'lrsweep.race': 'running', 'lrsweep.race_looks': '2', 'lrsweep.race_alpha': '0.04'}
        """
        return {RACE_TAG: self.ended or RUNNING, LOOKS_TAG: str(self.looks), ALPHA_TAG: repr(self.alpha)}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> RaceShown | None:
        """None where they say nothing of it, or what cannot be read.

        >>> RaceShown.from_tags(RaceShown(2, 0.04, "winner").tags())
        RaceShown(looks=2, alpha=0.04, ended='winner')
        """
        try:
            looks, alpha, ended = int(tags[LOOKS_TAG]), float(tags[ALPHA_TAG]), tags[RACE_TAG]
        except (KeyError, ValueError):
            return None
        return cls(looks, alpha, None if ended == RUNNING else ended) if looks > 0 and 0 <= alpha <= 1 else None


@dataclass(frozen=True)
class SweepRun:
    started: int
    """milliseconds since 1970, when the sweep began"""
    meaning: str | None
    """what makes two values comparable, as a hash"""
    race: RaceShown | None = None
    """where its finals raced"""
    study: str | None = None


def sweep_runs(uri: str, experiment: str, *, artifact_root: Path | None) -> Mapping[str, SweepRun]:
    """By the sweep's id; without those whose run was deleted, and none where there is no such experiment.

    Raises TrackingUnavailable where MLflow does not answer.
    """
    uri = usable(uri)
    load_mlflow(TIMEOUT_SECONDS)
    from mlflow import MlflowClient

    found: dict[str, SweepRun] = {}
    with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=TIMEOUT_SECONDS) as opened:
        client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        there = client.get_experiment_by_name(experiment)
        token: str | None = "" if there is not None else None
        while there is not None and token is not None:
            page = client.search_runs(
                [there.experiment_id], "tags.`lrsweep.kind` = 'sweep'", max_results=PAGE_SIZE, page_token=token or None
            )
            for run in page:
                if SWEEP_TAG in run.data.tags:
                    tags = run.data.tags
                    known = SweepRun(
                        run.info.start_time or 0, tags.get(MEANING_TAG), RaceShown.from_tags(tags), tags.get(STUDY_TAG)
                    )
                    found[tags[SWEEP_TAG]] = known
            token = page.token or None
    return found

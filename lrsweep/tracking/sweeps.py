"""The sweeps whose runs are in an MLflow experiment, as their own runs tell of them: for ``lrsweep choose``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lrsweep.tracking.connection import load_mlflow, ready, translated, usable
from lrsweep.tracking.importing import PAGE_SIZE, TIMEOUT_SECONDS

SWEEP_TAG, STUDY_TAG, MEANING_TAG = "lrsweep.sweep", "lrsweep.study", "lrsweep.meaning"


@dataclass(frozen=True)
class SweepRun:
    started: int
    """milliseconds since 1970, when the sweep began"""
    meaning: str | None
    """what makes two values comparable, as a hash"""


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
                    known = SweepRun(run.info.start_time or 0, run.data.tags.get(MEANING_TAG))
                    found[run.data.tags[SWEEP_TAG]] = known
            token = page.token or None
    return found

"""Experiments by name: made where there is none, else used as found, with the views of our studies in their tags.

What others have set in an experiment (where its artifacts go, tags, views) stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.errors import TrackingUnavailable
from lrsweep.records import stable_hash
from lrsweep.study import ResolvedStudy
from lrsweep.tracking.permissions import Permissions, Right, is_denied
from lrsweep.tracking.views import Look, saved_views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes where a run or an experiment was deleted"""


class Experiments:
    """Those of one connection; its errors are MLflow's own, for the caller to translate."""

    def __init__(
        self, client: MlflowClient, uri_shown: str, artifact_root: Path | None, permissions: Permissions
    ) -> None:
        self._client = client
        self._uri_shown = uri_shown
        self._artifact_root = artifact_root
        self._permissions = permissions

    def open(self, name: str, study: ResolvedStudy) -> Experiment:
        """By name, made where there is none, with the study's views brought up to date."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = (self._artifact_root.absolute() / _folder_of(name)).as_uri() if self._artifact_root else None
            tags = _tags(study, name)
            try:
                made = self._client.create_experiment(name, artifact_location=place, tags=tags)
            except MlflowException as error:
                if is_denied(error):
                    raise self._may_not_make(name) from None
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)  # another process made it meanwhile
                assert found is not None
            else:
                return self._client.get_experiment(made)
        if found.lifecycle_stage != "active":
            raise self.deleted(name, found.experiment_id)
        self._bring_up_to_date(found, study)
        return found

    def known(self, experiment_id: str, study: ResolvedStudy) -> Experiment:
        """The one in which a sweep has begun, whatever the study's template would make of it now."""
        found = self._client.get_experiment(experiment_id)
        self._bring_up_to_date(found, study)
        return found

    def of_study(self, study: str) -> Sequence[str]:
        """The ids of all in which the study has ever been opened, as far as its tag could be set."""
        return [str(each.experiment_id) for each in self._client.search_experiments(filter_string=_held(study))]

    def check_living(self, experiment_id: str) -> None:
        """Raises TrackingUnavailable where it was deleted."""
        found = self._client.get_experiment(experiment_id)
        if found.lifecycle_stage != "active":
            raise self.deleted(found.name, experiment_id)

    def deleted(self, name: str, experiment_id: str) -> TrackingUnavailable:
        return TrackingUnavailable(
            f"the experiment {name!r} (id {experiment_id}) of MLflow at {self._uri_shown} was deleted, and MLflow "
            f"takes no runs for it. Bring it back with `mlflow experiments restore --experiment-id {experiment_id}` "
            "(with MLFLOW_TRACKING_URI set to this MLflow), or give another name under [tracking] in the study file."
        )

    def _may_not_make(self, name: str) -> TrackingUnavailable:
        return TrackingUnavailable(
            f"MLflow at {self._uri_shown} does not let this user make the experiment {name!r}. Have it made by "
            "somebody who may, with the right to edit it for this user; or name one that exists: experiment = "
            '"…" under [tracking] in the study file.'
        )

    def _bring_up_to_date(self, found: Experiment, study: ResolvedStudy) -> None:
        changed = {key: text for key, text in _tags(study, found.name).items() if found.tags.get(key) != text}
        with self._permissions.using(Right.TAG_EXPERIMENTS):
            for key, text in changed.items():
                self._client.set_experiment_tag(found.experiment_id, key, text)


def _tags(study: ResolvedStudy, experiment: str) -> dict[str, str]:
    return {**saved_views(Look.of(study, experiment)), _study_tag(study.name): "yes"}


def _study_tag(study: str) -> str:
    return f"lrsweep.study.{study}"


def _held(study: str) -> str:
    return f"tags.`{_study_tag(study)}` = 'yes'"


def _folder_of(experiment: str) -> str:
    """Of its artifacts: the name itself where it is one folder's, else what can be read of it and a hash."""
    if re.fullmatch(r"\w[\w\-.]{0,99}", experiment):
        return experiment
    readable = re.sub(r"[^\w-]+", "-", experiment)[:80].strip("-")
    return f"{readable}-{stable_hash(experiment)[:6]}"

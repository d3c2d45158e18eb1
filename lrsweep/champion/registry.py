"""Champions in MLflow's model registry: a model per name, a version per choice, an alias on what is in force.

A version's source is a folder under the sweep's own run that holds ``choice.json``, the text of the row in SQL. A
version is known by the tag ``lrsweep.choice``, the hash of that text: what was made before a kill is found again, and
a choice that is promoted twice has one version. The tag ``lrsweep.sweep`` says whose it is: a sweep's id is random, so
results that know the sweep have made the version, and others that share the server have not. Their aliases stay where
they are: no model of theirs goes out of force because somebody else promotes a study of the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.redaction import shown
from lrsweep.tracking import Right, load_mlflow, usable
from lrsweep.tracking.connection import ready, translated
from lrsweep.tracking.permissions import Permissions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

FILE = "choice.json"
DIGEST_TAG = "lrsweep.choice"
SWEEP_TAG = "lrsweep.sweep"
KIND_TAG, KIND = "lrsweep.kind", "champion"
MISSING = "RESOURCE_DOES_NOT_EXIST"
THERE_ALREADY = "RESOURCE_ALREADY_EXISTS"
MOST_VERSIONS = 200
"""Of one page."""
SHORT = 12


@dataclass(frozen=True)
class Version:
    """What is to be registered."""

    text: str
    """of the choice"""
    run_id: str
    """of the sweep's own run"""
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Whose:
    """What tells a version that is there apart from others'."""

    digest: str | None
    sweep: str | None


@dataclass(frozen=True)
class Pointed:
    """What became of the aliases; one that was right already is in neither."""

    moved: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    """by alias the version of somebody else's that it is on"""


class Registry:
    """One connection to MLflow. Every method raises TrackingUnavailable where it does not answer."""

    def __init__(self, client: MlflowClient, uri: str, say: Callable[[str], None]) -> None:
        self._client = client
        self._uri = uri
        self._say = say
        self._permissions = Permissions(shown(uri), say)
        self._has_answered = False

    @classmethod
    def connect(
        cls, uri: str, *, artifact_root: Path | None, say: Callable[[str], None], timeout_seconds: float = 10
    ) -> Registry:
        """As ``Tracker.connect`` does it."""
        uri = usable(uri)
        load_mlflow(timeout_seconds)
        from mlflow import MlflowClient

        with translated(uri), ready(uri, artifact_root=artifact_root, timeout_seconds=timeout_seconds) as opened:
            client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        return cls(client, uri, say)

    @property
    def denied(self) -> str | None:
        """The sentence on what the server does not let this user do, once it has said so; told once."""
        return self._permissions.denied.get(Right.REGISTER)

    @property
    def has_answered(self) -> bool:
        """Whether the server was there for the first question: it is not away."""
        return self._has_answered

    def open(self, name: str, description: str) -> str | None:
        """Makes or finds the registered model. Comes back with why nothing can be registered, where one of that name is
        somebody else's or it is forbidden: told, and no outage."""
        with self._asking():
            model = self._model(name)
            if model is None:
                self._make_model(name, description)
                model = self._model(name)
            if model is not None and model.tags.get(KIND_TAG) != KIND:
                foreign = (
                    f"MLflow's registry has a model {name!r} that is not lrsweep's (it lacks the tag {KIND_TAG} = "
                    f"{KIND}): nothing is registered. Rename that model, or set the tag where it is yours"
                )
                self._say(foreign)
                return foreign
        return self.denied

    def versions(self, name: str) -> dict[str, str]:
        """By the digest of their choice; of several alike the first."""
        found: dict[str, str] = {}
        with self._asking():
            token = None
            while True:
                page = self._client.search_model_versions(
                    f"name = '{name}'", max_results=MOST_VERSIONS, page_token=token
                )
                for version in page:
                    digest = version.tags.get(DIGEST_TAG)
                    if digest and (digest not in found or int(version.version) < int(found[digest])):
                        found[digest] = str(version.version)
                token = page.token
                if not token:
                    return found
        return found

    def register(self, name: str, wanted: Version) -> str | None:
        """The new version's number; None where that is forbidden. Where another process made one meanwhile, the first
        of both counts."""
        digest = digest_of(wanted.text)
        folder = f"champion/{digest[:SHORT]}"
        with self._asking():
            self._client.log_text(wanted.run_id, wanted.text, f"{folder}/{FILE}")
            root = str(self._client.get_run(wanted.run_id).info.artifact_uri).rstrip("/")
            self._client.create_model_version(
                name,
                f"{root}/{folder}",
                run_id=wanted.run_id,
                tags={**wanted.tags, DIGEST_TAG: digest},
                description=wanted.description,
                await_creation_for=0,
            )
        return None if self.denied else self.versions(name).get(digest)

    def point(self, name: str, wanted: Mapping[str, str | None], is_own: Callable[[Whose], bool]) -> Pointed:
        """Each alias at its version, or at none; other aliases, and one on a version that is not ours, are left alone.

        MLflow moves an alias whatever it is on: one that others set between question and answer is moved all the same.
        """
        moved: list[str] = []
        left: dict[str, str] = {}
        with self._asking():
            model = self._model(name)
            present = {} if model is None else {alias: str(version) for alias, version in model.aliases.items()}
            for alias, version in wanted.items():
                if (now := present.get(alias)) == version:
                    continue
                if now is not None and (whose := self._whose(name, now)) is not None and not is_own(whose):
                    left[alias] = now
                elif version is None:
                    self._client.delete_registered_model_alias(name, alias)
                    moved.append(alias)
                else:
                    self._client.set_registered_model_alias(name, alias, version)
                    moved.append(alias)
        return Pointed(tuple(moved), left)

    def is_living(self, run_id: str | None) -> bool:
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return False
        with translated(self._uri):
            try:
                return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
            except MlflowException as error:
                if error.error_code != MISSING:
                    raise
                return False

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _asking(self) -> Iterator[None]:
        with translated(self._uri), self._permissions.using(Right.REGISTER):
            yield

    def _model(self, name: str) -> RegisteredModel | None:
        from mlflow.exceptions import MlflowException

        try:
            model = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != MISSING:
                raise
            model = None
        self._has_answered = True
        return model

    def _whose(self, name: str, version: str) -> Whose | None:
        """None of a version that was deleted."""
        from mlflow.exceptions import MlflowException

        try:
            tags = self._client.get_model_version(name, version).tags
        except MlflowException as error:
            if error.error_code != MISSING:
                raise
            return None
        return Whose(tags.get(DIGEST_TAG), tags.get(SWEEP_TAG))

    def _make_model(self, name: str, description: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, tags={KIND_TAG: KIND}, description=description)
        except MlflowException as error:
            if error.error_code != THERE_ALREADY:
                raise


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

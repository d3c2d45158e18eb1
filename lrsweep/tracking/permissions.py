"""What an MLflow server forbids this user, and how a sweep goes on without it.

A team's server may let a user log runs and no more. What a sweep cannot do without (making runs, logging to them) is an
error with its remedy; anything else is skipped, told once, and not asked for again.
"""

from __future__ import annotations

import http
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

DENIED = ("PERMISSION_DENIED",)
UNKNOWN_THERE = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")
"""MLflow's codes of a server that is older than what was asked of it"""


class Right(StrEnum):
    """What a sweep can do without."""

    TAG_EXPERIMENTS = "set tags of the experiment"
    DELETE_RUNS = "delete runs"
    NAME_DATA = "name the data set of a run"
    STORE_ARTIFACTS = "store artifacts"
    REGISTER = "keep versions in the model registry"


INSTEAD: Mapping[Right, str] = {
    Right.TAG_EXPERIMENTS: "the saved views are not set; `lrsweep ui` prints plain filter links beside them",
    Right.DELETE_RUNS: "runs of attempts that began again, and of what is pruned, stay as KILLED, tagged "
    "lrsweep.kind = superseded",
    Right.NAME_DATA: "runs say by the tag lrsweep.data alone what they were trained on",
    Right.STORE_ARTIFACTS: "whole curves are in the results database alone; MLflow has their 100 points",
    Right.REGISTER: "champions are in the results database alone; `lrsweep promote --to FILE` writes them out",
}


class Permissions:
    """What was refused so far on one connection; each kind is told to ``say`` once."""

    def __init__(self, uri_shown: str, say: Callable[[str], None]) -> None:
        self._uri_shown = uri_shown
        self._say = say
        self._denied: dict[Right, str] = {}

    @property
    def denied(self) -> Mapping[Right, str]:
        """What MLflow refused, each with a sentence that says what is done without it."""
        return dict(self._denied)

    @contextmanager
    def using(self, right: Right) -> Iterator[None]:
        """Around calls that need the right; ask ``denied`` first, where making the call again costs time."""
        try:
            yield
        except Exception as error:
            if not is_denied(error) and not (right is Right.NAME_DATA and _code(error) in UNKNOWN_THERE):
                raise
            if right not in self._denied:
                self._denied[right] = f"MLflow at {self._uri_shown} does not let this user {right}: {INSTEAD[right]}."
                self._say(self._denied[right])


def is_denied(error: Exception) -> bool:
    """By MLflow's code, or by the HTTP status of an artifact's own request."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return _code(error) in DENIED or status == http.HTTPStatus.FORBIDDEN


def _code(error: Exception) -> object:
    return getattr(error, "error_code", None)

"""Where MLflow's saved views of a study are. Asked when a link is clicked: a page waits for no other server."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from lrsweep.errors import SettingsError
from lrsweep.findings.reading import generation_of
from lrsweep.redaction import public_link
from lrsweep.service.problems import Refused, quoted
from lrsweep.service.results import refuse_unknown
from lrsweep.store import Store
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking.pages import is_an_address, is_server, page_of


@dataclass(frozen=True)
class Mlflow:
    """A server of MLflow."""

    uri: str
    """by which the service asks it; it may hold a password"""
    base: str
    """by which browsers reach its pages"""

    @classmethod
    def of(cls, uri: str, shown: str | None) -> Mlflow | None:
        """None for a database alone: `lrsweep ui` has pages on that. ``shown`` is what browsers take in the place of
        ``uri``. Raises SettingsError where that is no address of a page."""
        if shown is not None and not (is_server(shown) and is_an_address(shown)):
            raise SettingsError(f"--mlflow-url is {public_link(shown)!r}; wanted is such as 'http://127.0.0.1:5000'.")
        asked = uri if is_server(uri) else shown
        return None if asked is None else cls(asked, public_link(shown or asked))

    def view_of(self, store: Store, name: str) -> str:
        """Of the newest sweep that MLflow has heard of. Raises Refused (404) where it has heard of none."""
        refuse_unknown(store, name)
        for sweep in reversed(store.sweeps(name)):
            if not sweep.mlflow_run_id:
                continue
            try:
                study = resolved_from(generation_of(store, sweep), sweep)
                return page_of(self.uri, sweep.mlflow_run_id, study, base=self.base)
            except (LookupError, StopIteration):  # it is not there, or the sweep was removed meanwhile
                continue
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"this MLflow has no run of study {quoted(name)}. `lrsweep sync {name}` sends what it lacks.",
        )

"""Results as tables: ``lrsweep.results("digits")`` in a notebook, ``lrsweep export-results`` on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lrsweep.errors import InvalidInput, SettingsError, did_you_mean
from lrsweep.settings import DATABASE_URL, DATABASE_URL_FILE, HOME, read_settings, results_url
from lrsweep.store import open_store
from lrsweep.store.probing import probe
from lrsweep.store.views import By, rows_of

if TYPE_CHECKING:
    import pandas as pd


def results(study: str, *, home: str | Path | None = None, url: str | None = None, by: By = "trial") -> pd.DataFrame:
    """The study's trials, or its trainings, as a DataFrame: a row each, metrics and settings as ``metrics.val_loss``.

    ``home`` is a folder of results and ``url`` a database; without them ``LRSWEEP_HOME`` and ``LRSWEEP_DATABASE_URL``
    say where to look. Raises SettingsError where there are none of this study.
    """
    if by not in get_args(By):
        raise InvalidInput(f"by is {by!r}; wanted is 'trial' or 'training'.")
    if home is not None and url is not None:
        raise InvalidInput("home and url are both given; keep one: each says where the results are.")
    if url is None:
        url = results_url(read_settings(_environ(home)))
    _refuse_unknown(url, study)
    import pandas as pd

    return pd.DataFrame(rows_of(url, study, by)).convert_dtypes()


def _environ(home: str | Path | None) -> dict[str, str]:
    if home is None:
        return dict(os.environ)
    others = {name: value for name, value in os.environ.items() if name not in (DATABASE_URL, DATABASE_URL_FILE)}
    return {**others, HOME: str(home)}


def _refuse_unknown(url: str, study: str) -> None:
    known: list[str] = []
    found = probe(url)
    if found.is_there:
        store = open_store(url)
        known = sorted({row.name for row in store.studies()})
        store.close()
    if study not in known:
        there = f" There are: {', '.join(known)}." if known else " There are none of any study."
        raise SettingsError(
            f"there are no results of a study {study!r} in {found.address}.{did_you_mean(study, known)}{there}"
        )

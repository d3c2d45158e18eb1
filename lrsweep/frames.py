"""Results as tables: ``lrsweep.results("digits")`` in a notebook, ``lrsweep export-results`` on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lrsweep.errors import InvalidInput, SettingsError, did_you_mean
from lrsweep.records import Json, Purpose
from lrsweep.settings import DATABASE_URL, DATABASE_URL_FILE, HOME, read_settings, results_url
from lrsweep.store import open_store
from lrsweep.store.probing import probe
from lrsweep.store.views import By, rows_of
from lrsweep.sweep.finals import Finalist, standings
from lrsweep.sweep.stored import resolved_from

if TYPE_CHECKING:
    import pandas as pd

NO_FINAL: Mapping[str, Json] = dict.fromkeys(
    f"finals.{name}" for name in ("metric", "n", "mean", "sd", "low", "high", "diverged", "failed")
)
"""Of a trial that was no finalist: the columns are there whether a study has finals or not."""


def results(study: str, *, home: str | Path | None = None, url: str | None = None, by: By = "trial") -> pd.DataFrame:
    """The study's trials, or its trainings, as a DataFrame: a row each, metrics and settings as ``metrics.val_loss``.

    A trial that was a finalist has in ``finals.…`` what its fresh seeds say, as `lrsweep show` has it: the mean of
    ``finals.metric``, which decides, over ``finals.n`` seeds, with its 95 % interval from ``finals.low`` to
    ``finals.high``. Others have nothing there.

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

    rows = rows_of(url, study, by)
    if by == "trial":
        finals = _finals(url, study)
        rows = [{**row, **finals.get(row["number"], NO_FINAL)} for row in rows]
    return pd.DataFrame(rows).convert_dtypes()


def _finals(url: str, study: str) -> dict[int, dict[str, Json]]:
    """By the trial's number, of all sweeps: each compares its finalists by a metric of its own."""
    store = open_store(url)
    try:
        generations = {row.generation: row for row in store.studies(study)}
        found: dict[int, dict[str, Json]] = {}
        for sweep in store.sweeps(study):
            trainings = store.trainings(study, sweep_id=sweep.sweep_id)
            if any(row.purpose is Purpose.FINAL for row in trainings):
                asked = resolved_from(generations[sweep.generation], sweep)
                trials = store.trials(study, sweep_id=sweep.sweep_id)
                found |= {each.trial: _flat(each) for each in standings(asked, trials, trainings)}
        return found
    finally:
        store.close()


def _flat(final: Finalist) -> dict[str, Json]:
    low, high = (None, None) if final.interval is None else (final.interval.low, final.interval.high)
    return {
        "finals.metric": final.metric,
        "finals.n": final.n,
        "finals.mean": final.mean,
        "finals.sd": final.sd,
        "finals.low": low,
        "finals.high": high,
        "finals.diverged": final.diverged,
        "finals.failed": final.failed,
    }


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

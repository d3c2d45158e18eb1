"""The commands on MLflow's copy of the results."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lrsweep.cli.options import ObjectOption
from lrsweep.errors import SettingsError


def sync(
    study: Annotated[str | None, typer.Argument(help="The study to send; by default all that lack something.")] = None,
    as_json: ObjectOption = False,
) -> None:
    """Sends MLflow what ended sweeps and promotions could not: trains nothing, leaves a running one to its driver."""
    from lrsweep.cli.sync import sync_results
    from lrsweep.settings import make_homes, read_settings

    settings = read_settings(os.environ)
    if settings.database_url is None and not settings.home.is_dir():  # looking must not make anything
        raise SettingsError(f"there are no results in {settings.home}. Run `lrsweep demo` or `lrsweep run STUDY`.")
    sync_results(make_homes(settings), study, as_json=as_json)

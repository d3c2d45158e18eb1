"""The commands on results: what is stored, shown."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lrsweep.errors import SettingsError


def ui(
    study: Annotated[str | None, typer.Argument(help="The study to open; by default the last one that ran.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 5000,
) -> None:
    """Starts MLflow on the results and prints the link to the rate and loss curves, grouped by family."""
    from lrsweep.cli.ui import serve_ui
    from lrsweep.settings import make_homes, read_settings

    settings = read_settings(os.environ)
    if settings.database_url is None and not settings.home.is_dir():  # looking must not make anything
        raise SettingsError(
            f"there are no results in {settings.home}. After `make demo`, `make ui` opens the newest demo."
        )
    serve_ui(make_homes(settings), study, host=host, port=port, say=typer.echo)

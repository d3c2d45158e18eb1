"""The command that says what to try first: ``advise``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lrsweep.cli.options import DeviceOption, ObjectOption


def advise(
    workload: Annotated[str, typer.Argument(help="A workload's name, or a study file or its NAME.")],
    horizon: Annotated[
        int | None, typer.Option("--horizon", metavar="STEPS", min=1, help="Of the training; by default its own.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Says what to try first: what studies of the same kind have found, the best hint first. Trains nothing."""
    import json
    from contextlib import nullcontext

    from lrsweep.cli.advise import advice, show_advice
    from lrsweep.cli.terminal import console_for_tables
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings, results_url
    from lrsweep.store.probing import probe

    settings = read_settings(os.environ)
    with results(settings) if probe(results_url(settings)).is_there else nullcontext() as store:
        found = advice(workload, settings, store, horizon=horizon, device=device)
    if as_json:
        typer.echo(json.dumps(found.to_json(), allow_nan=False))
    else:
        show_advice(console_for_tables(), found)

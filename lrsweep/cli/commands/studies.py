"""The commands on study files, which train nothing: ``plan``, ``new study`` and ``schema``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lrsweep.cli.options import DeviceOption, ObjectOption


def plan(
    study: Annotated[str, typer.Argument(help="A study file, or NAME for studies/NAME.toml.")],
    steps_per_second: Annotated[
        float | None,
        typer.Option(
            "--steps-per-second",
            help="Of all trainings side by side; by default what the newest sweep of the same workload reached.",
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option("--price-per-hour", help="Of one device, in the place of budget.price_per_hour.")
    ] = None,
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Says what a study comes to: trials per family and rung, finalists, seeds, steps, hours and money.

    And what the next `lrsweep run` does: of a sweep that goes on, how much is done and left.
    """
    import json
    from contextlib import nullcontext
    from datetime import datetime

    from lrsweep.cli.device_named import without_device
    from lrsweep.cli.plan import asked_plan, resolved, show_plan
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings, results_url
    from lrsweep.store.probing import probe
    from lrsweep.study import examine_file

    settings = read_settings(os.environ)
    asked = resolved(examine_file(study), settings, device=device, price_per_hour=price_per_hour)
    with results(settings) if probe(results_url(settings)).is_there else nullcontext() as store:
        found = asked_plan(asked, store, steps_per_second)
    if device == "auto" and (lacking := without_device(asked)):
        typer.echo(f"warning: {lacking}", err=True)
    now = datetime.now().astimezone()
    if as_json:
        typer.echo(json.dumps(found.to_json(now), allow_nan=False))
    else:
        show_plan(Console(), found, now)


def new_study(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")] = Path("studies/mine.toml"),
) -> None:
    """Writes a study with every key at its default, and a word on each."""
    from lrsweep.cli.new import write_study

    typer.echo(write_study(file))


def schema() -> None:
    """Prints the JSON Schema of study files, for editors."""
    import json

    from lrsweep.study.schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))

"""The commands on schedules, which train nothing: ``families`` and ``preview``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lrsweep.errors import SettingsError


def families(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FAMILY", help="Only these; by default all families.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array of objects instead of the tables.")] = False,
) -> None:
    """Shows every schedule family: its formula, its settings and what a search tries, and when to use it."""
    import json

    from lrsweep.cli.families import show_families
    from lrsweep.schedules.described import families_json

    if as_json:
        typer.echo(json.dumps(families_json(names or ()), indent=1))
    else:
        show_families(Console(), names or ())


def preview(
    schedules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAMILY|FILE.json",
            help="Families by name, and files with what to_json wrote ('-': standard input); by default all families.",
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of every family named that has it, or of one: FAMILY.NAME=VALUE. Values are as in JSON, or "
            "a bare text: --set warmup=0.1 --set 'wsd.cooldown=200 steps'. May be repeated.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="The number of updates of the training.")] = 1000,
    peak_lr: Annotated[float, typer.Option("--peak-lr", help="The largest rate.")] = 1.0,
    metrics: Annotated[
        Path | None,
        typer.Option(
            "--metrics",
            metavar="FILE",
            help="A JSON list of metrics, evenly spaced, to replay reactive schedules on; by default an example.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with every rate instead of the drawing.")
    ] = False,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Write the drawing to this PNG file instead.")
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Let the family 'function' import and call the function that its path names."
        ),
    ] = False,
) -> None:
    """Draws the rates of one or more schedules in the terminal; nothing is trained."""
    from lrsweep.cli.preview import make_preview, preview_json, show_preview

    if png is not None:
        if as_json:
            raise SettingsError("--json and --png are both given; keep one: each says where the rates go")
        from lrsweep.cli.picture import checked_target, write_png

        checked_target(png)
    if allow_code:
        sys.path.insert(0, str(Path.cwd()))  # where a user's own module is, as for `python -m`
    made = make_preview(
        schedules or (),
        sets or (),
        steps=steps,
        peak_lr=peak_lr,
        metrics_file=metrics,
        allow_code=allow_code,
        exact=as_json,
    )
    if as_json:
        for line in preview_json(made):
            typer.echo(line)
    elif png is not None:
        write_png(made, png)
        typer.echo(f"{len(made.curves)} schedules, {made.steps:,} steps: {png}")
    else:
        show_preview(Console(), made)

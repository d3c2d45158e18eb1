"""The commands on what was promoted: ``export`` gives it to those without lrsweep, ``diff`` compares two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.options import ObjectOption
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import SettingsError

CHOICE = "NAME|FILE.json|models:/NAME@ALIAS"


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar=CHOICE, help="What was promoted: a name, NAME@candidate, a JSON file, or MLflow's registry."
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORM",
            help="'python' (the standard library alone), 'torch', 'transformers', 'optax' or 'keras': code that needs "
            "no lrsweep; 'json': the choice; 'csv': a rate for each step.",
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            help="The number of updates, where it is not the choice's own: the peak rate moves with it, as is said.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file, not to standard output.")
    ] = None,
) -> None:
    """Writes what was promoted as code for a library, as a table of rates, or as its JSON."""
    from lrsweep.champion.applying import another_horizon
    from lrsweep.champion.exporting import FORMS, exported
    from lrsweep.errors import did_you_mean
    from lrsweep.files import check_target, write_whole
    from lrsweep.loading import load_choice

    if to not in FORMS:
        raise SettingsError(f"--to is {to!r}; wanted is one of {', '.join(FORMS)}.{did_you_mean(to, FORMS)}")
    if out is not None:
        check_target(out, "--out")
    if steps is not None and steps < 1:
        raise SettingsError(f"--steps must be a whole number of 1 or more, not {steps}: the number of updates.")
    choice = load_choice(what)
    text = exported(choice, to, steps)
    if said := another_horizon(choice, steps):
        Console(stderr=True).print(escape(said), highlight=False, soft_wrap=True)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text, "--out")
        typer.echo(f"written: {out}", err=True)  # standard output may be that file


def diff(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="What was promoted, as for `export`; also NAME@4, as `history` numbers it."),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other.")],
    as_json: ObjectOption = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Also draw the rates of both to this .png or .svg file."),
    ] = None,
) -> None:
    """Compares two that were promoted: schedule, peak, optimizer, horizon, values with their intervals, and origin."""
    from lrsweep.champion.comparing import compared
    from lrsweep.cli.diff_drawing import curves_of, show_comparison
    from lrsweep.loading import load_choice

    if picture is not None:
        from lrsweep.cli.picture import checked_picture, write_picture

        checked_picture(picture)
    found = compared(load_choice(a), load_choice(b))
    if picture is not None:
        write_picture(curves_of(found.a, found.b, (a, b)), picture)
    if as_json:
        typer.echo(json.dumps(found.to_json(), allow_nan=False))
    else:
        show_comparison(console_for_tables(), found, (a, b))

"""The commands on a workload, or a script: ``new workload``, ``check-workload`` and ``range``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.options import (
    DeviceOption,
    GivenArgument,
    ObjectOption,
    OptimizerOption,
    SyntheticOption,
    WorkloadSetsOption,
)


def new_workload(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")] = Path("my_workload.py"),
) -> None:
    """Writes a workload of your own that trains as it is, with places for your model and your data."""
    from lrsweep.cli.new import write_workload

    typer.echo(write_workload(file))


def check_workload(
    given: GivenArgument,
    sets: WorkloadSetsOption = None,
    optimizer: OptimizerOption = None,
    steps: Annotated[int, typer.Option("--steps", help="The number of updates to train for each check.")] = 20,
    synthetic: SyntheticOption = False,
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Trains a workload a few steps, and checks that its seeds reproduce; shows speed and memory.

    A script is asked what it is, and not trained.
    """
    import json

    from lrsweep.cli import check_workload as checking
    from lrsweep.cli.target import read_target
    from lrsweep.settings import read_settings

    target = read_target(given, sets or (), synthetic=synthetic)
    data = read_settings(os.environ).data
    console = Console()
    if target.command is not None:
        asked = checking.check_script(target, target.command, device=device, data=data)
        if as_json:
            typer.echo(json.dumps(asked.to_json()))
        else:
            checking.show_script(console, asked)
        return
    with Console(stderr=True).status(f"looking at {escape(target.name)}"):
        report = checking.check_workload(target, optimizer=optimizer, steps=steps, device=device, data=data)
    if as_json:
        typer.echo(json.dumps(report.to_json(), allow_nan=False))
    else:
        checking.show_workload(console, report)
    checking.refuse_failed(report)


def range_test(
    given: Annotated[
        str | None,
        typer.Argument(metavar="[WORKLOAD|STUDY]", help="A workload, file.py:Name, module:Name, or a study file."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--command", help="A script without a study, as in 'python train.py'; it calls lrsweep.attach."),
    ] = None,
    sets: WorkloadSetsOption = None,
    optimizer: OptimizerOption = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="The loss that a script reports; by default the study's metric, or val_loss."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="The number of trainings, each with a seed of its own.")] = 3,
    steps: Annotated[int, typer.Option("--steps", help="The number of updates, each at a higher rate.")] = 300,
    low: Annotated[float, typer.Option("--low", help="The first rate.")] = 1e-6,
    high: Annotated[float, typer.Option("--high", help="The last rate.")] = 10.0,
    synthetic: SyntheticOption = False,
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Write the drawing to this PNG file as well.")
    ] = None,
) -> None:
    """Trains at exponentially growing rates, and suggests a range of peak rates for a search."""
    import json

    from lrsweep.cli.range import RangeOptions, run_range
    from lrsweep.cli.range_drawing import show_range
    from lrsweep.cli.target import read_target
    from lrsweep.executors.local import LocalExecutor
    from lrsweep.settings import read_settings

    if png is not None:
        from lrsweep.cli.picture import checked_target, write_range_png

        checked_target(png)
    target = read_target(given, sets or (), command=command, synthetic=synthetic)
    settings = read_settings(os.environ)
    scratch = settings.home if settings.home.is_dir() else None
    options = RangeOptions(steps=steps, low=low, high=high, seeds=seeds, metric=metric)
    executor = LocalExecutor(device, data=settings.data, scratch=scratch)
    try:
        with Console(stderr=True).status("") as status:
            test = run_range(target, executor, options, optimizer=optimizer, scratch=scratch, say=status.update)
    finally:
        executor.close()
    if png is not None:
        write_range_png(test, png)
    if as_json:
        typer.echo(json.dumps(test.to_json(), allow_nan=False))
    else:
        show_range(Console(), test)

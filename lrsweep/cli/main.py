"""The commands, their options and their exit codes."""

from __future__ import annotations

import os
import shlex
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep import __version__
from lrsweep.errors import InvalidInput, LrsweepError, SettingsError

if TYPE_CHECKING:
    from lrsweep.sweep.homes import When

EXIT_CODES = """\
Exit codes: 0 done · 64 bad study or setting · 69 database or tracking unreachable at the start · 70 failures stopped
the sweep, every training failed, or a check did · 75 try again · 99 held by another driver · 124 the deadline passed
first · 130, 143 a signal."""

USAGE_ERROR = 2

app = typer.Typer(
    name="lrsweep",
    help="Finds the learning-rate schedule that trains your model best, and keeps every curve.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

new_app = typer.Typer(help="Writes files to begin with.", no_args_is_help=True)
app.add_typer(new_app, name="new")

JsonOption = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
DeviceOption = Annotated[
    str, typer.Option("--device", help="'cpu', 'cuda' or 'cuda:1'; by default a GPU where there is one.")
]
SyntheticOption = Annotated[
    bool,
    typer.Option(
        "--synthetic", help="Random tensors of the true shapes in place of the workload's data: for speed alone."
    ),
]
ObjectOption = Annotated[bool, typer.Option("--json", help="One JSON object alone on standard output.")]
GivenArgument = Annotated[
    str,
    typer.Argument(metavar="WORKLOAD|STUDY", help="A workload, file.py:Name, module:Name, or a study file."),
]
WorkloadSetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the workload, as in --set model=cnn. May be repeated."
    ),
]
OptimizerOption = Annotated[
    str | None, typer.Option("--optimizer", help="By default the study's first, or sgd. A script has its own.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="How trainings run side by side: 'auto' measures it where that pays; 'sequential', 'sequential:2' (in two "
        "processes), 'fused', 'fused:16' (so many at once) or 'fused:16x2' (in each of two processes).",
    ),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        help="Stop in order after this time, as in '90s', '10m' or '6h' (exit code 124; the same command continues).",
    ),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"lrsweep {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog=EXIT_CODES)
def run(
    study: Annotated[str, typer.Argument(help="A study file, or NAME for studies/NAME.toml.")],
    new: Annotated[bool, typer.Option("--new", help="Start another sweep although one exists.")] = False,
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    deadline: DeadlineOption = None,
    synthetic: SyntheticOption = False,
    as_json: JsonOption = False,
) -> None:
    """Runs a study's sweep.

    Continues an unfinished sweep of the same generation, prints the result of a finished one, and starts a new one
    where there is none or where the study's meaning or space has changed.
    """
    from lrsweep.study import load_study

    another: When = "always" if new else "never"
    asked = load_study(study)
    command = f"run {shlex.quote(study)}"
    if synthetic:
        asked, command = asked.on_random_data(), f"{command} --synthetic"
    from lrsweep.cli.sweeping import sweep

    sweep(asked, another, device, engine, deadline, as_json=as_json, command=command, is_synthetic=synthetic)


@app.command(epilog=EXIT_CODES)
def demo(
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Runs a real sweep of 60 trials: a small network on handwritten digits, all eight families, two optimizers.

    A demo that was stopped is continued; where one is finished, another sweep of it starts.
    """
    from lrsweep.study import parse_study

    text = resources.files("lrsweep.cli").joinpath("demo.toml").read_text(encoding="utf-8")
    study = parse_study(text, "demo.toml")
    from lrsweep.cli.sweeping import sweep

    sweep(study, "when over", device, engine, deadline, as_json=as_json, command="demo")


@new_app.command("workload")
def new_workload(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")] = Path("my_workload.py"),
) -> None:
    """Writes a workload of your own that trains as it is, with places for your model and your data."""
    from lrsweep.cli.new import write_workload

    typer.echo(write_workload(file))


@app.command("check-workload", epilog=EXIT_CODES)
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


@app.command("range", epilog=EXIT_CODES)
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


@app.command()
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


@app.command()
def families(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FAMILY", help="Only these; by default all families.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array of objects instead of the tables.")] = False,
) -> None:
    """Shows every schedule family: its formula, its settings and what a search tries, and when to use it."""
    import json

    from lrsweep.cli.families import families_json, show_families

    if as_json:
        typer.echo(json.dumps(families_json(names or ()), indent=1))
    else:
        show_families(Console(), names or ())


@app.command()
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


def main() -> None:
    """The entry point: what goes wrong is told in a sentence, not in a traceback, and has its exit code."""
    try:
        app()
    except SystemExit as leaving:  # Typer says 2 for an option that is wrong; for us that is an input like others
        sys.exit(InvalidInput.exit_code if leaving.code == USAGE_ERROR else leaving.code)
    except LrsweepError as error:
        Console(stderr=True).print(f"[bold red]lrsweep:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)

"""The commands, their options and their exit codes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep import __version__
from lrsweep.errors import DeadlinePassed, Interrupted, InvalidInput, LrsweepError, SettingsError, TryAgain

if TYPE_CHECKING:
    from lrsweep.study import Study
    from lrsweep.sweep.driver import Stop
    from lrsweep.sweep.homes import When

EXIT_CODES = """\
Exit codes: 0 done · 64 bad study or setting · 69 database or tracking unreachable at the start · 70 failures stopped
the sweep, or every training failed · 75 try again · 99 held by another driver · 124 the deadline passed first ·
130, 143 a signal."""

USAGE_ERROR = 2

app = typer.Typer(
    name="lrsweep",
    help="Finds the learning-rate schedule that trains your model best, and keeps every curve.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

JsonOption = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
DeviceOption = Annotated[
    str, typer.Option("--device", help="'cpu', 'cuda' or 'cuda:1'; by default a GPU where there is one.")
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
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Runs a study's sweep.

    Continues an unfinished sweep of the same generation, prints the result of a finished one, and starts a new one
    where there is none or where the study's meaning or space has changed.
    """
    from lrsweep.study import load_study

    another: When = "always" if new else "never"
    _sweep(load_study(study), another, device, deadline, as_json=as_json, command=f"run {shlex.quote(study)}")


@app.command(epilog=EXIT_CODES)
def demo(
    device: DeviceOption = "auto",
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Runs a real sweep of 60 trials: a small network on handwritten digits, all eight families, two optimizers.

    A demo that was stopped is continued; where one is finished, another sweep of it starts.
    """
    from lrsweep.study import parse_study

    text = resources.files("lrsweep.cli").joinpath("demo.toml").read_text(encoding="utf-8")
    study = parse_study(text, "demo.toml")
    _sweep(study, "when over", device, deadline, as_json=as_json, command="demo")


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


def _sweep(study: Study, another: When, device: str, deadline: str | None, *, as_json: bool, command: str) -> None:
    """Drives one sweep and shows it. ``command`` is what the user typed, for the sentence that says how to go on."""
    import json

    from lrsweep.cli.live import Display, retyped
    from lrsweep.settings import make_homes, read_settings
    from lrsweep.sweep.homes import Options
    from lrsweep.sweep.run import run_sweep

    settings = read_settings(os.environ)
    homes = make_homes(settings)
    options = Options(
        device=device,
        another=another,
        deadline_seconds=seconds_of(deadline) if deadline is not None else None,
        faults=settings.faults,
    )
    # with --json, standard output belongs to the program that reads it
    console = Console(stderr=as_json)
    again = retyped(command, homes.folder)
    with Display(console, study, homes) as display:
        try:
            result = run_sweep(study, homes, options, observe=display.show, say=display.say, on_ready=_obey_signals)
        except (Interrupted, DeadlinePassed, TryAgain):
            display.say(f"to continue: {again}")
            raise
    display.report(result, again=again)
    if as_json:
        typer.echo(json.dumps(result.to_json()))


def _obey_signals(stop: Stop) -> None:
    def leave(signum: int, _frame: FrameType | None) -> None:
        if stop.signum is not None:  # the second one: now
            os._exit(128 + signum)
        stop.signum = signum

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)


def seconds_of(text: str) -> float:
    """``90``, ``90s``, ``10m`` or ``6h`` in seconds.

    >>> seconds_of("10m")
    600.0
    """
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:].lower())
    number = text if factor is None else text[:-1]
    try:
        seconds = float(number) * (factor or 1)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"--deadline is {text!r}; wanted a time above 0 such as '90s', '10m' or '6h'.")
    return seconds


def main() -> None:
    """The entry point: what goes wrong is told in a sentence, not in a traceback, and has its exit code."""
    try:
        app()
    except SystemExit as leaving:  # Typer says 2 for an option that is wrong; for us that is an input like others
        sys.exit(InvalidInput.exit_code if leaving.code == USAGE_ERROR else leaving.code)
    except LrsweepError as error:
        Console(stderr=True).print(f"[bold red]lrsweep:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)

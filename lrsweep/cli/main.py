"""The command ``lrsweep``: the list of what one can type, and how it ends when something goes wrong."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep import __version__
from lrsweep.cli.commands.advising import advise
from lrsweep.cli.commands.choosing import choose
from lrsweep.cli.commands.handing import diff, export
from lrsweep.cli.commands.importing import import_trials
from lrsweep.cli.commands.keeping import db_backup, db_check, db_restore, db_upgrade, delete, export_results, prune
from lrsweep.cli.commands.looking import cancel, doctor, list_studies, reproduce, show, status
from lrsweep.cli.commands.nightly import nightly_history, nightly_promote, nightly_run, nightly_show
from lrsweep.cli.commands.nightly_install import nightly_install
from lrsweep.cli.commands.promoting import demote, history, promote
from lrsweep.cli.commands.reporting import report
from lrsweep.cli.commands.results import ui
from lrsweep.cli.commands.running import demo, run
from lrsweep.cli.commands.schedules import families, preview
from lrsweep.cli.commands.serving import serve, token_create, token_list, token_revoke
from lrsweep.cli.commands.studies import new_study, plan, schema
from lrsweep.cli.commands.tracking import sync
from lrsweep.cli.commands.working import register, worker
from lrsweep.cli.commands.workloads import check_workload, new_workload, range_test
from lrsweep.cli.options import EXIT_CODES
from lrsweep.cli.usage import asked
from lrsweep.errors import LrsweepError

COMMANDS: Mapping[str, Callable[..., None]] = {
    "run": run,
    "demo": demo,
    "plan": plan,
    "new study": new_study,
    "new workload": new_workload,
    "check-workload": check_workload,
    "range": range_test,
    "list": list_studies,
    "status": status,
    "show": show,
    "report": report,
    "choose": choose,
    "advise": advise,
    "promote": promote,
    "demote": demote,
    "history": history,
    "diff": diff,
    "export": export,
    "cancel": cancel,
    "reproduce": reproduce,
    "nightly run": nightly_run,
    "nightly history": nightly_history,
    "nightly show": nightly_show,
    "nightly promote": nightly_promote,
    "nightly install": nightly_install,
    "doctor": doctor,
    "ui": ui,
    "register": register,
    "serve": serve,
    "worker": worker,
    "token create": token_create,
    "token revoke": token_revoke,
    "token list": token_list,
    "sync": sync,
    "export-results": export_results,
    "prune": prune,
    "delete": delete,
    "db upgrade": db_upgrade,
    "db check": db_check,
    "db backup": db_backup,
    "db restore": db_restore,
    "import": import_trials,
    "families": families,
    "preview": preview,
    "schema": schema,
}
"""By the words that one types, in the order of ``lrsweep --help``; of two words the first is a group."""

GROUPS: Mapping[str, str] = {
    "new": "Writes files to begin with.",
    "nightly": "Asks every night whether the choice in force is still the one to use.",
    "token": "Says who may ask the service.",
    "db": "Looks after the databases: migrates, checks, saves and brings back.",
}

LOOKS = ("list", "status", "show", "choose")
"""Commands that load, say what there is, and end."""
OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""In looks: with Python's 700 a tenth of their time goes to collections."""

app = typer.Typer(
    name="lrsweep",
    help="Finds the learning-rate schedule that trains your model best, and keeps every curve.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


def _register() -> None:
    groups = {word: typer.Typer(help=about, no_args_is_help=True) for word, about in GROUPS.items()}
    for words, function in COMMANDS.items():
        group, _, name = words.rpartition(" ")
        (groups[group] if group else app).command(name, epilog=EXIT_CODES)(function)
    for word, group_app in groups.items():
        app.add_typer(group_app, name=word)


_register()


def main() -> None:
    """The entry point: what goes wrong is told in a sentence, not in a traceback, and has its exit code."""
    if sys.argv[1:2] and sys.argv[1] in LOOKS:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        sys.exit(asked(app, COMMANDS))
    except LrsweepError as error:
        Console(stderr=True).print(f"[bold red]lrsweep:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)

"""The commands behind the service: ``register``, which studies it may start, and ``worker``, who drives them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from lrsweep.cli.options import DeviceOption, EngineOption, ExecutorOption, ObjectOption

if TYPE_CHECKING:
    from lrsweep.settings import Settings


def register(
    study: Annotated[
        str | None, typer.Argument(help="A study file, or NAME for studies/NAME.toml.", show_default=False)
    ] = None,
    remove: Annotated[
        str | None,
        typer.Option("--remove", metavar="NAME", help="It may be started over HTTP no more; what waits is cancelled."),
    ] = None,
    is_list: Annotated[
        bool, typer.Option("--list", help="Say which studies may be started, from where and since when.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Checks a study and lets it be started over HTTP; `lrsweep run` does it too.

    What is kept is its text and the working folder, which a worker reads again: what is written into the file later
    is not started before the file is registered again. Trains nothing.
    """
    import json

    from lrsweep.cli.working.registering import registered, to_json, told, unregister
    from lrsweep.errors import SettingsError
    from lrsweep.settings import read_settings

    if [study is not None, remove is not None, is_list].count(True) != 1:
        raise SettingsError("register: wanted is one of a study file, --remove NAME or --list.")
    settings = read_settings(os.environ)
    if remove is not None:
        unregister(settings, remove)
        typer.echo(json.dumps({"removed": remove}) if as_json else f"study {remove} is registered no more")
    elif is_list:
        rows = registered(settings)
        if as_json:
            typer.echo(json.dumps({"registered": [to_json(row) for row in rows]}))
        for row in [] if as_json else rows:
            typer.echo(told(row))
        if not rows and not as_json:
            typer.echo("no study is registered: `lrsweep register STUDY` lets one be started over HTTP")
    elif study is not None:
        _register(settings, study, device, as_json=as_json)


def _register(settings: Settings, study: str, device: str, *, as_json: bool) -> None:
    import json

    from lrsweep.cli.working.registering import register as remember
    from lrsweep.cli.working.registering import to_json

    kept = remember(settings, study, device=device, say=lambda sentence: typer.echo(sentence, err=True))
    if as_json:
        typer.echo(json.dumps(to_json(kept)))
    else:
        typer.echo(f"study {kept.study} of {kept.source} is registered: POST /v1/studies/{kept.study}/sweeps starts it")


def worker(
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    once: Annotated[bool, typer.Option("--once", help="Leave when nothing waits.")] = False,
    poll: Annotated[str, typer.Option("--poll", help="How often to look for work, as in '2s' or '1m'.")] = "2s",
) -> None:
    """Drives the sweeps that were asked for over HTTP, one after the other, until a signal ends it.

    May be killed and started again at any moment, and any number may work side by side: a sweep has one driver. On
    SIGTERM or Ctrl-C the sweep saves what runs and goes back to the queue; then the exit code is 0.
    """
    from lrsweep.cli.new_results import made_results
    from lrsweep.cli.working.driving import Driving
    from lrsweep.cli.working.worker import Leaving, work
    from lrsweep.errors import SettingsError
    from lrsweep.executors.engine_option import EngineOption as Engine
    from lrsweep.executors.executor_option import ExecutorOption as Where
    from lrsweep.settings import read_settings
    from lrsweep.study.durations import seconds_of

    poll_seconds = seconds_of(poll)
    if poll_seconds is None:
        raise SettingsError(f"--poll is {poll!r}; wanted a time above 0 such as '2s' or '1m'.")

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    settings = read_settings(os.environ)
    asked = None if engine is None else Engine.parsed(engine)
    where = settings.executor if executor is None else Where.parsed(executor)
    leaving = Leaving()
    with made_results(settings, say, leaving.patience) as (homes, store):
        driving = Driving(settings, homes, device, asked, where, say)
        work(store, driving, leaving, once=once, poll_seconds=poll_seconds, say=say)

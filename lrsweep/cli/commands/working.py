"""The commands behind the service: ``register``, which studies it may start, and ``worker``, who drives them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lrsweep.cli.options import DeviceOption, EngineOption, ObjectOption


def register(
    study: Annotated[str, typer.Argument(help="A study file, or NAME for studies/NAME.toml.")],
    device: DeviceOption = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Checks a study and lets it be started over HTTP; `lrsweep run` does it too.

    What is kept is its text and the working folder, which a worker reads again. Trains nothing.
    """
    import json

    from lrsweep.cli.working.registering import register as remember
    from lrsweep.cli.working.registering import to_json
    from lrsweep.settings import read_settings

    kept = remember(read_settings(os.environ), study, device=device)
    if as_json:
        typer.echo(json.dumps(to_json(kept)))
    else:
        typer.echo(f"study {kept.study} of {kept.source} is registered: POST /v1/studies/{kept.study}/sweeps starts it")


def worker(
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    once: Annotated[bool, typer.Option("--once", help="Leave when nothing waits.")] = False,
    poll: Annotated[str, typer.Option("--poll", help="How often to look for work, as in '2s' or '1m'.")] = "2s",
) -> None:
    """Drives the sweeps that were asked for over HTTP, one after the other, until a signal ends it.

    May be killed and started again at any moment, and any number may work side by side: a sweep has one driver. On
    SIGTERM or Ctrl-C the sweep saves what runs and goes back to the queue; then the exit code is 0.
    """
    from lrsweep.cli.working.driving import Driving
    from lrsweep.cli.working.worker import work
    from lrsweep.errors import SettingsError
    from lrsweep.executors.engine_option import EngineOption as Engine
    from lrsweep.settings import make_homes, read_settings
    from lrsweep.store import open_store
    from lrsweep.study.durations import seconds_of

    poll_seconds = seconds_of(poll)
    if poll_seconds is None:
        raise SettingsError(f"--poll is {poll!r}; wanted a time above 0 such as '2s' or '1m'.")

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    settings = read_settings(os.environ)
    asked = None if engine is None else Engine.parsed(engine)
    homes = make_homes(settings)
    store = open_store(homes.results_url)
    try:
        work(store, Driving(settings, homes, device, asked, say), once=once, poll_seconds=poll_seconds, say=say)
    finally:
        store.close()

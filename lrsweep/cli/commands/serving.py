"""The commands of the service: ``serve``, and ``token`` for who may ask it."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from typing import Annotated

import typer

from lrsweep.cli.options import ObjectOption
from lrsweep.cli.terminal import console_for_tables


class Allows(StrEnum):
    READ = "read"
    RUN = "run"
    ADMIN = "admin"


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 is all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 8000,
    rate: Annotated[float, typer.Option(help="Requests a second that one token, or one address, may make.")] = 500.0,
    mlflow_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where browsers reach MLflow, where that is not MLFLOW_TRACKING_URI."),
    ] = None,
) -> None:
    """Answers programs over HTTP, and people at /: studies, the schedule to use, sweeps, reports, families, previews.

    On a loopback address no token is needed until one was made; elsewhere it listens only where there is one.
    """
    from lrsweep.cli.serving.starting import serve_results
    from lrsweep.settings import read_settings

    serve_results(
        read_settings(os.environ), host=host, port=port, per_second=rate, mlflow_url=mlflow_url, say=typer.echo
    )


def token_create(
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    scope: Annotated[
        Allows,
        typer.Option("--scope", help="What it allows; each allows what those before it do.", case_sensitive=False),
    ] = Allows.READ,
    as_json: ObjectOption = False,
) -> None:
    """Makes a token for the service and shows it this once; what is kept is its hash."""
    from lrsweep.cli.new_results import made_results
    from lrsweep.cli.serving.tokens import create, is_first, to_json
    from lrsweep.settings import read_settings
    from lrsweep.store.tokens import Scope

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    with made_results(read_settings(os.environ), say) as (_, store):
        row, token = create(store, name, Scope(scope.value))
        closes = is_first(store, row)
    if as_json:
        typer.echo(json.dumps({**to_json(row), "token": token}))
    else:
        typer.echo(token)
        say(f"the token {name!r} ({row.scope.value}) is shown this once; send it as `Authorization: Bearer …`")
    if closes:
        say(
            "it is the first one of these results: within a second or two a service on them answers to nobody without "
            "a token, on this machine too, also once all are revoked"
        )


def token_revoke(
    name: Annotated[str, typer.Argument(help="The name that it was made with.")], as_json: ObjectOption = False
) -> None:
    """Takes a token out of force; the service hears of it within a second or two."""
    from lrsweep.cli.serving.tokens import revoke, to_json
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        row = revoke(store, name)
    typer.echo(json.dumps(to_json(row)) if as_json else f"the token {name!r} is revoked")


def token_list(as_json: ObjectOption = False) -> None:
    """Lists the tokens, revoked ones too: names, scopes and times, and nothing that opens."""
    from lrsweep.cli.serving.tokens import show, to_json
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        rows = store.tokens.rows()
    if as_json:
        typer.echo(json.dumps({"tokens": [to_json(row) for row in rows]}))
    else:
        show(console_for_tables(), rows)

"""The command that hands nights to whatever starts them: ``nightly install``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lrsweep.errors import SettingsError

DEADLINE, GITHUB_DEADLINE = "6h", "5h"
"""GitHub's own machines end a job after 6 hours."""


def nightly_install(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY…|FOLDER]", help="As `lrsweep nightly run` takes them; by default studies."),
    ] = None,
    cron: Annotated[bool, typer.Option("--cron", help="A line for `crontab -e`.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="A service and a timer.")] = False,
    github: Annotated[bool, typer.Option("--github", help="A workflow for GitHub Actions.")] = False,
    at: Annotated[
        str, typer.Option("--at", metavar="HH:MM", help="When, in this machine's time; with --github in UTC.")
    ] = "02:30",
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", help="For all studies together, as in '6h', which it is; with --github '5h'."),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option("--summary", metavar="FILE", help="The night as JSON; as in `lrsweep nightly run`.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="The history of nights as a page.")
    ] = None,
    prometheus: Annotated[
        Path | None, typer.Option("--prometheus", metavar="FILE", help="Gauges, as a file that ends in .prom.")
    ] = None,
    always: Annotated[
        bool, typer.Option("--always", help="Train although nothing has changed; as in `lrsweep nightly run`.")
    ] = False,
    device: Annotated[
        str | None, typer.Option("--device", help="As in `lrsweep nightly run`; by default it finds one.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="As in `lrsweep nightly run`; by default LRSWEEP_ENGINE as it is set here."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option("--executor", help="The same; by default LRSWEEP_EXECUTOR as it is set here.")
    ] = None,
    package: Annotated[
        str | None,
        typer.Option(
            "--package",
            metavar="REQUIREMENT",
            help="With --github: what pip installs, by default this release from the package index (with Ray where "
            "it trains on Ray); such as '.[nightly]', where the repository is lrsweep's own, or 'lrsweep[nightly] @ git+https://…'.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write the files there; by default they are printed."),
    ] = None,
) -> None:
    """Prints ready files that run the nights of studies every day, by cron, systemd or GitHub.

    lrsweep has no scheduler of its own. Run it in the folder in which you run nights by hand.
    """
    chosen = [name for name, is_given in (("cron", cron), ("systemd", systemd), ("github", github)) if is_given]
    if len(chosen) != 1:
        given = " and ".join(f"--{name}" for name in chosen) or "none of --cron, --systemd and --github"
        raise SettingsError(f"{given} {'are' if chosen else 'is'} given; name one: what it prints is for one of them.")
    from lrsweep.cli import nightly_installing

    nightly_installing.install(
        os.environ,
        chosen[0],
        studies or [],
        at=at,
        deadline=deadline or (GITHUB_DEADLINE if github else DEADLINE),
        files={"--summary": summary, "--report": report, "--prometheus": prometheus},
        out=out,
        package=package,
        always=always,
        placed={"--device": device, "--engine": engine, "--executor": executor},
    )

"""The command that answers: which schedule should I use?"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrsweep.cli.options import ObjectOption
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import SettingsError

if TYPE_CHECKING:
    from lrsweep.findings.choosing import Studied
    from lrsweep.selection.choice import Choice


class Better(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


IN_THE_FILE = {
    "--direction": "Which way a metric is better, the study's file says: study.direction.",
    "--horizon": "Of a study the full horizon decides: study.horizon of its file.",
    "--baseline": "Name what is used today in the study's file, as [baseline], and run it: it is trained as the others "
    "are.",
}
"""What to do instead of giving an option with a study."""


def choose(
    study: Annotated[str | None, typer.Argument(help="A study's name, or its file.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A CSV or Parquet file with a row for each training in the place of a study: family, horizon, seed, "
            "value, and where known schedule (JSON), peak_lr and cost.",
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--from-mlflow", metavar="EXPERIMENT", help="Runs of MLflow in the place of a study; with --metric."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Of MLflow's runs: what they are compared by, its last value.")
    ] = None,
    direction: Annotated[
        Better | None,
        typer.Option("--direction", help="Of a file or of runs: which values are better; minimize by default."),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option("--horizon", metavar="STEPS", help="Of a file or of runs: which decides; the longest by default."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="FAMILY", help="Of a file or of runs: what is used today."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="ID",
            help="Of a study: an earlier sweep instead of the newest; the beginning of its id is enough.",
        ),
    ] = None,
    worth: Annotated[
        float | None,
        typer.Option(
            help="The smallest gain worth a change; by default half the baseline's deviation from seed to seed, or the "
            "leader's."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="AIM",
            help="Such as 'value >= 0.94': also names the cheapest that is trained to it. Of a study by its metric, "
            "as the table shows it.",
        ),
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Says which schedule to use, and what that rests on: who is shown to be best, or as good as the best."""
    if sum(each is not None for each in (study, table, experiment)) != 1:
        raise SettingsError(
            "Name one: a study, as in `lrsweep choose STUDY`, a table with --from FILE, or runs with "
            "--from-mlflow EXPERIMENT."
        )
    if worth is not None and not 0 < worth < math.inf:
        raise SettingsError(f"--worth is {worth}; wanted a number above 0, in the metric's own units.")
    if metric is not None and experiment is None:
        raise SettingsError("--metric is of MLflow's runs: a study has its own, and a table its column value.")
    if sweep is not None and study is None:
        raise SettingsError("--sweep is of a study: a table and MLflow's runs have no sweeps to name.")
    if study is not None:
        of_others = {"--direction": direction, "--horizon": horizon, "--baseline": baseline}
        if given := [name for name, value in of_others.items() if value is not None]:
            raise SettingsError(
                f"{', '.join(given)}: a study has its own; such options are for --from and --from-mlflow. "
                f"{' '.join(IN_THE_FILE[name] for name in given)}"
            )
        found, choice, has_ended = _of_study(study, sweep, worth, target)
        _show(
            *(found.metric, choice, {}),
            source={"study": found.study, "sweep": found.sweep},
            searched_metric=found.searched_metric,
            of_sweep=found.trainings,
            as_json=as_json,
        )
        if not as_json:
            _show_next(choice, found, [study, *(() if sweep is None else ("--sweep", sweep))], worth, has_ended)
        return
    from lrsweep.findings.asked import Asked

    asked = Asked(None if direction is None else direction.value, horizon, baseline, worth, target)
    if table is not None:
        from lrsweep.cli.choosing.table import choose_from

        _show(*choose_from(table, asked), {}, source={"file": str(table)}, as_json=as_json)
        return
    assert experiment is not None
    from lrsweep.cli.choosing.tracked import choose_tracked
    from lrsweep.settings import read_settings

    found_there = choose_tracked(experiment, read_settings(os.environ), metric, asked)
    _show(*found_there, source={"experiment": experiment}, as_json=as_json)


def _of_study(study: str, sweep: str | None, worth: float | None, target: str | None) -> tuple[Studied, Choice, bool]:
    """What its rows say, the choice, and whether its sweep is over."""
    from lrsweep.findings.choosing import choose_of, results_of
    from lrsweep.findings.reading import results
    from lrsweep.records import SweepStatus
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        found = results_of(store, study, sweep)
        has_ended = store.sweep(found.sweep).status is not SweepStatus.RUNNING
        return found, choose_of(found, study, worth=worth, target=target), has_ended


def _show_next(choice: Choice, found: Studied, words: Sequence[str], worth: float | None, has_ended: bool) -> None:
    """What is undecided or not over is not for ``lrsweep promote``: what would show more stands above. Nor is what was
    decided by options that it does not take.
    """
    from lrsweep.cli.following import after_choice, why_not_promoted
    from lrsweep.selection.deciding import Evidence

    is_decided = has_ended and choice.evidence is not Evidence.UNDECIDED
    why_not = why_not_promoted(choice, words, found.study, worth=worth, own_worth=found.worth) if is_decided else []
    typer.echo(f"\nNext:\n{after_choice(words, found.study, is_decided=is_decided and not why_not)}")
    for sentence in why_not:
        typer.echo(sentence)


def _show(
    metric: str,
    choice: Choice,
    unread: Mapping[str, int],
    notes: Sequence[str] = (),
    *,
    source: Mapping[str, str],
    searched_metric: str | None = None,
    of_sweep: int | None = None,
    as_json: bool,
) -> None:
    """``unread``: how many runs say nothing, by reason; ``notes``: what is to be known of the others; ``source``: where
    the results are from; ``searched_metric``: what a search went by, where that may be another one."""
    from lrsweep.cli.choosing.drawing import show_choice
    from lrsweep.cli.counting import counted

    if as_json:
        found = {**choice.to_json(), "metric": metric, "searched_metric": searched_metric}
        found |= {"source": dict(source), **({"unread": dict(unread)} if unread else {})}
        found |= {"notes": list(notes)} if notes else {}
        typer.echo(json.dumps(found, allow_nan=False))
        return
    console = console_for_tables()
    show_choice(console, choice, metric, searched_metric or metric, of_sweep)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    for reason, count in unread.items():
        console.print(
            f"Left out: {counted(count, 'run')}, {reason}.", style="dim", highlight=False, markup=False, soft_wrap=True
        )

"""How a look at the results reads in a terminal: ``lrsweep list`` and ``lrsweep status``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.cli.sweep_drawing import counted, mean_of
from lrsweep.findings.look import Look, Standing, state_of
from lrsweep.findings.reading import Request
from lrsweep.store.base import Event
from lrsweep.sweep.owner import driver_shown

STYLES = {"running": "bold green", "starting": "green", "ending": "yellow", "unfinished": "yellow", "stopped": "red"}
SHOWN_OF_EVENTS = ("trial", "rung", "status", "state", "reason", "owner")


def show_list(
    console: Console,
    standings: Sequence[Standing],
    without_sweep: Mapping[str, str | None],
    requests: Mapping[str, Request],
) -> None:
    """``without_sweep``: studies that have none yet, and who starts one."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("study", no_wrap=True)
    table.add_column("state")
    for name in ("trials", "best"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("of", "family", "begun", "sweep", "driver"):
        table.add_column(name, no_wrap=name != "driver")
    for each in standings:
        wanted = "" if each.trials_wanted is None else f"/{each.trials_wanted}"
        table.add_row(
            escape(each.study),
            f"{each.state}{_asked(each, requests.get(each.study))}",
            f"{each.trials_told}{wanted}",
            number(each.best if each.final is None else each.final.mean),
            "" if each.best is None else escape(_value_of(each)),
            escape(each.family or ""),
            ago(time.time() - each.began_at),
            each.sweep[:8],
            escape(each.driver or ""),
            style=STYLES.get(each.state),
        )
    for study, driver in without_sweep.items():
        request = requests.get(study)
        state = "starting" if driver is not None else "no sweep" if request is None else request.state
        table.add_row(escape(study), state, *[""] * 6, escape(driver or ""), style=STYLES.get(state))
    console.print(table)


def show_look(console: Console, look: Look) -> None:
    standing = look.standing
    for line in (_headline(look), *_request(look), *_progress(look), *_pace(look), *_mirror(look), *_failure(look)):
        console.print(escape(line), highlight=False, soft_wrap=True)
    console.print("\nlast:", highlight=False)
    for event in look.events:
        console.print(f"  {escape(_event_line(event))}", style="dim", highlight=False, soft_wrap=True)
    if standing.state == "unfinished" and look.request is None:
        console.print(
            "\nNobody drives it: `lrsweep run` with its study file continues it, `lrsweep cancel` ends it.",
            highlight=False,
            soft_wrap=True,
        )


def number(value: float | None) -> str:
    """Four places for losses, and no more digits than help for numbers of steps.

    >>> number(0.11882), number(12400.0), number(None)
    ('0.1188', '12400', '–')
    """
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.0f}"


def moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(seconds: float) -> str:
    """
    >>> ago(4.2), ago(200), ago(7300), ago(200000)
    ('4 s ago', '3 min ago', '2 h ago', '2 d ago')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def _value_of(standing: Standing) -> str:
    """What the best value is: one training's, or the mean of fresh seeds, which often is of another metric."""
    final = standing.final
    return standing.metric if final is None else f"{final.metric}, {counted(final.n, 'seed')}"


def _headline(look: Look) -> str:
    standing = look.standing
    begun = f"sweep {standing.sweep} of generation {look.generation[:8]}, begun {moment(standing.began_at)}"
    if standing.driver is None:
        return f"study {standing.study}: {standing.state}; {begun}"
    since = "" if look.since is None else f" since {moment(look.since)}"
    if standing.state in ("running", "ending"):
        return f"study {standing.study}: {standing.state}, driven by {standing.driver}{since}; {begun}"
    return (
        f"study {standing.study}: {standing.state}; {begun}; held by {standing.driver}{since}, perhaps for another one"
    )


def _asked(standing: Standing, request: Request | None) -> str:
    """Of one that is driven nobody needs to hear that it was asked for."""
    return "" if request is None or standing.driver is not None else f", {request.state}"


def _request(look: Look) -> list[str]:
    if look.request is None or not _asked(look.standing, look.request):
        return []
    which = "this sweep" if look.request.sweep == look.standing.sweep else f"a new sweep, {look.request.sweep},"
    if look.request.state == "ending":
        return [f"ending: {which} is to be cancelled; the next worker (`lrsweep worker`) ends it, or `lrsweep cancel`"]
    how = "waits for a worker (`lrsweep worker`)" if look.request.state == "queued" else "is begun by a worker just now"
    return [f"{look.request.state}: {which} was asked for over HTTP and {how}; `lrsweep cancel` takes it back"]


def _progress(look: Look) -> list[str]:
    standing = look.standing
    wanted = "" if standing.trials_wanted is None else f" of {standing.trials_wanted}"
    running = f", {look.trials_running} under way" if look.trials_running else ""
    value = f"{standing.metric} {number(standing.best)}" if standing.final is None else mean_of(standing.final)
    best = f"; best {value} ({standing.family}, trial {standing.best_trial})"
    ends = {name: count for name, count in asdict(look.trials_ended).items() if count}
    ended = f" ({_listed(ends)})" if ends else ""
    lines = [f"trials: {standing.trials_told}{wanted} told{ended}{running}{best if standing.best is not None else ''}"]
    if look.trainings:
        count = sum(look.trainings.values())
        kinds = f"; by purpose: {_listed(look.purposes)}" if set(look.purposes) - {"search"} else ""
        lines.append(f"trainings: {count:,} of these trials ({_listed(look.trainings)}){kinds}")
    if look.trainings.get("diverged", 0) > look.trials_ended.diverged:
        lines.append(
            "a trial has diverged where it did so at its own rate: a rung's raised rate is tried again at that, and "
            "seeds of finals are counted beside their mean"
        )
    return lines


def _pace(look: Look) -> list[str]:
    if look.pace is None:
        return []
    left = ""
    if look.pace.seconds_left:
        left = f"; the search takes about another {ago(look.pace.seconds_left).removesuffix(' ago')}"
    return [f"pace: {counted(look.pace.trainings_per_hour, 'training')} an hour{left}"]


def _mirror(look: Look) -> list[str]:
    if not look.not_mirrored:
        return []
    how = "" if look.standing.driver else "; `lrsweep sync` sends them"
    return [f"MLflow lacks {counted(look.not_mirrored, 'training')}, whole or in part{how}"]


def _failure(look: Look) -> list[str]:
    if look.failure is None:
        return []
    return [f"last failure: trial {look.failure.trial}, training {look.failure.training[:8]}: {look.failure.line}"]


def _event_line(event: Event) -> str:
    """``training_ended trial 3, rung 1``: what a person looks for among its data."""
    data = {key: event.data[key] for key in SHOWN_OF_EVENTS if event.data.get(key) not in (None, "")}
    if "state" in data:
        data["state"] = state_of(data["state"], event.data.get("value"))
    shown = ", ".join(f"{key} {driver_shown(each) if key == 'owner' else each}" for key, each in data.items())
    return f"{moment(event.at)} {event.kind.replace('_', ' ')}{': ' if shown else ''}{shown}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())

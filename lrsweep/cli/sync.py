"""``lrsweep sync``: sends MLflow what ended sweeps have left in the results database."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.counting import counted
from lrsweep.errors import SettingsError, TryAgain, did_you_mean
from lrsweep.findings.reporting.ending import page_at_the_end
from lrsweep.nightly.showing import Shown, show_nights
from lrsweep.records import Json
from lrsweep.store import open_store
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import Registered, register
from lrsweep.sweep.syncing import Synced, sync


def sync_results(homes: Homes, study: str | None, *, as_json: bool) -> None:
    """Raises TryAgain where MLflow is away still: the same command sends the rest. What it does not take is told."""
    if study is not None:
        _check_known(homes, study)
    console = Console(stderr=True)
    with console.status("looking for what is to be sent") as status:
        synced = sync(
            homes,
            study,
            say=lambda text: console.print(escape(text), highlight=False, soft_wrap=True),
            show=lambda text: status.update(escape(text)),
            make_report=page_at_the_end,
        )
        status.update("looking for champions that are to be registered")
        champions = _register(homes, study, lambda text: console.print(escape(text), highlight=False, soft_wrap=True))
        status.update("looking for nights that MLflow has not got")
        nights = _nights(homes, study, lambda text: console.print(escape(text), highlight=False, soft_wrap=True))
    sent, left = sum(each.sent for each in synced), sum(each.left for each in synced)
    if as_json:
        found = {"sweeps": [each.to_json() for each in synced], "sent": sent, "left": left}
        typer.echo(
            json.dumps(
                {**found, **({"champions": champions.to_json()} if champions.is_any else {}), **_in_json(nights)}
            )
        )
    else:
        of_champions = champions.sentences()
        of_champions += [f"nights: {nights.sent} sent to MLflow"] if nights.sent else []
        for line in [*([] if of_champions and not synced else report(synced)), *of_champions]:
            typer.echo(line)
    if outage := next((each.outage for each in synced if each.outage is not None), None):
        raise TryAgain(f"{_to_do(synced, left)}; the same command does it. {outage}")
    if champions.outage is not None:
        raise TryAgain(f"champions are still to be registered; the same command does it. {champions.outage}")
    if nights.outage is not None:
        raise TryAgain(f"nights are still to be sent; the same command sends them. {nights.outage}")


def _register(homes: Homes, study: str | None, say: Callable[[str], None]) -> Registered:
    store = open_store(homes.results_url)
    try:
        return register(homes, store, study, say=say, with_lost=True)
    finally:
        store.close()


def _nights(homes: Homes, study: str | None, say: Callable[[str], None]) -> Shown:
    store = open_store(homes.results_url)
    try:
        studies = [study] if study is not None else sorted({row.study for row in store.nights.rows()})
        return show_nights(store, homes, studies, say)
    finally:
        store.close()


def _in_json(nights: Shown) -> dict[str, Json]:
    return {"nights": {"sent": nights.sent, "outage": nights.outage}} if nights.sent or nights.outage else {}


def report(synced: Sequence[Synced]) -> list[str]:
    if not synced:
        return ["nothing is left to send"]
    return [_line(each) for each in synced if not each.is_unasked]


def _to_do(synced: Sequence[Synced], left: int) -> str:
    unasked = sum(each.is_unasked for each in synced)
    if unasked == len(synced):
        return f"whether MLflow still has what it was sent of {counted(unasked, 'sweep')} is still to be asked"
    return f"{counted(left, 'training')} still to be sent"


def _line(each: Synced) -> str:
    where = f"study {each.study!r}, sweep {each.sweep_id[:8]}"
    if each.driver is not None and each.was_lost:
        return (
            f"{where}: this MLflow has none of its runs, and {each.driver} is at work on the study; the same command "
            f"sends its {counted(each.left, 'training')} when that has ended"
        )
    if each.driver is not None:
        return f"{where}: driven by {each.driver}, which sends its {counted(each.left, 'training')} itself"
    rest = f", {each.left} left" if each.left else ""
    if each.unknown:
        rest += f" ({each.unknown} are of an earlier release's trials, which this one cannot read)"
    is_only_ended = each.is_closed and not (each.sent or rest)
    done = "its run was ended" if is_only_ended else f"{counted(each.sent, 'training')} sent{rest}"
    if each.was_lost:
        done = f"this MLflow had none of its runs; {done}"
    return f"{where}: {done}{', and it is finished' if each.is_finished else ''}"


def _check_known(homes: Homes, study: str) -> None:
    store = open_store(homes.results_url)
    try:
        known = sorted({row.name for row in store.studies()})
    finally:
        store.close()
    if study not in known:
        there = f"There are: {', '.join(known)}." if known else "There are none yet."
        raise SettingsError(f"there are no results of a study {study!r}.{did_you_mean(study, known)} {there}")

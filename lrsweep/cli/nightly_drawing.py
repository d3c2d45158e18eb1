"""How nights read in a terminal: a run, a history, one night with its charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.champion.history import when
from lrsweep.cli.counting import counted
from lrsweep.nightly.outcome import FAILED, NightRun, StudyNight

STYLES = {"holds": "green", "undecided": "yellow", "workload drifted": "bold red", "challenger better": "bold magenta"}


def show_run(console: Console, run: NightRun) -> None:
    for night in run.studies:
        _print(console, f"[bold]{escape(night.study)}[/]  {_verdict(night)}")
        _print(console, f"  {escape(night.sentence)}")
        _print(console, f"  next: {escape(night.next_step)}", style="dim")
    for note in run.notes:
        _print(console, escape(note), style="yellow")


LONGEST_VERDICT = len("challenger better")


def show_history(console: Console, found: Mapping[str, Sequence[StudyNight]]) -> None:
    if not found:
        _print(console, "No night has ended yet. `lrsweep nightly run` runs one.")
        return
    for study, nights in found.items():
        table = Table(title=escape(study), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("night", "ended (UTC)"):
            table.add_column(column, overflow="fold")
        table.add_column("verdict", no_wrap=True, min_width=LONGEST_VERDICT)
        for column in ("canary", "limits", "trained", "changed"):
            table.add_column(column, overflow="fold")
        for night in nights:
            chart = next(iter(_charts(night)), {})
            table.add_row(
                escape(night.key),
                when(night.ended_at).replace("T", " ").removesuffix("+00:00"),
                _verdict(night),
                _number(chart.get("tonight")),
                _limits(chart),
                str(night.trainings),
                escape(", ".join(_changed(night))),
            )
        console.print(table)
        if nights[-1].verdict == FAILED:
            _print(console, f"  failed: {escape(nights[-1].sentence)}")


def show_night(console: Console, night: StudyNight) -> None:
    _print(console, f"[bold]{escape(night.study)}[/], night {escape(night.key)}: {_verdict(night)}")
    _print(console, escape(night.sentence))
    _print(console, f"next: {escape(night.next_step)}")
    for what, words in (
        ("champion", night.champion),
        ("candidate", night.candidate),
        ("came into force", night.promoted),
    ):
        if words is not None:
            _print(console, f"{what}: {escape(words)}")
    _print(
        console,
        f"{counted(night.trainings, 'training')}, {night.steps:,} steps, {night.seconds:.1f} s of training; ended "
        f"{when(night.ended_at)}",
    )
    _show_charts(console, night)
    for change in (night.judgement or {}).get("changes") or ():
        what = f"{change['what']}: {change['before'] or 'none'} -> {change['now'] or 'none'}"
        _print(console, f"changed: {escape(what)}")
    _show_compared(console, (night.judgement or {}).get("compared") or ())


def _show_charts(console: Console, night: StudyNight) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("canary of", "tonight", "seeds", "before", "nights", "limits", ""):
        table.add_column(column, no_wrap=True)
    for chart in _charts(night):
        table.add_row(
            escape(str(chart["name"])),
            _number(chart["tonight"]),
            str(chart["seeds"]),
            _number(chart["before"]),
            str(chart["nights"]),
            _limits(chart),
            "[bold red]outside[/]" if chart["is_out"] else "",
        )
    if table.row_count:
        console.print(table)


def _show_compared(console: Console, compared: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("challenger", "nights", "pairs", "gain", "95 %", "worth", "confirmed", ""):
        table.add_column(column, no_wrap=True)
    for each in compared:
        interval = each["gain_interval"]
        table.add_row(
            escape(str(each["name"])),
            str(each["nights"]),
            str(each["pairs"]),
            _number(each["gain"]),
            "" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}",
            _number(each["worth"]),
            str(each["confirmed"]),
            "[bold magenta]shown[/]" if each["is_shown"] else "suspected" if each["suspected_since"] else "",
        )
    if table.row_count:
        console.print(table)


def _verdict(night: StudyNight) -> str:
    if night.verdict == FAILED:
        return f"[bold red]failed[/] (exit code {night.exit_code})"
    beside = " (unchanged)" if night.is_unchanged else " (as recorded)" if night.is_recorded else ""
    style = STYLES.get(night.verdict, "")
    return f"[{style}]{escape(night.verdict)}[/]{beside}" if style else f"{escape(night.verdict)}{beside}"


def _charts(night: StudyNight) -> Iterator[Mapping[str, Any]]:
    yield from (night.judgement or {}).get("charts") or ()


def _changed(night: StudyNight) -> list[str]:
    return [str(change["what"]) for change in (night.judgement or {}).get("changes") or ()]


def _limits(chart: Mapping[str, Any]) -> str:
    limits = chart.get("limits")
    return "" if limits is None else f"{limits[0]:.4g} to {limits[1]:.4g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print(console: Console, text: str, *, style: str = "") -> None:
    console.print(text, style=style, highlight=False, soft_wrap=True)

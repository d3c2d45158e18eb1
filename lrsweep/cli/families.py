"""``lrsweep families``: what each family is, from the one declaration that the checks and the search have too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lrsweep.cli.terminal import written_for
from lrsweep.schedules import Options, Schedule, Search, Setting, family, family_names, json_value
from lrsweep.schedules.described import kind_of
from lrsweep.schedules.setting import REQUIRED

HEADINGS = ("setting", "default", "searched", "meaning")
LEAST_FOR_A_TABLE = 70


def show_families(console: Console, names: Sequence[str] = ()) -> None:
    """A block per family, and the settings that all of them have once, at the end."""
    for chosen in [family(name) for name in names or family_names()]:
        _show_family(console, chosen)
    console.print(Text("every family also has, if nothing else is said of it above", style="bold"))
    _show_settings(console, Schedule.settings())


def _show_family(console: Console, chosen: type[Schedule]) -> None:
    console.print(
        Text.assemble((chosen.family, "bold"), (f"  {kind_of(chosen)}, simplicity {chosen.simplicity}", "dim"))
    )
    for line, style in ((chosen.formula, "cyan"), (chosen.use, ""), (f"Source: {chosen.source}", "dim")):
        console.print(Padding(Text(written_for(console, line), style=style), (0, 0, 0, 2)))
    _show_settings(console, [one for one in chosen.settings() if one not in Schedule.settings()])


def _show_settings(console: Console, settings: Sequence[Setting]) -> None:
    if settings:
        show = _as_table if console.width >= LEAST_FOR_A_TABLE else _as_lines
        rows = [
            (one.name, _default_text(one), _search_text(one.search), f"{one.meaning}; {one.allowed}")
            for one in settings
        ]
        show(console, [[written_for(console, cell) for cell in row] for row in rows])
    console.print()


def _as_table(console: Console, rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading == "setting", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(Padding(table, (0, 0, 0, 2)))


def _as_lines(console: Console, rows: Sequence[Sequence[str]]) -> None:
    for name, default, searched, meaning in rows:
        console.print(Padding(Text(f"{name}: default {default}; searched: {searched}"), (0, 0, 0, 2)))
        console.print(Padding(Text(meaning, style="dim"), (0, 0, 0, 4)))


def _default_text(one: Setting) -> str:
    if one.default is REQUIRED:
        return "required"
    if isinstance(one.default, Schedule):
        return one.default.family
    return _plain_value(json_value(one.default))


def _plain_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_plain_value, value)) if isinstance(value, list) else str(value)


def _search_text(search: Search | Options | None) -> str:
    if search is None:
        return "–"
    if isinstance(search, Options):
        return ", ".join(search.names)
    return f"{search.low:g} to {search.high:g}{', log' * search.log}"

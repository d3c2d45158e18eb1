"""``lrsweep diff A B``: what differs as a table, and the rates of both as curves over the steps that they are for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsweep.champion.comparing import Comparison, Row
from lrsweep.champion.value import ChampionChoice
from lrsweep.cli.preview import EVALUATIONS, FINEST, Curve, Preview, example_metrics, show_preview
from lrsweep.cli.terminal import written_for
from lrsweep.errors import NeedsMetric
from lrsweep.records import Floats, Json

MAIN = ("schedule", "peak_lr", "optimizer", "batch_size", "horizon", "evidence", "mean")
"""Shown though they be the same."""
BESIDE = {"interval": "mean", "gain_interval": "gain"}
"""What stands behind another row's value, not in a row of its own."""
LONGEST = 44
"""Characters of one value; JSON has all of it."""


def curves_of(a: ChampionChoice, b: ChampionChoice, names: Sequence[str]) -> Preview:
    """Both as ``lrsweep preview`` draws schedules; the shorter one ends where its training does."""
    steps = max(a.horizon, b.horizon)
    places = min(steps, FINEST)
    curves = tuple(_curve(choice, name, steps, places) for choice, name in zip((a, b), names, strict=True))
    return Preview(steps, max(a.peak_lr, b.peak_lr), curves)


def show_comparison(console: Console, found: Comparison, names: Sequence[str]) -> None:
    """The table, what is to be said of it, and the curves."""
    shown = [row for row in found.rows if row.key not in BESIDE and not _is_left_out(row)]
    behind = {row.key: row for row in found.rows if row.part == "evidence"}  # a provenance has a metric too
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in names:
        table.add_column(Text(written_for(console, name)), overflow="fold")
    for row in shown:
        reach = next((behind[key] for key, of in BESIDE.items() if of == row.key and key in behind), None)
        cells = [_cell(row.a, None if reach is None else reach.a), _cell(row.b, None if reach is None else reach.b)]
        style = "dim" if row.is_same else ""
        table.add_row(*(Text(written_for(console, text), style=style) for text in (_label(row, behind), *cells)))
    console.print(table)
    for sentence in _sentences(found):
        console.print(Text(written_for(console, sentence), style="dim"), soft_wrap=True)
    console.print()
    show_preview(console, curves_of(found.a, found.b, names))


def _label(row: Row, behind: Mapping[str, Row]) -> str:
    """The mean is that of a metric, which has no row of its own where both have the same. The search's is another."""
    if row.key == "metric" and row.part == "provenance":
        return "metric of the search"
    metric = behind["metric"]
    return f"mean {_shown(metric.a)}" if row.key == "mean" and metric.is_same and metric.a is not None else row.key


def _is_left_out(row: Row) -> bool:
    return (row.is_same and row.key not in MAIN) or (row.a is None and row.b is None)


def _sentences(found: Comparison) -> list[str]:
    told = []
    if found.is_same_training:
        told.append("One would train the same with either.")
    if found.not_comparable is not None:
        told.append(f"Their values are not comparable: {found.not_comparable}.")
    same = sum(row.is_same and _is_left_out(row) and row.a is not None for row in found.rows)
    if same:
        told.append(f"{same} more {'is' if same == 1 else 'are'} the same in both.")
    return told


def _cell(value: Json, reach: Json) -> str:
    text = _shown(value)
    if isinstance(reach, list) and len(reach) == 2:
        text += f" ({_shown(reach[0])} to {_shown(reach[1])})"
    return text


def _shown(value: Json) -> str:
    """Rounded and short: a table is for people."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _curve(choice: ChampionChoice, name: str, steps: int, places: int) -> Curve:
    """NaN after the end: there are no rates there."""
    own = max(1, round(places * choice.horizon / steps))
    schedule, heard = choice.schedule, None
    fine = choice.horizon <= FINEST and own == choice.horizon
    try:
        rates = (
            schedule.rates(choice.horizon, choice.peak_lr)
            if fine
            else choice.peak_lr * schedule.factor(np.arange(own) / own, choice.horizon)
        )
    except NeedsMetric:
        heard = example_metrics(min(EVALUATIONS, own), "min")
        rates = schedule.on_horizon(choice.horizon).replay(heard, own, choice.peak_lr)
    about = f"{schedule.family}, peak {choice.peak_lr:.4g}, {choice.optimizer.name}, {choice.horizon:,} steps"
    return Curve(name, about, schedule, 1.0, _padded(rates, places), heard)


def _padded(rates: Floats, places: int) -> Floats:
    return np.concatenate([rates, np.full(places - len(rates), np.nan)])

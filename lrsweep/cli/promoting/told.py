"""``lrsweep history``: the rows of one champion or of all, and the reads of the test sets that they go with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lrsweep.champion.history import Entry, reads_told, version_of
from lrsweep.champion.loading import NOTHING_YET, not_promoted
from lrsweep.errors import SettingsError
from lrsweep.records import Json
from lrsweep.store import Store
from lrsweep.store.champions import ChampionRow, TestRead
from lrsweep.sweep.held_out import data_named


def history_of(store: Store, name: str | None) -> tuple[Sequence[ChampionRow], Sequence[TestRead]]:
    """The rows, and the reads of the test sets that they or the study's own reads are of: a promotion that was killed
    while it read has left a read and no row. Raises SettingsError where there is neither."""
    rows, reads = store.champions.rows(), store.champions.test_reads()
    names = sorted({row.name for row in rows} | {read.study for read in reads})
    if not names:
        raise SettingsError(f"{NOTHING_YET} `lrsweep promote STUDY` puts a study's choice in force.")
    if name is not None and name not in names:
        raise SettingsError(not_promoted(name, names))
    if name is None:
        return rows, reads
    rows = [row for row in rows if row.name == name]
    own = {read.data for read in reads if read.study == name} | {data for row in rows if (data := _data_of(row))}
    return rows, [read for read in reads if read.data in own]


def _data_of(row: ChampionRow) -> str | None:
    """Which test set is that of the study that a row's choice comes from, whether it was read or not."""
    choice = {} if row.choice is None else json.loads(row.choice)
    workload = choice.get("provenance", {}).get("workload")
    return None if workload is None else data_named(workload["name"], workload["data_hash"])


def show_history(console: Console, entries: Sequence[Entry], reads: Sequence[TestRead]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", justify="right")
    for column in ("when (UTC)", "name", "", "in force from then on", "evidence", "MLflow", ""):
        table.add_column(column, no_wrap=column != "in force from then on")
    for each in entries:
        choice = each.choice
        whose = each.row.alias.value + (" *" if each.is_in_force else "")
        table.add_row(
            str(each.row.id),
            each.at.replace("T", " ").removesuffix("+00:00"),
            escape(each.row.name),
            f"{each.row.action.value} {whose}",
            "nothing" if choice is None else escape(each.summary or ""),
            escape(each.evidence or ""),
            "" if (version := version_of(each.row)) is None else f"version {version}",
            escape(" · ".join(filter(None, [each.row.note, each.row.who]))),
        )
    if entries:
        console.print(table)
        console.print("* is in force now", style="dim", highlight=False)
    else:
        console.print(NOTHING_YET, highlight=False)
    for data, count in Counter(read.data for read in reads).items():
        console.print(reads_told(data, count), style="dim", highlight=False, markup=False)


def history_json(entries: Sequence[Entry], reads: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    in_force: dict[str, dict[str, Json]] = {}
    for each in entries:
        if each.is_in_force:
            in_force.setdefault(each.row.name, {})[each.row.alias.value] = each.choice
    return {"rows": [each.to_json() for each in entries], "in_force": in_force, "test_reads": list(reads)}

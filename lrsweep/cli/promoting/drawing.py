"""How a promotion and a demotion read in a terminal."""

from __future__ import annotations

import json

from lrsweep.champion.history import reads_told, said
from lrsweep.champion.scoring import sentence
from lrsweep.findings.promoting.demoted import Demotion
from lrsweep.findings.promoting.promoted import Promotion
from lrsweep.store.champions import Alias, ChampionRow, is_same_training


def told(found: Promotion) -> list[str]:
    row, name = found.row, found.row.name
    assert row.choice is not None
    state = f"{row.alias.value} of {name}: {said(row)}"
    lines = [state if found.is_new else f"{state}; it is that already, and nothing is new"]
    if found.is_new and found.was is not None:
        lines.append(_before(row, found.was))
    if found.why_candidate is not None:
        lines.append(found.why_candidate)
    test = json.loads(row.choice)["test"]
    if test is not None:
        lines += [f"on the test set: {sentence(test)}", reads_told(test["data"], found.reads, test["read"])]
    if found.file is not None:
        lines.append(f"written: {found.file}")
    else:
        lines.append(f"`--to schedules/{name}.json` writes it into a file for git, which needs no database")
    return [*lines, *_away(row, found.outage)]


def demotion_told(found: Demotion) -> list[str]:
    row = found.row
    lines = [
        f"{row.alias.value} of {row.name}: {said(row)}{', again' if row.choice else ''}",
        f"was: {said(found.was)}",
    ]
    return [*lines, *_away(row, found.outage)]


def _away(row: ChampionRow, outage: str | None) -> list[str]:
    if outage is not None:
        return [f"MLflow's registry has not got it; `lrsweep sync` sends it. {outage}"]
    if row.mlflow_version is None:  # why, was said when MLflow did
        return ["MLflow's registry does not take it: it is in the results alone"]
    return []


def _before(row: ChampionRow, was: ChampionRow) -> str:
    if is_same_training(row.choice, was.choice):
        return f"it takes the place of what was in force, the same training: {said(was)}"
    return f"was: {said(was)}; `lrsweep demote {row.name}{_as(row.alias)}` goes back to it"


def _as(alias: Alias) -> str:
    return "" if alias is Alias.CHAMPION else f" --as {alias.value}"

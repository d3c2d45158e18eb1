"""``lrsweep advise``: what to try first for a training, by what the store's studies of the same kind have found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrsweep.cli.counting import counted
from lrsweep.errors import SettingsError, StudyError, did_you_mean
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Json
from lrsweep.selection.advice import Advised, Kind, apart
from lrsweep.settings import Settings
from lrsweep.store import Store
from lrsweep.study import Examined, ResolvedStudy, examine_file
from lrsweep.study.file import STUDIES, examine
from lrsweep.study.problems import listed
from lrsweep.sweep.advising import advice_for, kind_of, kinds_in, peak_for, point_for
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.stored import resolved_from
from lrsweep.workloads.catalog import OWN_FORMS, is_own, workload_names

UNKNOWN = "?"


@dataclass(frozen=True)
class Asked:
    study: ResolvedStudy
    advised: tuple[Advised, ...]
    nearest: tuple[str, Kind] | None = None
    """the study that is least unlike it, and still no relative, where nothing is advised"""

    def to_json(self) -> dict[str, Json]:
        return {
            "workload": self.study.facts.name,
            "kind": _kind(kind_of(self.study)),
            "advice": [self._point(each) for each in self.advised],
        }

    def _point(self, each: Advised) -> dict[str, Json]:
        found, past = each.found, each.past
        return {
            "family": found.family,
            "schedule": json.loads(found.schedule),
            "peak_lr": peak_for(self.study, each),
            "optimizer": found.optimizer.name,
            "optimizer_settings": dict(found.optimizer.settings),
            "in_the_space": point_for(self.study, each) is not None,
            "behind": each.score,
            "studies": each.studies,
            "from": {
                "study": past.study,
                "sweep": past.sweep,
                "kind": _kind(past.kind),
                "same_data": past.kind.data == kind_of(self.study).data,
                "distance": each.distance,
                "peak_lr": found.peak_lr,
                "metric": found.metric,
                "value": found.value,
                "n": found.n,
                "diverged": found.diverged,
                "place": each.place,
                "of": each.of,
            },
        }


def advice(given: str, settings: Settings, store: Store | None, *, horizon: int | None, device: str) -> Asked:
    """A name that is several things is a workload first, then a study's file, then a study of the results.

    Raises StudyError where a file is wrong, SettingsError where the name is nothing of all that, or of a workload that
    its name alone does not make.
    """
    rows = [] if store is None else [row for row in store.studies(given) if row.spec]
    try:
        examined = _examined(given)
        study = None if examined is None else _completed(examined, settings, horizon, device)
    except StudyError as error:
        if not _is_workload(given):
            raise
        wrong = " ".join(problem.text for problem in error.problems)  # of a file that nobody has, the lines say nothing
        raise SettingsError(
            f"workload {given!r} by its name alone: {wrong} Name a study's file that has it, or a study of results."
        ) from error
    if study is None and rows:
        study = resolved_from(rows[-1])
        study = study if horizon is None else replace(study, horizon=horizon)
    if study is None:
        names = [*workload_names(), *([] if store is None else {row.name for row in store.studies()})]
        raise SettingsError(
            f"{given!r} is no workload, no study file, and no study of the results here.{did_you_mean(given, names)} "
            f"Workloads are {listed(workload_names())}, or your own as {OWN_FORMS}."
        )
    advised = () if store is None else tuple(advice_for(study, store))
    return Asked(study, advised, None if advised or store is None else _nearest(kind_of(study), kinds_in(store)))


def _nearest(kind: Kind, others: Mapping[str, Kind]) -> tuple[str, Kind] | None:
    return min(others.items(), key=lambda each: (each[1].task != kind.task, apart(kind, each[1])), default=None)


def _examined(given: str) -> Examined | None:
    """The study of that file, or a plain one of that workload."""
    if _is_workload(given):
        text = f"[study]\nname = 'advice'\nworkload = {json.dumps(given)}\n[budget]\ntrials = 60\n"
        return examine(text, f"workload {given!r}")
    is_file = given.endswith(".toml") or (STUDIES / f"{given}.toml").is_file()
    return examine_file(given) if is_file else None


def _is_workload(given: str) -> bool:
    return given in workload_names() or is_own(given)


def _completed(examined: Examined, settings: Settings, horizon: int | None, device: str) -> ResolvedStudy:
    if horizon is not None:
        examined = replace(examined, study=replace(examined.study, horizon=horizon))
    executor = LocalExecutor(device, data=settings.data)
    try:
        return completed(examined, executor.describe)
    finally:
        executor.close()


def show_advice(console: Console, asked: Asked) -> None:
    study = asked.study
    if not asked.advised:
        console.print(
            f"No study of this kind has been run here: {_sentence(kind_of(study))}.{_why_not(asked)} Begin with the "
            "families of a plain study: `lrsweep new study`.",
            highlight=False,
            soft_wrap=True,
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("try", "optimizer"):
        table.add_column(name)
    for name in ("peak", "behind"):
        table.add_column(name, justify="right")
    table.add_column("because")
    for each in asked.advised:
        table.add_row(
            each.found.family,
            each.found.optimizer.name,
            f"{peak_for(study, each):.3g}",
            f"{each.score:.2f}",
            Text(_because(each, study)),
        )
    console.print(f"To try first at {study.horizon:,} steps, by {_studies(asked)}:", highlight=False, soft_wrap=True)
    console.print(table, soft_wrap=not console.is_terminal)
    console.print(
        "behind: the family's distance from each study's best, in steps of what lies between that and the middle of "
        "the families; near studies count for more. These are hints: nothing was trained here.",
        highlight=False,
        soft_wrap=True,
    )


def _why_not(asked: Asked) -> str:
    if asked.nearest is None:
        return ""
    name, other = asked.nearest
    kind = kind_of(asked.study)
    if other.task != kind.task:
        return f" The studies here learn something else: {name} is measured by {other.task or 'what nobody knows'}."
    if other == kind:
        return f" {name} is one, and has no value at its full horizon yet."
    return f" The nearest, {name}, is further away than a factor of a hundred in all: {_differences(kind, other)}."


def _studies(asked: Asked) -> str:
    most = max(each.studies for each in asked.advised)
    return "1 study of the same kind" if most == 1 else f"{most} studies of the same kind"


def _because(each: Advised, study: ResolvedStudy) -> str:
    found, past = each.found, each.past
    seeds = "the search's 1 seed" if found.n == 1 and not found.diverged else counted(found.n, "seed")
    diverged = f", {found.diverged} diverged" if found.diverged else ""
    said = f"{_place(each.place)} of {each.of} in {past.study}: {found.metric} {found.value:.4g} by {seeds}{diverged}"
    differs = _differences(kind_of(study), past.kind)
    return f"{said}; {differs}" if differs else said


def _place(place: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{place}{'th' if 10 < place % 100 < 14 else endings.get(place % 10, 'th')}"


def _differences(asked: Kind, past: Kind) -> str:
    """Of what the study was, beside what is asked."""
    told = [] if asked.data == past.data else ["other data"]
    for name, mine in asked.sizes.items():
        theirs = past.sizes[name]
        if mine != theirs and (mine is not None or theirs is not None):
            told.append(f"{name} {_size(theirs)} for {_size(mine)}")
    return ", ".join(told)


def _size(known: int | None) -> str:
    return UNKNOWN if known is None else f"{known:,}"


def _sentence(kind: Kind) -> str:
    if not kind.task:
        return "the workload does not say what it is measured with"
    known = [f"{name} {value:,}" for name, value in kind.sizes.items() if value is not None]
    return ", ".join([f"task {kind.task}", *known])


def _kind(kind: Kind) -> dict[str, Json]:
    return {"task": kind.task, **kind.sizes}

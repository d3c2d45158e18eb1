"""``lrsweep import``: reads somebody else's trials, and adds what fits to a study under its lease."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

from lrsweep.cli.sweep_drawing import counted
from lrsweep.errors import SettingsError
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Direction
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.settings import Settings, make_homes
from lrsweep.store import open_store
from lrsweep.study import TIMED, ResolvedStudy, load_study
from lrsweep.sweep.beginning import paced
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.importing import Imported, Stranger, from_optuna, import_trials
from lrsweep.sweep.owner import is_dead, this_owner
from lrsweep.tracking import load_mlflow

WANTED = "optuna:URL#STUDY, such as optuna:sqlite:///their.db#mnist, or mlflow:EXPERIMENT"
NO_LATER_VALUE = (
    "what came without its value gets none later: for --same-metric, delete that sweep first, or import --into a study "
    "of another name"
)
LEASE_SECONDS = 600.0
"""Nothing renews it: reading thousands of rows takes seconds."""


def import_into(
    source: str,
    into: str | None,
    settings: Settings,
    *,
    metric: str | None,
    direction: Direction | None = None,
    same_metric: bool,
    say: Callable[[str], None],
) -> Imported:
    """Raises SettingsError for a source that is none; nothing is written before all of it has been read."""
    kind, _, rest = source.partition(":")
    url, separator, name = rest.rpartition("#")
    if kind == "mlflow" and rest:
        url, name = "", rest
    elif kind != "optuna" or not (url and separator and name):
        raise SettingsError(f"the source of an import is {WANTED}")  # not shown: a password may stand anywhere in it
    if kind == "optuna" and (metric or direction):
        raise SettingsError("--metric and --direction are of MLflow's runs; a study of Optuna's says both itself")
    study = load_study(into or name)
    homes = make_homes(settings)
    with ExitStack() as stack:
        # only what a budget in time or money comes to depends on the device
        executor = LocalExecutor("auto" if study.budget.kind in TIMED else "cpu", data=homes.data)
        stack.callback(executor.close)
        # another process loads the workload; MLflow takes as long to import
        meanwhile = load_mlflow if kind == "mlflow" else lambda: None
        resolved = study.resolved(executor.describe(study.workload, meanwhile))
        strangers: list[Stranger]
        better: Direction
        if kind == "optuna":
            strangers, better = from_optuna(url, name)
        else:
            wanted = metric or resolved.value_key
            better = _better(wanted, direction, resolved)
            strangers = _from_mlflow(homes, name, wanted)
        store = open_store(homes.results_url)
        stack.callback(store.close)
        lease = store.acquire_lease(resolved.name, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
        stack.callback(store.release_lease, lease)
        if resolved.needs_pace and resolved.workload.name != COMMAND:
            resolved = replace(resolved, devices_at_once=executor.device_count)
        resolved = paced(resolved, store, executor, lambda: None, say, pace_factor=executor.pace_factor)
        return import_trials(store, lease, resolved, strangers, better, same_metric=same_metric, say=say)


def _better(metric: str, direction: Direction | None, study: ResolvedStudy) -> Direction:
    """Which way the metric is better: of its own the study knows it."""
    known = {study.metric: study.direction, study.value_key: study.sense}.get(metric)
    if known is None and direction is None:
        raise SettingsError(
            f"--metric {metric}: the study compares {study.value_key}, and does not say which way {metric} is better. "
            "Add --direction minimize or --direction maximize."
        )
    if known is not None and direction not in (None, known):
        raise SettingsError(
            f"--direction is {direction}, and the study says {known} of {metric}; leave --direction out"
        )
    return known or cast(Direction, direction)


def _from_mlflow(homes: Homes, experiment: str, metric: str) -> list[Stranger]:
    from lrsweep.tracking.importing import strange_runs

    runs = strange_runs(homes.mlflow_uri, experiment, metric, artifact_root=homes.artifact_root)
    return [Stranger(f"mlflow:{experiment}#{run.run_id}", run.params, run.value) for run in runs]


def told(found: Imported, *, same_metric: bool = False) -> list[str]:
    """Lines for people."""
    lines = []
    if found.kept:
        lines.append(f"imported with values: {counted(found.kept, 'trial')}; the search learns from them at once")
    if found.tried:
        lines.append(
            f"imported without values: {counted(found.tried, 'point')}; the next run of the study tries them first "
            f"({NO_LATER_VALUE})"
        )
    if found.known:
        lines.append(
            f"imported before, and left as they are: {found.known}{f' ({NO_LATER_VALUE})' if same_metric else ''}"
        )
    if found.is_over and (found.kept or found.tried):
        lines.append("the study's sweep is finished: `lrsweep run --new` starts another one, which takes them up")
    lines += [f"{count} left out: {reason}" for reason, count in found.refused.items()]
    if not (found.kept or found.tried or found.known):
        lines.insert(0, "nothing was imported")
    return lines

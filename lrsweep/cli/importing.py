"""``lrsweep import``: reads somebody else's trials, and adds what fits to a study under its lease."""

from __future__ import annotations

from collections.abc import Callable

from lrsweep.errors import SettingsError
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Direction
from lrsweep.settings import Settings, make_homes
from lrsweep.store import open_store
from lrsweep.study import load_study
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.importing import Imported, Stranger, from_optuna, import_trials
from lrsweep.sweep.owner import is_dead, this_owner

WANTED = "optuna:URL#STUDY, such as optuna:sqlite:///their.db#mnist, or mlflow:EXPERIMENT"
LEASE_SECONDS = 600.0
"""Nothing renews it: reading thousands of rows takes seconds."""


def import_into(
    source: str,
    into: str | None,
    settings: Settings,
    *,
    metric: str | None,
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
    study = load_study(into or name)
    homes = make_homes(settings)
    executor = LocalExecutor("cpu", data=homes.data)
    try:
        resolved = study.resolved(executor.describe(study.workload))
    finally:
        executor.close()
    strangers: list[Stranger]
    direction: Direction
    if kind == "optuna":
        strangers, direction = from_optuna(url, name)
    else:
        strangers, direction = _from_mlflow(homes, name, metric or resolved.value_key), resolved.sense
    store = open_store(homes.results_url)
    try:
        lease = store.acquire_lease(resolved.name, this_owner(), seconds=LEASE_SECONDS, is_dead=is_dead)
        try:
            return import_trials(store, lease, resolved, strangers, direction, same_metric=same_metric, say=say)
        finally:
            store.release_lease(lease)
    finally:
        store.close()


def _from_mlflow(homes: Homes, experiment: str, metric: str) -> list[Stranger]:
    from lrsweep.tracking.importing import strange_runs

    runs = strange_runs(homes.mlflow_uri, experiment, metric, artifact_root=homes.artifact_root)
    return [Stranger(f"mlflow:{experiment}#{run.run_id}", run.params, run.value) for run in runs]


def told(found: Imported) -> list[str]:
    """Lines for people."""
    lines = []
    if found.kept:
        lines.append(f"{found.kept} trials were imported with their values: the search learns from them at once")
    if found.tried:
        lines.append(f"{found.tried} points were imported: the next run of the study tries them first")
    if found.known:
        lines.append(f"{found.known} had been imported before")
    lines += [f"{count} left out: {reason}" for reason, count in found.refused.items()]
    return lines or ["there was nothing to import"]

"""The values that a script itself gives its parameters, kept for a generation as long as every start finds the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lrsweep.store.base import Store
from lrsweep.study import ResolvedStudy


def with_agreed_settings(store: Store, study: ResolvedStudy, say: Callable[[str], None]) -> ResolvedStudy:
    """Without what nobody can say of all trials of the generation: what has changed in the script since it began, and
    what the first start of a release that did not keep it has not told."""
    stored = [row.spec for row in store.studies(study.name) if row.generation == study.generation]
    now = study.script_settings
    if not stored or study.facts.script_settings is None:
        return study
    [spec] = stored
    before = spec.get("script_settings", {})
    if changed := [name for name, value in before.items() if now and (name not in now or now[name] != value)]:
        told = ", ".join(f"{name} is {now.get(name)!r} and was {before[name]!r}" for name in changed)
        say(
            f"the script has changed its own settings: {told}. If trials before and after are not to be compared, "
            "raise study.workload.version"
        )
    same = {name: value for name, value in before.items() if name not in changed}
    return replace(study, facts=replace(study.facts, script_settings=same))

"""What the service says of a sweep: the same as ``choose``, ``promote``, ``status``, ``report`` and ``families``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import TryAgain
from lrsweep.findings.choosing import choose_in
from lrsweep.findings.look import standing_in
from lrsweep.findings.promoting.value import value_of
from lrsweep.findings.reading import generation_of
from lrsweep.records import Json, SweepRow
from lrsweep.schedules import family, family_names
from lrsweep.schedules.described import families_json
from lrsweep.store import Store
from lrsweep.sweep.stored import resolved_from


def recommended(store: Store, sweep: SweepRow) -> ChampionChoice:
    """As ``lrsweep promote`` would put it in force, without the test set's word. Raises SettingsError where nothing has
    come to a value."""
    with _while_there(store, sweep):
        metric, choice = choose_in(store, sweep.study, worth=None, sweep_id=sweep.sweep_id)
        return value_of(store, resolved_from(generation_of(store, sweep), sweep), sweep, choice, metric)


def standing(store: Store, sweep: SweepRow) -> Mapping[str, Json]:
    counts = store.extracts.trial_counts(sweep.sweep_id)
    holder = store.holders().get(sweep.study)
    with _while_there(store, sweep):
        is_newest = store.sweeps(sweep.study)[-1].sweep_id == sweep.sweep_id
        found = standing_in(store, sweep, generation_of(store, sweep), counts, holder if is_newest else None)
        return found.to_json()


def report_page(store: Store, sweep: SweepRow) -> str:
    """Loads what it needs when the first page is asked for: most of the time that a start would take."""
    from lrsweep.findings.reporting.gathering import gather
    from lrsweep.report.html import page

    with _while_there(store, sweep):
        return page(gather(store, sweep.study, now=time.time(), sweep_id=sweep.sweep_id))


def families() -> Sequence[Mapping[str, Json]]:
    """Those that may be previewed here: nothing that calls a function of whoever asks."""
    return families_json([name for name in family_names() if not family(name).runs_code])


@contextmanager
def _while_there(store: Store, sweep: SweepRow) -> Iterator[None]:
    """Raises TryAgain where the sweep was removed between two reads, whatever that broke."""
    try:
        yield
    except (LookupError, StopIteration) as error:
        if any(each.sweep_id == sweep.sweep_id for each in store.sweeps(sweep.study)):
            raise
        raise TryAgain(f"sweep {sweep.sweep_id!r} was removed while it was looked at: ask again.") from error


@dataclass(frozen=True)
class Sources:
    """Those functions; a test puts another one in a place."""

    recommended: Callable[[Store, SweepRow], ChampionChoice] = recommended
    """what ``lrsweep promote`` would put in force; SettingsError where nothing has come to a value yet"""
    standing: Callable[[Store, SweepRow], Mapping[str, Json]] = standing
    """where the sweep stands, as ``lrsweep status --json`` says it"""
    page: Callable[[Store, SweepRow], str] = report_page
    """the report as HTML"""
    families: Callable[[], Sequence[Mapping[str, Json]]] = families
    """as ``lrsweep families --json``"""

"""The schedule of a study, in the form that was asked for: the champion where there is one, else what the newest sweep
that has come to a value recommends. Both are the same value, so both go through the code of ``lrsweep export``.

An answer depends on the choice, the horizon and the form alone, and is kept under them. Of a champion that is its row;
of a sweep, whatever has changed about its study. Both with the store, for a file may be put in the place of another.
The choice itself is kept too: to make one takes a second, to render it a millisecond.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from lrsweep.champion.applying import another_horizon, peak_at
from lrsweep.champion.exporting import exported
from lrsweep.champion.reading import from_json, to_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import SettingsError
from lrsweep.records import Json, SweepRow
from lrsweep.redaction import public_text
from lrsweep.service.kept import Kept, Made
from lrsweep.service.problems import Refused
from lrsweep.service.results import refuse_unknown, state_of
from lrsweep.service.sources import Sources
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow, in_force

JSON, RATES, CSV = "json", "rates", "csv"
MOST_RATES = 100_000
"""Rates in one answer, about 2 MB."""
MOST_STEPS = 10**12
BELIEVED = 1.0
"""Seconds for which an answer is given again without a look into the store."""
MOST_RECENT, LARGEST_RECENT = 250, 256 * 1024
MOST_CHOICES = 200
"""Up to 100 kB each; of a sweep that runs there is another one whenever a training has ended."""
OLDER = 5
"""Sweeps that are looked at for one that has come to a value."""
MEDIA_TYPES: Mapping[str, str] = {JSON: "application/json", RATES: "application/json", CSV: "text/csv"}
CODE = "text/x-python"


@dataclass(frozen=True)
class Chosen:
    """A choice, and where it comes from."""

    value: ChampionChoice
    source: str
    """``champion`` or ``sweep``"""
    sweep: str | None
    notes: tuple[str, ...] = ()


class Answers:
    """Safe in threads."""

    def __init__(self, sources: Sources, kept: Kept[Made], clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._kept = kept
        self._choices = Kept[Chosen](MOST_CHOICES, size=lambda _: 1)
        self._clock = clock
        self._recent: dict[tuple[str, int | None, str], tuple[float, Made]] = {}

    def recent(self, name: str, horizon: int | None, form: str) -> Made | None:
        """What was the answer within the last second, without a look into the store: where all cores train, a thread
        that looks there waits longer for its turn than it works."""
        at, made = self._recent.get((name, horizon, form), (0.0, None))
        return made if made is not None and self._clock() - at < BELIEVED else None

    def schedule(self, store: Store, name: str, horizon: int | None, form: str) -> Made:
        """Raises Refused: 404 for a study that is not there, 409 for one of which nothing is known yet."""
        asked_at = self._clock()
        made = self._current(store, name, horizon, form)
        if len(made.body) <= LARGEST_RECENT:
            if len(self._recent) >= MOST_RECENT:
                self._recent = {}
            self._recent[name, horizon, form] = asked_at, made
        return made

    def _current(self, store: Store, name: str, horizon: int | None, form: str) -> Made:
        champion = in_force(store.champions.rows(name), name, Alias.CHAMPION)
        if champion is not None:
            return self._made(("champion", store, champion.id), lambda: _of_row(champion), horizon, form)
        sweeps = store.sweeps(name)
        if not sweeps:
            _refuse_without_sweep(store, name)
        key = ("sweep", store, name, state_of(store, name, sweeps))
        return self._made(key, lambda: self._of_sweeps(store, sweeps), horizon, form)

    def _made(self, choice: Hashable, find: Callable[[], Chosen], horizon: int | None, form: str) -> Made:
        """``choice`` says which it is, and ``find`` finds it."""
        return self._kept.get((choice, horizon, form), lambda: rendered(self._choices.get(choice, find), horizon, form))

    def _of_sweeps(self, store: Store, sweeps: Sequence[SweepRow]) -> Chosen:
        """Of the newest that has come to a value: one that has just begun says nothing yet."""
        why = ""
        for sweep in list(reversed(sweeps))[:OLDER]:
            try:
                value = self._sources.recommended(store, sweep)
            except SettingsError as error:
                why = why or str(error)
                continue
            newer = sweeps[-1].sweep_id
            notes = () if sweep.sweep_id == newer else (f"of an earlier sweep: the newest, {newer}, has no value yet",)
            return Chosen(value, "sweep", sweep.sweep_id, notes)
        raise Refused(HTTPStatus.CONFLICT, public_text(why))


def _of_row(row: ChampionRow) -> Chosen:
    assert row.choice is not None, "a choice is in force"
    value = from_json(row.choice, f"{row.name} (row {row.id} of its history)")
    return Chosen(value, "champion", row.sweep_id)


def _refuse_without_sweep(store: Store, name: str) -> None:
    refuse_unknown(store, name)
    raise Refused(
        HTTPStatus.CONFLICT,
        f"study {name!r} has no sweep and no champion: `lrsweep run` with its file begins a sweep.",
    )


# ── as bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def rendered(chosen: Chosen, horizon: int | None, form: str) -> Made:
    value = chosen.value
    steps = value.horizon if horizon is None else horizon
    if form == JSON:
        return _as_json(answer(chosen, steps))
    _refuse_too_many(steps, form)
    if form == RATES:
        return _as_json(rates_of(value, steps))
    return Made.of(exported(value, form, steps).encode(), MEDIA_TYPES.get(form, CODE))


def answer(chosen: Chosen, steps: int) -> dict[str, Json]:
    """What ``format=json`` says."""
    value, notes = chosen.value, list(chosen.notes)
    if said := another_horizon(value, steps):
        notes.append(said)
    rates = None
    if value.schedule.needs_metric:
        notes.append("the schedule reacts to a metric, and has no rates before there are metrics")
    elif steps > MOST_RATES:
        notes.append(f"rates are given for {MOST_RATES:,} steps at most; format=python is code for any")
    else:
        rates = rates_of(value, steps)
    return {
        "study": value.name,
        "source": chosen.source,
        "sweep": chosen.sweep,
        "recommended": value.schedule.family,
        "evidence": value.evidence.get("evidence"),
        "n": value.evidence.get("n"),
        "horizon": steps,
        "found_on": value.horizon,
        "peak_lr": peak_at(value, steps),
        "rates": rates,
        "notes": notes,
        "next_step": value.evidence.get("next_step"),
        "choice": to_json(value),
    }


def rates_of(value: ChampionChoice, steps: int) -> list[float]:
    """One for each update; raises NeedsMetric where the schedule reacts to a metric."""
    rates: list[float] = value.schedule.rates(steps, peak_at(value, steps)).tolist()
    return rates


def _refuse_too_many(steps: int, form: str) -> None:
    if form in (RATES, CSV) and steps > MOST_RATES:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"horizon is {steps}; {form} has one rate for each of at most {MOST_RATES:,} steps. format=python is code "
            "that gives the rate of any step.",
        )


def _as_json(found: Json) -> Made:
    return Made.of(json.dumps(found, ensure_ascii=False, allow_nan=False).encode(), MEDIA_TYPES[JSON])

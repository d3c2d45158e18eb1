"""Nights as they were: values read back from the results, and failures, which end no night, kept beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from lrsweep.errors import InvalidInput, LrsweepError, SettingsError, did_you_mean
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FAILS, FORMAT, kind_of
from lrsweep.store import Store
from lrsweep.store.nights import NightRow

UNKNOWN = "unknown"
"""In the plan of a failure: its name had neither file nor results then."""


def read_night(row: NightRow) -> StudyNight:
    """Of one that has ended. Raises InvalidInput for one that a newer lrsweep wrote."""
    assert row.result is not None
    if row.result["format"] > FORMAT:
        raise InvalidInput(
            f"the result of night {row.key!r} of study {row.study!r} has format {row.result['format']}, and this "
            f"lrsweep reads up to {FORMAT}: a newer lrsweep wrote it, so use that one"
        )
    return StudyNight.from_json(row.result["night"])


def history(store: Store, study: str | None = None) -> Mapping[str, Sequence[StudyNight]]:
    """By study, oldest first, those that failed too, with their last failure; one under way is none yet. Names that are
    perhaps mistyped are none of them."""
    return _by_study(row for row in store.nights.rows(study) if not is_unknown(row))


def last_nights(store: Store, count: int, studies: Collection[str] | None = None) -> Mapping[str, Sequence[StudyNight]]:
    """As ``history`` has them, of each study the last so many; of all studies unless some are named. A name that is
    perhaps mistyped has its failure where it is named, so that it is told once."""
    rows = store.nights.told(count, FAILS, studies)
    return _by_study(row for row in rows if studies is not None or not is_unknown(row))


def _by_study(rows: Iterable[NightRow]) -> Mapping[str, Sequence[StudyNight]]:
    found: dict[str, dict[tuple[str, str], StudyNight]] = {}
    for row in rows:
        night = _read(row)
        if night is not None:
            # of several failures of one key the newest takes the place of the others
            found.setdefault(row.study, {})[FAILS if is_failure(row) else row.generation, row.key] = night
    # a night that failed has begun before its failure was kept, and may have ended since
    return {name: sorted(nights.values(), key=lambda night: night.ended_at) for name, nights in found.items()}


def _read(row: NightRow) -> StudyNight | None:
    with suppress(InvalidInput):
        if kind_of(row) == FAILS:
            return StudyNight.from_json(row.plan["night"])
        return None if row.result is None else read_night(row)
    return None


def known_history(store: Store, study: str | None) -> Mapping[str, Sequence[StudyNight]]:
    """Raises SettingsError where a study that is named has none."""
    found = history(store, study)
    if study is not None and not found:
        known = sorted(history(store))
        there = f" There are nights of {', '.join(known)}." if known else " No night has ended yet."
        raise SettingsError(
            f"no night of a study {study!r} has ended.{did_you_mean(study, known)}{there} `lrsweep nightly run` runs "
            "one."
        )
    return found


def one_night(store: Store, study: str, key: str | None) -> StudyNight:
    """The newest, or the newest of that key. Raises SettingsError where there is none."""
    nights = known_history(store, study)[study]
    chosen = [night for night in nights if key in (None, night.key)]
    if not chosen:
        keys = [night.key for night in nights]
        raise SettingsError(
            f"study {study!r} has no night {key!r}.{did_you_mean(str(key), keys)} The last are: {', '.join(keys[-5:])}."
        )
    return chosen[-1]


def keep_failure(store: Store, night: StudyNight) -> StudyNight:
    """So that a failure is told once. The same one of the same key comes back as recorded, another one is kept beside
    it; a result that cannot be written is only not kept."""
    with suppress(LrsweepError, ValueError):
        before = [row for row in store.nights.rows(night.study) if row.key == night.key and is_failure(row)]
        if before and _is_same(before[-1], night):
            return replace(night, is_recorded=True)
        generation = f"{FAILS} {len(before) + 1}" if before else FAILS
        plan = {"format": FORMAT, "kind": FAILS, "night": night.to_json()}
        row = store.nights.begin(night.study, generation, night.key, plan)
        return replace(night, is_recorded=row.plan["night"] != night.to_json())
    return night


def keep_unknown(store: Store, night: StudyNight) -> StudyNight:
    """Of a name with neither file nor results the first failure alone, so that it is told once; no history shows it."""
    with suppress(LrsweepError, ValueError):
        if not any(is_unknown(row) for row in store.nights.rows(night.study)):
            plan = {"format": FORMAT, "kind": FAILS, "night": night.to_json(), UNKNOWN: True}
            store.nights.begin(night.study, FAILS, night.key, plan)
    return night


def is_unknown(row: NightRow) -> bool:
    return bool(row.plan.get(UNKNOWN))


def is_failure(row: NightRow) -> bool:
    return row.generation.startswith(FAILS)


def _is_same(row: NightRow, night: StudyNight) -> bool:
    kept = row.plan["night"]
    return (kept["sentence"], kept["exit_code"]) == (night.sentence, night.exit_code)

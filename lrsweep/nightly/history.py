"""Nights as they were: values read back from the results, and failures, which end no night, kept beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from lrsweep.errors import InvalidInput, LrsweepError, SettingsError, did_you_mean
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FAILS, FORMAT, kind_of
from lrsweep.store import Store
from lrsweep.store.nights import NightRow


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
    """By study, oldest first, those that failed too; one under way is none yet."""
    found: dict[str, list[StudyNight]] = {}
    for row in store.nights.rows(study):
        night = _read(row)
        if night is not None:
            found.setdefault(row.study, []).append(night)
    # a night that failed has begun before its failure was kept, and may have ended since
    return {name: sorted(nights, key=lambda night: night.ended_at) for name, nights in found.items()}


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
    """So that a failure is told once. One of the same key comes back as recorded; a result that cannot be written is
    only not kept."""
    with suppress(LrsweepError, ValueError):
        row = store.nights.begin(
            night.study, FAILS, night.key, {"format": FORMAT, "kind": FAILS, "night": night.to_json()}
        )
        return replace(night, is_recorded=row.plan["night"] != night.to_json())
    return night

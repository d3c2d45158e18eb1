"""Where a night was trained that was begun in one place and goes on in another.

Its plan says what surrounded it when it began. Who goes on with it after an update, or on another device, adds a start;
what the night stands in are the starts in which trainings of it have ended. A checkpoint of other surroundings is not
gone on from, so that every training is of one start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lrsweep.nightly.planning import Plan
from lrsweep.records import Json, stable_hash
from lrsweep.selection.nights import Surroundings
from lrsweep.store import Store
from lrsweep.store.nights import NightRow

STARTS = "starts"
"""Where a plan has those after the first."""


@dataclass(frozen=True)
class Start:
    surroundings: Surroundings
    trained: int
    """trainings of the night that had ended before it"""

    def to_json(self) -> dict[str, Json]:
        return {"surroundings": self.surroundings.to_json(), "trained": self.trained}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Start:
        return cls(Surroundings(**value["surroundings"]), value["trained"])


def starts_of(row: NightRow) -> list[Start]:
    later = cast(Sequence[Mapping[str, Any]], row.plan.get(STARTS, ()))
    return [Start(Plan.from_json(row.plan).surroundings, 0), *(Start.from_json(each) for each in later)]


def gone_on(store: Store, row: NightRow, now: Surroundings) -> NightRow:
    """Before its next training: the night, with what surrounds it from here on."""
    starts = starts_of(row)
    if starts[-1].surroundings == now:
        return row
    new = Start(now, len(store.nights.trainings(row.id)))
    later = [each.to_json() for each in (*starts[1:], new)]
    return store.nights.go_on(row.id, {**row.plan, STARTS: later})


def trained_in(row: NightRow, trained: int) -> Surroundings:
    """What surrounded its first so many trainings; of several starts both values where they differ."""
    starts = starts_of(row)
    ends = [*(each.trained for each in starts[1:]), trained]
    # the last where none has ended: the next will be in it
    took_part = [start for start, end in zip(starts, ends, strict=True) if min(end, trained) > start.trained]
    return _mixed([each.surroundings for each in took_part or starts[-1:]])


def mark_of(row: NightRow) -> str:
    """By which checkpoints of one start differ from those of another; empty in the surroundings it began in."""
    first, *later = starts_of(row)
    if not later or later[-1].surroundings == first.surroundings:
        return ""
    return stable_hash(later[-1].surroundings.to_json())


def _mixed(all_of_them: Sequence[Surroundings]) -> Surroundings:
    names = dict.fromkeys(name for each in all_of_them for name in each.versions)
    return Surroundings(
        device=_both(each.device for each in all_of_them),
        versions={name: _both(each.versions.get(name, "") for each in all_of_them) for name in names},
        data=_both(each.data for each in all_of_them),
        commit=_both(each.commit for each in all_of_them),
    )


def _both(values: Iterable[str]) -> str:
    """
    >>> _both(["2.15", "2.16", "2.15"]), _both(["", ""]), _both(["c1", ""])
    ('2.15 and 2.16', '', 'c1 and none')
    """
    several = list(dict.fromkeys(values))
    return several[0] if len(several) == 1 else " and ".join(sorted(each or "none" for each in several))

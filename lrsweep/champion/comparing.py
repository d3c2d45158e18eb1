"""Two choices side by side: what one would train differently, and what each of them rests on. Pure.

Values are only comparable where both are of the same meaning: the same workload, data, metric and horizon.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lrsweep.champion.reading import to_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.records import Json


@dataclass(frozen=True)
class Row:
    """One thing of both. ``a`` and ``b`` are plain JSON values; None where there is none."""

    key: str
    a: Json
    b: Json
    part: str
    """``training``: what one would train; ``evidence``; ``provenance``"""

    @property
    def is_same(self) -> bool:
        return bool(self.a == self.b)


@dataclass(frozen=True)
class Comparison:
    a: ChampionChoice
    b: ChampionChoice
    rows: tuple[Row, ...]
    not_comparable: str | None
    """why their values say nothing of each other; None where they do"""

    @property
    def is_same_training(self) -> bool:
        """Whether one would train the same with either."""
        return all(row.is_same for row in self.rows if row.part == "training")

    def to_json(self) -> dict[str, Json]:
        return {
            "a": to_json(self.a),
            "b": to_json(self.b),
            "same_training": self.is_same_training,
            "comparable": self.not_comparable is None,
            "why_not": self.not_comparable,
            "differences": [
                {"part": row.part, "key": row.key, "a": row.a, "b": row.b} for row in self.rows if not row.is_same
            ],
        }


def compared(a: ChampionChoice, b: ChampionChoice) -> Comparison:
    rows = tuple(row for part in (_training, _evidence, _provenance) for row in part(a, b))
    return Comparison(a, b, rows, _why_not_comparable(a, b))


def _training(a: ChampionChoice, b: ChampionChoice) -> Iterator[Row]:
    one, other = to_json(a), to_json(b)
    yield Row("schedule", a.schedule.family, b.schedule.family, "training")
    yield from _pairs("schedule.", _rest(one["schedule"], "family"), _rest(other["schedule"], "family"), "training")
    yield Row("peak_lr", one["peak_lr"], other["peak_lr"], "training")
    yield Row("optimizer", a.optimizer.name, b.optimizer.name, "training")
    yield from _pairs("optimizer.", one["optimizer"]["settings"], other["optimizer"]["settings"], "training")
    for key in ("batch_size", "horizon"):
        yield Row(key, one[key], other[key], "training")
    yield from _pairs("rate_rule.", one["rate_rule"], other["rate_rule"], "training")
    yield from _pairs("extra.", one["extra"], other["extra"], "training")


def _evidence(a: ChampionChoice, b: ChampionChoice) -> Iterator[Row]:
    one, other = _standing(a), _standing(b)
    for key in dict.fromkeys([*one, *other]):
        yield Row(key, one.get(key), other.get(key), "evidence")
    yield from _pairs("test.", a.test or {}, b.test or {}, "evidence")


def _standing(choice: ChampionChoice) -> dict[str, Json]:
    evidence = choice.evidence
    standing = evidence.get("choice")
    standing = standing if isinstance(standing, Mapping) else {}
    return {
        "evidence": evidence.get("evidence"),
        "n": evidence.get("n"),
        "metric": evidence.get("metric"),
        **{key: standing.get(key) for key in ("mean", "interval", "gain", "gain_interval", "divergence_rate")},
        "probability_best": standing.get("probability_best"),
    }


def _provenance(a: ChampionChoice, b: ChampionChoice) -> Iterator[Row]:
    yield Row("name", a.name, b.name, "provenance")
    yield from _pairs("", _flat(a.provenance), _flat(b.provenance), "provenance")


def _why_not_comparable(a: ChampionChoice, b: ChampionChoice) -> str | None:
    one, other = a.provenance.get("meaning"), b.provenance.get("meaning")
    if one is None or other is None:
        return "where the values come from is not kept with both"
    if one != other:
        return "they are of studies of different meanings (workload, data, metric, horizon, batch size or rungs)"
    return None if a.horizon == b.horizon else "they were reached on different horizons"


def _pairs(before: str, one: Mapping[str, Json], other: Mapping[str, Json], part: str) -> Iterator[Row]:
    for key in dict.fromkeys([*one, *other]):
        yield Row(f"{before}{key}", one.get(key), other.get(key), part)


def _rest(given: Mapping[str, Json], *without: str) -> dict[str, Json]:
    return {key: value for key, value in given.items() if key not in without}


def _flat(given: Mapping[str, Json], before: str = "") -> dict[str, Json]:
    """Objects inside as ``workload.name``."""
    found: dict[str, Json] = {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found

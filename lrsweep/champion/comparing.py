"""Two choices side by side: what one would train differently, and what each of them rests on. Pure.

Values are only comparable where both are of the same meaning: the same workload, data, metric and horizon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lrsweep.champion.reading import to_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.records import Json
from lrsweep.selection.statistics import t_quantile


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


def why_worse(new: ChampionChoice, old: ChampionChoice) -> str | None:
    """A sentence where the finals of both show that the new one is worse (Welch's interval, 95 %); None where they do
    not, or where their values say nothing of each other. Two sweeps have searched, and either's finals are its own."""
    one, other = _seen(new), _seen(old)
    if _why_not_comparable(new, old) is not None or one is None or other is None:
        return None
    (mean, variance, n), (former, other_variance, other_n) = one, other
    worse_by = (mean - former) * (-1 if new.evidence.get("direction") == "maximize" else 1)
    parts = variance / n, other_variance / other_n
    if worse_by <= 0:
        return None
    if sum(parts) > 0:
        degrees = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (other_n - 1))
        if worse_by <= t_quantile(degrees) * math.sqrt(sum(parts)):
            return None
    return (
        f"the one in force, {old.schedule.family} at {old.peak_lr:.4g}, came to a better {new.evidence.get('metric')}: "
        f"{former:.4g} ({other_n} seeds), and this one to {mean:.4g} ({n} seeds)"
    )


def _seen(choice: ChampionChoice) -> tuple[float, float, int] | None:
    """Mean, variance and n of the seeds that decided; None for a single one."""
    match choice.evidence.get("choice"):
        case {"mean": float(mean), "sd": float(sd), "n": int(n)} if n > 1:
            return mean, sd**2, n
    return None


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

"""What a night compares, settled when it begins and kept with it: whoever goes on with it trains the same.

rung          the shortest at which the study's sweeps have been shown to rank well, else the full horizon
seeds         fresh ones: no night, no sweep of the study has trained with them
others        who may be better, with all that one trains them with: whom of them the canary says
fingerprint   by which the next night knows whether anything has changed
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lrsweep.errors import InvalidInput, LrsweepError
from lrsweep.nightly.around import Now, comparable
from lrsweep.nightly.contenders import Contender, baseline_of, others, scale_at
from lrsweep.records import Json, stable_hash
from lrsweep.selection.nights import Surroundings
from lrsweep.store import Store
from lrsweep.store.nights import NightRow
from lrsweep.study import NightlySpec, ResolvedStudy
from lrsweep.study.budgets import FEWEST_CALIBRATION_TRIALS
from lrsweep.sweep.beginning import newest_sweep, resolved_in
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.trust import DROPPED_KEY, calibrating, rung_trusts

FORMAT = 1
"""Of a night's plan; a reader refuses what is newer than it knows."""
COMPARES, SWEEPS, UNCHANGED, FAILS = "compares", "sweeps", "unchanged", "fails"
"""Kinds of nights."""


@dataclass(frozen=True)
class Plan:
    champion: Contender
    row: int
    """of the champion's history, that put it in force"""
    baseline: Contender | None
    rung: int
    horizon: int
    scales: Mapping[str, float]
    """by arm, of the rung"""
    seeds: Sequence[int]
    full_seeds: Sequence[int]
    others: Sequence[Contender]
    surroundings: Surroundings
    fingerprint: Mapping[str, Json]
    same: str
    """``around.comparable``"""

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "kind": COMPARES,
            "champion": self.champion.to_json(),
            "row": self.row,
            "baseline": None if self.baseline is None else self.baseline.to_json(),
            "rung": self.rung,
            "horizon": self.horizon,
            "scales": dict(self.scales),
            "seeds": list(self.seeds),
            "full_seeds": list(self.full_seeds),
            "others": [each.to_json() for each in self.others],
            "surroundings": self.surroundings.to_json(),
            "fingerprint": dict(self.fingerprint),
            "same": self.same,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        return cls(
            champion=Contender.from_json(value["champion"]),
            row=value["row"],
            baseline=None if value["baseline"] is None else Contender.from_json(value["baseline"]),
            rung=value["rung"],
            horizon=value["horizon"],
            scales=value["scales"],
            seeds=value["seeds"],
            full_seeds=value["full_seeds"],
            others=tuple(Contender.from_json(each) for each in value["others"]),
            surroundings=Surroundings(**value["surroundings"]),
            fingerprint=value["fingerprint"],
            same=value["same"],
        )


def kind_of(row: NightRow) -> str:
    """Raises InvalidInput for a night that a newer lrsweep began."""
    if row.plan.get("format", FORMAT) > FORMAT:
        raise InvalidInput(
            f"night {row.key!r} of study {row.study!r} has format {row.plan['format']}, and this lrsweep reads up to "
            f"{FORMAT}: a newer lrsweep began it, so use that one"
        )
    return str(row.plan.get("kind", COMPARES))


def data_then(row: NightRow) -> str | None:
    """The hash of the data that a night began with; None where it did not compare."""
    found: Mapping[str, Any] = row.plan.get("surroundings") or {}
    return found.get("data")


def planned(
    store: Store,
    study: ResolvedStudy,
    nightly: NightlySpec,
    champion: Contender,
    row: int,
    now: Now,
    key: str,
    nights: Sequence[NightRow],
) -> Plan:
    """``nights`` are all of the study so far."""
    study = in_sweep(store, study)
    before = _before(study, nights)
    baseline = baseline_of(study, champion)
    rung = _rung(store, study, before)
    arms = [champion, *([] if baseline is None else [baseline])]
    is_as_before = before is not None and before.rung == rung and before.horizon == study.horizon
    kept = before.scales if before is not None and is_as_before else {}
    scales = {each.name: kept.get(each.name, scale_at(store, study, each, rung)) for each in arms}
    used = {*_used(nights), *(training.seed for training in store.trainings(study.name))}
    drawn = fresh(study, key, used)
    return Plan(
        champion=champion,
        row=row,
        baseline=baseline,
        rung=rung,
        horizon=study.horizon,
        scales=scales,
        seeds=tuple(itertools.islice(drawn, nightly.seeds)),
        full_seeds=tuple(itertools.islice(drawn, nightly.seeds)),
        others=tuple(others(store, study, champion, baseline)[: nightly.challengers]),
        surroundings=now.surroundings,
        fingerprint=now.fingerprint(champion.name, _asks(study, nightly, baseline, rung)),
        same=comparable(study),
    )


def fingerprint_of(
    store: Store, study: ResolvedStudy, nightly: NightlySpec, champion: Contender, now: Now, nights: Sequence[NightRow]
) -> dict[str, Json]:
    """That of the plan which a night would have, without all that is only of use where it trains."""
    study = in_sweep(store, study)
    asks = _asks(study, nightly, baseline_of(study, champion), _rung(store, study, _before(study, nights)))
    return now.fingerprint(champion.name, asks)


def worth_of(study: ResolvedStudy, nightly: NightlySpec) -> float | None:
    return study.selection.worth if nightly.worth is None else nightly.worth


def _asks(study: ResolvedStudy, nightly: NightlySpec, baseline: Contender | None, rung: int) -> dict[str, Json]:
    """Without ``max_age``, which says how long a verdict stands, and not what it is."""
    return {
        "question": comparable(study),
        "baseline": "" if baseline is None else baseline.name,
        "rung": rung,
        "seeds": nightly.seeds,
        "challengers": nightly.challengers,
        "worth": worth_of(study, nightly),
        "promote": nightly.promote,
        "restarts": sorted(nightly.restarts),
    }


def _before(study: ResolvedStudy, nights: Sequence[NightRow]) -> Plan | None:
    """The newest of the same question: with the rates of another, as of another horizon, values would move that are
    compared with those of long ago."""
    same = comparable(study)
    found = (each for each in reversed(nights) if kind_of(each) == COMPARES and each.plan["same"] == same)
    return next(readable(found), None)


def readable(nights: Iterable[NightRow]) -> Iterator[Plan]:
    """Of nights that compared, without those that name what this lrsweep does not know, as a family that is gone."""
    for each in nights:
        with suppress(LrsweepError):
            yield Plan.from_json(each.plan)


def in_sweep(store: Store, study: ResolvedStudy) -> ResolvedStudy:
    """With the exponents that its newest sweep has frozen."""
    sweep = newest_sweep(store, study)
    return study if sweep is None else resolved_in(sweep, study)


def fresh(study: ResolvedStudy, key: str, used: Iterable[int]) -> Iterator[int]:
    """Seeds of a night, by the study and the night's key alone, without those that are used; each once."""
    seen = set(used)
    for place in itertools.count():
        seed = int(stable_hash([study.seed, study.name, "night", key, place])[:7], 16)
        if seed not in seen:
            seen.add(seed)
            yield seed


def _used(nights: Iterable[NightRow]) -> Iterator[int]:
    for night in nights:
        yield from night.plan.get("seeds", ())
        yield from night.plan.get("full_seeds", ())


def _rung(store: Store, study: ResolvedStudy, before: Plan | None) -> int:
    """That of the night before as long as no sweep has dropped it: with another one all limits would start anew."""
    dropped = _dropped(store, study)
    kept = [horizon for rung, horizon in enumerate(study.rungs) if rung not in dropped]
    if before is not None and before.rung in kept and before.horizon == study.horizon:
        return before.rung
    return next((horizon for horizon in _trusted(store, study) if horizon in kept), study.horizon)


def _dropped(store: Store, study: ResolvedStudy) -> set[int]:
    """By any sweep of the generation."""
    sweeps = [sweep for sweep in store.sweeps(study.name) if sweep.generation == study.generation]
    return {rung for sweep in sweeps for rung in sweep.settings.get(DROPPED_KEY, ())}


def _trusted(store: Store, study: ResolvedStudy) -> list[int]:
    """Horizons of which the sweeps of the generation know that they rank well, the shortest first."""
    sweeps = [sweep for sweep in store.sweeps(study.name) if sweep.generation == study.generation]
    trials = calibrating(store.trials(study.name, generation=study.generation))
    trainings = store.trainings(study.name, generation=study.generation)
    trusts = rung_trusts(study, trials, trainings, OtherRules(study, sweeps))
    return [
        each.horizon
        for each in trusts
        if each.interval is not None and each.n >= FEWEST_CALIBRATION_TRIALS and not each.is_low
    ]

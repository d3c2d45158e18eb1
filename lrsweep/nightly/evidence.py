"""From what a study's nights have trained to a judgement: rows of the store in, values of ``selection.nights`` out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from lrsweep.nightly.around import ON_RAY, device_on_ray
from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.nightly.planning import COMPARES, Plan, kind_of, readable, worth_of
from lrsweep.records import Json, Status
from lrsweep.selection.nights import Judgement, Night, NightVerdict, Outcomes, Rules, Surroundings, judgements
from lrsweep.selection.ranking import cost
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.study import NightlySpec, ResolvedStudy

NIGHT = "row"
"""Where a result holds the night as ``selection.nights`` reads it."""
FINGERPRINT = "fingerprint"
"""Where it holds what the night was trained in, which may be more than its plan says."""


@dataclass(frozen=True)
class Earlier:
    """The nights before one, oldest first."""

    nights: Sequence[Night]
    told: Mapping[str, Collection[str]]
    """by night, whom its verdict has named as better: the study may have had another worth then"""


@dataclass(frozen=True)
class Found:
    """Of one night, with those before it."""

    night: Night
    judgement: Judgement


def rules_of(study: ResolvedStudy, nightly: NightlySpec) -> Rules:
    return Rules(direction=study.sense, worth=worth_of(study, nightly), restarts=nightly.restarts)


def earlier_nights(rows: Iterable[NightRow], tonight: NightRow, same: str) -> Earlier:
    """Those that began before it, have ended and asked the same, in the order in which they began: one that goes on
    weeks later has its place where it was. Of two generations with one key one has a longer one."""
    ended = [row for row in rows if row.id < tonight.id and has_compared(row) and row.plan["same"] == same]
    found: list[Night] = []
    told: dict[str, Collection[str]] = {}
    taken = {tonight.key}
    for row in sorted(ended, key=lambda row: row.id):
        assert row.result is not None
        night = Night.from_json(row.result[NIGHT])
        key = night.key if night.key not in taken else f"{night.key} ({row.generation[:8]}, {row.id})"
        taken.add(key)
        found.append(replace(night, key=key))
        told[key] = _told(row.result)
    return Earlier(found, told)


def _told(result: Mapping[str, Any]) -> Collection[str]:
    ended = result["night"]
    if ended["verdict"] != NightVerdict.CHALLENGER_BETTER.value:
        return ()
    return frozenset(each["name"] for each in ended["judgement"]["compared"] if each["is_shown"])


def has_compared(row: NightRow) -> bool:
    return row.result is not None and kind_of(row) == COMPARES and NIGHT in row.result


def fingerprint_then(row: NightRow) -> Mapping[str, Json]:
    """Of one that has compared."""
    assert row.result is not None
    return cast(Mapping[str, Json], row.result.get(FINGERPRINT, row.plan["fingerprint"]))


def night_of(
    key: str, plan: Plan, around: Surroundings, study: ResolvedStudy, trainings: Sequence[NightTraining]
) -> Night:
    """With what is there so far, and what surrounded it."""

    def outcomes(arm: str, horizon: int, seeds: Sequence[int]) -> Outcomes:
        rows = [row for row in trainings if (row.arm, row.horizon) == (arm, horizon) and row.seed in seeds]
        values = {row.seed: cost(row.value, study.sense) for row in rows if row.value is not None}
        return Outcomes(values, frozenset(row.seed for row in rows if row.status is Status.DIVERGED))

    names = sorted({row.arm for row in trainings} - {CHAMPION, BASELINE})
    challengers = {name: outcomes(name, plan.horizon, plan.full_seeds) for name in names}
    devices = sorted({row.device.partition(":")[0] for row in trainings if row.device})
    return Night(
        key=key,
        champion=plan.champion.name,
        rung=plan.rung,
        surroundings=replace(around, device=_device(around.device, devices)),
        canary=outcomes(CHAMPION, plan.rung, plan.seeds),
        baseline="" if plan.baseline is None else plan.baseline.name,
        canary_baseline=outcomes(BASELINE, plan.rung, plan.seeds),
        full=outcomes(CHAMPION, plan.horizon, plan.full_seeds),
        challengers={name: arm for name, arm in challengers.items() if arm.seeds},
    )


def _device(expected: str, trained: Sequence[str]) -> str:
    """Where trainings ran on another kind than was expected, that kind: PyTorch may not be able to use the GPU.

    >>> _device("cuda (H200) on Ray", ["cpu"]), _device("cuda (H200) on Ray", ["cuda"])
    ('cpu on Ray', 'cuda (H200) on Ray')
    """
    if not trained or trained == [expected.partition(" ")[0]]:
        return expected
    found = " and ".join(trained)
    return device_on_ray(found) if expected.endswith(ON_RAY) else found


def judged(before: Earlier, tonight: Night, rules: Rules) -> Found:
    return Found(tonight, judgements([*before.nights, tonight], rules, before.told)[-1])


def contender_named(name: str, rows: Sequence[NightRow], plan: Plan) -> Contender | None:
    """Of tonight's, else of the newest night that knew it: who was trained once can be trained again."""
    plans = readable(row for row in reversed(rows) if kind_of(row) == COMPARES)
    return next((each for one in itertools.chain([plan], plans) for each in one.others if each.name == name), None)


def challengers(judgement: Judgement, plan: Plan, rows: Sequence[NightRow], count: int) -> list[Contender]:
    """Those that it names, else the likeliest."""
    if not judgement.needs_challengers:
        return []
    known = (contender_named(name, rows, plan) for name in judgement.challengers if name != plan.champion.name)
    return [each for each in known if each is not None] or list(plan.others[:count])

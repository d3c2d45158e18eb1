"""From what a study's nights have trained to a judgement: rows of the store in, values of ``selection.nights`` out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.nightly.planning import COMPARES, Plan, kind_of
from lrsweep.records import Status
from lrsweep.selection.nights import Judgement, Night, NightVerdict, Outcomes, Rules, judgements
from lrsweep.selection.ranking import cost
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.study import NightlySpec, ResolvedStudy

NIGHT = "row"
"""Where a result holds the night as ``selection.nights`` reads it."""


@dataclass(frozen=True)
class Found:
    """Of one night, with those before it."""

    night: Night
    judgement: Judgement
    shown: str | None
    """a challenger that is shown to be better for the first time"""


def rules_of(study: ResolvedStudy, nightly: NightlySpec) -> Rules:
    worth = study.selection.worth if nightly.worth is None else nightly.worth
    return Rules(direction=study.sense, worth=worth, restarts=nightly.restarts)


def earlier_nights(rows: Iterable[NightRow], tonight: NightRow, same: str) -> list[Night]:
    """Those that ended and asked the same, in the order in which they ended. Of two generations with one key the later
    has a longer one."""
    ended = [row for row in rows if row.id != tonight.id and has_compared(row) and row.plan["same"] == same]
    found: list[Night] = []
    taken = {tonight.key}
    for row in sorted(ended, key=lambda row: (row.ended_at or 0.0, row.id)):
        assert row.result is not None
        night = Night.from_json(row.result[NIGHT])
        key = night.key if night.key not in taken else f"{night.key} ({row.generation[:8]}, {row.id})"
        taken.add(key)
        found.append(replace(night, key=key))
    return found


def has_compared(row: NightRow) -> bool:
    return row.result is not None and kind_of(row) == COMPARES and NIGHT in row.result


def night_of(key: str, plan: Plan, study: ResolvedStudy, trainings: Sequence[NightTraining]) -> Night:
    """With what is there so far."""

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
        surroundings=replace(plan.surroundings, device=_device(plan.surroundings.device, devices)),
        canary=outcomes(CHAMPION, plan.rung, plan.seeds),
        baseline="" if plan.baseline is None else plan.baseline.name,
        canary_baseline=outcomes(BASELINE, plan.rung, plan.seeds),
        full=outcomes(CHAMPION, plan.horizon, plan.full_seeds),
        challengers={name: arm for name, arm in challengers.items() if arm.seeds},
    )


def _device(expected: str, trained: Sequence[str]) -> str:
    """Where trainings ran on another kind than was expected, that kind: PyTorch may not be able to use the GPU."""
    if not trained or trained == [expected.partition(" ")[0]]:
        return expected
    return " and ".join(trained)


def judged(before: Sequence[Night], tonight: Night, rules: Rules) -> Found:
    all_of_them = judgements([*before, tonight], rules)
    found = all_of_them[-1]
    return Found(tonight, found, _shown(all_of_them) if found.verdict is NightVerdict.CHALLENGER_BETTER else None)


def _shown(found: Sequence[Judgement]) -> str | None:
    """Who is shown tonight, and was not when last compared; of several the one that gains most."""
    tonight = found[-1]
    known = {each.name: each.is_shown for one in found[:-1] for each in one.compared}
    new = [each for each in tonight.compared if each.is_shown and not known.get(each.name, False)]
    new = new or [each for each in tonight.compared if each.is_shown]
    best = max(new, key=lambda each: float("-inf") if each.gain is None else each.gain, default=None)
    return None if best is None else best.name


def contender_named(name: str, rows: Sequence[NightRow], plan: Plan) -> Contender | None:
    """Of tonight's, else of the newest night that knew it: who was trained once can be trained again."""
    plans = (Plan.from_json(row.plan) for row in reversed(rows) if kind_of(row) == COMPARES)
    return next((each for one in itertools.chain([plan], plans) for each in one.others if each.name == name), None)


def challengers(judgement: Judgement, plan: Plan, rows: Sequence[NightRow], count: int) -> list[Contender]:
    """Those that it names, else the likeliest."""
    if not judgement.needs_challengers:
        return []
    known = (contender_named(name, rows, plan) for name in judgement.challengers if name != plan.champion.name)
    return [each for each in known if each is not None] or list(plan.others[:count])

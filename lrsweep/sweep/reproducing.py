"""Does a stored training come out again? What differs, how many values agree, and whether that is more than seeds do.

Pure: rows, facts and curves go in, a verdict comes out. The command trains::

    differences that forbid it ──> cannot
    the same bits ───────────────> reproduced
    else fresh seeds: the stored value within what one more of them would come to? ──> reproduced, or moved
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsweep.records import Curve, Json, Status, StudyRow, TrainingRow, TrialRow, WorkloadFacts
from lrsweep.scripts import command
from lrsweep.selection.statistics import Interval, t_quantile
from lrsweep.study import ResolvedStudy

FEWEST_SEEDS = 2
"""One value says nothing of the spread."""


class Verdict(StrEnum):
    REPRODUCED = "reproduced"
    MOVED = "moved"
    CANNOT = "cannot"


@dataclass(frozen=True)
class Bits:
    """Of two curves: rates, training losses and evaluations."""

    equal: int
    values: int
    first: str | None
    """where they part, in words; None where they do not"""


@dataclass(frozen=True)
class Reproduction:
    verdict: Verdict
    sentence: str
    training: str
    differences: Sequence[str]
    """between then and now, as far as it is known"""
    value_then: float | None = None
    value_now: float | None = None
    bits: Bits | None = None
    fresh: Sequence[float] = ()
    """values of fresh seeds, trained now"""
    interval: Interval | None = None
    """where one more seed's value would lie, of 100 such in 95"""

    def to_json(self) -> dict[str, Json]:
        return asdict(self)


def forbidden(row: TrainingRow, trial: TrialRow, stored: StudyRow, study: ResolvedStudy) -> list[str]:
    """Why the training cannot be repeated here at all, by what is stored and by this release. ``study`` is
    ``resolved_from(stored)``."""
    if study.workload.name == command.NAME:
        return ["it is a script, which may read what nobody kept: run it yourself with `lrsweep show`'s schedule"]
    if row.status not in (Status.COMPLETED, Status.DIVERGED):
        return [f"it is {row.status.value}, so there is no result to compare with"]
    then, now = stored.spec, study.spec()
    problems = [
        f"{what} were {then[key]!r} and are {now[key]!r} in this release of lrsweep"
        for key, what in (("training_rules", "the rules of training"), ("evaluations", "the evaluations per training"))
        if then[key] != now[key]
    ]
    name = str(trial.params["optimizer"])
    if name in then["optimizers"] and name in now["optimizers"]:
        before, after = then["optimizers"][name]["settings"], now["optimizers"][name]["settings"]
        if before != after:
            problems.append(f"the settings of {name} were {before} and are {after} in this release of lrsweep")
    return problems


def changed_workload(study: ResolvedStudy, now: WorkloadFacts) -> list[str]:
    """Why its values cannot be compared with those of the workload as it is now."""
    then = study.facts
    pairs = {
        "version": (then.version, now.version),
        "data (by their hash)": (then.data_hash[:12], now.data_hash[:12]),
        "batch size": (then.batch_size, now.batch_size),
        "settings": (dict(then.settings), dict(now.settings)),
    }
    return [
        f"the workload's {what} {'were' if what.endswith(('s', ')')) else 'was'} {before} and now {after}"
        for what, (before, after) in pairs.items()
        if before != after
    ]


def changed_making(
    row: TrainingRow,
    then: Sequence[Mapping[str, str]],
    now: Mapping[str, str],
    *,
    engine: str | None,
    device: str,
) -> list[str]:
    """What else may change bits: engine, device, versions. ``then`` are those of the processes that drove the sweep."""
    found = []
    if row.engine is None:
        found.append("which engine trained it was not kept")
    elif row.engine != engine:
        found.append(f"the engine was {row.engine} and is {engine}")
    if row.device != device:
        found.append(f"the device was {row.device} and is {device}")
    if not then:
        return [*found, "the versions that it was trained with were not kept"]
    if len(then) > 1:
        found.append(f"the sweep went on under {len(then)} sets of versions, and which of them trained it was not kept")
    for name in dict.fromkeys([*then[-1], *now]):
        if name not in ("optuna", "mlflow") and then[-1].get(name) != now.get(name):  # these train nothing
            found.append(f"{name} was {then[-1].get(name, 'not there')} and is {now.get(name, 'not there')}")
    return found


def compared(then: Curve, now: Curve) -> Bits:
    """Bit for bit, as the store keeps them: losses in float32, and a NaN is equal to a NaN. A metric that only one of
    them has, as a workload may have learned or dropped it since, says nothing."""
    equal = values = 0
    first = None
    pairs: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "rate": (then.rates, now.rates),
        "training loss": (then.train_losses.astype(np.float32), now.train_losses.astype(np.float32)),
        **{
            name: (then.evaluations[name], now.evaluations[name])
            for name in then.evaluations
            if name in now.evaluations
        },
    }
    for name, (before, after) in pairs.items():
        shared = min(len(before), len(after))
        same = (before[:shared] == after[:shared]) | (np.isnan(before[:shared]) & np.isnan(after[:shared]))
        equal += int(same.sum())
        longer = max(len(before), len(after))
        values += longer
        if first is None and (not same.all() or shared < longer):
            place = int(np.argmin(same)) if not same.all() else shared
            first = f"the {name} number {place + 1}"
    return Bits(equal, values, first)


def one_more(values: Sequence[float]) -> Interval | None:
    """Student's prediction interval: where one more value of the same kind would lie; None for fewer than two.

    >>> interval = one_more([1.0, 2.0, 3.0])
    >>> round(interval.low, 3), round(interval.high, 3)
    (-2.968, 6.968)
    """
    if len(values) < FEWEST_SEEDS:
        return None
    reach = t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / len(values))
    middle = float(np.mean(values))
    return Interval(middle - reach, middle + reach)


def judged(
    row: TrainingRow,
    *,
    metric: str,
    bits: Bits,
    then: float | None,
    now: float | None,
    differences: Sequence[str],
    fresh: Sequence[float],
) -> Reproduction:
    """``then`` and ``now`` are values of the same seed; None where a training diverged. ``fresh`` are values of others,
    empty where none was wanted or none completed."""
    interval = one_more(fresh)

    def is_(verdict: Verdict, sentence: str) -> Reproduction:
        return Reproduction(
            verdict, sentence, row.training_id, tuple(differences), then, now, bits, tuple(fresh), interval
        )

    if bits.first is None:
        return is_(Verdict.REPRODUCED, f"all {bits.values:,} values agree bit for bit{_value(metric, now)}")
    parted = f"{bits.equal:,} of {bits.values:,} values agree bit for bit, the first that does not is {bits.first}"
    if then is None or now is None:
        if then is now:
            return is_(Verdict.REPRODUCED, f"it diverges again, though not bit for bit: {parted}")
        return is_(Verdict.MOVED, f"it {_ended(then)} then and {_ended(now)} now; {parted}")
    by = f"{metric} was {then:.6g} and is {now:.6g} with the same seed"
    if interval is None:
        how = f"`--seeds {max(5, FEWEST_SEEDS)}` says whether that is more than seeds differ by"
        return is_(Verdict.MOVED, f"{by}; {parted}; {how}")
    where = f"{len(fresh)} fresh seeds put one more at {interval.low:.6g} to {interval.high:.6g} (95 %)"
    if interval.low <= then <= interval.high:
        return is_(Verdict.REPRODUCED, f"within what seeds differ by, though not bit for bit: {by}, and {where}")
    middle = float(np.mean(fresh))
    return is_(
        Verdict.MOVED, f"by {then - middle:+.4g} against the mean of fresh seeds {middle:.6g}: {by}, and {where}"
    )


def _value(metric: str, value: float | None) -> str:
    return "; it diverges again" if value is None else f"; {metric} {value:.6g}"


def _ended(value: float | None) -> str:
    return "diverged" if value is None else "completed"
